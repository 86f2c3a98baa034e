"""Measures the month close, from a file to entitlements, against a bare insert and plain use of the library.

The whole path is the import of a CSV: read, validated as a whole, decided, appended, projected. The bare
insert only puts the events of the month into an empty table with the same indexes, by the fastest way of the
database (COPY on PostgreSQL), with transactions of the same size as those of the import.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from app.bootstrap import migrate
from app.cli.files import ImportOptions, import_file
from app.ledger.ledger import Ledger
from app.ledger.tables import events
from app.runtime.database import open_engine, read_transaction, write_transaction
from app.use_cases.filing.importing import ROWS_PER_CHUNK
from bench.ledgers import ACTOR, drafts, new_ledger
from bench.places import KINDS, DatabaseMaker, places
from bench.plain import Plain
from bench.rows import PERIODS, rows, write_month

MEASURED = ("2024-03", "2024-06")
LAST = PERIODS.index("2024-06")

PLAIN_ROWS = 3_000
"""The number of rows for plain use of the library, which is slower than the rest by far."""

EVENTS_PER_INSERT = 2 * ROWS_PER_CHUNK
COLUMN_TYPES = ("int8", "text", "int4", "text", "int8", "text", "text", "int8", "bytea")


def run(enterprises: int) -> None:
    """Measure March and June on both databases, and print the rates."""
    for kind in KINDS:
        with places(kind) as place:
            _run(kind, place, enterprises)


def seconds(work: Callable[[], Any]) -> float:
    """How long `work` takes, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def import_month(ledger: Ledger, path: Path, period: str) -> None:
    """Import a file, which must be valid."""
    imported = import_file(ledger, path, ImportOptions(unit="qianyuan", period=period), actor=ACTOR)
    if imported.answer is None:
        raise SystemExit(f"refused: {imported.lines[:3]}")


def _run(kind: str, place: DatabaseMaker, enterprises: int) -> None:
    ledger = new_ledger(place.database())
    plain = Plain(place.database())
    for period in PERIODS[: LAST + 1]:
        _month(kind, period, ledger, plain, place, enterprises)
    plain.close()
    ledger.engine.dispose()


def _month(  # noqa: PLR0913, PLR0917 - what is measured
    kind: str, period: str, ledger: Ledger, plain: Plain, place: DatabaseMaker, enterprises: int
) -> None:
    path = place.folder / f"{period}.csv"
    write_month(path, enterprises, period)
    with read_transaction(ledger.engine) as connection:
        before = ledger.head(connection)
    whole_s = seconds(lambda: import_month(ledger, path, period))
    sample = drafts(islice(rows(enterprises, period), PLAIN_ROWS))
    plain_s = seconds(lambda: plain.close_month(sample))
    if period not in MEASURED:
        return
    whole, bare = enterprises / whole_s, enterprises / _bare_s(ledger, place, before)
    of_plain = len(sample) / plain_s
    print(f"month close, {kind}, {period}, {enterprises} enterprises")
    print(f"  whole path         {whole:>10,.0f} rows/s")
    print(f"  bare insert        {bare:>10,.0f} rows/s   {bare / whole:.1f}x ours")
    print(f"  plain library use  {of_plain:>10,.0f} rows/s   ours is {whole / of_plain:.1f}x", flush=True)


def _bare_s(ledger: Ledger, place: DatabaseMaker, after: int) -> float:
    """How long a bare insert of the events after a position takes, in seconds."""
    engine = open_engine(place.database())
    migrate(engine)
    taken = 0.0
    for batch in _recorded(ledger, after):
        with write_transaction(engine) as connection:
            taken -= time.perf_counter()
            if engine.dialect.name == "postgresql":
                names = ", ".join(column.name for column in events.c)
                connection.exec_driver_sql(
                    f"COPY events ({names}) FROM STDIN (FORMAT BINARY)",
                    batch,
                    execution_options={"copy_types": COLUMN_TYPES},
                )
            else:
                statement = insert(events).compile(dialect=engine.dialect)
                connection.exec_driver_sql(statement.string, batch)
            connection.commit()
            taken += time.perf_counter()
    engine.dispose()
    return taken


def _recorded(ledger: Ledger, after: int) -> Iterator[list[tuple[Any, ...]]]:
    query = select(events).order_by(events.c.position).limit(EVENTS_PER_INSERT)
    while True:
        with read_transaction(ledger.engine) as connection:
            batch = [tuple(row) for row in connection.execute(query.where(events.c.position > after))]
        if not batch:
            return
        yield batch
        after = batch[-1][0]
