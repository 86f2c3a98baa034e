"""What a list is narrowed to is given by code or by Chinese name; what nobody knows is refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.api.rows import catering, code, refused, trade
from tests.databases import on_one_database
from tests.office import NewOffice, Office, TestClock, unchanged

LIST = "/v1/entitlements"
ZONE = "210899"


def stock(office: Office) -> Office:
    """A shop with an award, a restaurant without one in a development zone, and one that is preliminary."""
    office.publish()
    office.file(trade(110_000), catering(2_100, number=2000, region_code=ZONE))
    office.file(trade(107_000, number=3000, region_code="210803"), stage="preliminary")
    return office


@pytest.fixture(scope="module")
def shared(new_office: NewOffice) -> Office:
    """These enterprises, for all tests."""
    return stock(new_office(TestClock()))


@pytest.fixture
def filed(shared: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared) as office:
        yield office


@pytest.fixture
def changing(office: Office) -> Office:
    """The same, to record more."""
    return stock(office)


def listed(office: Office, **asked: Any) -> list[str]:
    return [each["uscc"] for each in office.read(LIST, window="2024H1", **asked)["items"]]


@on_one_database
@pytest.mark.parametrize(
    ("field", "by_code", "by_name", "numbers"),
    [
        ("region_code", "210803", "西市区", [3000]),
        ("region_code", ZONE, f"处理地{ZONE}", [2000]),
        ("measure", "retail-growth", "零售增长奖励", [1000]),
        ("status", "eligible", "符合条件", [1000]),
        ("stage", "preliminary", "初报数", [3000]),
        ("industry", "62", "餐饮业", [2000]),
    ],
)
def test_a_value_is_taken_by_code_and_by_name(
    filed: Office, field: str, by_code: str, by_name: str, numbers: list[int]
) -> None:
    expected = [code(number) for number in numbers]
    assert listed(filed, **{field: by_code}) == listed(filed, **{field: by_name}) == expected


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("region_code", ["210802（站前区）", "210882（大石桥市）", f"{ZONE}（处理地{ZONE}）"]),
        ("measure", ["retail-growth（零售增长奖励）", "catering-increment（餐饮增量奖励）"]),
        ("status", ["eligible（符合条件）", "not-eligible（不予奖励）"]),
        ("stage", ["final（审定数）", "preliminary（初报数）"]),
        ("industry", ["51（批发业）", "62（餐饮业）"]),
    ],
)
@pytest.mark.parametrize("value", ["", "nobody-knows", "不知道"])
def test_a_value_that_nobody_knows_is_refused_with_the_known_ones(
    filed: Office, field: str, known: list[str], value: str
) -> None:
    detail = refused(filed.get(LIST, window="2024H1", **{field: value}), 400, "invalid-request")["detail"]
    assert detail.startswith(f"{field}：没有“{value}”，已知的有：")
    assert all(each in detail for each in known)


@on_one_database
def test_a_known_value_that_nobody_has_is_an_empty_list(filed: Office) -> None:
    assert listed(filed, region_code="盖州市") == []
    assert listed(filed, measure="餐饮增量奖励") == []
    assert listed(filed, industry="51") == []


@on_one_database
@pytest.mark.parametrize("industry", ["7", "7211"])
def test_an_industry_that_is_registered_is_known_by_its_code(changing: Office, industry: str) -> None:
    refused(changing.get(LIST, window="2024H1", industry=industry), 400, "invalid-request")
    changing.file(trade(110_000, number=4000, industry_code="7211"))
    assert listed(changing, industry=industry) == [code(4000)]


@on_one_database
def test_without_a_policy_no_measure_is_known(office: Office) -> None:
    office.file(trade(110_000))
    detail = refused(office.get(LIST, window="2024H1", measure="零售增长奖励"), 400, "invalid-request")
    assert detail["detail"] == "measure：没有“零售增长奖励”，已知的有：无。"


@on_one_database
def test_a_measure_of_an_earlier_version_stays_known(changing: Office) -> None:
    text = YINGKOU_2024_14.read_bytes()
    changing.publish(text.replace(b"- id: retail-growth", b"- id: retail"))
    assert listed(changing, measure="retail-growth") == []
    assert listed(changing, measure="retail") == [code(1000)]


@on_one_database
def test_the_summary_is_grouped_by_name_too(filed: Office) -> None:
    by_name = filed.read("/v1/summary", window="2024H1", group_by="奖项")
    assert by_name == filed.read("/v1/summary", window="2024H1", group_by="measure")
    answer = filed.get("/v1/summary", window="2024H1", group_by="颜色")
    assert "period（所属期）" in refused(answer, 400, "invalid-request")["detail"]


@on_one_database
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/audit/red-flags", {"window": "2024H1"}),
        ("/v1/audit/red-flags/groups", {"window": "2024H1"}),
        ("/v1/audit/differences", {"from": 0, "to": 3}),
    ],
)
def test_every_route_about_a_region_knows_it_by_name(filed: Office, path: str, asked: dict[str, Any]) -> None:
    by_code = filed.read(path, region_code="210803", **asked)
    assert filed.read(path, region_code="西市区", **asked) == by_code
    body = refused(filed.get(path, region_code="月球", **asked), 400, "invalid-request")
    assert "region_code：没有“月球”，已知的有：210802（站前区）、" in body["detail"]


@on_one_database
def test_a_red_flag_is_known_by_name(filed: Office) -> None:
    path, asked = "/v1/audit/red-flags", {"window": "2024H1"}
    assert filed.read(path, flag="累计数不平衡", **asked) == filed.read(path, flag="balance-differs", **asked)
    detail = refused(filed.get(path, flag="可疑", **asked), 400, "invalid-request")["detail"]
    assert "base-earns（更正上年同期数后测算金额增加）" in detail
