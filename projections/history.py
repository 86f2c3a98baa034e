"""Rows that keep their history: replaced in memory, written in bulk."""

from collections.abc import Iterable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Table, Update, bindparam, func, insert, select, update

from projections.tables import FOREVER

Key = tuple[Any, ...]
Values = tuple[Any, ...]
T = TypeVar("T")

KEYS_PER_QUERY = 5_000
"""Under the number of parameters that any of the databases takes in one statement (SQLite: 32,766)."""


def chunks(items: Iterable[T], size: int = KEYS_PER_QUERY) -> Iterable[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class History:
    """The changes to the rows of one table that are not yet written.

    A key is the primary key without `from_position`; the values are the other columns in the table's order.

    Args:
        table: A table with `from_position` and `to_position`, whose primary key ends with the former.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._key_names = [column.name for column in table.primary_key if column.name != "from_position"]
        held = {*self._key_names, "from_position", "to_position"}
        value_names = [column.name for column in table.c if column.name not in held]
        self._names = [*self._key_names, *value_names, "from_position", "to_position"]
        self._open: dict[Key, list[Any]] = {}
        self._new: list[list[Any]] = []
        self._closed: list[Values] = []

    def replace(self, key: Key, values: Values | None, at: int, *, held: bool) -> None:
        """Replace what holds from the transaction that ends at `at` on, once in a transaction for each key.

        Args:
            key: Of the row.
            values: What holds from then on; None for nothing.
            at: The end of the transaction.
            held: Whether a row of this key held before.
        """
        if held:
            before = self._open.pop(key, None)
            if before is None:
                self._closed.append((at, *key))
            else:
                before[-1] = at
        if values is not None:
            row = [*key, *values, at, FOREVER]
            self._open[key] = row
            self._new.append(row)

    def flush(self, connection: Connection) -> None:
        """Write the changes."""
        if self._closed:
            names = ["closed_at", *(f"key_{name}" for name in self._key_names)]
            _execute_many(connection, self._close_statement(), names, self._closed)
        if self._new:
            _execute_many(connection, insert(self._table), self._names, self._new)
        self._open, self._new, self._closed = {}, [], []

    def _close_statement(self) -> Update:
        """Closes the newest row of a key, found by the whole primary key: no planner can do worse."""
        newest = self._table.alias("newest")
        last = select(func.max(newest.c.from_position))
        statement = update(self._table).values(to_position=bindparam("closed_at"))
        for name in self._key_names:
            last = last.where(newest.c[name] == bindparam(f"key_{name}"))
            statement = statement.where(self._table.c[name] == bindparam(f"key_{name}"))
        return statement.where(self._table.c.from_position == last.scalar_subquery())


def _execute_many(
    connection: Connection, statement: Insert | Update, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Execute a statement for many rows, handing them to the driver as they are.

    SQLAlchemy would look at each parameter of each row; that took nearly half of the time of a flush.
    """
    keys = names if isinstance(statement, Insert) else None
    compiled = statement.compile(dialect=connection.dialect, column_keys=keys)
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    all_names = [*names, *constants]
    if compiled.positiontup is None:
        filled = tuple(constants.values())
        connection.exec_driver_sql(
            compiled.string, [dict(zip(all_names, (*row, *filled), strict=True)) for row in rows]
        )
        return
    pick = itemgetter(*(all_names.index(name) for name in compiled.positiontup))
    filled = tuple(constants.values())
    connection.exec_driver_sql(compiled.string, [pick((*row, *filled)) for row in rows])
