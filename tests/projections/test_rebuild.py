"""The read models follow from the log alone, whatever the batches of their projection."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction, write_transaction
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import rebuild
from domain.events import LogEntry
from projections import projector
from projections.projector import catch_up, position_of, project
from tests.databases import Database
from tests.ledger.history import (
    RandomYear,
    code,
    empty_read_models,
    file,
    log,
    opened_copy,
    played_in,
    read_model_rows,
    trade,
    transaction_ends,
)
from tests.office import TestClock

SEEDS = range(2)
WHILE_S = 0.2
"""In which a rebuild that does not wait has begun."""


@pytest.fixture(scope="module", params=SEEDS)
def played_database(request: pytest.FixtureRequest, migrated: Database) -> Iterator[Database]:
    """The database of a ledger with a random year, in which a publication takes several transactions."""
    with played_in(migrated, RandomYear(request.param), 30, streams_per_chunk=2) as database:
        yield database


@pytest.fixture
def played(played_database: Database, clock: TestClock) -> Iterator[Ledger]:
    """That ledger, opened by another process."""
    with opened_copy(played_database, clock) as ledger:
        yield ledger


def test_a_random_year_has_every_type_of_event_and_several_batches(played: Ledger) -> None:
    entries = log(played)
    assert {entry.type for entry in entries} == {
        "ReturnFiled",
        "ReturnRevised",
        "ReturnWithdrawn",
        "EntitlementAssessed",
        "PolicyPublished",
        "PolicyAssessed",
    }
    assert len({entry.batch_id for entry in entries}) > 20


def test_a_rebuild_makes_row_for_row_what_the_run_made(played: Ledger) -> None:
    made = read_model_rows(played)
    assert rebuild(played) == transaction_ends(played)[-1]
    assert read_model_rows(played) == made


def test_projecting_in_batches_of_any_size_makes_the_same_rows(
    played: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = read_model_rows(played)
    for size in (1, 7, 64):
        monkeypatch.setattr(projector, "ENTRIES_PER_BATCH", size)
        with write_transaction(played.engine) as connection:
            empty_read_models(connection)
        project_all(played)
        assert read_model_rows(played) == made


def test_a_projection_that_was_cut_off_goes_on_where_it_was(
    played: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutOff(Exception):  # noqa: N818
        pass

    made = read_model_rows(played)
    monkeypatch.setattr(projector, "ENTRIES_PER_BATCH", 20)
    with write_transaction(played.engine) as connection:
        empty_read_models(connection)
    reached = [0]
    while reached[-1] < transaction_ends(played)[-1]:
        with pytest.raises(CutOff), write_transaction(played.engine) as connection:  # noqa: PT012
            catch_up(played, connection)
            raise CutOff
        with write_transaction(played.engine) as connection:
            assert position_of(connection) == reached[-1]
            reached.append(catch_up(played, connection))
    assert read_model_rows(played) == made
    assert set(reached[1:]) <= set(transaction_ends(played))


def test_a_rebuild_that_fails_leaves_the_read_models_as_they_were(ledger: Ledger) -> None:
    class Full(Exception):  # noqa: N818
        pass

    RandomYear(0).play(ledger, 12)
    made = read_model_rows(ledger)

    def fail(_: Connection, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("INSERT INTO transactions_rebuilt"):
            raise Full

    event.listen(ledger.engine, "before_cursor_execute", fail)
    with pytest.raises(Full):
        rebuild(ledger)
    event.remove(ledger.engine, "before_cursor_execute", fail)
    assert read_model_rows(ledger) == made
    file(ledger, trade(code(99), "2024-03", 110_000, 100_000))


def test_a_rebuild_waits_for_a_projection_that_is_under_way(ledger: Ledger) -> None:
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    made = read_model_rows(ledger)
    with write_transaction(ledger.engine) as connection:
        empty_read_models(connection)
    with ThreadPoolExecutor(1) as pool:
        with write_transaction(ledger.engine) as connection:
            catch_up(ledger, connection)
            rebuilding = pool.submit(rebuild, ledger)
            assert wait([rebuilding], timeout=WHILE_S).done == set()
        rebuilding.result()
    assert read_model_rows(ledger) == made


def test_catching_up_with_nothing_to_do_changes_nothing(played: Ledger) -> None:
    made = read_model_rows(played)
    head = transaction_ends(played)[-1]
    assert project_all(played) == head
    with write_transaction(played.engine) as connection:
        assert catch_up(played, connection) == head
        assert catch_up(played, connection, until=1) == head
    assert read_model_rows(played) == made


def test_a_batch_ends_with_a_whole_transaction(played: Ledger) -> None:
    with read_transaction(played.engine) as connection:
        for limit in (1, 3, 10):
            after = 0
            while entries := played.entries(connection, after=after, limit=limit):
                assert [entry.position for entry in entries] == list(
                    range(after + 1, entries[-1].transaction_end + 1)
                )
                assert len({entry.transaction_end for entry in entries[limit:]}) <= 1
                after = entries[-1].position
            assert after == played.head(connection)


def test_an_event_that_is_none_of_an_enterprise_is_noted_for_both_half_years_and_makes_no_other_row(
    ledger: Ledger,
) -> None:
    class ReturnAudited(msgspec.Struct, frozen=True):
        period: str

    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    made = read_model_rows(ledger)
    entry = LogEntry(
        position=2,
        stream=f"returns/{code(1)}/2024",
        version=2,
        type="ReturnAudited",
        event=ReturnAudited("2024-03"),  # type: ignore[arg-type]
        state=b'{"period":"2024-03"}',
        recorded_at_us=1,
        actor="auditor",
        batch_id="b",
        transaction_end=2,
    )
    with write_transaction(ledger.engine) as connection:
        project(connection, [entry])
    noted = read_model_rows(ledger)
    assert len(noted["disagreements"]) == len(("2024H1", "2024H2"))
    assert {name for name in made if noted[name] != made[name]} == {"disagreements", "transactions"}
