"""Comparing the rows of the read models with those that follow from the log."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, and_, case, literal, select, true, union

from projections.history import History
from projections.tables import FOREVER, LIVE, ReadModels

Row = tuple[Any, ...]

ROWS_PER_FETCH: Final = 5_000


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a read model that is not what follows from the log.

    Attributes:
        table: The table.
        key: The primary key by column.
        stored: What stands there, of the columns that differ; None where no such row is.
        derived: What follows from the log, likewise; None where no such row follows.
    """

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    derived: dict[str, Any] | None


def known_accounts(connection: Connection) -> list[tuple[str, str]]:
    """The policies and windows of which there are accounts; policy "" with those of the enterprises."""
    of_accounts = select(LIVE.accounts.c.policy, LIVE.accounts.c.window).distinct()
    of_enterprises = select(literal(""), LIVE.enterprises.c.window).distinct()
    return [(policy, window) for policy, window in connection.execute(union(of_accounts, of_enterprises))]


def differences_of(  # noqa: PLR0913 - the rows, and which of them
    connection: Connection,
    history: History,
    *,
    above: str,
    up_to: str | None,
    accounts: Iterable[tuple[str, str]],
    until: int,
) -> list[RowDifference]:
    """Compare the rows of a slice of enterprises as they were at a position.

    Args:
        connection: In a transaction that reads.
        history: All rows that follow from the log for these enterprises, up to the position.
        above: The enterprises' codes come after this one.
        up_to: And up to this one; None for all that come after.
        accounts: The policies and windows of which there are rows.
        until: The position.
    """
    table = history.table
    uscc = table.c.uscc
    of_slice = and_(uscc > above, true() if up_to is None else uscc <= up_to)
    stored: list[Row] = []
    for prefix in _prefixes(table, accounts):
        query = select(*_as_it_was(table, history.names, until)).where(
            prefix, of_slice, table.c.from_position <= until
        )
        stored += connection.execute(query, execution_options={"as_bytes": True}).cursor.fetchall()
    derived = list(map(tuple, history.new))
    if len(stored) == len(derived) and set(stored).issuperset(derived):
        return []
    return list(_paired(table, history.names, set(stored) - set(derived), set(derived) - set(stored)))


def _prefixes(table: Table, accounts: Iterable[tuple[str, str]]) -> Iterator[ColumnElement[bool]]:
    """What comes before the enterprise in the primary key, as conditions."""
    if table is LIVE.accounts:
        for policy, window in accounts:
            yield and_(table.c.policy == policy, table.c.window == window)
    elif table is LIVE.enterprises:
        for window in sorted({window for _, window in accounts}):
            yield table.c.window == window
    else:
        yield true()


def _as_it_was(table: Table, names: Sequence[str], until: int) -> Iterator[ColumnElement[Any]]:
    """The columns; a row that was replaced later held at the position."""
    for name in names:
        column = table.c[name]
        yield case((column > until, literal(FOREVER)), else_=column) if name == "to_position" else column


def _paired(
    table: Table, names: Sequence[str], stored: Iterable[Row], derived: Iterable[Row]
) -> Iterator[RowDifference]:
    # The names are SQLAlchemy's own kind of text where they have to be quoted.
    names = list(map(str, names))
    keys = [str(column.name) for column in table.primary_key]
    by_key: dict[Row, list[Row | None]] = {}
    for side, rows in enumerate((stored, derived)):
        for row in rows:
            key = tuple(row[names.index(name)] for name in keys)
            by_key.setdefault(key, [None, None])[side] = row
    for key, (left, right) in sorted(by_key.items()):
        differing = [
            index
            for index, name in enumerate(names)
            if name not in keys and (left is None or right is None or left[index] != right[index])
        ]
        yield RowDifference(
            table=str(table.name),
            key=dict(zip(keys, key, strict=True)),
            stored=None if left is None else {names[index]: _shown(left[index]) for index in differing},
            derived=None if right is None else {names[index]: _shown(right[index]) for index in differing},
        )


def _shown(value: Any) -> Any:
    return value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else value


def common_differences(
    connection: Connection, derived: Connection, models: ReadModels, *, until: int
) -> Iterator[RowDifference]:
    """Compare the rows in which enterprises meet, as they were at a position.

    Args:
        connection: Of the read models, in a transaction that reads.
        derived: Of a database with the rows that follow from the log.
        models: The tables there.
        until: The position.
    """
    for live, made in (
        (LIVE.transactions, models.transactions),
        (LIVE.policies, models.policies),
        (LIVE.totals, models.totals),
    ):
        names = [column.name for column in live.c]
        key = itemgetter(*(names.index(column.name) for column in live.primary_key))
        stored = _in_order(connection, live, names, until)
        follows = _in_order(derived, made, names, until)
        for left, right in _beside_each_other(stored, follows, key):
            if left != right:
                yield from _paired(
                    live, names, [] if left is None else [left], [] if right is None else [right]
                )


def _in_order(connection: Connection, table: Table, names: Sequence[str], until: int) -> Iterator[Row]:
    begins = table.c.position if "from_position" not in table.c else table.c.from_position
    query = select(*_as_it_was(table, names, until)).where(begins <= until).order_by(*table.primary_key)
    rows = connection.execution_options(yield_per=ROWS_PER_FETCH).execute(query)
    return map(tuple, rows)


def _beside_each_other(
    left: Iterator[Row], right: Iterator[Row], key: Callable[[Row], Any]
) -> Iterator[tuple[Row | None, Row | None]]:
    """Two iterators in the order of their keys: rows of one key together, None where a side has none."""
    first, second = next(left, None), next(right, None)
    while first is not None or second is not None:
        if second is None or (first is not None and key(first) < key(second)):
            yield first, None
            first = next(left, None)
        elif first is None or key(second) < key(first):
            yield None, second
            second = next(right, None)
        else:
            yield first, second
            first, second = next(left, None), next(right, None)
