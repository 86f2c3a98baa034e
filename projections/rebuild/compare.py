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
        stored: What stands there, of the columns that differ; None where no such row is.
        derived: What follows from the log, likewise; None where no such row follows.
    """

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    derived: dict[str, Any] | None


class CompareAt(NamedTuple):
    """Which rows are compared: as they were at a position.

    Attributes:
        until: The position.
        held: Up to which one the read models go by now; a row may have been replaced since.
    """

    until: int
    held: int


def known_accounts(connection: Connection) -> list[tuple[str, str]]:
    """The policies and windows of which there are accounts; policy "" with those of the enterprises.

    One that is no text of UTF-8, as SQLite may hold, is left out: no query can ask for it.
    """
    of_accounts = select(LIVE.accounts.c.policy, LIVE.accounts.c.window).distinct()
    of_enterprises = select(literal(""), LIVE.enterprises.c.window).distinct()
    found = connection.execute(union(of_accounts, of_enterprises))
    return [(policy, window) for policy, window in found if _is_text(policy) and _is_text(window)]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= each <= "\udfff" for each in value)


def differences_of(  # noqa: PLR0913 - the rows, and which of them
    connection: Connection,
    history: TemporalTable,
    *,
    above: str,
    up_to: str | None,
    accounts: Sequence[tuple[str, str]],
    compared: CompareAt,
) -> list[RowDifference]:
    """Compare the rows of a slice of enterprises as they were at a position.

    Args:
        connection: In a transaction that reads.
        history: All rows that follow from the log for these enterprises, up to the position.
        above: The enterprises' codes come after this one.
        up_to: And up to this one; None for all that come after.
        accounts: The policies and windows of which there are rows.
        compared: Which rows.
    """
    table = history.table
    uscc = table.c.uscc
    # The first slice takes in the empty text too, which no enterprise has as its code; but for disagreements
    # about no enterprise, which are compared with what enterprises have in common.
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
    """What comes before the enterprise in the primary key, as conditions."""
    if table is LIVE.accounts:
        for policy, window in accounts:
            yield and_(table.c.policy == policy, table.c.window == window)
    elif table is LIVE.enterprises:
        for window in dict.fromkeys(window for _, window in accounts):
            yield table.c.window == window
    else:
        yield true()


def _as_it_was(table: Table, names: Sequence[str], compared: CompareAt) -> Iterator[ColumnElement[Any]]:
    """The columns; a row that was replaced later held at the position."""
    for name in names:
        column = table.c[name]
        is_later = and_(column > compared.until, column <= compared.held)
        yield case((is_later, literal(FOREVER)), else_=column) if name == "to_position" else column


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
    for key, (left, right) in sorted(by_key.items(), key=lambda each: _ranked(each[0])):
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
    """A value as JSON can hold it, whatever it is."""
    if isinstance(value, str):
        value = value.encode("utf-8", errors="surrogateescape")
    return value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else value


def _ranked(key: Row) -> Row:
    """A key in the order of SQLite, where any column holds any value: NULL, numbers, text, bytes."""
    return tuple([(_rank(each), 0 if each is None else each) for each in key])


def _rank(value: Any) -> int:
    if isinstance(value, str):
        return 2
    return 3 if isinstance(value, bytes) else int(value is not None)


def rows_outside(connection: Connection, *, held: int, most: int) -> tuple[list[RowDifference], int]:
    """The rows that no comparison meets: they begin after what the read models hold, or are nobody's.

    Args:
        connection: In a transaction that reads.
        held: The end of the last transaction that the read models are to hold.
        most: So many of each table are told at most.

    Returns:
        Those that are told, and how many there are.
    """
    accounts = known_accounts(connection)
    found: list[RowDifference] = []
    count = 0
    for table in LIVE:
        if table is LIVE.checkpoint:
            continue
        outside = or_(_begins(table) > held, *_are_nobodys(table, accounts))
        count += connection.scalar(select(func.count()).select_from(table).where(outside)) or 0
        query = select(*map(_as_stored, table.c)).where(outside).order_by(*table.primary_key).limit(most)
        found += [_outside(table, tuple(row)) for row in connection.execute(query)]
    return found, count


def _are_nobodys(table: Table, accounts: Sequence[tuple[str, str]]) -> Iterator[ColumnElement[bool]]:
    """Why a row is among those of no slice, as conditions."""
    yield from (column.is_(None) for column in table.primary_key)
    if table is LIVE.accounts or table is LIVE.enterprises:
        yield not_(or_(false(), *_prefixes(table, accounts)))


def _as_stored(column: Column[Any]) -> ColumnElement[Any]:
    """A column whose values come as the driver gives them."""
    return type_coerce(column, NullType())


def _outside(table: Table, row: Row) -> RowDifference:
    stored = {str(column.name): _shown(value) for column, value in zip(table.c, row, strict=True)}
    key = {str(column.name): stored.pop(column.name) for column in table.primary_key}
    return RowDifference(table=str(table.name), key=key, stored=stored, derived=None)


def common_differences(
    connection: Connection, derived: Connection, models: ReadModels, compared: CompareAt
) -> Iterator[RowDifference]:
    """Compare the rows in which enterprises meet, as they were at a position.

    Args:
        connection: Of the read models, in a transaction that reads.
        derived: Of a database with the rows that follow from the log.
        models: The tables there.
        compared: Which rows.
    """
    for live, made in (
        (LIVE.transactions, models.transactions),
        (LIVE.policies, models.policies),
        (LIVE.policy_marks, models.policy_marks),
        (LIVE.disagreements, models.disagreements),
        (LIVE.totals, models.totals),
    ):
        names = [column.name for column in live.c]
        key = _key_of(live, names)
        stored = _in_order(connection, live, names, compared)
        follows = _in_order(derived, made, names, compared)
        for left, right in _beside_each_other(stored, follows, key):
            if left != right:
                yield from _paired(
                    live, names, [] if left is None else [left], [] if right is None else [right]
                )


def _in_order(
    connection: Connection, table: Table, names: Sequence[str], compared: CompareAt
) -> Iterator[Row]:
    query = select(*_as_it_was(table, names, compared)).where(_begins(table) <= compared.until)
    if table.name.startswith(LIVE.disagreements.name):  # Those of enterprises are compared with theirs.
        query = query.where(table.c.uscc == "")
    rows = connection.execution_options(yield_per=ROWS_PER_FETCH).execute(query.order_by(*table.primary_key))
    return map(tuple, rows)


def _begins(table: Table) -> Column[int]:
    return table.c.position if "from_position" not in table.c else table.c.from_position


def _key_of(table: Table, names: Sequence[str]) -> Callable[[Row], Row]:
    places = [names.index(column.name) for column in table.primary_key]
    return lambda row: _ranked(tuple([row[place] for place in places]))


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
