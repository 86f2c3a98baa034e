"""Comparing the rows of the read models with those that follow from the log."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    type_coerce,
    union,
)
from sqlalchemy.types import NullType

from projections.tables import FOREVER, LIVE, ReadModels
from projections.temporal_rows import TemporalTable

Row = tuple[Any, ...]

ROWS_PER_FETCH: Final = 5_000


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a read model that is not what follows from the log.

    Attributes:
        table: The table.
        key: The primary key by column.
        stored: The stored values of the differing columns; None if there is no such row.
        derived: The values of the differing columns that follow from the log; None if no such row follows.
    """

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    derived: dict[str, Any] | None


class CompareAt(NamedTuple):
    """The moment of a comparison.

    Attributes:
        until: The position as of which rows are compared.
        held: The current position of the read models; they may have replaced a row since `until`.
    """

    until: int
    held: int


def known_accounts(connection: Connection) -> list[tuple[str, str]]:
    """The policies and windows of all accounts, and policy "" with the windows of the enterprises.

    A value that is not UTF-8 text, which SQLite may hold, is left out: no query can have it as a parameter.
    """
    of_accounts = select(LIVE.accounts.c.policy, LIVE.accounts.c.window).distinct()
    of_enterprises = select(literal(""), LIVE.enterprises.c.window).distinct()
    found = connection.execute(union(of_accounts, of_enterprises))
    return [(policy, window) for policy, window in found if _is_text(policy) and _is_text(window)]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def compare_rows(  # noqa: PLR0913 - the rows, and the slice to compare
    connection: Connection,
    history: TemporalTable,
    *,
    above: str,
    up_to: str | None,
    accounts: Sequence[tuple[str, str]],
    compared: CompareAt,
) -> list[RowDifference]:
    """Compare the rows of a slice of enterprises as of a position.

    Args:
        connection: A connection in a transaction that reads.
        history: All rows that follow from the log for these enterprises, up to the position.
        above: The slice begins after this code.
        up_to: The slice ends with this code; None for no end.
        accounts: The policies and windows that have rows.
        compared: The moment of the comparison.
    """
    table = history.table
    uscc = table.c.uscc
    # The first slice includes rows with an empty code, which no enterprise has, except disagreements about no
    # enterprise: `common_differences` compares those.
    has_code = uscc != "" if table is LIVE.disagreements else true()
    of_slice = and_(uscc > above if above else has_code, true() if up_to is None else uscc <= up_to)
    stored: list[Row] = []
    for prefix in _prefixes(table, accounts):
        query = select(*_as_it_was(table, history.names, compared)).where(
            prefix, of_slice, table.c.from_position <= compared.until
        )
        stored += connection.execute(query, execution_options={"as_bytes": True}).cursor.fetchall()
    derived = list(map(tuple, history.new))
    if len(stored) == len(derived) and set(stored).issuperset(derived):
        return []
    return list(_paired(table, history.names, set(stored) - set(derived), set(derived) - set(stored)))


def _prefixes(table: Table, accounts: Iterable[tuple[str, str]]) -> Iterator[ColumnElement[bool]]:
    """Conditions on the columns that come before the enterprise in the primary key."""
    if table is LIVE.accounts:
        for policy, window in accounts:
            yield and_(table.c.policy == policy, table.c.window == window)
    elif table is LIVE.enterprises:
        for window in dict.fromkeys(window for _, window in accounts):
            yield table.c.window == window
    else:
        yield true()


def _as_it_was(table: Table, names: Sequence[str], compared: CompareAt) -> Iterator[ColumnElement[Any]]:
    """The columns as of the position: a row that was replaced later still held then."""
    for name in names:
        column = table.c[name]
        is_later = and_(column > compared.until, column <= compared.held)
        yield case((is_later, literal(FOREVER)), else_=column) if name == "to_position" else column


def _paired(
    table: Table, names: Sequence[str], stored: Iterable[Row], derived: Iterable[Row]
) -> Iterator[RowDifference]:
    # Names that need quotes are of SQLAlchemy's own text type.
    names = list(map(str, names))
    keys = [str(column.name) for column in table.primary_key]
    by_key: dict[Row, list[Row | None]] = {}
    for side, rows in enumerate((stored, derived)):
        for row in rows:
            key = tuple(row[names.index(name)] for name in keys)
            by_key.setdefault(key, [None, None])[side] = row
    for key, (left, right) in sorted(by_key.items(), key=lambda item: _ranked(item[0])):
        differing = [
            index
            for index, name in enumerate(names)
            if name not in keys and (left is None or right is None or left[index] != right[index])
        ]
        yield RowDifference(
            table=str(table.name),
            key=dict(zip(keys, map(_shown, key), strict=True)),
            stored=None if left is None else {names[index]: _shown(left[index]) for index in differing},
            derived=None if right is None else {names[index]: _shown(right[index]) for index in differing},
        )


def _shown(value: Any) -> Any:
    """Any value in a form that JSON can hold."""
    if isinstance(value, str):
        value = value.encode("utf-8", errors="surrogateescape")
    return value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else value


def _ranked(key: Row) -> Row:
    """A key in the order of SQLite, where any column holds any value: NULL, numbers, text, bytes."""
    return tuple([(_rank(value), 0 if value is None else value) for value in key])


def _rank(value: Any) -> int:
    if isinstance(value, str):
        return 2
    return 3 if isinstance(value, bytes) else int(value is not None)


def rows_outside(connection: Connection, *, held: int, most: int) -> tuple[list[RowDifference], int]:
    """The rows that no comparison covers: they begin after the read models' position, or belong to no slice.

    Args:
        connection: A connection in a transaction that reads.
        held: The end of the last transaction that the read models should hold.
        most: The most rows of each table to return.

    Returns:
        The first rows of each table, and the number of all rows.
    """
    accounts = known_accounts(connection)
    found: list[RowDifference] = []
    count = 0
    for table in LIVE:
        if table is LIVE.checkpoint:
            continue
        outside = or_(_begins(table) > held, *_belong_to_none(table, accounts))
        count += connection.scalar(select(func.count()).select_from(table).where(outside)) or 0
        query = select(*map(_as_stored, table.c)).where(outside).order_by(*table.primary_key).limit(most)
        found += [_outside(table, tuple(row)) for row in connection.execute(query)]
    return found, count


def _belong_to_none(table: Table, accounts: Sequence[tuple[str, str]]) -> Iterator[ColumnElement[bool]]:
    """Conditions for a row that belongs to no slice."""
    yield from (column.is_(None) for column in table.primary_key)
    if table is LIVE.accounts or table is LIVE.enterprises:
        yield not_(or_(false(), *_prefixes(table, accounts)))


def _as_stored(column: Column[Any]) -> ColumnElement[Any]:
    """A column whose values stay as the driver returns them."""
    return type_coerce(column, NullType())


def _outside(table: Table, row: Row) -> RowDifference:
    stored = {str(column.name): _shown(value) for column, value in zip(table.c, row, strict=True)}
    key = {str(column.name): stored.pop(column.name) for column in table.primary_key}
    return RowDifference(table=str(table.name), key=key, stored=stored, derived=None)


def common_differences(
    connection: Connection, derived: Connection, models: ReadModels, compared: CompareAt
) -> Iterator[RowDifference]:
    """Compare the rows that enterprises share as of a position.

    Args:
        connection: A connection to the read models, in a transaction that reads.
        derived: A connection to the database with the rows that follow from the log.
        models: The tables of that database.
        compared: The moment of the comparison.
    """
    for live, made in (
        (LIVE.transactions, models.transactions),
        (LIVE.policies, models.policies),
        (LIVE.policy_marks, models.policy_marks),
        (LIVE.disagreements, models.disagreements),
        (LIVE.totals, models.totals),
    ):
        names = [column.name for column in live.c]
        key = _row_key(live, names)
        stored = _in_order(connection, live, names, compared)
        follows = _in_order(derived, made, names, compared)
        for left, right in _paired_by_key(stored, follows, key):
            if left != right:
                yield from _paired(
                    live, names, [] if left is None else [left], [] if right is None else [right]
                )


def _in_order(
    connection: Connection, table: Table, names: Sequence[str], compared: CompareAt
) -> Iterator[Row]:
    query = select(*_as_it_was(table, names, compared)).where(_begins(table) <= compared.until)
    if table.name.startswith(LIVE.disagreements.name):  # `compare_rows` compares those of enterprises.
        query = query.where(table.c.uscc == "")
    rows = connection.execution_options(yield_per=ROWS_PER_FETCH).execute(query.order_by(*table.primary_key))
    return map(tuple, rows)


def _begins(table: Table) -> Column[int]:
    return table.c.position if "from_position" not in table.c else table.c.from_position


def _row_key(table: Table, names: Sequence[str]) -> Callable[[Row], Row]:
    places = [names.index(column.name) for column in table.primary_key]
    return lambda row: _ranked(tuple([row[place] for place in places]))


def _paired_by_key(
    left: Iterator[Row], right: Iterator[Row], key: Callable[[Row], Any]
) -> Iterator[tuple[Row | None, Row | None]]:
    """Pair the rows of two sorted iterators by key; None if one side has no row of a key."""
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
