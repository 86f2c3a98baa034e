"""What a version of a policy covers: narrower coverage, its withdrawal, and what follows from them."""

from itertools import groupby
from typing import Any

import pytest

from app.bootstrap import complete
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from app.use_cases.policies.publishing import publish
from tests.api.rows import code, trade
from tests.databases import on_one_database
from tests.office import Office

TEXT = YINGKOU_2024_14.read_text(encoding="utf-8")
POLICY = "yingkou-2024-14"
MEANT = {"reason": "政策分段执行", "document": "营商发〔2024〕1号"}
FIRST, LAST = 'first: "2024-01~02"', 'last: "2024-12"'
SECOND_HALF = TEXT.replace(FIRST, 'first: "2024-07"')
NEXT_YEAR = TEXT.replace(FIRST, 'first: "2025-01~02"').replace(LAST, 'last: "2025-12"')
LONGER = TEXT.replace(LAST, 'last: "2025-12"')


def row(n: int, current: int = 150_000, period: str = "2024-03", **more: Any) -> dict[str, Any]:
    return trade(current, 100_000, period=period) | {"uscc": code(n), "name": f"示例企业{n}"} | more


@pytest.fixture
def filed(office: Office) -> Office:
    """Version 1 covers 2024: 25万元 in March and 15万元 in April of one, 5万元 in July of another."""
    assert office.publish().status_code == 202
    office.file(row(1), row(1, 130_000, "2024-04"), row(2, 110_000, "2024-07"))
    return office


def account(office: Office, n: int, window: str = "2024H1", **asked: Any) -> Any:
    return office.entitlement(code(n), window, policy=POLICY, **asked)


def differences(office: Office, first: int) -> Any:
    asked: dict[str, Any] = {"from": first, "to": head(office)}
    return office.read("/v1/audit/differences", **asked)


def head(office: Office) -> int:
    position: int = office.read("/v1/entitlements", window="2024H2")["as_of"]["position"]
    return position


@on_one_database
def test_narrower_coverage_is_refused_with_the_periods_and_amounts_that_would_be_lost(filed: Office) -> None:
    before = head(filed)
    response = filed.publish(SECOND_HALF.encode())
    assert response.status_code == 409
    problem = response.json()
    assert problem["code"] == "coverage-narrows"
    assert [each for each in problem["lost"] if each["enterprises"]] == [
        {"period": "2024-03", "enterprises": 1, "assessed_fen": 25_000_000},
        {"period": "2024-04", "enterprises": 1, "assessed_fen": 15_000_000},
    ]
    assert [each["period"] for each in problem["lost"]] == [
        "2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06",
    ]  # fmt: skip
    assert "2024年3月（1户，25万元）" in problem["detail"]
    assert head(filed) == before


@on_one_database
@pytest.mark.parametrize("given", [{}, {"reason": "口径"}, {"document": "1号"}, {**MEANT, "reason": "  "}])
def test_dropping_periods_needs_a_reason_and_a_document(filed: Office, given: dict[str, str]) -> None:
    response = filed.publish(SECOND_HALF.encode(), drop=True, **given)
    assert (response.status_code, response.json()["code"]) == (422, "invalid-request")


@on_one_database
def test_dropping_where_nothing_is_dropped_is_refused(filed: Office) -> None:
    response = filed.publish(LONGER.encode(), drop=True, **MEANT)
    assert (response.status_code, response.json()["code"]) == (422, "nothing-dropped")


@on_one_database
def test_a_longer_period_on_the_same_terms_is_simply_the_next_version(filed: Office) -> None:
    assert filed.publish(LONGER.encode()).status_code == 202
    assert account(filed, 1)["assessed_fen"] == 40_000_000
    filed.file(row(1, 120_000, "2025-03"))
    assert account(filed, 1, "2025H1")["assessed_fen"] == 10_000_000


def test_dropped_periods_are_assessed_to_nothing_by_the_publication(filed: Office) -> None:
    before = head(filed)
    tried = filed.publish(SECOND_HALF.encode(), dry_run=True).json()
    assert (tried["entitlements_changed"], tried["before_fen"], tried["after_fen"]) == (2, 40_000_000, 0)
    assert filed.publish(SECOND_HALF.encode(), drop=True, **MEANT).status_code == 202
    (published,) = [
        each for each in filed.read("/v1/events", after=before)["items"] if each["type"] == "PolicyPublished"
    ]
    assert published["data"]["dropped"] == {
        "periods": ["2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06"],
        **MEANT,
    }
    now = account(filed, 1)
    assert (now["periods"], now["assessed_fen"], now["policy"]["version"]) == ([], 0, 2)
    assert filed.entitlement(code(1), "2024H1")["policy"] is None
    assert account(filed, 2, "2024H2")["assessed_fen"] == 5_000_000
    assert filed.read("/v1/entitlements", window="2024H1", policy=POLICY)["assessed_fen"] == 0
    found = differences(filed, before)
    assert found["difference_fen"] == -40_000_000
    assert [each["period"] for each in found["items"]] == ["2024-03", "2024-04"]
    for each in found["items"]:
        (change,) = each["changes"]
        assert [cause["type"] for cause in change["causes"]] == ["PolicyPublished"]
    assert replay(filed.ledger, ReplayRange()).is_clean


@on_one_database
def test_what_is_filed_for_a_dropped_period_afterwards_is_recorded_and_earns_nothing(filed: Office) -> None:
    filed.publish(SECOND_HALF.encode(), drop=True, **MEANT)
    corrected = filed.file(row(1, 190_000, reason="企业改报", origin="enterprise"))
    assert (corrected["revised"], corrected["entitlements_changed"]) == (1, 0)
    assert filed.withdraw(row(1, period="2024-04"), reason="登记有误").status_code == 200
    assert filed.file(row(3, period="2024-05"))["filed"] == 1
    assert account(filed, 1)["periods"] == account(filed, 3)["periods"] == []
    assert filed.get("/readyz").json() == {
        "status": "ready",
        "disputed": 0,
        "assessments": [],
        "notices": [],
    }


@on_one_database
def test_a_withdrawal_after_next_years_text_under_the_same_id_stops_nobody(filed: Office) -> None:
    filed.publish(NEXT_YEAR.encode(), drop=True, **MEANT)
    assert filed.withdraw(row(1), reason="登记有误").status_code == 200
    assert filed.file(row(4, period="2025-03"))["entitlements_changed"] == 1
    assert account(filed, 4, "2025H1")["assessed_fen"] == 25_000_000
    assert account(filed, 1)["disputed"] == []


@on_one_database
def test_the_earlier_document_published_again_brings_its_amounts_back(filed: Office) -> None:
    filed.publish(SECOND_HALF.encode(), drop=True, **MEANT)
    response = filed.publish()
    assert (response.status_code, response.json()["version"]) == (202, 3)
    now = account(filed, 1)
    assert (now["assessed_fen"], now["policy"]["version"]) == (40_000_000, 3)


@on_one_database
def test_a_withdrawn_policy_pays_for_nothing_and_says_why(filed: Office) -> None:
    before = head(filed)
    tried = filed.withdraw_policy(POLICY, MEANT, dry_run=True)
    assert (tried.status_code, tried.json()["before_fen"], tried.json()["after_fen"]) == (200, 45_000_000, 0)
    response = filed.withdraw_policy(POLICY, MEANT)
    assert response.status_code == 202
    assert response.json()["withdrawn"]["document"] == MEANT["document"]
    shown = filed.read(f"/v1/policies/{POLICY}")["withdrawn"]
    assert (shown["actor"], shown["reason"], shown["position"]) == ("admin", MEANT["reason"], before + 1)
    for n, window in ((1, "2024H1"), (2, "2024H2")):
        assert account(filed, n, window)["periods"] == []
        assert filed.entitlement(code(n), window)["policy"] is None
    (difference, *_) = differences(filed, before)["items"]
    (cause,) = difference["changes"][0]["causes"]
    assert (cause["type"], cause["reason"], cause["document"]) == ("PolicyWithdrawn", *MEANT.values())
    assert replay(filed.ledger, ReplayRange()).is_clean


@on_one_database
def test_what_is_not_in_force_cannot_be_withdrawn(filed: Office) -> None:
    assert filed.withdraw_policy("other-policy", MEANT).status_code == 404
    assert filed.withdraw_policy(POLICY, {"reason": "废止"}).status_code == 422
    assert filed.withdraw_policy(POLICY, MEANT).status_code == 202
    assert filed.withdraw_policy(POLICY, MEANT).status_code == 404
    assert filed.withdraw_policy(POLICY, MEANT, dry_run=True).status_code == 404


@on_one_database
def test_a_later_version_may_follow_on_a_withdrawal_and_covers_what_it_likes(filed: Office) -> None:
    filed.withdraw_policy(POLICY, MEANT)
    response = filed.publish(SECOND_HALF.encode())
    assert (response.status_code, response.json()["version"]) == (202, 2)
    assert response.json()["withdrawn"] is None
    assert account(filed, 1)["periods"] == []
    assert account(filed, 2, "2024H2")["assessed_fen"] == 5_000_000
    same = filed.publish(SECOND_HALF.encode())
    assert (same.status_code, same.json()["version"]) == (202, 2)


def test_at_every_position_amounts_ceiling_and_label_are_of_one_version(filed: Office) -> None:
    """Version 2 lowers the ceiling of the half-year to 30万元: a label of it beside 40万元 would be a lie."""
    first = head(filed)
    lower = TEXT.replace("ceiling: {yuan: 2000000,", "ceiling: {yuan: 300000,")
    assert filed.publish(lower.encode()).status_code == 202
    seen = []
    for position in range(first, head(filed) + 1):
        now = account(filed, 1, position=position)
        listed = filed.read("/v1/entitlements", window="2024H1", position=position)
        (item,) = listed["items"]
        assert item["headroom_fen"] == now["headroom_fen"] == now["ceiling_fen"] - now["assessed_fen"]
        under_way = listed["assessment"] and listed["assessment"]["version"]
        seen.append((now["policy"]["version"], now["ceiling_fen"], now["assessed_fen"], under_way))
    assert [each for each, _ in groupby(seen)] == [
        (1, 200_000_000, 40_000_000, None),
        (1, 200_000_000, 40_000_000, 2),
        (2, 30_000_000, 30_000_000, None),
    ]


def test_an_interrupted_publication_is_not_told_as_finished_and_whoever_starts_finishes_it(
    filed: Office,
) -> None:
    """As after kill -9 right behind the `PolicyPublished`."""
    loaded = load_policy(LONGER.replace("award: {yuan: 50000,", "award: {yuan: 30000,"), file="next.yaml")
    assert isinstance(loaded, LoadedPolicy)
    publish(filed.ledger, loaded, actor="admin")
    now = account(filed, 1)
    assert (now["policy"]["version"], now["assessed_fen"]) == (1, 40_000_000)
    explained = filed.read(f"/v1/entitlements/{code(1)}/2024H1/2024-03")
    assert explained["policy"]["version"] == 1
    under_way = {"version": 2, "done": 0, "total": 2}
    assert filed.read("/v1/entitlements", window="2024H1")["assessment"] == under_way
    assert filed.read("/v1/summary", window="2024H1", group_by="period")["assessment"] == under_way
    shown = filed.read(f"/v1/policies/{POLICY}/versions/2")["assessment"]
    assert shown == {"done": 0, "total": 2}
    assert filed.get("/readyz").json()["assessments"] == [{"policy": POLICY, **under_way}]
    report = replay(filed.ledger, ReplayRange())
    assert [(each.policy, each.version, each.done) for each in report.unassessed] == [(POLICY, 2, 0)]
    complete(filed.ledger)
    assert (account(filed, 1)["policy"]["version"], account(filed, 1)["assessed_fen"]) == (2, 24_000_000)
    assert filed.read("/v1/entitlements", window="2024H1")["assessment"] is None
    assert filed.read(f"/v1/policies/{POLICY}/versions/2")["assessment"] == {"done": 2, "total": 2}
    assert replay(filed.ledger, ReplayRange()).unassessed == []
