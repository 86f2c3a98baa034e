"""The replay finds every row of a read model that differs from the row that follows from the log."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, Executable, Table, delete, insert, select, text, update

from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from app.ledger.recorder import AppendRequest
from app.ledger.tables import events, sequencer
from app.runtime.database import read_transaction, write_transaction
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.policies.loader import LoadedPolicy, read_document
from app.use_cases.policies.publishing import Drop, assess_published, withdraw_policy
from domain.events import ReturnWithdrawn
from domain.money import FEN_PER_YUAN
from domain.policy.document import PolicyDocument
from domain.policy.policy import MOST_ACCOUNT_FEN
from projections.rebuild.compare import RowDifference
from projections.tables import FOREVER, LIVE
from tests.databases import Database, only_on_sqlite
from tests.ledger.history import (
    catering,
    code,
    file,
    opened_copy,
    policy,
    publish_whole,
    trade,
    transaction_ends,
)
from tests.office import TestClock
from tests.verification.alterations import alter, without_constraints

TABLES = {str(table.name): table for table in LIVE if table is not LIVE.checkpoint}
MOST_COLUMNS = max(len(table.c) for table in TABLES.values())
FORGED: dict[str, dict[str, Any]] = {
    "transactions": {"position": 12},
    "policies": {"version": 7},
    "policy_marks": {"position": 1},
    "disagreements": {"uscc": code(99)},
    "returns": {"uscc": code(99)},
    "enterprises": {"uscc": code(99)},
    "entitlements": {"policy": "another"},
    "accounts": {"policy": "another"},
    "totals": {"key": "999999"},
}
"""What a row that is put in differs in from one that is there."""


MISTAKEN = "mistaken-2024"


def mistaken_policy() -> LoadedPolicy:
    """A document as it could be published before its ceilings were bounded: one step passes every sum."""
    text = policy().text.replace("policy: yingkou-2024-14", f"policy: {MISTAKEN}")
    more = MOST_ACCOUNT_FEN // FEN_PER_YUAN + 1
    text, changed = re.subn(r"(award|ceiling): \{yuan: \d+,", rf"\1: {{yuan: {more},", text)
    assert changed
    document = read_document(text)
    assert document is not None
    return LoadedPolicy(text, document, msgspec.convert(document, PolicyDocument))


@pytest.fixture(scope="module")
def recorded(migrated: Database) -> Iterator[Database]:
    """Two enterprises of trade and one of catering, filed in March and April; one correction.

    Before them a policy that promised more than any sum holds was published by mistake, and withdrawn, and
    something was recorded on a stream of nobody: the read models cannot follow either.
    """
    made = migrated.copy()
    ledger = Ledger(made.open(), TestClock())
    file(ledger, trade(code(4), "2024-01~02", 110_000, 100_000))
    publish_whole(ledger)
    publish_whole(ledger, mistaken_policy())
    withdraw_policy(ledger, MISTAKEN, Drop("误发布", "营商函〔2024〕3号"), actor="admin")
    assess_published(ledger)
    event = ReturnWithdrawn(form="E204-1", period="2024-03", reason="重复登记")
    ledger.record(ledger.stored([NewEvent("nobody", 1, event)]), AppendRequest("actor", "batch"))
    for period in ("2024-03", "2024-04"):
        file(
            ledger,
            trade(code(1), period, 110_000, 100_000),
            trade(code(2), period, 125_000, 100_000),
            catering(code(3), period, 4_000, 2_000),
        )
    file(ledger, trade(code(2), "2024-03", 119_999, 100_000, reason="企业改报"))
    ledger.engine.dispose()
    yield made
    made.drop()


@pytest.fixture
def month(recorded: Database, clock: TestClock) -> Iterator[Ledger]:
    """That ledger, to alter."""
    with opened_copy(recorded, clock) as ledger:
        yield ledger


def do(ledger: Ledger, statement: Executable) -> None:
    with write_transaction(ledger.engine) as connection:
        connection.execute(statement)


def differences(ledger: Ledger) -> list[RowDifference]:
    """What a replay finds of the rows; it must find nothing else."""
    found = replay(ledger, ReplayRange()).found
    assert found.mismatches == []
    assert found.row_difference_count == len(found.row_differences)
    return found.row_differences


def row_of(ledger: Ledger, table: Table, column: Column[Any] | None = None) -> dict[str, Any]:
    """A row in the middle of a table; one that has a value in the column, where one is given."""
    query = select(table).order_by(*table.primary_key)
    with read_transaction(ledger.engine) as connection:
        rows = connection.execute(query if column is None else query.where(column.is_not(None))).mappings()
        found = [dict(row) for row in rows]
    return found[len(found) // 2]


def row_key(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {str(column.name): row[column.name] for column in table.primary_key}


def at(table: Table, row: dict[str, Any]) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key]


def another(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value - 1 if value == FOREVER else value + 1
    return value + ("9" if isinstance(value, str) else b" ")


def as_told(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def nth_columns(number: int) -> dict[str, str]:
    """The column with this number, from 0, in each table with enough columns: one replay checks all."""
    return {name: str(list(table.c)[number].name) for name, table in TABLES.items() if number < len(table.c)}


def by_table(found: list[RowDifference]) -> dict[str, list[RowDifference]]:
    """The differences in each table."""
    tables: dict[str, list[RowDifference]] = {}
    for difference in found:
        tables.setdefault(difference.table, []).append(difference)
    return tables


def test_rows_that_nobody_altered_follow(month: Ledger) -> None:
    assert differences(month) == []


@pytest.mark.parametrize(
    ("host", "number"),
    [
        *(("sqlite", number) for number in range(MOST_COLUMNS)),
        *(("postgresql", number) for number in range(0, MOST_COLUMNS, 4)),
    ],
    indirect=["host"],
)
def test_a_value_that_was_altered_is_found_in_its_row(month: Ledger, number: int) -> None:
    altered = {}
    for name, column in nth_columns(number).items():
        table = TABLES[name]
        row = row_of(month, table, table.c[column])
        changed = {**row, column: another(row[column])}
        do(month, update(table).where(*at(table, row)).values({column: changed[column]}))
        altered[name] = (column, row, changed)
    found = by_table(differences(month))
    assert found.keys() == altered.keys()
    for name, (column, row, changed) in altered.items():
        table = TABLES[name]
        if table.c[column].primary_key:
            lost, put_in = sorted(found[name], key=lambda difference: difference.derived is None)
            assert (lost.key, lost.stored, put_in.key, put_in.derived) == (
                row_key(table, row),
                None,
                row_key(table, changed),
                None,
            )
        else:
            (difference,) = found[name]
            assert difference == RowDifference(
                table=name,
                key=row_key(table, row),
                stored={column: as_told(changed[column])},
                derived={column: as_told(row[column])},
            )


def test_a_row_that_was_lost_is_found(month: Ledger) -> None:
    rows = {name: row_of(month, table) for name, table in TABLES.items()}
    for name, row in rows.items():
        do(month, delete(TABLES[name]).where(*at(TABLES[name], row)))
    found = [(difference.table, difference.key, difference.stored) for difference in differences(month)]
    assert sorted(found, key=str) == sorted(
        ((name, row_key(TABLES[name], row), None) for name, row in rows.items()), key=str
    )
    for name, row in rows.items():
        do(month, insert(TABLES[name]).values(**row))
    assert differences(month) == []


def check_forged(month: Ledger, forged: dict[str, dict[str, Any]]) -> None:
    """The replay finds a foreign row in each table."""
    for name, row in forged.items():
        do(month, insert(TABLES[name]).values(**row))
    found = [(difference.table, difference.key, difference.derived) for difference in differences(month)]
    assert sorted(found, key=str) == sorted(
        ((name, row_key(TABLES[name], row), None) for name, row in forged.items()), key=str
    )


def test_a_row_that_was_put_in_is_found(month: Ledger) -> None:
    check_forged(month, {name: {**row_of(month, table), **FORGED[name]} for name, table in TABLES.items()})


@pytest.mark.parametrize("position", [1_000, FOREVER])
def test_a_row_that_was_put_in_after_the_head_of_the_log_is_found(month: Ledger, position: int) -> None:
    forged = {name: {**row_of(month, table), **FORGED[name]} for name, table in TABLES.items()}
    for name, row in forged.items():
        row["position" if "from_position" not in TABLES[name].c else "from_position"] = position
    check_forged(month, forged)


def test_a_row_of_no_enterprise_is_found(month: Ledger) -> None:
    do(month, insert(LIVE.returns).values(**{**row_of(month, LIVE.returns), "uscc": ""}))
    (difference,) = differences(month)
    assert (difference.table, difference.key["uscc"], difference.derived) == ("returns", "", None)


def test_rows_that_go_on_after_what_is_said_to_be_projected_are_found(month: Ledger) -> None:
    do(month, update(LIVE.checkpoint).values(position=0))
    found = differences(month)
    assert {difference.table for difference in found if difference.derived is None} == set(TABLES)
    assert replay(month, ReplayRange()).projected == 0


def test_what_was_projected_of_an_end_that_was_cut_off_is_found_row_by_row(month: Ledger) -> None:
    *_, filed, last, head = transaction_ends(month)
    do(month, delete(events).where(events.c.position > last))
    do(month, update(sequencer).values(last=last))
    found = differences(month)
    assert found[0] == RowDifference(
        table="checkpoint", key={"id": 1}, stored={"position": head}, derived={"position": last}
    )
    assert {difference.key["from_position"] for difference in found if difference.table == "returns"} == {
        filed,
        head,
    }
    put_in = {difference.table for difference in found if difference.derived is None}
    assert put_in == {"transactions", "returns", "entitlements", "accounts", "totals"}
    closed = [difference for difference in found if difference.derived == {"to_position": FOREVER}]
    assert {difference.table for difference in closed} == {"returns", "entitlements", "accounts", "totals"}
    assert {difference.stored["to_position"] for difference in closed if difference.stored} == {head}


def test_all_rows_outside_are_counted_though_not_all_are_told(
    month: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(month, update(LIVE.checkpoint).values(position=0))
    whole = replay(month, ReplayRange()).found
    monkeypatch.setattr("app.use_cases.audit.replaying.REPLAY_MOST_REPORTED", 2)
    found = replay(month, ReplayRange()).found
    assert found.row_difference_count == whole.row_difference_count
    assert found.row_differences == whole.row_differences[:2]


OF_ANY_TYPE = ["'text'", "x'00ff'", "CAST(x'ff' AS TEXT)", "1e300"]


@only_on_sqlite
@pytest.mark.parametrize("number", range(MOST_COLUMNS))
def test_a_value_of_any_type_that_sqlite_takes_is_found(month: Ledger, number: int) -> None:
    columns = nth_columns(number)
    for name in columns:
        alter(month, partial(without_constraints, table=name))
    for value in OF_ANY_TYPE:
        expected = {}
        for name, column in columns.items():
            query = f"SELECT max(rowid) FROM {name}"
            do(month, text(f'UPDATE {name} SET "{column}" = {value} WHERE rowid = ({query})'))
            expected[name] = 1 + (column in TABLES[name].primary_key or column == "from_position")
        assert {name: len(found) for name, found in by_table(differences(month)).items()} == expected, value
