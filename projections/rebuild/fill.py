"""Filling tables from all events of some enterprises at once, without loading or replacing any row.

A rebuild fills its tables in this way, enterprise by enterprise, in several processes at the same time.
Enterprises share only the sums and the transactions: each process sets the changes to these aside, and the
rebuild adds them up at the end.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple, NoReturn

from sqlalchemy import BigInteger, Connection, cast, func, insert, or_, select

from domain.events import LogEntry
from projections.account_windows import AccountWindows
from projections.enterprise_windows import EnterpriseWindows
from projections.policies import project_others
from projections.rebuild.shadow_tables import CommonTables
from projections.sums import TotalKey
from projections.tables import FOREVER, ReadModels
from projections.temporal_rows import insert_rows

MOST_PUT_ASIDE: Final = 200_000
"""The most rows that a process keeps in memory before it writes them: some tens of megabytes."""

_SUMS: Final = ("counted", "assessed_fen", "open_fen", "preliminary_fen")


class CommonRows:
    """The rows that enterprises share: transactions, and the changes of each to the sums.

    Attributes:
        changes: The change to a sum, by its key and the end of the transaction.
        times: The time of each transaction by its end, in microseconds since 1970-01-01T00:00:00Z.
    """

    def __init__(self) -> None:
        self.changes: dict[tuple[TotalKey, int], list[int]] = {}
        self.times: dict[int, int] = {}

    def add(self, key: TotalKey, at: int, change: Sequence[int]) -> None:
        """Add the change to a sum by the transaction that ends at `at`."""
        held = self.changes.get((key, at))
        if held is None:
            self.changes[key, at] = list(change)
        else:
            for index, amount in enumerate(change):
                held[index] += amount

    def merge(self, other: "CommonRows") -> None:
        """Add the rows of other enterprises."""
        self.times.update(other.times)
        for (key, at), change in other.changes.items():
            self.add(key, at, change)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.changes) + len(self.times)

    def write(self, connection: Connection, aside: CommonTables) -> None:
        """Write the rows to the tables in which `finish` adds them up."""
        if self.changes:
            rows = [(*key, at, *change) for (key, at), change in self.changes.items()]
            insert_rows(connection, aside.sum_changes, [column.name for column in aside.sum_changes.c], rows)
        if self.times:
            insert_rows(
                connection, aside.ends, [column.name for column in aside.ends.c], list(self.times.items())
            )


class FilledRows(NamedTuple):
    """The rows of some enterprises and the rows that these share with others, not yet written."""

    windows: EnterpriseWindows
    aside: CommonRows


def fill_rows(models: ReadModels, entries: Sequence[LogEntry], windows: AccountWindows) -> FilledRows:
    """Compute the rows of enterprises from all their entries.

    Args:
        models: The tables to fill, which have no rows of these enterprises.
        entries: All entries of the enterprises, in the order of the log.
        windows: The windows that a period counts in.
    """
    filled, aside = EnterpriseWindows(models, windows, _nothing_was_left_out), CommonRows()
    for end, transaction in groupby(entries, key=attrgetter("transaction_end")):
        for entry in transaction:
            filled.apply(entry)
            aside.times[end] = entry.recorded_at_us
        for key, change in filled.finish_transaction(end).items():
            aside.add(key, end, change)
    return FilledRows(filled, aside)


def _nothing_was_left_out(*_: str) -> NoReturn:
    raise AssertionError("what is made from all events has every state")


def finish(
    connection: Connection, models: ReadModels, aside: CommonTables, others: Sequence[LogEntry], until: int
) -> None:
    """Fill the tables that enterprises share, after the rows of all enterprises up to a position.

    Args:
        connection: A connection in a transaction that writes.
        models: The tables to fill.
        aside: The tables with the rows that enterprises share.
        others: Every entry that does not belong to an enterprise.
        until: The position that the tables are filled up to.
    """
    common = CommonRows()
    project_others(connection, models, others)
    for entry in others:
        common.times[entry.transaction_end] = entry.recorded_at_us
    common.write(connection, aside)
    ends = aside.ends.c
    times = select(ends.position, func.max(ends.recorded_at_us)).group_by(ends.position)
    connection.execute(insert(models.transactions).from_select(["position", "recorded_at_us"], times))
    connection.execute(
        insert(models.totals).from_select([column.name for column in models.totals.c], _totals(aside))
    )
    connection.execute(models.checkpoint.update().values(position=until))


def _totals(aside: CommonTables) -> Any:
    """The query for the sums after each transaction that changed them: running sums of the changes."""
    put = aside.sum_changes.c
    key = (put.policy, put.window, put.dimension, put.key)
    changed = [cast(func.sum(put[name]), BigInteger).label(name) for name in _SUMS]
    changes = (
        select(*key, put.position, *changed)
        .group_by(*key, put.position)
        .having(or_(*(func.sum(put[name]) != 0 for name in _SUMS)))
        .subquery()
    )
    of_key = [changes.c[column.name] for column in key]
    running = [
        cast(
            func.sum(changes.c[name]).over(partition_by=of_key, order_by=changes.c.position), BigInteger
        ).label(name)
        for name in _SUMS
    ]
    replaced_at = func.lead(changes.c.position, 1, FOREVER).over(
        partition_by=of_key, order_by=changes.c.position
    )
    sums = select(
        *of_key,
        *running,
        changes.c.position.label("from_position"),
        cast(replaced_at, BigInteger).label("to_position"),
    ).subquery()
    return select(sums).where(or_(*(sums.c[name] != 0 for name in _SUMS)))
