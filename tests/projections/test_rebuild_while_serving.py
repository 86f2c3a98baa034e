"""A rebuild while clients read and file: it disturbs none of them, and loses nothing if it is interrupted."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Barrier, Event, Timer
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, event, inspect
from typer.testing import CliRunner, Result

from app.bootstrap import alembic_config, complete, why_not_ready
from app.cli.commands import app
from app.ledger import ledger as ledgers
from app.ledger.ledger import Ledger
from app.runtime.database import met_a_lock, open_engine, read_transaction, write_transaction
from app.use_cases.upkeep import rebuilding
from app.use_cases.upkeep.rebuilding import RebuildError, rebuild
from projections import projector
from projections.rebuild.shadow_tables import OvertakenError, ShadowTables
from projections.tables import LIVE
from tests.databases import Database, only_on_postgresql, only_on_sqlite
from tests.importing.files import have_workers
from tests.ledger.history import (
    PERIODS,
    REGIONS,
    RandomYear,
    Row,
    catering,
    code,
    file,
    publish_whole,
    read_model_rows,
    rows_of,
    trade,
    transaction_ends,
)
from tests.office import Office
from tests.processes.running import PATIENCE_S, kills_itself

FILERS = 2
READERS = 2
WINDOW = "2024H1"
DIMENSIONS = ("region_code", "industry", "period", "measure")
LATER = trade(code(99), "2024-03", 110_000, 100_000)
TABLES_LEFT = ("_rebuilt", "_replaced")
ASIDE = ("ends_rebuilt", "slices_rebuilt", "sum_changes_rebuilt")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch and the transactions that it waits for wait and pause only briefly."""
    monkeypatch.setattr(rebuilding, "LOCK_WAIT_S", 1)
    monkeypatch.setattr(rebuilding, "PAUSE_S", 0.01)


@pytest.fixture
def played(ledger: Ledger) -> Ledger:
    """A ledger after some filings under a policy."""
    RandomYear(3, enterprises=4).play(ledger, 8)
    return ledger


@pytest.fixture
def other(database: Database, ledger: Ledger) -> Iterator[Ledger]:
    """The same ledger, as another process has it open."""
    engine = database.open()
    yield Ledger(engine, ledger.clock)
    engine.dispose()


def left_behind(engine: Engine) -> list[str]:
    """The tables that an interrupted rebuild leaves behind."""
    return [name for name in inspect(engine).get_table_names() if name.endswith(TABLES_LEFT)]


def check_whole(ledger: Ledger) -> None:
    """Check that the read models equal those of an undisturbed rebuild, and that no shadow table is left."""
    made = read_model_rows(ledger)
    assert rebuild(ledger) == transaction_ends(ledger)[-1]
    assert read_model_rows(ledger) == made
    assert left_behind(ledger.engine) == []


# Reads and filings meanwhile.


class Filer:
    """A client that files for its own enterprises, and reads what it filed."""

    def __init__(self, office: Office, number: int) -> None:
        self._office = office
        self._random = random.Random(number)  # noqa: S311 - nothing is secret here
        self._codes = [code(10 * number + n) for n in range(1, 4)]

    def file_and_read(self) -> None:
        for period in self._random.sample(PERIODS[:5], 3) * 2:
            rows = [self._row(uscc, period) for uscc in self._codes]
            answer = self._office.file(*rows)
            for row in rows:
                self._check_own(row, answer["position"])

    def _row(self, uscc: str, period: str) -> Row:
        draw = self._random
        make, prior = draw.choice([(trade, 100_000), (catering, 2_000)])
        current = prior + draw.randrange(prior // 2)
        return make(uscc, period, current, prior, region_code=draw.choice(REGIONS), reason="企业改报")

    def _check_own(self, row: Row, position: int) -> None:
        account = self._office.entitlement(row["uscc"], WINDOW)
        assert account["as_of"]["position"] >= position
        assert row["period"] in {period["period"] for period in account["periods"]}
        check_account(account)
        assert (
            self._office.entitlement(row["uscc"], WINDOW, position=position)["as_of"]["position"] == position
        )


def check_account(account: Any) -> None:
    """An account is the sum of its periods."""
    assert account["assessed_fen"] == sum(period["assessed_fen"] for period in account["periods"])


def read_until(office: Office, is_over: Event) -> int:
    """Read again and again, check that no answer contradicts another, and return the number of rounds."""
    before = 0
    for times in count(1):
        listed = office.read("/v1/entitlements", window=WINDOW, totals=True, limit=500)
        at = listed["as_of"]["position"]
        assert at >= before
        before = at
        check_answers_at(office, listed, at)
        if is_over.is_set():
            return times
    raise AssertionError


def check_answers_at(office: Office, listed: Any, at: int) -> None:
    """Check that the list, the summaries and the accounts as of a position have the same sums."""
    items = listed["items"]
    assert listed["next_cursor"] is None
    assert listed["total"] == len({item["uscc"] for item in items}) == len(items)
    assert listed["assessed_fen"] == sum(item["assessed_fen"] for item in items)
    assert office.read("/v1/entitlements", window=WINDOW, totals=True, limit=500, position=at) == listed
    for dimension in DIMENSIONS:
        summary = office.read("/v1/summary", window=WINDOW, group_by=dimension, position=at)
        assert summary["as_of"] == listed["as_of"]
        assert summary["assessed_fen"] == listed["assessed_fen"]
    for item in items[:2]:
        account = office.entitlement(item["uscc"], WINDOW, position=at)
        check_account(account)
        assert account["assessed_fen"] == item["assessed_fen"]


def rebuild_until(ledger: Ledger, filing: list[Future[None]]) -> int:
    """Rebuild at least twice and until all filings are done, and return the number of rebuilds."""
    for times in count(1):
        are_done = all(future.done() for future in filing)
        rebuild(ledger)
        if are_done and times > 1:
            return times
    raise AssertionError


def test_reads_and_filings_go_on_while_rebuilds_run(
    office: Office, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "ENTRIES_PER_BATCH", 20)
    monkeypatch.setattr(ledgers, "STREAMS_PER_SLICE", 10)
    have_workers(monkeypatch, 0)  # Each rebuild would start them.
    publish_whole(office.ledger)
    file(office.ledger, LATER)
    is_over = Event()
    with ThreadPoolExecutor(FILERS + READERS) as pool:
        reads = [pool.submit(read_until, office, is_over) for _ in range(READERS)]
        filing = [pool.submit(Filer(office, n).file_and_read) for n in range(FILERS)]
        try:
            rebuild_until(other, filing)
        finally:
            is_over.set()
        for future in filing:
            future.result()
        assert all(future.result() > 0 for future in reads)
    check_whole(office.ledger)
    listed = office.read("/v1/entitlements", window=WINDOW, totals=True)
    assert listed["total"] == 3 * FILERS + 1


# A process that is killed.


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at_the_second_batch(url: str) -> None:
    projector.ENTRIES_PER_BATCH = 10
    calls = count(1)

    def die(_: int, __: int) -> None:
        if next(calls) == 2:
            _die()

    rebuild(Ledger(open_engine(url)), die)


def _die_before_the_switch_commits(url: str) -> None:
    engine = open_engine(url)
    has_switched = False

    def look(_: Connection, __: Any, statement: str, *___: Any) -> None:
        nonlocal has_switched
        has_switched = has_switched or statement.startswith("UPDATE checkpoint SET id=")

    def die(_: Connection) -> None:
        if has_switched:
            _die()

    event.listen(engine, "before_cursor_execute", look)
    event.listen(engine, "commit", die)
    rebuild(Ledger(engine))


@pytest.mark.parametrize("work", [_die_at_the_second_batch, _die_before_the_switch_commits])
def test_a_rebuild_that_is_killed_changes_nothing_and_the_next_one_works(
    played: Ledger, database: Database, work: Callable[[str], None]
) -> None:
    made = read_model_rows(played)
    kills_itself(work, database.url)
    assert sorted(left_behind(played.engine)) == sorted(
        [*(f"{table.name}_rebuilt" for table in LIVE), *ASIDE]
    )
    assert read_model_rows(played) == made
    complete(played)
    assert why_not_ready(played) is None
    file(played, LATER)
    after = read_model_rows(played)
    assert after != made
    rebuild(played)
    assert read_model_rows(played) == after
    assert left_behind(played.engine) == []


# Several rebuilds at once.


@contextmanager
def before_transaction(engine: Engine, number: int, work: Callable[[], None]) -> Iterator[None]:
    """Call a function before the n-th transaction on an engine begins: when its connection is taken."""
    taken = count(1)

    def take(*_: Any) -> None:
        if next(taken) == number:
            work()

    event.listen(engine, "checkout", take)
    yield
    event.remove(engine, "checkout", take)


TRANSACTIONS = {
    "head": 2,
    "reading a slice": 3,
    "writing it": 4,
    "sums": 5,
    "what came since": 6,
    "statistics": 7,
    "switch": 8,
}
"""The transactions of a rebuild of a log of one slice, after the one that creates its tables."""


@pytest.mark.parametrize("number", TRANSACTIONS.values(), ids=TRANSACTIONS)
@pytest.mark.parametrize(
    ("host", "goes_on"),
    [("sqlite", True), ("sqlite", False), ("postgresql", True)],
    indirect=["host"],
    ids=["sqlite, to its end", "sqlite, begun only", "postgresql, to its end"],
)
def test_a_rebuild_that_another_one_overtakes_fails_and_the_other_ends_right(
    played: Ledger, other: Ledger, number: int, *, goes_on: bool
) -> None:
    made = read_model_rows(played)

    def overtake() -> None:
        if goes_on:
            rebuild(other)
        else:
            with write_transaction(other.engine) as connection:
                ShadowTables(connection.dialect.name, token=2).make(connection)

    with before_transaction(played.engine, number, overtake), pytest.raises(OvertakenError):
        rebuild(played)
    assert read_model_rows(played) == made
    check_whole(played)


def test_of_rebuilds_that_begin_together_the_last_ends_right_and_the_others_fail(
    played: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "ENTRIES_PER_BATCH", 15)
    made, head = read_model_rows(played), transaction_ends(played)[-1]
    together = Barrier(4)

    def attempt() -> int | None:
        together.wait()
        try:
            return rebuild(played)
        except OvertakenError:
            return None

    for _ in range(3):
        with ThreadPoolExecutor(together.parties) as pool:
            outcomes = [future.result() for future in [pool.submit(attempt) for _ in range(together.parties)]]
        assert set(outcomes) - {None} == {head}
        assert read_model_rows(played) == made
        assert left_behind(played.engine) == []


# A reader whose transaction is open across the switch.


@only_on_sqlite
def test_a_reader_on_sqlite_keeps_its_snapshot_across_the_switch(played: Ledger, other: Ledger) -> None:
    made = read_model_rows(played)
    with read_transaction(other.engine) as connection:
        assert rows_of(connection, LIVE.transactions) == made["transactions"]
        file(played, LATER)
        rebuild(played)
        assert {table.name: rows_of(connection, table) for table in LIVE} == made
    assert read_model_rows(other) != made
    check_whole(played)


@only_on_postgresql
def test_a_rebuild_gives_up_after_its_attempts_while_a_reader_on_postgresql_stays(
    played: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "MOST_ATTEMPTS", 1)
    made = read_model_rows(played)
    with read_transaction(other.engine) as connection:
        assert rows_of(connection, LIVE.transactions) == made["transactions"]
        with pytest.raises(RebuildError):
            rebuild(played)
        assert read_model_rows(played) == made
        file(played, LATER)
        for table in LIVE[1:]:
            assert rows_of(connection, table) == made[table.name]
    check_whole(played)


@only_on_postgresql
def test_a_rebuild_on_postgresql_gets_through_when_the_reader_ends(played: Ledger, other: Ledger) -> None:
    made = read_model_rows(played)
    has_waited = Event()

    def look(context: Any) -> None:
        if met_a_lock(context.sqlalchemy_exception):
            has_waited.set()

    event.listen(played.engine, "handle_error", look)
    with ThreadPoolExecutor(1) as pool:
        with read_transaction(other.engine) as connection:
            assert rows_of(connection, LIVE.transactions) == made["transactions"]
            rebuilt = pool.submit(rebuild, played)
            assert has_waited.wait(PATIENCE_S)
            file(other, LATER)
            for table in LIVE[1:]:
                assert rows_of(connection, table) == made[table.name]
            assert not rebuilt.done()
        assert rebuilt.result() == transaction_ends(other)[-1]
    event.remove(played.engine, "handle_error", look)
    assert read_model_rows(other) != made
    check_whole(other)


# The schema afterwards.


def schema(engine: Engine) -> dict[str, Any]:
    """The schema that a database reports: columns, keys, indexes, options."""
    with read_transaction(engine) as connection:
        found = inspect(connection)
        described: dict[str, Any] = {
            name: (
                [{**column, "type": repr(column["type"])} for column in found.get_columns(name)],
                found.get_pk_constraint(name),
                sorted(found.get_indexes(name), key=lambda index: str(index["name"])),
                found.get_check_constraints(name),
                found.get_unique_constraints(name),
            )
            for name in found.get_table_names()
        }
        if connection.dialect.name == "postgresql":
            described["relations"] = connection.exec_driver_sql(
                "SELECT relname, relkind, reloptions, typname FROM pg_class LEFT JOIN pg_type"
                " ON pg_type.oid = reltype WHERE relnamespace = 'public'::regnamespace ORDER BY relname"
            ).all()
            # From version 18 on PostgreSQL generates names for NOT NULL, which nothing uses.
            described["constraints"] = connection.exec_driver_sql(
                "SELECT conrelid::regclass::text, conname, contype FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1, 2"
            ).all()
    return described


def test_the_schema_after_rebuilds_is_that_of_the_migrations(played: Ledger) -> None:
    made, before = read_model_rows(played), schema(played.engine)
    for _ in range(2):
        rebuild(played)
        assert schema(played.engine) == before
        command.check(alembic_config(played.engine))
    assert read_model_rows(played) == made


# The command.


def run(database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """The output of `duixian projections rebuild`."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    return CliRunner().invoke(app, ["projections", "rebuild"])


def test_the_command_tells_the_position_that_it_reached(
    played: Ledger, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = read_model_rows(played)
    result = run(database, tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert f"至序号{transaction_ends(played)[-1]}。" in result.stdout
    assert read_model_rows(played) == made
    assert left_behind(played.engine) == []


def test_the_command_says_that_another_rebuild_has_begun(
    played: Ledger, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = read_model_rows(played)
    has_made = has_overtaken = False

    def look(_: Connection, __: Any, statement: str, *___: Any) -> None:
        nonlocal has_made
        has_made = has_made or statement.startswith("INSERT INTO checkpoint_rebuilt")

    def overtake(*_: Any) -> None:
        nonlocal has_overtaken
        if has_made and not has_overtaken:
            has_overtaken = True
            rebuild(played)

    event.listen(Engine, "before_cursor_execute", look)  # The command opens an engine of its own.
    event.listen(Engine, "checkout", overtake)
    result = run(database, tmp_path, monkeypatch)
    event.remove(Engine, "before_cursor_execute", look)
    event.remove(Engine, "checkout", overtake)
    assert result.exit_code == 1
    assert "另一项重建已经开始" in result.stderr
    assert read_model_rows(played) == made


@only_on_postgresql
def test_the_command_says_that_a_reader_on_postgresql_kept_it_from_ending(
    played: Ledger, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "MOST_ATTEMPTS", 1)
    with read_transaction(played.engine) as connection:
        made = rows_of(connection, LIVE.transactions)
        result = run(database, tmp_path, monkeypatch)
        assert rows_of(connection, LIVE.transactions) == made
    assert result.exit_code == 1
    assert "查询表一直被占用" in result.stderr


def test_a_rebuild_ends_while_filings_keep_coming(ledger: Ledger) -> None:
    publish_whole(ledger)
    file(ledger, *(trade(code(n), "2024-03", 120_000, 100_000) for n in range(1, 40)))
    is_over, figures = Event(), count(101_000)

    def keep_filing() -> int:
        filed = 0
        while not is_over.is_set():
            filed += file(
                ledger, trade(code(1), "2024-04", next(figures), 100_000, reason="企业改报")
            ).revised
        return filed

    with ThreadPoolExecutor(1) as pool:
        filing = pool.submit(keep_filing)
        stops = Timer(PATIENCE_S, is_over.set)
        stops.start()
        rebuild(ledger)
        was_in_time = not is_over.is_set()
        is_over.set()
        stops.cancel()
        assert filing.result() > 0
    assert was_in_time
    made = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == made
