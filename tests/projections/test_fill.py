"""A rebuild fills in enterprise by enterprise: in slices, in several processes, each slice once."""

from collections.abc import Iterator

import pytest
from sqlalchemy import delete, update

from app.ledger import ledger as ledgers
from app.ledger.ledger import Ledger
from app.ledger.tables import events, sequencer
from app.runtime.database import read_transaction, write_transaction
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import fill_slice, rebuild
from domain.errors import LedgerIntegrityError
from projections.policies import published_reaches
from projections.rebuild.fill import finish
from projections.rebuild.shadow_tables import ShadowTables
from projections.tables import LIVE
from tests.databases import Database
from tests.importing.files import have_workers
from tests.ledger.history import (
    RandomYear,
    code,
    file,
    opened_copy,
    played_in,
    read_model_rows,
    rows_of,
    trade,
    transaction_ends,
)
from tests.office import TestClock

SEEDS = (11,)
TOKEN = 7


@pytest.fixture(scope="module", params=SEEDS)
def played_database(request: pytest.FixtureRequest, migrated: Database) -> Iterator[Database]:
    """The database of a ledger with a random year of many enterprises."""
    with played_in(migrated, RandomYear(request.param, enterprises=12), 20, streams_per_chunk=3) as database:
        yield database


@pytest.fixture
def played(played_database: Database, clock: TestClock) -> Iterator[Ledger]:
    """That ledger, opened by another process."""
    with opened_copy(played_database, clock) as ledger:
        yield ledger


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_the_slices_of_a_ledger_hold_every_event_of_an_enterprise_once(
    played: Ledger, monkeypatch: pytest.MonkeyPatch, streams: int
) -> None:
    monkeypatch.setattr(ledgers, "STREAMS_PER_SLICE", streams)
    head = transaction_ends(played)[-1]
    with read_transaction(played.engine) as connection:
        slices = played.slices(connection)
        held = [entry for part in slices for entry in played.slice_entries(connection, part, until=head)]
        held += played.publications(connection, until=head)
    assert len(slices) > 12 // (2 * streams)
    assert sorted(entry.position for entry in held) == list(range(1, head + 1))


def test_an_empty_ledger_is_one_slice_without_an_event(ledger: Ledger) -> None:
    with read_transaction(ledger.engine) as connection:
        (only,) = ledger.slices(connection)
        assert ledger.slice_entries(connection, only, until=0) == []
    assert rebuild(ledger) == 0


def test_a_slice_holds_what_was_recorded_up_to_a_position_in_the_order_of_the_log(played: Ledger) -> None:
    until = transaction_ends(played)[-1] // 2
    with read_transaction(played.engine) as connection:
        (only,) = played.slices(connection)
        positions = [entry.position for entry in played.slice_entries(connection, only, until=until)]
    assert positions == sorted(positions)
    assert max(positions) <= until


@pytest.mark.parametrize(("streams", "workers"), [(1, 0), (2, 0), (5, 1)])
def test_filled_in_slices_by_one_process_or_two_the_rows_are_those_of_the_run(
    played: Ledger, monkeypatch: pytest.MonkeyPatch, streams: int, workers: int
) -> None:
    have_workers(monkeypatch, workers)
    made = read_model_rows(played)
    monkeypatch.setattr(ledgers, "STREAMS_PER_SLICE", streams)
    rebuild(played)
    assert read_model_rows(played) == made


def test_a_slice_whose_commit_was_not_confirmed_is_filled_in_once(
    played: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "STREAMS_PER_SLICE", 3)
    made, head = read_model_rows(played), transaction_ends(played)[-1]
    scratch = ShadowTables(played.engine.dialect.name, TOKEN)
    with write_transaction(played.engine) as connection:
        scratch.make(connection)
        slices = played.slices(connection)
        publications = played.publications(connection, until=head)
    for part in slices:
        for _ in range(2):
            fill_slice(played, TOKEN, part, published_reaches(publications), head)
    with write_transaction(played.engine) as connection:
        finish(connection, scratch.models, scratch.aside, publications, head)
        for live, filled in zip(LIVE[1:], scratch.models[1:], strict=True):
            assert rows_of(connection, filled) == made[live.name]


def test_an_event_of_a_stream_that_nothing_knows_is_noted_by_a_rebuild(ledger: Ledger) -> None:
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    file(ledger, trade(code(2), "2024-03", 110_000, 100_000))
    made = read_model_rows(ledger)
    with write_transaction(ledger.engine) as connection:
        connection.execute(update(events).where(events.c.position == 2).values(stream="stray/2"))
    assert rebuild(ledger) == 2
    rows = read_model_rows(ledger)
    assert [row[:5] for row in rows["disagreements"]] == [("", "", "", 2, "stray/2")]
    assert len(rows["returns"]) == len(made["returns"]) - 1


def test_a_log_that_ends_before_its_read_models_stops_a_rebuild_and_changes_nothing(ledger: Ledger) -> None:
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    file(ledger, trade(code(2), "2024-03", 110_000, 100_000))
    made = read_model_rows(ledger)
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(events).where(events.c.position == 2))
        connection.execute(update(sequencer).values(last=1))
    with pytest.raises(LedgerIntegrityError, match="台账止于序号1，查询表却已至序号2"):
        rebuild(ledger)
    assert read_model_rows(ledger) == made


def test_a_log_that_ends_before_its_head_is_not_waited_for(ledger: Ledger) -> None:
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    with write_transaction(ledger.engine) as connection:
        connection.execute(update(sequencer).values(last=2))
    with pytest.raises(LedgerIntegrityError, match="台账止于序号1，此前已至序号2"):
        project_all(ledger)
