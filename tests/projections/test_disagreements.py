"""No recorded event stops the read models: a contradicting one is noted, and other enterprises go on."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent, StoredEvent, UnknownTypeError
from app.ledger.recorder import AppendRequest
from app.ledger.tables import events
from app.runtime.database import read_transaction, write_transaction
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.policies.loader import YINGKOU_2024_14, read_document
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import rebuild
from domain.events import (
    EntitlementAssessed,
    PolicyPublished,
    PolicyRef,
    ReturnFiled,
    ReturnWithdrawn,
    account_stream,
    returns_stream,
)
from domain.policy.document import fingerprint
from domain.policy.policy import MOST_ACCOUNT_FEN
from projections.tables import FOREVER, LIVE
from tests.api.rows import code, trade
from tests.builders import edited, text_with_limits
from tests.ledger.history import log
from tests.office import Office

POLICY = "yingkou-2024-14"
RETURNS = returns_stream(code(1), 2024)
ACCOUNT = account_stream(POLICY, code(1), "2024H1")


def row(n: int, current: int = 150_000, period: str = "2024-03") -> dict[str, Any]:
    return trade(current, 100_000, period=period) | {"uscc": code(n), "name": f"示例企业{n}"}


@pytest.fixture
def filed(office: Office) -> Office:
    """Two enterprises with 25万元 in March each, at the positions 2 to 5."""
    office.publish()
    office.file(row(1), row(2))
    return office


def record(ledger: Ledger, *new: NewEvent | StoredEvent) -> int:
    """Append events that no command decided."""
    stored = [event if isinstance(event, StoredEvent) else ledger.stored([event])[0] for event in new]
    return ledger.record(stored, AppendRequest("statistics", "batch"))


def withdrawal(period: str = "2024-03") -> ReturnWithdrawn:
    return ReturnWithdrawn(form="E204-1", period=period, reason="登记有误")


def assessed_again(ledger: Ledger, **changes: Any) -> EntitlementAssessed:
    """The assessment of March, with these values in its outcome."""
    event = log(ledger)[3].event
    assert isinstance(event, EntitlementAssessed)
    assert event.outcome is not None
    return msgspec.structs.replace(event, outcome=msgspec.structs.replace(event.outcome, **changes))


def check(office: Office, *positions: int, total_fen: int = 25_000_000) -> Any:
    """Check that only the first account is disputed, by these positions, as after a rebuild."""
    ledger = office.ledger
    project_all(ledger)
    account = office.entitlement(code(1), "2024H1")
    assert account["disputed"] == list(positions)
    assert office.entitlement(code(2), "2024H1")["disputed"] == []
    page = office.read("/v1/entitlements", window="2024H1")
    summary = office.read("/v1/summary", window="2024H1", group_by="region_code")
    assert page["disputed"] == summary["disputed"] == bool(positions)
    assert page["assessed_fen"] == summary["assessed_fen"] == total_fen
    counted = office.read("/v1/entitlements", window="2024H1", q="示例", totals="true")
    assert counted["assessed_fen"] == total_fen
    shown = office.read("/v1/audit/disagreements")
    assert list(dict.fromkeys(disagreement["position"] for disagreement in shown["items"])) == list(positions)
    assert office.get("/readyz").json()["disputed"] == shown["total"] == len(positions)
    before = rows(ledger)
    rebuild(ledger)
    assert rows(ledger) == before
    assert replay(ledger, ReplayRange()).found.row_differences == []
    assert office.file(row(3), row(2, 110_000, "2024-04"))["entitlements_changed"] == 2
    return account


def rows(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the read models."""
    with read_transaction(ledger.engine) as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in LIVE
        }


def test_a_withdrawal_without_an_assessment_leaves_the_last_outcome_disputed(filed: Office) -> None:
    assert record(filed.ledger, NewEvent(RETURNS, 2, withdrawal())) == 6
    account = check(filed, 6)
    assert [(period["period"], period["assessed_fen"]) for period in account["periods"]] == [
        ("2024-03", 25_000_000)
    ]
    explained = filed.read(f"/v1/entitlements/{code(1)}/2024H1/2024-03")
    assert (explained["steps"], explained["disputed"]) == ([], [6])


def test_the_dispute_ends_with_the_assessment_that_was_missing(filed: Office) -> None:
    record(filed.ledger, NewEvent(RETURNS, 2, withdrawal()))
    project_all(filed.ledger)
    before = log(filed.ledger)[3].event
    assert isinstance(before, EntitlementAssessed)
    ended = msgspec.structs.replace(before, records=(), outcome=None)
    record(filed.ledger, NewEvent(ACCOUNT, 2, ended))
    account = check(filed)
    assert account["periods"] == []
    assert filed.entitlement(code(1), "2024H1", position=6)["disputed"] == [6]


def test_a_withdrawal_of_what_was_never_filed_is_disputed_and_refuses_later_filings(filed: Office) -> None:
    record(filed.ledger, NewEvent(RETURNS, 2, withdrawal("2024-05")))
    account = check(filed, 6)
    assert account["assessed_fen"] == 25_000_000
    head = log(filed.ledger)[-1].position
    response = filed.post({"unit": "qianyuan", "returns": [row(4), row(1, 160_000, "2024-04")]})
    assert response.status_code == 409
    (problem,) = response.json()["problems"]
    assert (problem["row"], problem["code"]) == (1, "records-disputed")
    assert "2024-05" in problem["message"]
    refused = filed.withdraw(row(1), reason="登记有误")
    assert (refused.status_code, refused.json()["problems"][0]["code"]) == (409, "records-disputed")
    assert log(filed.ledger)[-1].position == head


def test_an_end_of_what_was_not_assessed_is_disputed(filed: Office) -> None:
    ended = EntitlementAssessed(
        period="2024-06", policy=PolicyRef(POLICY, 1, "0" * 64), records=(), outcome=None
    )
    record(filed.ledger, NewEvent(ACCOUNT, 2, ended))
    assert check(filed, 6)["assessed_fen"] == 25_000_000


def test_an_event_whose_content_cannot_be_read_is_disputed(filed: Office) -> None:
    """The event does not say its half-year, and contradicts both of its year."""
    record(filed.ledger, StoredEvent(RETURNS, 2, "ReturnRevised", b'{"form": 1}'))
    check(filed, 6)
    page = filed.read("/v1/events", after=5, limit=1)
    assert list(page["items"][0]["data"]) == ["unreadable"]


def test_an_event_in_the_place_of_another_one_is_disputed(filed: Office) -> None:
    filing = log(filed.ledger)[2].event
    assert isinstance(filing, ReturnFiled)
    record(filed.ledger, NewEvent(account_stream(POLICY, code(1), "2024H1"), 2, filing))
    check(filed, 6)


def test_an_amount_that_no_column_holds_is_disputed(filed: Office) -> None:
    beyond = dict.fromkeys(("assessed_fen", "selected_fen", "rule_fen"), 2**70)
    record(filed.ledger, NewEvent(ACCOUNT, 2, assessed_again(filed.ledger, **beyond)))
    assert check(filed, 6)["assessed_fen"] == 25_000_000


def test_an_amount_that_no_sum_can_hold_is_shown_and_in_no_sum(filed: Office) -> None:
    """The amount is one of an old policy with a ceiling near 10¹⁵ yuan: a hundred of them pass 2⁶³ fen."""
    large = dict.fromkeys(("assessed_fen", "selected_fen", "rule_fen"), MOST_ACCOUNT_FEN + 1)
    record(filed.ledger, NewEvent(ACCOUNT, 2, assessed_again(filed.ledger, **large)))
    assert check(filed, 6)["assessed_fen"] == MOST_ACCOUNT_FEN + 1


def test_a_limit_that_no_policy_has_is_disputed(filed: Office) -> None:
    cut = assessed_again(filed.ledger, assessed_fen=0, open_fen=0, capped_by=("week-ceiling",))
    record(filed.ledger, NewEvent(ACCOUNT, 2, cut))
    assert check(filed, 6)["assessed_fen"] == 25_000_000


def test_a_period_that_the_survey_does_not_have_is_disputed(filed: Office) -> None:
    quarter = msgspec.structs.replace(assessed_again(filed.ledger), period="2024Q1")
    record(filed.ledger, NewEvent(ACCOUNT, 2, quarter))
    assert check(filed, 6)["assessed_fen"] == 25_000_000


def test_accounts_of_windows_that_no_version_has_are_shown_and_contradict_no_other(filed: Office) -> None:
    streams = [
        account_stream(POLICY, code(1), window)
        for window in ("2024Q1", "2024", "2024H9", "2024-03", "", "2024/H1")
    ]
    for stream in streams:
        record(filed.ledger, NewEvent(stream, 1, assessed_again(filed.ledger)))
    project_all(filed.ledger)
    shown = filed.read("/v1/audit/disagreements")["items"]
    assert [(each["position"], each["stream"], each["window"]) for each in shown] == [
        (position, stream, None) for position, stream in enumerate(streams, 6)
    ]
    assert filed.entitlement(code(1), "2024H1")["disputed"] == []
    assert filed.read("/v1/entitlements", window="2024H1")["assessed_fen"] == 50_000_000
    before = rows(filed.ledger)
    rebuild(filed.ledger)
    assert rows(filed.ledger) == before
    assert filed.file(row(1, 160_000, "2024-04"))["entitlements_changed"] == 1
    report = replay(filed.ledger, ReplayRange())
    assert (report.is_clean, report.found.row_differences) == (False, [])


def test_a_recorded_policy_that_ends_before_it_begins_stops_no_read(filed: Office) -> None:
    """As no program publishes it: it has no account, and pays for nothing."""
    text = edited(
        text_with_limits(("quarter", 900_000), policy_id="other"), ('last: "2024-12"', 'last: "2023-12"')
    )
    document = read_document(text)
    assert document is not None
    event = PolicyPublished(
        policy="other", version=1, sha256=fingerprint(document), text=text, document=document
    )
    record(filed.ledger, NewEvent("policy/other", 1, event))
    project_all(filed.ledger)
    assert {each["id"] for each in filed.read("/v1/policies")["items"]} == {"other", POLICY}
    assert filed.read("/v1/policies/other")["version"] == 1
    assert filed.entitlement(code(1), "2024H1")["policy"]["id"] == POLICY
    assert filed.file(row(1, 160_000, "2024-04"))["entitlements_changed"] == 1
    before = rows(filed.ledger)
    rebuild(filed.ledger)
    assert rows(filed.ledger) == before


def test_a_published_document_that_is_no_policy_stops_no_read(filed: Office) -> None:
    event = PolicyPublished(policy="other", version=1, sha256="0" * 64, text="", document={"policy": 1})
    record(filed.ledger, NewEvent("policy/other", 1, event))
    project_all(filed.ledger)
    (shown,) = filed.read("/v1/audit/disagreements")["items"]
    assert (shown["position"], shown["uscc"], shown["stream"]) == (6, None, "policy/other")
    assert filed.entitlement(code(1), "2024H1")["disputed"] == []
    before = rows(filed.ledger)
    rebuild(filed.ledger)
    assert rows(filed.ledger) == before


def test_an_event_on_a_stream_of_no_enterprise_is_shown(filed: Office) -> None:
    record(filed.ledger, NewEvent("nobody", 1, withdrawal()))
    project_all(filed.ledger)
    (shown,) = filed.read("/v1/audit/disagreements")["items"]
    assert (shown["position"], shown["stream"], shown["uscc"]) == (6, "nobody", None)
    before = rows(filed.ledger)
    rebuild(filed.ledger)
    assert rows(filed.ledger) == before


def test_an_event_of_a_type_to_come_halts_this_program_and_says_that_a_newer_one_is_needed(
    filed: Office,
) -> None:
    record(filed.ledger, StoredEvent("policy/other", 1, "PolicyProposed.7", b"{}"))
    with pytest.raises(UnknownTypeError, match=r"PolicyProposed\.7"):
        project_all(filed.ledger)
    ready = filed.get("/readyz")
    assert (ready.status_code, "PolicyProposed.7" in ready.json()["detail"]) == (503, True)
    assert filed.entitlement(code(1), "2024H1")["assessed_fen"] == 25_000_000
    assert filed.post({"unit": "qianyuan", "returns": [row(4)]}).status_code == 503


def test_the_rows_of_a_settled_dispute_say_how_long_it_held(filed: Office) -> None:
    record(filed.ledger, NewEvent(RETURNS, 2, withdrawal()))
    project_all(filed.ledger)
    with read_transaction(filed.ledger.engine) as connection:
        (held,) = connection.execute(select(LIVE.disagreements)).mappings()
    assert (held["position"], held["from_position"], held["to_position"]) == (6, 6, FOREVER)


def test_damage_of_one_enterprise_keeps_no_publication_from_the_others(filed: Office) -> None:
    with write_transaction(filed.ledger.engine) as connection:
        connection.execute(update(events).where(events.c.position == 2).values(state=b"{}"))
    text = YINGKOU_2024_14.read_text(encoding="utf-8").replace("award: {yuan: 50000,", "award: {yuan: 40000,")
    assert filed.publish(text.encode()).status_code == 202
    assert filed.entitlement(code(2), "2024H1")["assessed_fen"] == 20_000_000
    assert filed.entitlement(code(1), "2024H1")["assessed_fen"] == 25_000_000
