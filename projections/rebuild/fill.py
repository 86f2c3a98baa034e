"""Rows made from all events of some enterprises at once: nothing is loaded, nothing written is replaced.

A rebuild fills its tables so, enterprise by enterprise, several processes beside each other. Enterprises meet
only in the sums: what each transaction changes in them is put aside, and added up at the end.
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
"""Rows that a process keeps in memory before it writes them: some tens of megabytes."""

_SUMS: Final = ("counted", "assessed_fen", "open_fen", "preliminary_fen")


class CommonRows:
    """What enterprises have in common: transactions, and what each changes in the sums.

    Attributes:
        changes: Of each sum by the end of the transaction that changed it.
        times: When each transaction was recorded, by its end.
    """

    def __init__(self) -> None:
        self.changes: dict[tuple[TotalKey, int], list[int]] = {}
        self.times: dict[int, int] = {}

    def add(self, key: TotalKey, at: int, change: Sequence[int]) -> None:
        """Add what a transaction that ends at `at` changes in a sum."""
        held = self.changes.get((key, at))
        if held is None:
            self.changes[key, at] = list(change)
        else:
            for index, each in enumerate(change):
                held[index] += each

    def merge(self, other: "CommonRows") -> None:
        """Add what was put aside of other enterprises."""
        self.times.update(other.times)
        for (key, at), change in other.changes.items():
            self.add(key, at, change)

    @property
    def rows(self) -> int:
        """How much is put aside."""
        return len(self.changes) + len(self.times)

    def write(self, connection: Connection, aside: CommonTables) -> None:
        """Write it to be added up."""
        if self.changes:
            rows = [(*key, at, *change) for (key, at), change in self.changes.items()]
            insert_rows(connection, aside.sum_changes, [each.name for each in aside.sum_changes.c], rows)
        if self.times:
            insert_rows(
                connection, aside.ends, [each.name for each in aside.ends.c], list(self.times.items())
            )


class FilledRows(NamedTuple):
    """The rows of some enterprises, not yet written, and what is put aside."""

    windows: EnterpriseWindows
    aside: CommonRows


def fill_rows(models: ReadModels, entries: Sequence[LogEntry], windows: AccountWindows) -> FilledRows:
    """Make the rows of enterprises.

    Args:
        models: The tables to fill, which hold nothing of these enterprises.
        entries: All their entries in the order of the log.
        windows: Which windows a period counts in.
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
    """Fill the tables in which enterprises meet, after all enterprises up to a position.

    Args:
        connection: In a transaction that writes.
        models: The tables to fill.
        aside: What was put aside of the enterprises.
        others: Every entry that is of no enterprise.
        until: The position that all this comes up to.
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
        insert(models.totals).from_select([each.name for each in models.totals.c], _totals(aside))
    )
    connection.execute(models.checkpoint.update().values(position=until))


def _totals(aside: CommonTables) -> Any:
    """The sums after each transaction that changed them: running sums of what was put aside."""
    put = aside.sum_changes.c
    key = (put.policy, put.window, put.dimension, put.key)
    changed = [cast(func.sum(put[name]), BigInteger).label(name) for name in _SUMS]
    changes = (
        select(*key, put.position, *changed)
        .group_by(*key, put.position)
        .having(or_(*(func.sum(put[name]) != 0 for name in _SUMS)))
        .subquery()
    )
    of_key = [changes.c[each.name] for each in key]
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
