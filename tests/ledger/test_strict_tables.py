"""Every table on SQLite is STRICT, also in a database that earlier software made otherwise."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, Integer, LargeBinary, Table, create_engine, event, insert

from app.bootstrap import alembic_config, migrate
from app.ledger import tables as ledger_tables
from app.ledger.kept_answers import RequestKey, keep_answer
from app.ledger.ledger import Ledger
from app.ledger.replay_runs import Run, begin
from app.ledger.stream_index import StreamIndex
from app.runtime.database import open_engine, read_transaction, write_transaction
from app.security import tables as security_tables
from app.security.disclosures import DisclosureLog, Entry, Filter, open_disclosures
from app.security.keys import create_key, list_keys
from app.transparency.sealing import seal
from app.use_cases.audit.findings import Findings
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.audit.verifying import verify_ledger
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import rebuild
from domain.errors import LedgerIntegrityError
from projections import tables as projection_tables
from projections.rebuild.shadow_tables import ShadowTables
from tests.databases import Database, only_on_sqlite
from tests.golden.golden import read_golden, restore
from tests.ledger.history import read_model_rows
from tests.office import TestClock
from tests.verification.alterations import alter, without_constraints

pytestmark = only_on_sqlite

RECORDED = [*ledger_tables.metadata.sorted_tables, *security_tables.metadata.sorted_tables]
MODELS = projection_tables.metadata.sorted_tables
TABLES = {table.name: table for table in (*RECORDED, *MODELS, security_tables.disclosures)}
BEFORE = "0009"
"""The last migration whose tables accept values of any type."""

POSITION = 10


def loose(connection: Connection) -> set[str]:
    """The tables that are not STRICT, without those of SQLite and Alembic."""
    return loose_in(connection.connection.driver_connection)


def loose_in(connection: Any) -> set[str]:
    found = connection.execute("SELECT name FROM pragma_table_list WHERE type = 'table' AND NOT strict")
    names = {name for (name,) in found if not name.startswith("sqlite_")}
    return names - {"alembic_version", "disclosures_version"}


# A new database.


def test_a_new_database_and_a_rebuilt_one_have_strict_tables_alone(ledger: Ledger) -> None:
    disclosures = open_disclosures(ledger.engine)
    for _ in range(2):
        for engine in (ledger.engine, disclosures):
            with read_transaction(engine) as connection:
                assert loose(connection) == set()
        rebuild(ledger)
    disclosures.dispose()


@pytest.mark.usefixtures("host")
def test_the_tables_of_a_rebuild_and_of_a_verification_are_strict() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        ShadowTables("sqlite", 2).make(connection)
        assert loose(connection) == set()
        assert connection.exec_driver_sql("SELECT count(*) FROM pragma_table_list").scalar_one() > len(MODELS)
    engine.dispose()
    with StreamIndex.open() as index:
        assert loose_in(index._database) == set()


def fitting(table: Table) -> dict[str, Any]:
    """A row that the table accepts."""
    values: dict[type, Any] = {Integer: 7, LargeBinary: b"7"}
    return {
        column.name: next((value for kind, value in values.items() if isinstance(column.type, kind)), "7")
        for column in table.c
    } | ({"with_figures": True} if "with_figures" in table.c else {})


def others(table: Table, column: str) -> Iterator[Any]:
    """Values that the column does not accept."""
    fits = fitting(table)[column]
    yield from (b"\x00", 1.5, "text") if isinstance(fits, int) else ()
    yield from (b"\x00",) if isinstance(fits, str) else ()
    yield from (7, 1.5, "text") if isinstance(fits, bytes) else ()


@pytest.mark.parametrize("name", TABLES)
def test_a_value_of_another_type_is_refused(database: Database, name: str) -> None:
    file = database.files[name == "disclosures"]
    row = fitting(TABLES[name])
    statement = f'INSERT INTO "{name}" ({", ".join(map(quoted, row))}) VALUES ({", ".join("?" * len(row))})'
    with closing(sqlite3.connect(file)) as connection:
        for column in row:
            for value in others(TABLES[name], column):
                with pytest.raises(sqlite3.IntegrityError, match=r"datatype mismatch|cannot store"):
                    connection.execute(statement, list({**row, column: value}.values()))
        connection.execute(statement, list(row.values()))


def quoted(name: str) -> str:
    return f'"{name}"'


# A database that earlier software made.


@pytest.fixture
def old(unmigrated: Database) -> Iterator[Ledger]:
    """A ledger in the tables of earlier software, with a row in each that is not a read model."""
    engine = unmigrated.open()
    disclosures = open_disclosures(engine)
    command.upgrade(alembic_config(engine), BEFORE)
    command.upgrade(alembic_config(disclosures, "disclosures"), "0001")
    disclosures.dispose()
    ledger = Ledger(engine, TestClock())
    restore(ledger, read_golden())
    with write_transaction(engine) as connection:
        create_key(connection, name="甲", role="auditor", with_figures=True, now_us=1)
        create_key(connection, name="乙", role="commerce", with_figures=False, now_us=2)
        keep_answer(connection, RequestKey("甲", "once", "ab" * 32), b"{}", 1)
        begin(connection, Run(id="r", asked_by="甲", asked_at_us=1, first=1, last=None), now_us=1)
        connection.execute(
            insert(ledger_tables.publications).values(
                position=6, policy="p", version=1, after_stream="", done=0, total=0
            )
        )
    project_all(ledger)
    seal(ledger)
    yield ledger
    engine.dispose()


def schema(engine: Engine) -> dict[str, str]:
    """The definition of each table and index, in the words of SQLite."""
    with read_transaction(engine) as connection:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: " ".join(sql.replace('"', "").split()) for name, sql in found}


def stored(engine: Engine, tables: list[Table]) -> dict[str, list[tuple[Any, ...]]]:
    """Every row, byte for byte, with the type that SQLite stores each value in."""
    found = {}
    with read_transaction(engine) as connection:
        for table in tables:
            names = [quoted(column.name) for column in table.c]
            values = ", ".join(f"CAST({name} AS BLOB), typeof({name})" for name in names)
            query = f'SELECT {values} FROM "{table.name}" ORDER BY 1, 3'
            found[table.name] = [tuple(row) for row in connection.exec_driver_sql(query)]
    return found


def test_the_tables_of_earlier_software_become_strict_with_their_rows(old: Ledger, ledger: Ledger) -> None:
    kept, models = stored(old.engine, RECORDED), read_model_rows(old)
    assert all(kept.values())
    with read_transaction(old.engine) as connection:
        assert loose(connection) == set(TABLES) - {"disclosures"}
    migrate(old.engine)
    assert stored(old.engine, RECORDED) == kept
    assert schema(old.engine) == schema(ledger.engine)
    command.check(alembic_config(old.engine))
    project_all(old)
    assert read_model_rows(old) == models
    assert replay(old, ReplayRange()).is_clean
    with read_transaction(old.engine) as connection:
        assert [(key.name, key.with_figures) for key in list_keys(connection)] == [
            ("乙", False),
            ("甲", True),
        ]


def test_the_way_back_makes_the_tables_of_earlier_software(old: Ledger) -> None:
    before, kept = schema(old.engine), stored(old.engine, RECORDED)
    migrate(old.engine)
    command.downgrade(alembic_config(old.engine), BEFORE)
    assert schema(old.engine) == before
    assert stored(old.engine, RECORDED) == kept


def test_what_a_killed_rebuild_left_is_dropped(old: Ledger) -> None:
    with write_transaction(old.engine) as connection:
        connection.exec_driver_sql("CREATE TABLE returns_rebuilt (uscc TEXT)")
    migrate(old.engine)
    assert "returns_rebuilt" not in schema(old.engine)


# One that was altered outside the program.

OTHER_TYPES = {
    "events": ("UPDATE events SET actor = x'ff' WHERE position = 10", "序号10的actor列是字节，应为文字"),
    "publications": (
        "UPDATE publications SET done = 'x' WHERE position = 6",
        "序号6的done列是文字，应为整数",
    ),
    "sequencer": ("UPDATE sequencer SET last = 1.5", "第1行的last列是小数，应为整数"),
    "log_tiles": ("UPDATE log_tiles SET hashes = 'x' WHERE level = 0", "第1行的hashes列是文字，应为字节"),
    "replays": ("UPDATE replays SET report = 1", "第1行的report列是整数，应为字节或空值"),
    "api_keys": ("UPDATE api_keys SET with_figures = 'x' WHERE name = '乙'", "第2行的with_figures列是文字"),
}


@pytest.mark.parametrize("table", OTHER_TYPES)
def test_a_value_of_another_type_is_named_and_nothing_is_changed(old: Ledger, table: str) -> None:
    statement, expected = OTHER_TYPES[table]
    alter(old, lambda connection: connection.exec_driver_sql(statement))
    before, rows = schema(old.engine), stored(old.engine, [*RECORDED, *MODELS])
    with pytest.raises(LedgerIntegrityError, match=f"{table}表中{expected}.*升级前的程序.*从备份恢复"):
        migrate(old.engine)
    assert schema(old.engine) == before
    assert stored(old.engine, [*RECORDED, *MODELS]) == rows


def test_a_missing_value_and_a_position_that_is_none_are_named(old: Ledger) -> None:
    alter(old, without_constraints)
    alter(
        old, lambda connection: connection.exec_driver_sql("UPDATE events SET state = NULL, position = 'x'")
    )
    with pytest.raises(LedgerIntegrityError, match="events表中第1行的position列是文字，应为整数"):
        migrate(old.engine)
    alter(old, lambda connection: connection.exec_driver_sql("UPDATE events SET position = rowid"))
    with pytest.raises(LedgerIntegrityError, match="events表中序号1的state列是空值，应为字节"):
        migrate(old.engine)


def test_a_position_that_stands_twice_is_refused(old: Ledger) -> None:
    alter(old, without_constraints)
    alter(
        old,
        lambda connection: connection.exec_driver_sql("UPDATE events SET position = 9 WHERE position = 8"),
    )
    with pytest.raises(
        LedgerIntegrityError, match=r"events表中有重复的行（UNIQUE.*events\.position）.*从备份恢复"
    ):
        migrate(old.engine)


def test_a_value_in_a_read_model_is_replaced(old: Ledger) -> None:
    models = read_model_rows(old)
    alter(old, lambda connection: connection.exec_driver_sql("UPDATE accounts SET assessed_fen = 'x'"))
    migrate(old.engine)
    project_all(old)
    assert read_model_rows(old) == models


@pytest.mark.parametrize("actor", ["CAST(x'ff' AS TEXT)", "CAST(x'6100' AS TEXT)"])
def test_text_that_is_none_is_kept_for_the_verification(old: Ledger, actor: str) -> None:
    statement = f"UPDATE events SET actor = {actor} WHERE position = {POSITION}"
    alter(old, lambda connection: connection.exec_driver_sql(statement))
    migrate(old.engine)
    findings = Findings()
    verify_ledger(old, [], findings)
    found = {finding.code: [place.position for place in finding.places] for finding in findings}
    assert (found["row-invalid"], found["leaf-differs"]) == ([POSITION], [POSITION])


@pytest.mark.slow
def test_the_command_says_what_is_wrong_without_a_traceback(old: Ledger, unmigrated: Database) -> None:
    alter(old, lambda connection: connection.exec_driver_sql(OTHER_TYPES["events"][0]))
    assert "序号10的actor列是字节，应为文字" in said_by_migrate(unmigrated)
    old.engine.dispose()
    file = unmigrated.path
    whole = file.read_bytes()
    kept_bytes = 2 * int.from_bytes(whole[16:18], "big")  # The header and the schema.
    file.write_bytes(whole[:kept_bytes] + bytes(byte ^ 0x5A for byte in whole[kept_bytes:]))
    assert "数据库文件损坏" in said_by_migrate(unmigrated)


def said_by_migrate(database: Database) -> str:
    """What `duixian migrate` says when it is refused."""
    result = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "migrate"],
        env={**os.environ, "DUIXIAN_DATABASE_URL": database.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr


# One that is killed, or whose disk is full.


def _end_at(statement: str, url: str) -> None:
    """Migrate in a process that ends, as if killed, when it comes to this statement."""
    engine = open_engine(url)

    def look(_: Any, __: Any, executed: str, *___: Any) -> None:
        if executed.split() == statement.split():
            os._exit(7)

    event.listen(engine, "before_cursor_execute", look)
    migrate(engine)


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["DROP TABLE events_replaced", "DROP TABLE api_keys_replaced"])
def test_a_migration_that_is_killed_has_changed_nothing(
    old: Ledger, unmigrated: Database, statement: str
) -> None:
    before, rows = schema(old.engine), stored(old.engine, [*RECORDED, *MODELS])
    old.engine.dispose()
    process = multiprocessing.get_context("spawn").Process(target=_end_at, args=(statement, unmigrated.url))
    process.start()
    process.join()
    assert process.exitcode == 7
    assert schema(old.engine) == before
    assert stored(old.engine, [*RECORDED, *MODELS]) == rows
    migrate(old.engine)
    assert stored(old.engine, RECORDED) == {table.name: rows[table.name] for table in RECORDED}


# The disclosures.


@pytest.mark.parametrize("removed", [0, 1, 3])
def test_disclosures_keep_their_rows_and_the_number_of_the_next_one(old: Ledger, removed: int) -> None:
    log = DisclosureLog(old.engine, lambda: 1)
    for number in range(3):
        log.record(Entry(kind="figures", actor="甲", route="GET /v1/events", count=number))
    kept = log.page(Filter(), limit=10)[removed:]
    disclosures = open_disclosures(old.engine)
    with write_transaction(disclosures) as connection:
        connection.exec_driver_sql("DELETE FROM disclosures WHERE id > ?", (3 - removed,))
    migrate(old.engine)
    assert log.page(Filter(), limit=10) == kept
    log.record(Entry(kind="figures", actor="甲", route="GET /v1/events"))
    assert log.page(Filter(), limit=1)[0].id == 4
    with read_transaction(disclosures) as connection:
        assert loose(connection) == set()
    command.check(alembic_config(disclosures, "disclosures"))
    disclosures.dispose()
    log.close()


def test_no_disclosures_yet_become_a_strict_table_too(old: Ledger) -> None:
    migrate(old.engine)
    log = DisclosureLog(old.engine, lambda: 1)
    log.record(Entry(kind="figures", actor="甲", route="GET /v1/events"))
    assert [entry.id for entry in log.page(Filter(), limit=10)] == [1]
    log.close()
