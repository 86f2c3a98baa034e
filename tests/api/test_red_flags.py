"""The red flags over HTTP: by enterprise in pages, by group in one answer, as of a moment."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from httpx2 import Response

from app.use_cases.audit import red_flags
from domain.red_flags.kinds import THRESHOLDS
from tests.api.cursors import made_up_cursor
from tests.api.rows import STEP_FEN, catering, code, trade
from tests.databases import on_one_database
from tests.office import Office, TestClock

PATH = "/v1/audit/red-flags"
GROUPS = f"{PATH}/groups"


def revise(office: Office, *rows: dict[str, Any], clock: TestClock, at: str = "2024-05-20T08:00:00Z") -> Any:
    """File over what stands."""
    clock.set(at)
    return office.file(
        *({**row, "reason": "企业改报", "origin": "enterprise", "document": "1号"} for row in rows)
    )


def filled_in(number: int, **other: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A return without a base, and the same with one that earns a step."""
    return trade(110_000, None, number=number, **other), trade(110_000, 100_000, number=number, **other)


def pages(office: Office, limit: int, **params: Any) -> list[dict[str, Any]]:
    """Every item of every page."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = office.read(PATH, limit=limit, **params, **cursor)
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


def names(items: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["uscc"], each["flag"]) for each in items]


@on_one_database
def test_a_base_filled_in_is_asked_about_with_the_versions_it_rests_on(
    office: Office, clock: TestClock
) -> None:
    office.publish()
    first, then = filled_in(1001)
    filed = office.file(first, source={"name": "3月.xlsx", "sha256": "a" * 64})
    revised = revise(office, then, clock=clock)
    page = office.read(PATH, window="2024H1")
    assert names(page["items"]) == [(code(1001), "base-changed"), (code(1001), "base-earns")]
    earns = page["items"][1]
    assert (earns["stated_fen"], earns["compared_fen"]) == (10_000_000_000, None)
    assert (earns["assessed_fen"], earns["compared_assessed_fen"]) == (STEP_FEN, 0)
    before, after = earns["evidence"]
    assert (before["source"]["name"], before["uscc"], before["actor"]) == (
        "3月.xlsx",
        code(1001),
        "statistics",
    )
    assert before["recorded_at"] == "2024-04-10T08:00:00Z"
    assert (after["reason"], after["origin"], after["document"]) == ("企业改报", "enterprise", "1号")
    assert [before["position"], after["position"]] == [filed["position"] - 1, revised["position"] - 1]
    assert page["as_of"]["position"] == revised["position"]
    assert page["thresholds"] == msgspec.to_builtins(THRESHOLDS)


@on_one_database
def test_bases_lowered_together_are_told_with_what_they_earn_together(
    office: Office, clock: TestClock
) -> None:
    office.publish()
    full = ("2024-01~02", "2024-03", "2024-04")
    office.file(*(trade(250_000, 100_000, number=1001, period=period) for period in full))
    office.file(*(trade(250_000, 250_000, number=1001, period=f"2024-0{month}") for month in (5, 6)))
    lowered = [trade(250_000, 100_000, number=1001, period=f"2024-0{month}") for month in (5, 6)]
    revise(office, *lowered, clock=clock, at="2024-07-02T00:00:00Z")
    for flag in ("base-earns", "late-correction"):
        items = office.read(PATH, window="2024H1", flag=flag)["items"]
        assert [
            (
                each["period"],
                each["column"],
                each["assessed_fen"] // STEP_FEN,
                each["compared_assessed_fen"] // STEP_FEN,
                each["together_assessed_fen"] // STEP_FEN,
            )
            for each in items
        ] == [("2024-05", "prior_year", 40, 40, 30), ("2024-06", "prior_year", 40, 40, 30)]


def test_it_is_told_as_it_was_known_then(office: Office, clock: TestClock) -> None:
    office.publish()
    first, then = filled_in(1001)
    position = office.file(first)["position"]
    revise(office, then, clock=clock)
    assert office.read(PATH, window="2024H1", position=position)["items"] == []
    assert office.read(PATH, window="2024H1", known_at="2024-05-01T00:00:00Z")["items"] == []
    assert len(office.read(PATH, window="2024H1", known_at="2024-05-20T08:00:00Z")["items"]) == 2


def test_pages_of_any_size_tell_each_question_once(
    office: Office, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.publish()
    drafts = [filled_in(number, region_code=f"21080{2 + number % 3}") for number in range(1001, 1008)]
    office.file(
        *(first for first, _ in drafts), *(trade(9, 9, number=number) for number in range(1010, 1015))
    )
    revise(office, *(then for _, then in drafts), clock=clock)
    whole = names(office.read(PATH, window="2024H1")["items"])
    assert whole == sorted(whole)
    assert len(whole) == 14
    of_region = names(office.read(PATH, window="2024H1", region_code="210804")["items"])
    assert len(of_region) == 6
    monkeypatch.setattr(red_flags, "SLICE", 2)
    monkeypatch.setattr(red_flags, "RED_FLAGS_MOST_SCANNED", 4)
    for limit in (1, 2, 3, 500):
        assert names(pages(office, limit, window="2024H1")) == whole, limit
        assert names(pages(office, limit, window="2024H1", region_code="210804")) == of_region, limit


def test_a_page_goes_on_at_the_moment_of_the_first(office: Office, clock: TestClock) -> None:
    office.publish()
    drafts = [filled_in(number) for number in (1001, 1002)]
    office.file(*(first for first, _ in drafts))
    revise(office, drafts[0][1], clock=clock)
    page = office.read(PATH, window="2024H1", limit=1)
    revise(office, drafts[1][1], clock=clock, at="2024-05-21T08:00:00Z")
    rest = office.read(PATH, window="2024H1", limit=1, cursor=page["next_cursor"])
    assert names(rest["items"]) == [(code(1001), "base-earns")]
    assert rest["as_of"] == page["as_of"]


def test_one_flag_or_one_region_may_be_asked_for(office: Office, clock: TestClock) -> None:
    office.publish()
    here, there = filled_in(1001), filled_in(1002, region_code="210803")
    office.file(here[0], there[0])
    revise(office, here[1], there[1], clock=clock)
    items = office.read(PATH, window="2024H1", flag="base-earns", region_code="210803")["items"]
    assert names(items) == [(code(1002), "base-earns")]
    assert items[0]["region_code"] == "210803"


def test_a_base_is_compared_with_the_year_before_and_a_cumulative_figure_with_the_half_before(
    office: Office,
) -> None:
    office.publish()
    office.file(trade(90_000, 80_000, number=1001, period="2023-07"))
    figures = {"retail_sales": {"current": 1, "prior_year": 1, "current_ytd": 600, "prior_year_ytd": 600}}
    office.file(trade(0, number=1001, period="2024-06", figures=figures))
    figures = {"retail_sales": {"current": 5, "prior_year": 7, "current_ytd": 604, "prior_year_ytd": 607}}
    office.file(trade(0, number=1001, period="2024-07", figures=figures))
    items = office.read(PATH, window="2024H2")["items"]
    assert [(each["flag"], each["stated_fen"], each["compared_fen"]) for each in items] == [
        ("base-differs", 700_000, 9_000_000_000),
        ("balance-differs", 500_000, 400_000),
    ]


@on_one_database
def test_a_differing_base_carries_the_amount_under_either_base(office: Office) -> None:
    office.publish()
    office.file(trade(115_000, 80_000, number=1001, period="2023-03"))
    office.file(trade(150_000, 100_000, number=1001))
    (item,) = office.read(PATH, window="2024H1", flag="base-differs")["items"]
    assert (item["stated_fen"], item["compared_fen"]) == (10_000_000_000, 11_500_000_000)
    assert (item["assessed_fen"], item["compared_assessed_fen"]) == (5 * STEP_FEN, 3 * STEP_FEN)
    assert item["together_assessed_fen"] == 3 * STEP_FEN
    assert "按所报数为25万元，按台账中的数为15万元" in item["sentence"]


@on_one_database
def test_what_was_withdrawn_whole_is_asked_about_under_its_last_name(
    office: Office, clock: TestClock
) -> None:
    office.publish()
    row = trade(110_000, 100_000, number=1001)
    office.file(row)
    clock.set("2024-08-01T00:00:00Z")
    office.withdraw(row, reason="登记有误")
    (item,) = office.read(PATH, window="2024H1")["items"]
    assert (item["flag"], item["name"], item["stated_fen"]) == ("late-correction", "示例商贸1001", None)
    assert (item["assessed_fen"], item["compared_assessed_fen"]) == (0, STEP_FEN)
    assert [each["type"] for each in item["evidence"]] == ["ReturnFiled", "ReturnWithdrawn"]


@on_one_database
def test_the_half_year_ends_at_midnight_in_beijing(office: Office, clock: TestClock) -> None:
    office.publish()
    rows = [trade(110_000, 100_000, number=number) for number in (1001, 1002)]
    office.file(*rows)
    revise(office, {**rows[0], "in_database": False}, clock=clock, at="2024-06-30T15:59:59Z")
    revise(office, {**rows[1], "in_database": False}, clock=clock, at="2024-06-30T16:00:00Z")
    assert names(office.read(PATH, window="2024H1")["items"]) == [(code(1002), "late-correction")]


@on_one_database
def test_without_a_policy_questions_are_asked_without_amounts(office: Office, clock: TestClock) -> None:
    first, then = filled_in(1001)
    office.file(first)
    revise(office, then, clock=clock, at="2024-08-01T00:00:00Z")
    items = office.read(PATH, window="2024H1")["items"]
    assert names(items) == [(code(1001), "base-changed"), (code(1001), "late-correction")]
    assert {each["assessed_fen"] for each in items} == {None}


@on_one_database
def test_a_policy_asked_for_outside_its_years_assesses_nothing(office: Office, clock: TestClock) -> None:
    office.publish()
    rows = [trade(110_000, number=number, period="2023-03") for number in range(1001, 1021)]
    office.file(*rows)
    revise(office, {**rows[0], "in_database": False}, clock=clock)
    asked = {"window": "2023H1", "policy": "yingkou-2024-14"}
    (item,) = office.read(PATH, **asked)["items"]
    assert (item["flag"], item["assessed_fen"]) == ("late-correction", None)
    assert office.read(GROUPS, **asked)["items"] == []


@on_one_database
def test_a_cluster_and_its_returns_are_told_by_region_and_for_all(office: Office) -> None:
    office.publish()
    over = [trade(110_000, number=number) for number in range(1001, 1021)]
    office.file(*over, catering(3_000, number=1001), trade(109_999, number=1030))
    answer = office.read(GROUPS, window="2024H1")
    found = [(each["flag"], each["period"], each["region_code"]) for each in answer["items"]]
    assert found == [
        ("threshold-cluster", period, region) for period in (None, "2024-03") for region in (None, "210802")
    ]
    group = answer["items"][0]["group"]
    assert (group["counted"], group["total"], group["share_bp"]) == (20, 21, 9_523)
    evidence = answer["items"][0]["evidence"]
    assert [each["uscc"] for each in evidence] == sorted(row["uscc"] for row in over)
    of_region = office.read(GROUPS, window="2024H1", region_code="210802")["items"]
    assert [each["region_code"] for each in of_region] == ["210802", "210802"]
    assert office.read(GROUPS, window="2024H1", region_code="210803")["items"] == []
    assert office.read(GROUPS, window="2024H1", flag="many-corrections")["items"] == []


def test_who_corrects_much_is_told(office: Office, clock: TestClock) -> None:
    office.publish()
    rows = [trade(90_000, number=number) for number in range(1001, 1022)]
    office.file(*rows)
    corrected = [{**row, "in_database": False} for row in rows[:20]]
    revise(office, *corrected, clock=clock)
    (item,) = office.read(GROUPS, window="2024H1", flag="many-corrections")["items"]
    group = item["group"]
    assert (group["actor"], group["counted"], group["total"]) == ("statistics", 20, 20)
    assert len(item["evidence"]) == 20
    position = office.read("/v1/events", limit=1000)["items"][-1]["position"] - 1
    assert office.read(GROUPS, window="2024H1", flag="many-corrections", position=position)["items"] == []


@on_one_database
def test_more_enterprises_than_one_call_counts_are_refused_and_a_region_is_not(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.publish()
    office.file(
        trade(9, 9, number=1001), trade(9, 9, number=1002), trade(9, 9, number=1003, region_code="210803")
    )
    monkeypatch.setattr(red_flags, "RED_FLAGS_MOST_GROUPED", 2)
    refused = office.get(GROUPS, window="2024H1")
    assert (refused.status_code, refused.json()["code"]) == (422, "too-many-enterprises")
    assert "region_code" in refused.json()["detail"]
    assert office.read(GROUPS, window="2024H1", region_code="210802")["items"] == []


@pytest.mark.parametrize("path", [PATH, GROUPS])
@pytest.mark.parametrize("who", ["statistics", "commerce", "commerce-with-figures", "admin"])
def test_only_auditors_see_them(idle: Office, path: str, who: str) -> None:
    response = idle.get(path, who, window="2024H1")
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def status_and_code(response: Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, (400, "invalid-request")),
        ({"window": "2024H3"}, (400, "window-invalid")),
        ({"window": "2024H1", "flag": "threshold-cluster"}, (400, "invalid-request")),
        ({"window": "2024H1", "limit": "0"}, (400, "invalid-request")),
        ({"window": "2024H1", "limit": "501"}, (400, "invalid-request")),
        ({"window": "2024H1", "region_code": "\x00"}, (400, "invalid-request")),
        ({"window": "2024H1", "cursor": "nonsense"}, (400, "invalid-request")),
        ({"window": "2024H1", "position": "99"}, (422, "position-ahead")),
        ({"window": "2024H1", "position": "1", "known_at": "2024-05-01T00:00:00Z"}, (400, "invalid-request")),
        ({"window": "2024H1", "policy": "none"}, (404, "not-found")),
    ],
)
def test_what_cannot_be_asked_is_said(
    idle: Office, params: dict[str, str], expected: tuple[int, str]
) -> None:
    assert status_and_code(idle.get(PATH, **params)) == expected
    if "limit" not in params and "cursor" not in params and "flag" not in params:
        assert status_and_code(idle.get(GROUPS, **params)) == expected


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        ((1, False, "一", 0), (400, "invalid-request")),
        ((-1, False, "", 0), (400, "invalid-request")),
        ((0, False, "", -1), (400, "invalid-request")),
        ((0, 0, "", 0), (400, "invalid-request")),
        ((0, False, ""), (400, "invalid-request")),
        ((2**63, False, "", 0), (400, "invalid-request")),
        ((99, False, "", 0), (422, "position-ahead")),
    ],
)
def test_a_cursor_that_was_made_up_is_refused(
    idle: Office, cursor: tuple[object, ...], expected: tuple[int, str]
) -> None:
    made_up = made_up_cursor(PATH, cursor, window="2024H1")
    assert status_and_code(idle.get(PATH, window="2024H1", cursor=made_up)) == expected


@on_one_database
def test_an_empty_ledger_has_no_questions(office: Office) -> None:
    answer = office.read(PATH, window="2024H1")
    assert (answer["items"], answer["next_cursor"]) == ([], None)
    assert (answer["as_of"]["position"], answer["as_of"]["recorded_at"]) == (0, None)
    assert office.read(GROUPS, window="2024H1")["items"] == []
