"""Rows that keep their history: loaded in bulk, changed in memory, written in bulk."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, insert, select, update

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
    """The rows of one table that hold now, and the changes to them that are not yet written.

    A key is the primary key without `from_position`; the values are the other columns in the table's order.

    Args:
        table: A table with `from_position` and `to_position`, whose primary key ends with the former.
        unread: The last columns, not loaded where such rows are only ever replaced whole.
    """

    def __init__(self, table: Table, unread: Sequence[str] = ()) -> None:
        self.table = table
        key = [column.name for column in table.primary_key if column.name != "from_position"]
        self._key_columns: Sequence[Column[Any]] = [table.c[name] for name in key]
        held = {*key, "from_position", "to_position"}
        self._value_columns = [column for column in table.c if column.name not in held]
        self._loaded = [column for column in self._value_columns if column.name not in unread]
        self._names = [*key, *(column.name for column in self._value_columns), "from_position", "to_position"]
        self._rows: dict[Key, tuple[Values, int]] = {}
        self._new: dict[tuple[Key, int], list[Any]] = {}
        self._closed: list[dict[str, Any]] = []

    def load(self, connection: Connection, condition: ColumnElement[bool]) -> None:
        """Read the rows that hold now and meet the condition."""
        width = len(self._key_columns)
        columns = [*self._key_columns, *self._loaded, self.table.c.from_position]
        query = select(*columns).where(self.table.c.to_position == FOREVER, condition)
        for row in connection.execute(query).all():
            self._rows[tuple(row[:width])] = (tuple(row[width:-1]), row[-1])

    def get(self, key: Key) -> Values | None:
        """The values that hold now."""
        row = self._rows.get(key)
        return None if row is None else row[0]

    def items(self) -> Iterable[tuple[Key, Values]]:
        """All rows that were loaded or put, and hold now."""
        return ((key, row[0]) for key, row in self._rows.items())

    def put(self, key: Key, values: Values | None, at: int) -> None:
        """Replace what holds from the transaction that ends at `at` on; None where nothing holds any more."""
        before = self._rows.get(key)
        if before is not None:
            if before[0] == values:
                return
            self._close(key, before[1], at)
        if values is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = (values, at)
            self._new[key, at] = [*key, *values, at, FOREVER]

    def _close(self, key: Key, from_position: int, at: int) -> None:
        new = self._new.get((key, from_position))
        if new is None:
            self._closed.append({"key_from": from_position, "closed_at": at, **self._key_parameters(key)})
        elif from_position == at:
            del self._new[key, from_position]
        else:
            new[-1] = at

    def _key_parameters(self, key: Key) -> dict[str, Any]:
        return {f"key_{index}": value for index, value in enumerate(key)}

    def flush(self, connection: Connection) -> None:
        """Write the changes."""
        if self._closed:
            statement = update(self.table).where(self.table.c.from_position == bindparam("key_from"))
            for index, column in enumerate(self._key_columns):
                statement = statement.where(column == bindparam(f"key_{index}"))
            connection.execute(statement.values(to_position=bindparam("closed_at")), self._closed)
        if self._new:
            rows = [dict(zip(self._names, row, strict=True)) for row in self._new.values()]
            connection.execute(insert(self.table), rows)
        self._closed, self._new = [], {}
