"""A replay derives what was recorded, finds what was altered, and says nothing else."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, insert, select, update

from app.ledger import ledger as ledgers
from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from app.ledger.recorder import AppendRequest
from app.ledger.tables import events, publications
from app.runtime.database import write_transaction
from app.use_cases.audit.replaying import ReplayRange, ReplayResult, replay
from app.use_cases.policies.publishing import publish
from app.use_cases.reading.as_of import PositionAheadError
from domain.events import ReturnWithdrawn
from domain.policy.document import fingerprint
from tests.databases import Database, on_one_database
from tests.ledger.history import (
    RandomYear,
    catering,
    code,
    file,
    log,
    opened_copy,
    played_in,
    policy,
    publish_whole,
    read_model_rows,
    trade,
    transaction_ends,
)
from tests.office import TestClock

on_random_years = pytest.mark.parametrize(
    ("host", "played_database"),
    [("sqlite", 21), ("sqlite", 22), ("sqlite", 23), ("postgresql", 21)],
    indirect=True,
)
on_a_random_year = pytest.mark.parametrize("played_database", [21], indirect=True)
"""Of a test about how rows are read, on each database."""

WHOLE = ReplayRange()


@pytest.fixture(scope="module")
def played_database(request: pytest.FixtureRequest, migrated: Database) -> Iterator[Database]:
    """The database of a ledger after a random year, in which a publication takes several transactions."""
    with played_in(migrated, RandomYear(request.param), 30, streams_per_chunk=2) as database:
        yield database


@pytest.fixture
def played(played_database: Database, clock: TestClock) -> Iterator[Ledger]:
    """That ledger, opened by another process."""
    with opened_copy(played_database, clock) as ledger:
        yield ledger


@pytest.fixture
def month(ledger: Ledger) -> Ledger:
    """Two enterprises of trade and one of catering, filed in March and April; one correction."""
    publish_whole(ledger)
    for period in ("2024-03", "2024-04"):
        file(
            ledger,
            trade(code(1), period, 110_000, 100_000),
            trade(code(2), period, 125_000, 100_000),
            catering(code(3), period, 4_000, 2_000),
        )
    file(ledger, trade(code(2), "2024-03", 119_999, 100_000, reason="企业改报"))
    return ledger


def checked(ledger: Ledger, wanted: ReplayRange = WHOLE) -> ReplayResult:
    """A replay that must find nothing."""
    report = replay(ledger, wanted)
    assert report.found.mismatches == []
    assert report.found.row_differences == []
    assert report.is_clean
    return report


def rewrite(ledger: Ledger, position: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the state of an event by SQL."""
    with write_transaction(ledger.engine) as connection:
        state = connection.scalar(select(events.c.state).where(events.c.position == position))
        data = msgspec.json.decode(bytes(state or b""))
        change(data)
        at = update(events).where(events.c.position == position)
        connection.execute(at.values(state=msgspec.json.encode(data)))


def position_of(ledger: Ledger, kind: str, *, uscc: str, period: str) -> int:
    """Where the last event of a type of an enterprise and a period is recorded."""
    return next(
        entry.position
        for entry in reversed(log(ledger))
        if entry.type == kind and uscc in entry.stream and getattr(entry.event, "period", None) == period
    )


@on_random_years
def test_a_random_year_replays_without_a_mismatch(played: Ledger) -> None:
    entries, before = log(played), read_model_rows(played)
    report = checked(played)
    assert report.first == 1
    assert report.last == report.projected == report.found.events == len(entries)
    assert report.found.assessments == sum(entry.type == "EntitlementAssessed" for entry in entries)
    assert report.found.rows == {
        name: len(before[name])
        for name in ("returns", "enterprises", "entitlements", "accounts", "disagreements")
    }
    assert read_model_rows(played) == before
    assert log(played) == entries


@on_a_random_year
def test_in_slices_of_one_stream_and_several_processes_the_same_is_found(
    played: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = checked(played)
    monkeypatch.setattr(ledgers, "STREAMS_PER_SLICE", 1)
    assert checked(played) == whole


def test_an_empty_ledger_replays_to_nothing(ledger: Ledger) -> None:
    report = checked(ledger)
    assert (report.last, report.found.events, report.found.assessments) == (0, 0, 0)


@on_random_years
@pytest.mark.parametrize("part", [1, 2, 3])
def test_up_to_any_position_a_log_replays_without_a_mismatch(played: Ledger, part: int) -> None:
    position = len(log(played)) * part // 4
    report = checked(played, ReplayRange(last=position))
    assert report.last == max(end for end in transaction_ends(played) if end <= position)
    assert report.projected is None


def test_from_a_position_on_only_what_was_decided_since_is_compared(month: Ledger) -> None:
    altered = position_of(month, "EntitlementAssessed", uscc=code(1), period="2024-03")
    rewrite(month, altered, lambda data: data["outcome"].update(assessed_fen=0, open_fen=0, selected_fen=0))
    after = max(entry.transaction_end for entry in log(month) if entry.position == altered)
    assert [mismatch.position for mismatch in replay(month, ReplayRange(last=after)).found.mismatches] == [
        altered
    ]
    later = replay(month, ReplayRange(first=after + 1))
    assert later.found.mismatches == []
    assert later.found.assessments == sum(
        entry.type == "EntitlementAssessed" and entry.position > after for entry in log(month)
    )


@on_one_database
def test_an_altered_amount_is_found_with_the_steps_of_both_sides(month: Ledger) -> None:
    altered = position_of(month, "EntitlementAssessed", uscc=code(1), period="2024-04")
    rewrite(month, altered, lambda data: data["outcome"].update(assessed_fen=4_900_000, open_fen=4_900_000))
    (mismatch,) = replay(month, WHOLE).found.mismatches
    assert (mismatch.kind, mismatch.position, mismatch.period) == ("differs", altered, "2024-04")
    assert mismatch.stream == f"entitlement/yingkou-2024-14/{code(1)}/2024H1"
    recorded, derived = mismatch.recorded, mismatch.derived
    assert recorded is not None
    assert derived is not None
    assert recorded.assessed.outcome is not None
    assert derived.assessed.outcome is not None
    assert recorded.assessed.outcome.assessed_fen == 4_900_000
    assert derived.assessed.outcome.assessed_fen == 5_000_000
    for side in (recorded, derived):
        assert "growth-over" in [step.step.rule for step in side.steps]
        assert any("10%" in step.sentence for step in side.steps)


@on_one_database
def test_an_altered_figure_is_found_at_the_decision_that_it_led_to(month: Ledger) -> None:
    filed = position_of(month, "ReturnFiled", uscc=code(1), period="2024-03")
    decided = position_of(month, "EntitlementAssessed", uscc=code(1), period="2024-03")
    rewrite(month, filed, lambda data: data["figures"]["retail_sales"].update(current_fen=12_000_000_000))
    report = replay(month, WHOLE)
    assert [(mismatch.kind, mismatch.position) for mismatch in report.found.mismatches] == [
        ("differs", decided)
    ]
    assert {row.table for row in report.found.row_differences} == {"returns"}


@on_one_database
def test_an_assessment_that_is_missing_is_found(month: Ledger) -> None:
    decided = position_of(month, "EntitlementAssessed", uscc=code(1), period="2024-04")
    with write_transaction(month.engine) as connection:
        connection.execute(delete(events).where(events.c.position == decided))
    report = replay(month, WHOLE)
    (mismatch,) = report.found.mismatches
    assert (mismatch.kind, mismatch.position, mismatch.period) == ("not-recorded", None, "2024-04")
    assert mismatch.derived is not None
    assert mismatch.derived.steps
    assert not report.is_clean
    assert report.found.events == report.last - 1


@on_one_database
def test_an_assessment_that_was_put_in_is_found(month: Ledger) -> None:
    entry = next(logged for logged in reversed(log(month)) if logged.type == "EntitlementAssessed")
    with write_transaction(month.engine) as connection:
        row = connection.execute(select(events).where(events.c.position == entry.position)).mappings().one()
        forged = {**row, "position": len(log(month)) + 1, "version": row["version"] + 1}
        connection.execute(insert(events).values(**{**forged, "transaction_end": forged["position"]}))
        connection.exec_driver_sql("UPDATE sequencer SET last = last + 1")
    report = replay(month, WHOLE)
    assert [(mismatch.kind, mismatch.position) for mismatch in report.found.mismatches] == [
        ("not-derived", forged["position"])
    ]


@on_one_database
def test_facts_that_contradict_each_other_are_found_and_others_are_replayed(month: Ledger) -> None:
    revised = position_of(month, "ReturnRevised", uscc=code(2), period="2024-03")
    with write_transaction(month.engine) as connection:
        connection.execute(update(events).where(events.c.position == revised).values(topic="ReturnFiled"))
    report = replay(month, WHOLE)
    assert [(mismatch.kind, mismatch.position) for mismatch in report.found.mismatches] == [
        ("facts-contradict", revised)
    ]
    assert report.found.assessments == sum(entry.type == "EntitlementAssessed" for entry in log(month)) - 1


@on_one_database
@pytest.mark.parametrize("state", [b"{", b"\xff", b"[]", b""])
def test_an_event_that_cannot_be_read_is_found_and_named(month: Ledger, state: bytes) -> None:
    filed = position_of(month, "ReturnFiled", uscc=code(1), period="2024-04")
    with write_transaction(month.engine) as connection:
        connection.execute(update(events).where(events.c.position == filed).values(state=state))
    report = replay(month, WHOLE)
    assert [(mismatch.kind, mismatch.position) for mismatch in report.found.mismatches] == [
        ("unreadable", filed)
    ]
    assert report.found.uncompared == 1


@on_one_database
def test_an_altered_policy_is_found_and_named(month: Ledger) -> None:
    published = next(entry.position for entry in log(month) if entry.type == "PolicyPublished")
    rewrite(month, published, lambda data: data["document"].update(title="另一个标题"))
    found = replay(month, WHOLE).found.mismatches
    assert (found[0].kind, found[0].position) == ("policy-altered", published)
    assert {mismatch.kind for mismatch in found[1:]} == {"not-derived"}


@on_random_years
def test_with_a_rule_altered_exactly_the_assessments_that_it_touches_are_found(played: Ledger) -> None:
    """The award for each step of trade is lowered in the log, fingerprint and references included."""
    entries = log(played)
    altered = policy(49_999).document
    known = {}
    for entry in entries:
        if entry.type == "PolicyPublished" and entry.event.sha256 == fingerprint(policy().document):  # type: ignore[union-attr]
            known[entry.event.version] = entry.event.sha256  # type: ignore[union-attr]
            rewrite(
                played,
                entry.position,
                lambda data: data.update(document=altered, sha256=fingerprint(altered)),
            )
    touched = set()
    for entry in entries:
        if entry.type == "EntitlementAssessed" and entry.event.policy.sha256 in known.values():  # type: ignore[union-attr]
            rewrite(played, entry.position, lambda data: data["policy"].update(sha256=fingerprint(altered)))
            outcome = entry.event.outcome  # type: ignore[union-attr]
            # What trade gives before the ceilings changes with the award, and it is part of every outcome.
            if outcome is not None and any(
                result.measure == "retail-growth" and result.rule_fen for result in outcome.measures
            ):
                touched.add(entry.position)
    assert touched
    assert {mismatch.position for mismatch in replay(played, WHOLE).found.mismatches} == touched


@on_one_database
def test_what_nobody_assessed_since_a_publication_is_found_once_it_counts_as_assessed(month: Ledger) -> None:
    publish(month, policy(40_000), actor="admin")
    report = checked(month)
    assert [
        (publication.version, publication.done, publication.total) for publication in report.unassessed
    ] == [(2, 0, 3)]
    with write_transaction(month.engine) as connection:
        ended = {"done": publications.c.total, "assessed_at": publications.c.position}
        connection.execute(update(publications).values(ended))
    found = replay(month, WHOLE).found.mismatches
    assert {mismatch.kind for mismatch in found} == {"not-recorded"}
    assert {(mismatch.stream.split("/")[2], mismatch.period) for mismatch in found} == {
        (code(n), period) for n in (1, 2) for period in ("2024-03", "2024-04")
    }


@on_one_database
def test_rows_that_lag_behind_the_log_are_compared_as_far_as_they_are(month: Ledger) -> None:
    at = transaction_ends(month)[-1]
    event = ReturnWithdrawn(form="S204-1", period="2024-04", reason="重复登记")
    new = NewEvent(f"returns/{code(3)}/2024", 3, event)
    recorded = month.record(month.stored([new]), AppendRequest("actor", "batch"))
    report = replay(month, WHOLE)
    assert (report.last, report.projected) == (recorded, at)
    assert report.found.row_differences == []
    # The withdrawal was recorded without what follows from it.
    assert [(mismatch.kind, mismatch.transaction_end) for mismatch in report.found.mismatches] == [
        ("not-recorded", recorded)
    ]


@on_one_database
def test_a_range_that_begins_after_the_log_is_refused(month: Ledger) -> None:
    with pytest.raises(PositionAheadError):
        replay(month, ReplayRange(first=transaction_ends(month)[-1] + 1))
