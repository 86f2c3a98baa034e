"""Scenario 3 (公示后更正, August 2024): two corrections of a list that was public already."""

from typing import Any

import pytest

from tests.databases import on_one_database
from tests.ledger.history import code, trade
from tests.office import Office, TestClock

XIN = code(8)
WANYUAN = 1_000_000
FIRST_HALF = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")


@pytest.fixture
def listed(office: Office, clock: TestClock) -> int:
    """辛's first half-year is filed, and the list of 5 August was taken: its position."""
    clock.set("2024-05-31T01:00:00Z")
    assert office.publish().status_code == 202
    clock.set("2024-07-10T01:00:00Z")
    office.file(*(trade(XIN, period, 200_000, 100_000) for period in FIRST_HALF))
    clock.set("2024-08-05T01:00:00Z")
    position: int = office.read("/v1/entitlements", "commerce", window="2024H1")["as_of"]["position"]
    return position


def correction(period: str, current: int, document: str) -> dict[str, Any]:
    return trade(
        XIN,
        period,
        current,
        100_000,
        reason=f"企业改报{period}零售额",
        origin="enterprise",
        document=document,
    )


MARCH, APRIL = correction("2024-03", 107_000, "改报1号"), correction("2024-04", 109_000, "改报2号")


def correct(office: Office, clock: TestClock) -> None:
    clock.set("2024-08-12T01:00:00Z")
    office.file(MARCH)
    clock.set("2024-08-20T01:00:00Z")
    office.file(APRIL)


def amounts(office: Office, **moment: Any) -> dict[str, int]:
    """By period, in 万元."""
    periods = office.entitlement(XIN, **moment)["periods"]
    return {period["period"]: period["assessed_fen"] // WANYUAN for period in periods}


def total(office: Office, **moment: Any) -> int:
    fen: int = office.entitlement(XIN, **moment)["assessed_fen"]
    return fen // WANYUAN


@pytest.mark.usefixtures("listed")
def test_five_months_at_the_month_ceiling_leave_nothing_for_june(office: Office) -> None:
    assert list(amounts(office).values()) == [50, 50, 50, 50, 0]
    june = office.entitlement(XIN)["periods"][-1]
    assert (june["selected_fen"], june["bound_by"]) == (50 * WANYUAN, ["half-year-ceiling"])


def test_the_effect_of_a_correction_is_shown_before_it_is_registered(
    office: Office, clock: TestClock, listed: int
) -> None:
    clock.set("2024-08-12T01:00:00Z")
    response = office.post({"unit": "qianyuan", "returns": [MARCH]}, dry_run="true")
    assert response.status_code == 200
    preview = {
        change["period"]: (change["before_fen"], change["after_fen"]) for change in response.json()["preview"]
    }
    assert preview == {"2024-03": (50 * WANYUAN, 0), "2024-06": (0, 50 * WANYUAN)}
    assert office.entitlement(XIN)["as_of"]["position"] == listed
    office.file(MARCH)
    assert list(amounts(office).values()) == [50, 0, 50, 50, 50]
    assert total(office) == 200


@on_one_database
def test_a_correction_without_a_reason_is_refused(office: Office, listed: int) -> None:
    response = office.post({"unit": "qianyuan", "returns": [{**MARCH, "reason": None}]})
    assert response.status_code == 409
    assert [problem["code"] for problem in response.json()["problems"]] == ["revision-needs-reason"]
    assert office.entitlement(XIN)["as_of"]["position"] == listed


@on_one_database
@pytest.mark.usefixtures("listed")
def test_a_second_correction_that_gives_no_whole_step_lowers_the_sum(
    office: Office, clock: TestClock
) -> None:
    correct(office, clock)
    assert list(amounts(office).values()) == [50, 0, 0, 50, 50]
    assert total(office) == 150


def test_the_list_of_5_august_can_be_read_for_ever(office: Office, clock: TestClock, listed: int) -> None:
    correct(office, clock)
    clock.set("2026-01-01T00:00:00Z")
    for moment in ({"known_at": "2024-08-05T18:00:00+08:00"}, {"position": listed}):
        assert list(amounts(office, **moment).values()) == [50, 50, 50, 50, 0]
        assert total(office, **moment) == 200
        assert office.entitlement(XIN, **moment)["as_of"]["position"] == listed
    between = {"known_at": "2024-08-15T00:00:00+08:00"}
    assert list(amounts(office, **between).values()) == [50, 0, 50, 50, 50]
    assert total(office) == 150


def test_the_differences_of_the_two_dates_add_up_and_name_the_correction_that_caused_them(
    office: Office, clock: TestClock, listed: int
) -> None:
    correct(office, clock)
    before, after = amounts(office, position=listed), amounts(office)
    differences = {
        period: after[period] - before[period] for period in before if after[period] != before[period]
    }
    assert differences == {"2024-03": -50, "2024-04": -50, "2024-06": 50}
    assert sum(differences.values()) == total(office) - total(office, position=listed) == -50

    events = office.read("/v1/events", after=listed, uscc=XIN)["items"]
    revisions = {event["position"]: event["data"] for event in events if event["type"] == "ReturnRevised"}
    causes: dict[str, list[str]] = {}
    for event in events:
        if event["type"] == "EntitlementAssessed":
            cause = max(position for position in revisions if position < event["position"])
            causes.setdefault(event["data"]["period"], []).append(revisions[cause]["document"])
    assert causes == {"2024-03": ["改报1号"], "2024-06": ["改报1号"], "2024-04": ["改报2号"]}
    assert [data["origin"] for data in revisions.values()] == ["enterprise", "enterprise"]
    assert [data["reason"] for data in revisions.values()] == [
        "企业改报2024-03零售额",
        "企业改报2024-04零售额",
    ]
    totals = [
        office.read("/v1/summary", window="2024H1", group_by="period", position=at) for at in _ends(events)
    ]
    assert [account["assessed_fen"] // WANYUAN for account in totals] == [200, 150]


def _ends(events: list[dict[str, Any]]) -> list[int]:
    """The last position of each correction's transaction."""
    times = {event["recorded_at"]: event["position"] for event in events}
    return list(times.values())
