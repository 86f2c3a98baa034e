"""Scenario 4 (新入库、退库、基数补填, May to September 2024)."""

from typing import Any

import pytest

from tests.databases import on_one_database
from tests.ledger.history import catering, code, trade
from tests.office import Office, TestClock

REN, GUI, ZI = code(9), code(10), code(11)
WANYUAN = 1_000_000


@pytest.fixture(autouse=True)
def _published(office: Office, clock: TestClock) -> None:
    clock.set("2024-05-31T01:00:00Z")
    assert office.publish().status_code == 202


def by_period(office: Office, uscc: str, window: str, **moment: Any) -> dict[str, Any]:
    return {period["period"]: period for period in office.entitlement(uscc, window, **moment)["periods"]}


def file_newcomer(office: Office, clock: TestClock) -> None:
    clock.set("2024-06-10T01:00:00Z")
    office.file(trade(REN, "2024-05", 75_000, None))
    clock.set("2024-07-05T01:00:00Z")
    office.file(trade(REN, "2024-06", 80_000, 0))


@on_one_database
@pytest.mark.parametrize("who", ["auditor", "commerce", "commerce-with-figures"])
def test_without_a_base_both_months_are_undetermined_and_show_no_growth(
    office: Office, clock: TestClock, who: str
) -> None:
    file_newcomer(office, clock)
    for period in ("2024-05", "2024-06"):
        answer = office.read(f"/v1/entitlements/{REN}/2024H1/{period}", who)
        assert (answer["status"], answer["assessed_fen"], answer["measure"]) == ("undetermined", 0, None)
        assert answer["open_readings"] == ["undetermined-base"]
        sentences = "".join(step["sentence"] for step in answer["steps"])
        assert "暂不能确定" in sentences
        for growth in ("%", "∞", "无穷"):
            assert growth not in sentences


def test_a_base_filled_in_later_gives_one_step_and_stays_visible_as_a_correction(
    office: Office, clock: TestClock
) -> None:
    file_newcomer(office, clock)
    before = office.entitlement(REN)["as_of"]["position"]
    clock.set("2024-07-08T01:00:00Z")
    reason = {"reason": "补填上年同期数", "origin": "enterprise"}
    answer = office.file(trade(REN, "2024-05", 75_000, 60_000, **reason))
    assert (answer["revised"], answer["entitlements_changed"]) == (1, 1)

    periods = by_period(office, REN, "2024H1")
    assert (periods["2024-05"]["status"], periods["2024-05"]["assessed_fen"]) == ("eligible", 5 * WANYUAN)
    assert periods["2024-06"]["status"] == "undetermined"
    steps = office.read(f"/v1/entitlements/{REN}/2024H1/2024-05")["steps"]
    (growth,) = (step for step in steps if step["rule"] == "growth-over")
    assert growth["met"]
    assert "25%" in growth["sentence"]
    (award,) = (step for step in steps if step["rule"] == "whole-steps")
    assert (award["inputs"]["increment_fen"], award["inputs"]["steps"]) == (1_500_000_000, 1)

    assert by_period(office, REN, "2024H1", position=before)["2024-05"]["status"] == "undetermined"
    may = next(
        history
        for history in office.read(f"/v1/returns/{REN}", year=2024)["returns"]
        if history["period"] == "2024-05"
    )
    assert [version["prior_year_fen"] for version in may["versions"]] == [None, 6_000_000_000]
    assert may["versions"][-1]["reason"] == "补填上年同期数"


def test_who_leaves_the_database_keeps_the_months_before_and_gets_none_after(
    office: Office, clock: TestClock
) -> None:
    clock.set("2024-08-10T01:00:00Z")
    office.file(trade(GUI, "2024-07", 150_000, 100_000))
    clock.set("2024-09-10T01:00:00Z")
    office.file(trade(GUI, "2024-08", 300_000, 100_000, in_database=False))
    periods = by_period(office, GUI, "2024H2")
    assert (periods["2024-07"]["status"], periods["2024-07"]["assessed_fen"]) == ("eligible", 25 * WANYUAN)
    assert (periods["2024-08"]["status"], periods["2024-08"]["assessed_fen"]) == ("not-eligible", 0)
    (step,) = office.read(f"/v1/entitlements/{GUI}/2024H2/2024-08")["steps"]
    assert (step["rule"], step["met"]) == ("in-database", False)
    assert "不在限额以上批发和零售业调查单位库内" in step["sentence"]


@on_one_database
def test_of_trade_and_catering_the_higher_counts_each_month_anew(office: Office) -> None:
    accommodation = {"industry_code": "6110"}
    office.file(
        trade(ZI, "2024-07", 130_000, 100_000),
        catering(ZI, "2024-07", 7_000, 2_000, **accommodation),
        trade(ZI, "2024-08", 112_000, 100_000),
        catering(ZI, "2024-08", 7_000, 2_000, **accommodation),
    )
    july, august = by_period(office, ZI, "2024H2").values()
    assert (july["measure"], july["assessed_fen"]) == ("retail-growth", 15 * WANYUAN)
    assert [result["rule_fen"] for result in july["measures"]] == [15 * WANYUAN, 10 * WANYUAN]
    assert (august["measure"], august["assessed_fen"]) == ("catering-increment", 10 * WANYUAN)
    assert [result["rule_fen"] for result in august["measures"]] == [5 * WANYUAN, 10 * WANYUAN]
    assert (august["open_fen"], august["open_readings"]) == (8 * WANYUAN, ["catering-tail"])
    account = office.entitlement(ZI, "2024H2")
    assert account["assessed_fen"] == 25 * WANYUAN
    groups = office.read("/v1/summary", window="2024H2", group_by="measure")["groups"]
    assert {group["key"]: (group["enterprises"], group["assessed_fen"] // WANYUAN) for group in groups} == {
        "retail-growth": (1, 15),
        "catering-increment": (1, 10),
    }
