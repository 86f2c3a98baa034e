"""The tables with a single row hold the ends of the log and of the read models; damage is reported."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, insert, text

from app.ledger.ledger import Ledger
from app.ledger.tables import log_seal, sequencer
from app.runtime.database import write_transaction
from app.transparency.sealing import seal
from app.use_cases.audit.findings import Findings
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.audit.verifying import verify_ledger
from app.use_cases.upkeep.rebuilding import rebuild
from domain.errors import LedgerIntegrityError
from projections.tables import LIVE
from tests.databases import on_one_database, only_on_sqlite
from tests.ledger.history import code, file, publish_whole, trade
from tests.office import Office
from tests.verification.alterations import without_constraints

TABLES = {"sequencer": ("last", "publication"), "log_seal": ("size",), "checkpoint": ("position",)}
COLUMNS = [(table, column) for table, columns in TABLES.items() for column in columns]
MADE = {"sequencer": sequencer, "log_seal": log_seal, "checkpoint": LIVE.checkpoint}
READS = (
    "/readyz",
    "/v1/events",
    "/v1/events?position=1",
    f"/v1/returns/{code(1)}?year=2024",
    f"/v1/entitlements/{code(1)}/2024H1",
    "/v1/entitlements?window=2024H1",
    "/v1/summary?window=2024H1&group_by=period",
    "/v1/audit/checkpoint",
    "/v1/audit/inclusion/1",
    "/v1/audit/consistency?first=1&second=2",
    f"/v1/audit/receipts/{code(1)}/2024H1",
    "/v1/audit/differences?from=0&to=1",
    "/v1/audit/red-flags?window=2024H1",
    "/v1/policies",
)


@pytest.fixture
def month(ledger: Ledger) -> Ledger:
    publish_whole(ledger)
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    return ledger


def is_named(ledger: Ledger) -> bool:
    """Whether a verification names what the tables say."""
    findings = Findings()
    verify_ledger(ledger, [], findings)
    return "sequencer-differs" in {finding.code for finding in findings}


def is_told(ledger: Ledger) -> bool:
    """Whether a replay ends, with a report or with what is wrong."""
    try:
        replay(ledger, ReplayRange())
    except LedgerIntegrityError as error:
        return not str(error).isascii()
    return True


def answers(office: Office) -> Iterator[tuple[int, str]]:
    """What the reads answer that are not answered well."""
    for path in READS:
        response = office.client.get(path, headers=office.headers("auditor"))
        if response.status_code != 200:
            yield response.status_code, response.json()["code"]


def do(ledger: Ledger, change: Any) -> None:
    with write_transaction(ledger.engine) as connection:
        change(connection)


@pytest.mark.parametrize("name", TABLES)
def test_a_row_that_is_missing_is_told_wherever_it_is_needed(
    month: Ledger, office: Office, name: str
) -> None:
    do(month, lambda connection: connection.execute(MADE[name].delete()))
    assert is_named(month)
    assert is_told(month)
    assert set(answers(office)) == {(500, "ledger-altered")}


@on_one_database
@pytest.mark.parametrize("name", TABLES)
def test_a_second_row_is_told_wherever_the_first_is_needed(month: Ledger, office: Office, name: str) -> None:
    row = {"last": 3, "recorded_at_us": 0, "publication": 0, "size": 3, "position": 3}
    values = {column.name: row[column.name] for column in MADE[name].c if column.name != "id"}
    do(month, lambda connection: connection.execute(insert(MADE[name]).values(id=2, **values)))
    assert is_named(month)
    assert is_told(month)
    assert set(answers(office)) == {(500, "ledger-altered")}


@on_one_database
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_number_below_nothing_is_told_wherever_it_is_needed(
    month: Ledger, office: Office, table: str, column: str
) -> None:
    do(month, lambda connection: connection.execute(MADE[table].update().values({column: -1})))
    assert is_named(month)
    assert is_told(month)
    assert set(answers(office)) <= {(500, "ledger-altered")}


@only_on_sqlite
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_value_of_any_type_that_sqlite_takes_is_told_wherever_it_is_needed(
    month: Ledger, office: Office, table: str, column: str
) -> None:
    do(month, lambda connection: without_constraints(connection, table))
    for value in ("NULL", "'text'", "x'00'", f"'{10**30}'", "1.5", "CAST(x'ff' AS TEXT)"):
        statement = text(f"UPDATE {table} SET {column} = {value}")
        do(month, lambda connection, statement=statement: connection.execute(statement))
        assert is_named(month), value
        assert is_told(month), value
        assert set(answers(office)) <= {(500, "ledger-altered")}, value


@only_on_sqlite
@pytest.mark.parametrize("value", ["NULL", "'text'", "1.5"])
def test_hashes_of_any_type_that_sqlite_takes_are_told_by_every_proof(
    month: Ledger, office: Office, value: str
) -> None:
    seal(month)

    def change(connection: Connection) -> None:
        without_constraints(connection, "log_tiles")
        connection.execute(text(f"UPDATE log_tiles SET hashes = {value}"))

    do(month, change)
    assert set(answers(office)) == {(500, "ledger-altered")}


def test_a_filing_is_refused_while_the_sequencer_does_not_say_where_the_log_ends(month: Ledger) -> None:
    do(month, lambda connection: connection.execute(sequencer.delete()))
    with pytest.raises(LedgerIntegrityError, match="sequencer"):
        file(month, trade(code(2), "2024-03", 110_000, 100_000))


@on_one_database
@pytest.mark.parametrize("position", [0, 1])
def test_read_models_that_are_ahead_of_what_they_say_are_mended_by_a_rebuild(
    month: Ledger, position: int
) -> None:
    do(month, lambda connection: connection.execute(LIVE.checkpoint.update().values(position=position)))
    with pytest.raises(LedgerIntegrityError, match="duixian projections rebuild"):
        file(month, trade(code(2), "2024-03", 110_000, 100_000))
    assert rebuild(month) == 5
    assert replay(month, ReplayRange()).is_clean


@pytest.mark.parametrize(
    "change",
    [LIVE.checkpoint.delete(), insert(LIVE.checkpoint).values(id=2, position=1)],
    ids=["no row", "two rows"],
)
def test_read_models_that_do_not_say_how_far_they_are_are_mended_by_a_rebuild(
    month: Ledger, change: Executable
) -> None:
    do(month, lambda connection: connection.execute(change))
    assert rebuild(month) == 3
    assert replay(month, ReplayRange()).is_clean


@only_on_sqlite
@pytest.mark.parametrize("value", ["'text'", "x'00'"])
def test_a_time_of_any_type_that_sqlite_takes_is_told_by_every_read_at_that_moment(
    month: Ledger, office: Office, value: str
) -> None:
    def change(connection: Connection) -> None:
        without_constraints(connection, "transactions")
        connection.execute(text(f"UPDATE transactions SET recorded_at_us = {value}"))

    do(month, change)
    assert set(answers(office)) == {(500, "ledger-altered")}
