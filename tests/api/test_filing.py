"""Filing, revising and withdrawing returns through HTTP."""

import json
from typing import Any

import pytest

from app.runtime.limits import PROBLEMS_MOST_LISTED
from tests.api.rows import (
    CATERING,
    STEP_FEN,
    TRADE,
    catering,
    code,
    events,
    named,
    post_bytes,
    refused,
    trade,
)
from tests.databases import on_one_database
from tests.office import Office, TestClock

MIB = 1024 * 1024


def with_figures(**items: dict[str, Any]) -> dict[str, Any]:
    """The figures of a row of E204-1, the retail sales of 110 million yuan among them."""
    return {"retail_sales": {"current": 110_000, "prior_year": 100_000}, **items}


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def test_the_answer_counts_what_was_recorded(office: Office) -> None:
    office.publish()
    answer = office.file(trade(110_000), catering(3_000, number=1001), trade(90_000, number=1002))
    assert answer.pop("batch_id")
    assert answer == {
        "position": 7,
        "filed": 3,
        "revised": 0,
        "unchanged": 0,
        "entitlements_changed": 3,
        "warnings": [],
        "warnings_total": 0,
    }


@on_one_database
def test_before_any_policy_a_filing_records_the_facts_alone(office: Office) -> None:
    answer = office.file(trade(110_000))
    assert (answer["position"], answer["filed"], answer["entitlements_changed"]) == (1, 1, 0)
    assert [event["type"] for event in events(office)] == ["ReturnFiled"]


@on_one_database
def test_an_empty_batch_is_answered_with_the_head(office: Office) -> None:
    office.file(trade(110_000))
    answer = office.file()
    assert answer.pop("batch_id")
    assert answer == {
        "position": 1,
        "filed": 0,
        "revised": 0,
        "unchanged": 0,
        "entitlements_changed": 0,
        "warnings": [],
        "warnings_total": 0,
    }


def test_the_same_batch_again_records_nothing_and_the_position_stays(office: Office) -> None:
    office.publish()
    rows = [trade(110_000), catering(4_000)]
    first = office.file(*rows)
    before = events(office)
    again = office.file(*rows)
    assert (again["unchanged"], again["filed"], again["revised"]) == (2, 0, 0)
    assert again["entitlements_changed"] == 0
    assert again["position"] == first["position"]
    assert events(office) == before


def test_a_row_is_unchanged_if_its_figures_are_equal_in_fen(office: Office) -> None:
    office.file(trade(110_000, 100_000))
    answer = office.file(
        trade("11000.0", "10000"), unit="wanyuan", source={"name": "另一份.xlsx", "sha256": None}
    )
    assert (answer["unchanged"], answer["position"]) == (1, 1)


@on_one_database
@pytest.mark.parametrize("change", [{"name": "更名后的企业"}, {"region_code": "210803"}])
def test_a_name_or_region_changes_without_a_reason(office: Office, change: dict[str, Any]) -> None:
    office.file(trade(110_000))
    answer = office.file({**trade(110_000), **change})
    assert (answer["filed"], answer["revised"], answer["unchanged"]) == (0, 1, 0)


@on_one_database
@pytest.mark.parametrize(
    "change",
    [
        {"figures": {"retail_sales": {"current": 110_001, "prior_year": 100_000}}},
        {"figures": {"retail_sales": {"current": 110_000, "prior_year": None}}},
        {"in_database": False},
        {"industry_code": "5212"},
    ],
    ids=["current", "prior year", "in database", "industry"],
)
def test_a_change_of_a_final_return_needs_a_reason(office: Office, change: dict[str, Any]) -> None:
    office.file(trade(110_000))
    before = events(office)
    changed = {**trade(110_000), **change}
    body = refused(office.post({"unit": "qianyuan", "returns": [changed]}), 409, "conflict")
    assert named(body) == [(0, "reason", "revision-needs-reason")]
    assert events(office) == before
    answer = office.file(
        {**changed, "reason": "企业改报", "origin": "enterprise", "document": "营统函〔2024〕3号"}
    )
    assert (answer["filed"], answer["revised"], answer["unchanged"]) == (0, 1, 0)
    recorded = events(office)[-1]
    assert recorded["type"] == "ReturnRevised"
    assert {name: recorded["data"][name] for name in ("reason", "origin", "document")} == {
        "reason": "企业改报",
        "origin": "enterprise",
        "document": "营统函〔2024〕3号",
    }


@on_one_database
@pytest.mark.parametrize("current", [110_000, 120_000], ids=["same figures", "other figures"])
def test_a_final_return_never_becomes_preliminary(office: Office, current: int) -> None:
    office.file(trade(110_000))
    batch = {"unit": "qianyuan", "stage": "preliminary", "returns": [trade(current, reason="改为初报")]}
    assert named(refused(office.post(batch), 409, "conflict")) == [(0, None, "stage-regresses")]
    assert len(events(office)) == 1


@on_one_database
@pytest.mark.parametrize("current", [110_000, 120_000], ids=["same figures", "other figures"])
def test_a_preliminary_return_becomes_final_without_a_reason(office: Office, current: int) -> None:
    office.publish()
    office.file(trade(110_000), stage="preliminary")
    answer = office.file(trade(current))
    assert answer["revised"] == 1
    account = office.entitlement(code(1000))
    assert account["periods"][0]["stage"] == "final"
    assert account["preliminary_fen"] == 0
    assert account["assessed_fen"] == (current - 100_000) // 10_000 * STEP_FEN


@on_one_database
def test_a_preliminary_return_replaces_a_preliminary_one_without_a_reason(office: Office) -> None:
    office.file(trade(110_000), stage="preliminary")
    assert office.file(trade(120_000), stage="preliminary")["revised"] == 1


@on_one_database
def test_a_revision_that_changes_no_amount_changes_no_entitlement(office: Office) -> None:
    office.publish()
    office.file(trade(110_000))
    answer = office.file(trade(110_001, reason="更正"))
    assert (answer["revised"], answer["entitlements_changed"]) == (1, 0)


@on_one_database
def test_one_row_that_is_not_acceptable_makes_the_answer_422_and_conflicts_are_named_beside_it(
    office: Office,
) -> None:
    office.file(trade(110_000))
    rows = [trade(120_000), trade(1.5, number=1001), trade(1, number=1002), trade(2, number=1002)]
    body = refused(office.post({"unit": "qianyuan", "returns": rows}), 422, "rows-refused")
    assert named(body) == [
        (0, "reason", "revision-needs-reason"),
        (1, "figures.retail_sales.current", "amount-invalid"),
        (3, None, "duplicate-row"),
    ]
    assert len(events(office)) == 1


ROW_PROBLEMS = [
    ("a wrong check character", {"uscc": "91210802MA0010002D"}, ("uscc", "uscc-check")),
    ("a code of an early region", {"uscc": "91350211M00013FA1N"}, ("uscc", "uscc-check")),
    ("a code of 17 characters", {"uscc": "91210802MA0010002"}, ("uscc", "field-invalid")),
    ("a code in lower case", {"uscc": "91210802ma0010002c"}, ("uscc", "field-invalid")),
    ("a code read as a number", {"uscc": 91}, ("uscc", "field-invalid")),
    ("another form", {"form": "B203-1"}, ("form", "unknown-form")),
    ("a form that is no text", {"form": ["E204-1"]}, ("form", "unknown-form")),
    (
        "an item of the other form",
        {"figures": with_figures(turnover={"current": 1, "prior_year": 1})},
        ("figures.turnover", "unknown-item"),
    ),
    ("January alone", {"period": "2024-01"}, ("period", "period-invalid")),
    ("February alone", {"period": "2024-02"}, ("period", "period-invalid")),
    ("a thirteenth month", {"period": "2024-13"}, ("period", "period-invalid")),
    ("a period that is no text", {"period": 202403}, ("period", "period-invalid")),
    (
        "retail sales over all sales",
        {"figures": with_figures(sales={"current": 109_999, "prior_year": 100_000})},
        ("figures.retail_sales.current", "part-exceeds-whole"),
    ),
    (
        "retail sales over all sales a year before",
        {"figures": with_figures(sales={"current": 110_000, "prior_year": 99_999})},
        ("figures.retail_sales.prior_year", "part-exceeds-whole"),
    ),
    ("no required item", {"figures": {}}, ("figures.retail_sales", "field-missing")),
    (
        "no current figure",
        {"figures": {"retail_sales": {"current": None, "prior_year": 1}}},
        ("figures.retail_sales.current", "field-missing"),
    ),
    (
        "no word on the prior year",
        {"figures": {"retail_sales": {"current": 1}}},
        ("figures.retail_sales.prior_year", "field-missing"),
    ),
    (
        "an unknown column",
        {"figures": {"retail_sales": {"current": 1, "prior_year": 1, "growth": 1}}},
        ("figures.retail_sales.growth", "field-invalid"),
    ),
    ("figures that are a list", {"figures": []}, ("figures", "field-invalid")),
    ("membership as a text", {"in_database": "是"}, ("in_database", "field-invalid")),
    ("membership as a number", {"in_database": 1}, ("in_database", "field-invalid")),
    ("a blank name", {"name": "  "}, ("name", "field-invalid")),
    ("a name with NUL", {"name": "示例\0"}, ("name", "field-invalid")),
    ("a name with a control character", {"name": "示例\x1b[2J"}, ("name", "field-invalid")),
    ("a lone surrogate", {"name": "示例\ud800"}, ("name", "field-invalid")),
    ("a name of 501 characters", {"name": "名" * 501}, ("name", "field-invalid")),
    ("a region that is a number", {"region_code": 210802}, ("region_code", "field-invalid")),
    ("an industry in letters", {"industry_code": "retail"}, ("industry_code", "field-invalid")),
    (
        "an industry in full-width digits",
        {"industry_code": "\uff15\uff12\uff11\uff11"},
        ("industry_code", "field-invalid"),
    ),
    ("a time without an offset", {"reported_at": "2024-04-10T08:00:00"}, ("reported_at", "field-invalid")),
    ("the 30th of February", {"reported_at": "2024-02-30T08:00:00Z"}, ("reported_at", "field-invalid")),
    ("an unknown origin", {"origin": "rumour"}, ("origin", "field-invalid")),
    ("row 0 of a sheet", {"source_row": {"sheet": "批发", "row": 0}}, ("source_row", "field-invalid")),
    ("an unknown field", {"figure": 1}, ("figure", "field-invalid")),
]


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in ROW_PROBLEMS], ids=[c[0] for c in ROW_PROBLEMS]
)
def test_a_problem_of_a_row_is_named_with_its_field_and_code(
    idle: Office, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    row = {**trade(110_000), **change}
    body = refused(
        post_bytes(idle, json.dumps({"unit": "qianyuan", "returns": [row]}).encode()), 422, "rows-refused"
    )
    assert named(body) == [(0, *expected)]
    assert events(idle) == []


@pytest.mark.parametrize(
    "name", ["form", "uscc", "name", "region_code", "industry_code", "period", "in_database", "figures"]
)
def test_a_required_field_that_is_missing_is_named(idle: Office, name: str) -> None:
    batch = {"unit": "qianyuan", "returns": [without(trade(110_000), name)]}
    assert named(refused(idle.post(batch), 422, "rows-refused")) == [(0, name, "field-missing")]


def test_catering_revenue_over_the_turnover_is_refused(idle: Office) -> None:
    figures = {
        "catering_revenue": {"current": 11, "prior_year": 1},
        "turnover": {"current": 10, "prior_year": 1},
    }
    batch = {"unit": "qianyuan", "returns": [catering(0, figures=figures)]}
    assert named(refused(idle.post(batch), 422, "rows-refused")) == [
        (0, "figures.catering_revenue.current", "part-exceeds-whole")
    ]


def test_the_refusal_of_january_alone_says_that_it_is_surveyed_with_february(idle: Office) -> None:
    batch = {"unit": "qianyuan", "returns": [trade(1, period="2024-01")]}
    message = refused(idle.post(batch), 422, "rows-refused")["problems"][0]["message"]
    assert "合并" in message
    assert "2024-01~02" in message


@pytest.mark.parametrize("row", ["null", "1", '"E204-1"', "[]", "true"])
def test_a_row_that_is_no_object_is_named(idle: Office, row: str) -> None:
    body = refused(post_bytes(idle, f'{{"unit": "yuan", "returns": [{row}]}}'.encode()), 422, "rows-refused")
    assert named(body) == [(0, None, "field-invalid")]


@pytest.mark.parametrize(
    "amount",
    [
        "1.0",
        "110000.5",
        "1e5",
        "1E5",
        "-0.0",
        "1e400",
        "true",
        "false",
        "[]",
        "{}",
        '""',
        '" 1"',
        '"1 "',
        '"+1"',
        '"1."',
        '".5"',
        '"1,000"',
        '"1e3"',
        '"0x10"',
        '"١٢"',
        '"\uff11\uff12"',
        '"—"',
        '"0.000001"',
        '"1\\ud800"',
        '"\\u0000"',
        "1000000000000",
        "-1000000000000",
        "9" * 4000,
        "9" * 5000,
        "-" + "9" * 5000,
        '"' + "9" * 5000 + '"',
        "[" * 500 + "]" * 500,
        '{"a":' * 500 + "1" + "}" * 500,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_exact_amount_in_the_unit_is_refused(idle: Office, amount: str) -> None:
    row = json.dumps(trade("AMOUNT")).replace('"AMOUNT"', amount)
    body = refused(
        post_bytes(idle, f'{{"unit": "qianyuan", "returns": [{row}]}}'.encode()), 422, "rows-refused"
    )
    assert named(body) == [(0, "figures.retail_sales.current", "amount-invalid")]
    assert events(idle) == []


@pytest.mark.parametrize(
    ("unit", "amount", "fen"),
    [
        ("fen", 1, 1),
        ("fen", "1.00", 1),
        ("fen", 10**17 - 1, 10**17 - 1),
        ("fen", -(10**17) + 1, -(10**17) + 1),
        ("yuan", "0.01", 1),
        ("yuan", "-0.01", -1),
        ("qianyuan", "123456.00001", 12_345_600_001),
        ("wanyuan", "1.234567", 1_234_567),
        ("wanyuan", "007", 7_000_000),
        ("wanyuan", 0, 0),
    ],
)
def test_an_amount_is_taken_exactly_in_fen(office: Office, unit: str, amount: object, fen: int) -> None:
    office.file(trade(amount, 1), unit=unit)
    history = office.read(f"/v1/returns/{code(1000)}", year=2024)
    assert history["returns"][0]["versions"][0]["current_fen"] == fen


def test_every_bad_row_is_named_with_every_problem_in_one_answer(idle: Office) -> None:
    rows = [
        trade(1, number=1),
        trade(1.5, number=2, uscc="91210802MA0010002D", period="2024-02"),
        trade(1, number=3),
        without(trade(1, number=4, form="X"), "name"),
        trade(2, number=3),
        trade(2, number=1),
    ]
    body = refused(idle.post({"unit": "qianyuan", "returns": rows}), 422, "rows-refused")
    assert sorted(named(body), key=lambda each: (each[0], each[2])) == [
        (1, "figures.retail_sales.current", "amount-invalid"),
        (1, "period", "period-invalid"),
        (1, "uscc", "uscc-check"),
        (3, "name", "field-missing"),
        (3, "form", "unknown-form"),
        (4, None, "duplicate-row"),
        (5, None, "duplicate-row"),
    ]
    assert events(idle) == []


@on_one_database
def test_a_code_that_fails_its_check_is_registered_with_an_override_that_is_recorded(office: Office) -> None:
    row = trade(110_000, uscc="91350211M00013FA1N", uscc_override="登记机关早期代码，营业执照已核")
    assert office.file(row)["filed"] == 1
    (recorded,) = events(office)
    assert recorded["data"]["uscc_override"] == "登记机关早期代码，营业执照已核"
    history = office.read("/v1/returns/91350211M00013FA1N", year=2024)
    assert history["returns"][0]["versions"][0]["uscc_override"] == "登记机关早期代码，营业执照已核"


@pytest.mark.parametrize("override", [None, "", "  "])
def test_an_override_without_a_reason_overrides_nothing(idle: Office, override: str | None) -> None:
    row = trade(110_000, uscc="91350211M00013FA1N", uscc_override=override)
    body = refused(idle.post({"unit": "qianyuan", "returns": [row]}), 422, "rows-refused")
    assert (0, "uscc", "uscc-check") in named(body)


def test_an_override_does_not_pass_a_code_of_another_shape(idle: Office) -> None:
    row = trade(110_000, uscc="9135021", uscc_override="早期代码")
    body = refused(idle.post({"unit": "qianyuan", "returns": [row]}), 422, "rows-refused")
    assert named(body) == [(0, "uscc", "field-invalid")]


@pytest.mark.parametrize(
    "batch",
    [
        [],
        None,
        1,
        {"returns": []},
        {"unit": "fen"},
        {"unit": "元", "returns": []},
        {"unit": ["fen"], "returns": []},
        {"unit": "fen", "returns": {}},
        {"unit": "fen", "returns": None},
        {"unit": "fen", "stage": "draft", "returns": []},
        {"unit": "fen", "stage": None, "returns": []},
        {"unit": "fen", "returns": [], "rows": []},
        {"unit": "fen", "returns": [], "\ud800": 1},
        {"unit": "fen", "returns": [], "source": "a.xlsx"},
        {"unit": "fen", "returns": [], "source": {"file": "a.xlsx"}},
        {"unit": "fen", "returns": [], "source": {"name": "a\0.xlsx"}},
        {"unit": "fen", "returns": [], "source": {"name": "a\ud800.xlsx"}},
        {"unit": "fen", "returns": [], "source": {"sha256": "ABC"}},
    ],
    ids=repr,
)
def test_a_body_that_is_no_batch_is_an_invalid_request(idle: Office, batch: Any) -> None:
    refused(post_bytes(idle, json.dumps(batch).encode()), 422, "invalid-request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"\xff\xfe{}",
        b'{"unit": "fen", "returns": [NaN]}',
        b'{"unit": "fen", "returns": [Infinity]}',
        b'{"unit": "fen", "unit": "yuan", "returns": []}',
        b'{"unit": "fen", "returns": [{"form": "E204-1", "form": "S204-1"}]}',
        b'{"unit": "fen", "returns": [{"\\ud800": 1, "\\ud800": 2}]}',
        b'{"unit": "fen", "returns": []} {}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"unit": "fen", "returns": ["\x00"]}',
        b"{" + b",".join(b'"%d":0' % key for key in (*range(300_000), 299_999)) + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_body_that_is_no_json_is_refused_with_400(idle: Office, body: bytes) -> None:
    refused(post_bytes(idle, body), 400, "invalid-json")
    assert events(idle) == []


@pytest.mark.parametrize("depth", [10, 500, *range(930, 1010, 7)])
@pytest.mark.parametrize("place", ["unit", "stage", "source", "returns", "name", "source_row"])
def test_deep_nesting_anywhere_is_refused_and_never_a_failure(idle: Office, depth: int, place: str) -> None:
    batch: dict[str, Any] = {
        "unit": "fen",
        "stage": "final",
        "source": None,
        "returns": [trade(1, source_row=None)],
    }
    target = batch if place in batch else batch["returns"][0]
    target[place] = "DEEP"
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = f"{opening * depth}{'1' if closing == '}' else ''}{closing * depth}"
        response = post_bytes(idle, json.dumps(batch).replace('"DEEP"', deep).encode())
        assert response.status_code in {400, 422}
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/yaml"]
)
def test_a_body_of_another_media_type_is_refused_with_415(idle: Office, media_type: str) -> None:
    body = json.dumps({"unit": "fen", "returns": []}).encode()
    refused(post_bytes(idle, body, media_type), 415, "unsupported-media-type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_json_is_taken_whatever_its_parameters(idle: Office, media_type: str | None) -> None:
    body = json.dumps({"unit": "fen", "returns": []}).encode()
    assert post_bytes(idle, body, media_type).status_code == 201


def test_a_body_of_32_mib_is_taken_and_one_byte_more_is_refused(idle: Office) -> None:
    body = b'{"unit": "fen", "returns": []}'.ljust(32 * MIB)
    assert post_bytes(idle, body).status_code == 201
    refused(post_bytes(idle, body + b" "), 413, "too-large")


def test_50000_rows_are_read_and_one_more_is_refused(idle: Office) -> None:
    def batch(rows: int) -> bytes:
        return f'{{"unit": "fen", "returns": [{",".join(["0"] * rows)}]}}'.encode()

    problem = refused(post_bytes(idle, batch(50_000)), 422, "rows-refused")
    assert (len(problem["problems"]), problem["problems_total"]) == (PROBLEMS_MOST_LISTED, 50_000)
    refused(post_bytes(idle, batch(50_001)), 413, "too-large")


def warned(answer: dict[str, Any]) -> list[tuple[int, str]]:
    for warning in answer["warnings"]:
        assert warning.keys() == {"row", "code", "message"}
        assert warning["message"]
    return [(warning["row"], warning["code"]) for warning in answer["warnings"]]


def figure(current: int, prior_year: int, current_ytd: int, prior_year_ytd: int) -> dict[str, Any]:
    return {
        "retail_sales": {
            "current": current,
            "prior_year": prior_year,
            "current_ytd": current_ytd,
            "prior_year_ytd": prior_year_ytd,
        }
    }


@on_one_database
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"figures": {"retail_sales": {"current": -1, "prior_year": 1}}}, "negative-figure"),
        (
            {"figures": with_figures(sales={"current": 110_000, "prior_year": 100_000, "current_ytd": -1})},
            "negative-figure",
        ),
        ({"industry_code": "6210"}, "industry-unlike-form"),
        ({"region_code": "210800"}, "unknown-region"),
    ],
    ids=["negative", "negative cumulative", "industry", "region"],
)
def test_a_point_to_verify_is_told_and_the_row_is_recorded(
    office: Office, change: dict[str, Any], expected: str
) -> None:
    answer = office.file(trade(1, number=1001), {**trade(110_000), **change})
    assert warned(answer) == [(1, expected)]
    assert answer["filed"] == 2


def test_a_base_unlike_the_ledgers_own_figure_of_a_year_before_is_told(office: Office) -> None:
    office.file(trade(99_000, 90_000, period="2023-03"))
    answer = office.file(trade(110_000, 100_000))
    assert warned(answer) == [(0, "base-differs")]
    assert answer["filed"] == 1


@on_one_database
def test_a_base_is_compared_with_the_year_before_in_the_same_batch(office: Office) -> None:
    answer = office.file(trade(110_000, 100_000), trade(99_000, 90_000, period="2023-03"))
    assert warned(answer) == [(0, "base-differs")]


@on_one_database
def test_a_base_equal_to_the_ledgers_own_figure_is_no_point_to_verify(office: Office) -> None:
    office.file(trade(100_000, 90_000, period="2023-03"))
    assert office.file(trade(110_000, 100_000))["warnings"] == []


@on_one_database
def test_a_withdrawn_figure_of_a_year_before_is_compared_with_nothing(office: Office) -> None:
    year_before = trade(99_000, 90_000, period="2023-03")
    office.file(year_before)
    office.withdraw(year_before, reason="登记有误")
    assert office.file(trade(110_000, 100_000))["warnings"] == []


@on_one_database
@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (figure(100, 90, 300, 270), []),
        (figure(100, 90, 301, 270), [(0, "balance-differs")]),
        (figure(100, 90, 300, 269), [(0, "balance-differs")]),
        (figure(100, 90, 301, 269), [(0, "balance-differs"), (0, "balance-differs")]),
    ],
    ids=["balanced", "this year", "year before", "both"],
)
def test_cumulative_figures_that_do_not_balance_are_told(
    office: Office, figures: dict[str, Any], expected: list[tuple[int, str]]
) -> None:
    assert office.file(trade(0, period="2024-01~02", figures=figure(200, 180, 200, 180)))["warnings"] == []
    assert warned(office.file(trade(0, period="2024-03", figures=figures))) == expected


def test_a_withdrawal_is_answered_like_a_filing(office: Office) -> None:
    office.publish()
    office.file(trade(110_000))
    response = office.withdraw(
        trade(0), reason="登记到了另一家企业名下", origin="returned", document="审〔2024〕1号"
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer.pop("batch_id")
    assert answer == {
        "position": 5,
        "filed": 0,
        "revised": 0,
        "unchanged": 0,
        "entitlements_changed": 1,
        "warnings": [],
        "warnings_total": 0,
    }
    assert [event["type"] for event in events(office)][-2:] == ["ReturnWithdrawn", "EntitlementAssessed"]


@on_one_database
def test_what_was_withdrawn_already_or_never_recorded_is_404(office: Office) -> None:
    refused(office.withdraw(trade(0), reason="登记有误"), 404, "not-found")
    office.file(trade(110_000))
    refused(office.withdraw(trade(0, period="2024-04"), reason="登记有误"), 404, "not-found")
    refused(office.withdraw(catering(0), reason="登记有误"), 404, "not-found")
    assert office.withdraw(trade(0), reason="登记有误").status_code == 200
    before = events(office)
    refused(office.withdraw(trade(0), reason="登记有误"), 404, "not-found")
    assert events(office) == before


def test_filing_again_after_a_withdrawal_counts_as_filed_and_needs_no_reason(office: Office) -> None:
    office.publish()
    office.file(trade(110_000))
    office.withdraw(trade(0), reason="登记有误")
    answer = office.file(trade(120_000), stage="preliminary")
    assert (answer["filed"], answer["revised"], answer["entitlements_changed"]) == (1, 0, 1)
    assert office.entitlement(code(1000))["assessed_fen"] == 2 * STEP_FEN


@on_one_database
def test_an_account_whose_returns_are_all_withdrawn_is_empty_and_still_there(office: Office) -> None:
    office.publish()
    office.file(trade(110_000), trade(120_000, period="2024-04"))
    for period in ("2024-03", "2024-04"):
        office.withdraw(trade(0, period=period), reason="登记有误")
    account = office.entitlement(code(1000))
    assert account["periods"] == []
    assert (account["assessed_fen"], account["open_fen"], account["headroom_fen"]) == (0, 0, 200_000_000)
    assert office.read("/v1/entitlements", window="2024H1")["items"] == []


@on_one_database
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": " "},
        {"reason": None},
        {"reason": 1},
        {"reason": "有\0误"},
        {"reason": "长" * 501},
        {"reason": "登记有误", "origin": "rumour"},
        {"reason": "登记有误", "document": ""},
        {"reason": "登记有误", "why": ""},
    ],
    ids=str,
)
def test_a_withdrawal_needs_a_reason_in_words(office: Office, body: dict[str, Any]) -> None:
    office.file(trade(110_000))
    refused(office.withdraw(trade(0), **body), 422, "invalid-request")
    assert len(events(office)) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"uscc": "91210802"}, "invalid-request"),
        ({"period": "2024-01"}, "period-invalid"),
        ({"form": "B203-1"}, "unknown-form"),
    ],
    ids=["uscc", "period", "form"],
)
def test_a_withdrawal_of_what_cannot_exist_is_a_bad_path(
    idle: Office, change: dict[str, Any], expected: str
) -> None:
    refused(idle.withdraw({**trade(0), **change}, reason="登记有误"), 400, expected)


def test_the_returns_of_an_enterprise_are_told_with_all_their_versions(
    office: Office, clock: TestClock
) -> None:
    office.file(
        trade(110_000, source_row={"sheet": "批发", "row": 12}, reported_at="2024-04-09T10:00:00+08:00"),
        source={"name": "2024-03 E204-1.xlsx", "sha256": "ab" * 32},
    )
    clock.set("2024-08-12T01:00:00Z")
    office.file(trade(107_000, reason="企业改报", origin="enterprise"))
    clock.set("2024-08-13T01:00:00Z")
    office.withdraw(trade(0), reason="登记有误", document="审〔2024〕1号")
    office.file(catering(3_000, None, period="2024-04"), stage="preliminary")
    office.file(trade(1, period="2023-03"))

    answer = office.read(f"/v1/returns/{code(1000)}", "statistics", year=2024)
    assert (answer["uscc"], answer["year"]) == (code(1000), 2024)
    march, april = answer["returns"]
    assert (march["form"], march["period"], march["standing"]) == (TRADE, "2024-03", False)
    assert (april["form"], april["period"], april["standing"]) == (CATERING, "2024-04", True)
    filed, revised, withdrawn = march["versions"]
    assert (filed["current_fen"], filed["prior_year_fen"]) == (11_000_000_000, 10_000_000_000)
    assert (filed["stage"], filed["actor"], filed["position"]) == ("final", "statistics", 1)
    assert filed["source"] == {
        "name": "2024-03 E204-1.xlsx",
        "sha256": "ab" * 32,
        "sheet": "批发",
        "row": 12,
    }
    assert (filed["recorded_at"], filed["reported_at"]) == (
        "2024-04-10T08:00:00Z",
        "2024-04-09T10:00:00+08:00",
    )
    assert (revised["current_fen"], revised["reason"]) == (10_700_000_000, "企业改报")
    assert (revised["type"], revised["recorded_at"]) == ("ReturnRevised", "2024-08-12T01:00:00Z")
    assert (withdrawn["type"], withdrawn["reason"], withdrawn["current_fen"]) == (
        "ReturnWithdrawn",
        "登记有误",
        None,
    )
    assert (april["versions"][0]["stage"], april["versions"][0]["prior_year_fen"]) == ("preliminary", None)


@on_one_database
def test_the_returns_of_who_never_filed_in_the_year_are_404(office: Office) -> None:
    office.file(trade(110_000))
    refused(office.get(f"/v1/returns/{code(1000)}", year=2023), 404, "not-found")
    refused(office.get(f"/v1/returns/{code(1001)}", year=2024), 404, "not-found")


@pytest.mark.parametrize("year", ["", "二〇二四", "24", "1e3", "99999999999999999999"])
def test_a_year_that_is_none_is_a_bad_query(idle: Office, year: str) -> None:
    refused(idle.get(f"/v1/returns/{code(1000)}", year=year), 400, "invalid-request")
