"""The loop that brings the read models up to the log: after a filing, in a worker and in a rebuild."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Insert, Select, Update, bindparam, insert, select, update

from domain.errors import LedgerIntegrityError
from domain.events import LogEntry
from projections.account_windows import account_windows
from projections.accounts import load_windows
from projections.enterprise_windows import is_of_enterprise, touched_windows
from projections.feed import Feed
from projections.policies import project_others
from projections.tables import LIVE, ReadModels
from projections.temporal_rows import find_by_key
from projections.totals import TotalsModel

ENTRIES_PER_BATCH = 20_000
"""Enough to make a statement cheap per entry; a batch still fits in a few tens of megabytes."""


def position_of(connection: Connection, models: ReadModels = LIVE, *, lock: bool = False) -> int:
    """The position of the read models; `lock` keeps other projectors out until the transaction ends.

    Raises:
        LedgerIntegrityError: The table is not one row with an integer of at least 0.
    """
    found = connection.scalars(_position(models, lock=lock)).all()
    if len(found) != 1 or type(found[0]) is not int or found[0] < 0:
        raise LedgerIntegrityError(
            f"{models.checkpoint.name}表应有且只有一行，position列应为不小于0的整数。"
            "请运行duixian projections rebuild重建查询表"
        )
    return found[0]


@lru_cache(maxsize=8)
def _position(models: ReadModels, *, lock: bool) -> Select[tuple[Any]]:
    query: Select[tuple[Any]] = select(models.checkpoint.c.position)
    return query.with_for_update() if lock else query


@lru_cache(maxsize=4)
def _advance(models: ReadModels) -> Update:
    return update(models.checkpoint).values(position=bindparam("reached"))


@lru_cache(maxsize=4)
def _add_transactions(models: ReadModels) -> Insert:
    return insert(models.transactions)


def catch_up(feed: Feed, connection: Connection, until: int | None = None, models: ReadModels = LIVE) -> int:
    """Project one batch of the log in the caller's transaction, and return the position reached.

    Args:
        feed: The log.
        connection: A connection in a transaction that writes.
        until: If the read models have reached this position, do nothing.
        models: The tables to fill.

    Raises:
        LedgerIntegrityError: The log ends before `until`.
    """
    find_by_key(connection)
    at = position_of(connection, models, lock=True)
    if until is not None and at >= until:
        return at
    entries = feed.entries(connection, after=at, limit=ENTRIES_PER_BATCH)
    if not entries:
        if until is not None:
            raise LedgerIntegrityError(f"台账止于序号{at}，此前已至序号{until}：末尾的记录缺失")
        return at
    project(connection, entries, models)
    at = entries[-1].position
    connection.execute(_advance(models), {"reached": at})
    return at


def project(connection: Connection, entries: Sequence[LogEntry], models: ReadModels = LIVE) -> None:
    """Bring the rows up to the end of these entries, which are whole transactions.

    The log is the authority: an entry that contradicts the rows becomes a row of `disagreements`, and the
    projection continues.
    """
    touching = [entry for entry in entries if is_of_enterprise(entry.stream)]
    project_others(connection, models, [entry for entry in entries if not is_of_enterprise(entry.stream)])
    windows = account_windows(connection, models)
    touched: dict[str, set[str]] = {}
    for entry in touching:
        for uscc, window in touched_windows(entry, windows):
            touched.setdefault(window, set()).add(uscc)
    loaded = load_windows(connection, models, windows, touched)
    totals = TotalsModel(connection, models, touched)
    ends = []
    for end, group in _by_transaction(entries):
        transaction = list(group)
        ends.append({"position": end, "recorded_at_us": transaction[0].recorded_at_us})
        for entry in transaction:
            if is_of_enterprise(entry.stream):
                loaded.apply(entry)
        totals.add(loaded.finish_transaction(end), end)
    loaded.flush(connection)
    totals.flush()
    connection.execute(_add_transactions(models), ends)


def _by_transaction(entries: Iterable[LogEntry]) -> Iterator[tuple[int, Iterator[LogEntry]]]:
    return groupby(entries, key=lambda entry: entry.transaction_end)
