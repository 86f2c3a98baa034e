"""What an error says: its title and its detail are Chinese, its code and the names of fields are not."""

import pytest

from app.api.http.problems import TITLES
from tests.api.rows import code, refused, trade
from tests.databases import on_one_database
from tests.office import Office

LIST = "/v1/entitlements"
ACCOUNT = f"/v1/entitlements/{code(1000)}/2024H1"


@on_one_database
@pytest.mark.parametrize(
    ("path", "status", "problem", "detail"),
    [
        (LIST, 400, "invalid-request", "window：必填。"),
        (f"{LIST}?window=2024H1&limit=0", 400, "invalid-request", "limit：不能小于1。"),
        (f"{LIST}?window=2024H1&limit=501", 400, "invalid-request", "limit：不能大于500。"),
        (f"{LIST}?window=2024H1&limit=1.0", 400, "invalid-request", "limit：整数只用数字0至9书写。"),
        (f"{LIST}?window=2024H1&totals=2", 400, "invalid-request", "totals：应为true或false。"),
        (f"{LIST}?window=2024H1&q={'A' * 101}", 400, "invalid-request", "q：不能超过100个字符。"),
        (
            f"{LIST}?window=2024H1&sort=name&limit=x",
            400,
            "invalid-request",
            "limit：整数只用数字0至9书写；sort：应为-assessed_fen、assessed_fen或uscc。",
        ),
        (
            f"{LIST}?window=2024Q5",
            400,
            "window-invalid",
            (
                "期间“2024Q5”无法识别。应写作2024（全年）、2024H1（上半年）、2024Q2（第二季度）、"
                "2024-03（3月）、2024-01~02（1—2月）或2024~2025（两年）。"
            ),
        ),
        (
            f"{ACCOUNT}/2024-01",
            400,
            "period-invalid",
            (
                "所属期“2024-01”不能单独登记：1月、2月合并调查，写作2024年1—2月（接口写作2024-01~02）；"
                "来源将两月分列的，先相加再登记。"
            ),
        ),
        (ACCOUNT, 404, "not-found", f"{code(1000)}在2024年上半年没有登记过数据。"),
        ("/v1/nothing", 404, "not-found", "没有这个地址。"),
        (f"{ACCOUNT}?position=1", 422, "position-ahead", "台账最后的序号是0，不能查询更后的序号。"),
        (
            f"{ACCOUNT}?position=0&known_at=2024-01-01",
            400,
            "invalid-request",
            "position与known_at只能给一个。",
        ),
    ],
)
def test_what_is_wrong_is_said_in_chinese(
    office: Office, path: str, status: int, problem: str, detail: str
) -> None:
    body = refused(office.get(path), status, problem)
    assert (body["title"], body["detail"]) == (TITLES[status], detail)


@on_one_database
def test_a_caller_without_a_key_or_with_another_role_is_told_so(office: Office) -> None:
    body = refused(office.client.get(ACCOUNT), 401, "unauthenticated")
    assert body["title"] == "没有有效的密钥"
    assert body["detail"] == "须提供有效的密钥，请求头写作Authorization: Bearer <key>。"
    body = refused(office.get(ACCOUNT, "statistics"), 403, "forbidden")
    assert body["detail"] == "须使用角色为commerce或auditor或admin的密钥，所用密钥的角色为statistics。"


@on_one_database
def test_a_method_and_a_media_type_that_are_not_taken(office: Office) -> None:
    response = office.client.delete(LIST, headers=office.headers("auditor"))
    assert refused(response, 405, "method-not-allowed")["detail"] == "这个地址不支持该请求方法。"
    headers = {**office.headers("statistics"), "Content-Type": "text/csv"}
    response = office.client.post("/v1/returns", content=b"", headers=headers)
    body = refused(response, 415, "unsupported-media-type")
    assert body["detail"] == "请求正文的内容类型应为application/json。"


@on_one_database
@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"unit": }', "请求正文不是有效的JSON：第1行第10个字符处有误。"),
        (b"\xff", "请求正文不是有效的JSON：第1个字节处不是UTF-8编码的文字。"),
        (b'{"unit": 1, "unit": 1}', "请求正文不是有效的JSON：同一对象中“unit”重复。"),
        (b"NaN", "请求正文不是有效的JSON：NaN不是JSON的值。"),
        (b"[" * 2_000, "请求正文不是有效的JSON：嵌套过深。"),
    ],
    ids=["no-value", "no-utf-8", "twice", "constant", "deep"],
)
def test_a_body_that_is_no_json(office: Office, content: bytes, detail: str) -> None:
    headers = {**office.headers("statistics"), "Content-Type": "application/json"}
    response = office.client.post("/v1/returns", content=content, headers=headers)
    assert refused(response, 400, "invalid-json")["detail"] == detail


@on_one_database
def test_refused_rows_are_counted(office: Office) -> None:
    response = office.post({"unit": "qianyuan", "returns": [trade(1, wrong=1), trade(1, number=2)]})
    body = refused(response, 422, "rows-refused")
    assert (body["title"], body["detail"]) == ("内容未通过审核", "有1行未通过，全部未登记，详见problems。")
