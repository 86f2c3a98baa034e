"""The log of disclosures: no row is changed, and the removal of old rows is recorded."""

import gc
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event

from app.bootstrap import is_migrated
from app.ledger.ledger import Ledger
from app.runtime.limits import DISCLOSURES_KEPT_DAYS
from app.security.disclosures import DisclosureLog, Entry, Filter, TooYoungError
from tests.databases import on_one_database
from tests.office import TestClock

DAY_US = 24 * 3600 * 1_000_000


@pytest.fixture
def log(ledger: Ledger) -> Iterator[DisclosureLog]:
    opened = DisclosureLog(ledger.engine, ledger.clock)
    yield opened
    opened.close()


def figures(query: str) -> Entry:
    return Entry(kind="figures", actor="审计", key="审计", route="GET /v1/events", query=query, count=1)


def remove(log: DisclosureLog, before_us: int) -> int:
    return log.remove(before_us, actor="命令行：张三", route="duixian", query="before")


def test_old_rows_of_figures_are_removed_with_a_trace_and_those_of_keys_stay(
    log: DisclosureLog, clock: TestClock
) -> None:
    start_us = clock.now_us
    log.record(figures("old"))
    log.record_use("审计", "GET /v1/events")
    clock.now_us += DAY_US
    log.record(figures("young"))
    clock.now_us = start_us + DISCLOSURES_KEPT_DAYS * DAY_US + 1
    assert remove(log, start_us + 1) == 1
    entries = log.page(Filter(), limit=10)
    assert [(entry.kind, entry.query) for entry in entries] == [
        ("removed", "before"),
        ("figures", "young"),
        ("key-first-used", None),
    ]
    assert (entries[0].actor, entries[0].count) == ("命令行：张三", 1)


@on_one_database
def test_no_row_is_removed_before_its_time(log: DisclosureLog, clock: TestClock) -> None:
    log.record(figures("kept"))
    start_us = clock.now_us
    clock.now_us += DISCLOSURES_KEPT_DAYS * DAY_US
    with pytest.raises(TooYoungError):
        remove(log, start_us + 1)
    assert [entry.query for entry in log.page(Filter(), limit=10)] == ["kept"]


def test_the_number_of_a_removed_row_is_never_given_again(log: DisclosureLog, clock: TestClock) -> None:
    log.record(figures("first"))
    (first,) = log.page(Filter(), limit=10)
    clock.now_us += (DISCLOSURES_KEPT_DAYS + 1) * DAY_US
    remove(log, first.at_us + 1)
    log.record(figures("second"))
    assert all(entry.id > first.id for entry in log.page(Filter(), limit=10))


def test_a_first_use_that_two_processes_see_is_recorded_once(
    log: DisclosureLog, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = DisclosureLog(ledger.engine, ledger.clock)
    # As if both had looked before either had recorded it.
    for recorder in (log, other):
        monkeypatch.setattr(recorder, "_was_used", lambda _: False)
        recorder.record_use("审计", "GET /v1/events")
    other.close()
    assert [entry.kind for entry in log.page(Filter(), limit=10)] == ["key-first-used"]


def test_a_text_is_kept_as_any_database_holds_it(log: DisclosureLog) -> None:
    log.record(figures("\0\x1b[31m\ud800\u202e" + "长" * 2_000))
    (entry,) = log.page(Filter(), limit=10)
    assert entry.query is not None
    assert entry.query.startswith("\\x00\\x1b[31m\\ud800\\u202e长")
    assert len(entry.query) == 1_000


def test_its_connections_are_closed_with_those_of_the_ledger(ledger: Ledger, log: DisclosureLog) -> None:
    closed: list[object] = []
    event.listen(log._engine, "close", lambda *given: closed.append(given))
    assert log.page(Filter(), limit=10) == []
    assert not closed
    ledger.engine.dispose()
    assert len(closed) == 1
    assert log.page(Filter(), limit=10) == []


@on_one_database
def test_nothing_of_a_look_at_the_schemas_is_kept(ledger: Ledger) -> None:
    assert is_migrated(ledger.engine)
    gc.freeze()  # What is there already is not looked at.
    try:
        for _ in range(5):
            assert is_migrated(ledger.engine)
            DisclosureLog(ledger.engine, ledger.clock).close()
        gc.collect()
        assert [item for item in gc.get_objects() if isinstance(item, Engine)] == []
    finally:
        gc.unfreeze()
