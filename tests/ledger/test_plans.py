"""No transaction that writes scans a whole table or index that grows with the log."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import insert, select

from app.ledger.kept_answers import RequestKey
from app.ledger.ledger import Ledger
from app.ledger.tables import idempotent_answers
from app.runtime.database import read_transaction, write_transaction
from app.transparency.sealing import seal
from app.use_cases.filing.file_returns import FilingAnswer, file_once
from app.use_cases.filing.importing import import_rows
from app.use_cases.filing.rows import RowReader
from projections.tables import LIVE
from tests.databases import Database
from tests.ledger.history import code, drafts, file, policy, publish_whole, trade, withdraw
from tests.ledger.plans import planned
from tests.office import TestClock
from tests.processes.running import Overtaken

ENTERPRISES = 1_000
MONTHS = ("2024-01~02", "2024-03", "2024-07")
OLD_ROWS = 3_000


def correct(ledger: Ledger, n: int = 1) -> FilingAnswer:
    """Correct a return of an enterprise."""
    row = trade(code(n), "2024-03", 130_000, 100_000, reason="企业改报", origin="enterprise")
    return file(ledger, row)


def file_while_others_record(ledger: Ledger) -> None:
    """File while another client records."""
    overtaken = Overtaken(ledger, lambda: correct(ledger, 2))
    file(overtaken, trade(code(1), "2024-08", 110_000, 100_000))
    assert overtaken.times == 1


def decide_alone(ledger: Ledger) -> None:
    """File while others keep correcting the same enterprise."""
    months = iter(("2024-04", "2024-05", "2024-06"))
    ahead = Overtaken(ledger, lambda: file(ledger, trade(code(1), next(months), 110_000, 100_000)))
    correct(ahead)
    assert ahead.times == len(MONTHS)


def file_under_a_key(ledger: Ledger) -> None:
    """File under an `Idempotency-Key`."""
    rows = drafts([trade(code(1), "2024-08", 110_000, 100_000)])
    file_once(ledger, rows, RequestKey("statistics", "another", ""))


def import_file(ledger: Ledger) -> None:
    """Import a file."""
    reader = RowReader(unit="qianyuan", stage="final", source=None)
    answer = import_rows(
        ledger, [trade(code(n), "2024-08", 110_000, 100_000) for n in range(3)], reader, actor="statistics"
    )
    assert isinstance(answer, FilingAnswer)


WRITERS: dict[str, Callable[[Ledger], object]] = {
    "filing": lambda ledger: file(ledger, trade(code(1), "2024-08", 110_000, 100_000)),
    "correction": correct,
    "withdrawal": lambda ledger: withdraw(ledger, code(1), "2024-03", "E204-1"),
    "filing while others record": file_while_others_record,
    "decision made alone": decide_alone,
    "filing under a key": file_under_a_key,
    "import": import_file,
    "publication": lambda ledger: publish_whole(ledger, policy(30_000)),
    "sealing": seal,
}


@pytest.fixture(scope="module")
def year(migrated: Database) -> Iterator[Database]:
    """Some months of many enterprises, to copy, in the state after many filings."""
    made = migrated.copy()
    engine = made.open()
    ledger = Ledger(engine, TestClock())
    publish_whole(ledger)
    for month in MONTHS:
        file(ledger, *(trade(code(n), month, 110_000, 100_000) for n in range(ENTERPRISES)))
    with write_transaction(engine) as connection:
        answer = {"actor": "statistics", "request_sha256": "", "answer": b"", "created_at_us": ledger.clock()}
        kept = [{**answer, "idempotency_key": str(n)} for n in range(OLD_ROWS)]
        connection.execute(insert(idempotent_answers), kept)
        total = connection.execute(select(LIVE.totals).limit(1)).one()._asdict()
        old = [{**total, "from_position": -n - 1, "to_position": -n} for n in range(OLD_ROWS)]
        connection.execute(insert(LIVE.totals), old)
    engine.dispose()
    yield made
    made.drop()


@pytest.fixture
def large(year: Database) -> Iterator[Ledger]:
    """The ledger of the year, with statistics."""
    copied = year.copy()
    engine = copied.open()
    if not copied.is_sqlite:
        with write_transaction(engine) as connection:
            connection.exec_driver_sql("ANALYZE")
    yield Ledger(engine, TestClock())
    engine.dispose()
    copied.drop()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_transaction_that_writes_reads_no_table_from_end_to_end(large: Ledger, writer: str) -> None:
    with planned(large.engine) as statements:
        WRITERS[writer](large)
    under_the_lock = [statement for statement in statements if statement.writes]
    assert under_the_lock
    assert [statement for statement in under_the_lock if statement.problems] == []


def test_what_a_filing_rests_on_is_found_by_its_streams(large: Ledger) -> None:
    with planned(large.engine) as statements:
        correct(large)
    assert [statement for statement in statements if statement.problems] == []


def test_the_events_of_an_enterprise_are_found_by_its_streams(large: Ledger) -> None:
    with planned(large.engine) as statements, read_transaction(large.engine) as connection:
        head = large.head(connection)
        found = large.page(connection, after=1, until=head, limit=100, uscc=code(7))
        publications = large.publications(connection, until=head)
    assert len(found) == 2 * len(MONTHS)
    assert [publication.position for publication in publications] == [1]
    assert [statement for statement in statements if statement.problems] == []
