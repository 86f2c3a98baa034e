"""Rows that keep their history: replaced in memory, written in bulk."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    Update,
    any_,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import pysqlite

from projections.tables import FOREVER

Key = tuple[Any, ...]
Values = tuple[Any, ...]
T = TypeVar("T")

KEYS_PER_QUERY = 10_000
"""Few enough that the rows of one query fit in some tens of megabytes."""

_SQLITE: Final = pysqlite.dialect()
_STATEMENTS_KEPT: Final = 64
"""Compiling a statement takes longer than SQLite takes to execute it for one row."""

_POSTGRES_TYPES: Final = {
    BigInteger: "int8",
    Integer: "int4",
    Text: "text",
    LargeBinary: "bytea",
    Boolean: "bool",
}


def chunks(items: Iterable[T], size: int = KEYS_PER_QUERY) -> Iterable[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def among(dialect: str, column: Column[str], name: str) -> ColumnElement[bool]:
    """Whether the column is one of the texts in a parameter, which `texts` encodes.

    All texts are one parameter: a statement with thousands would be compiled and parsed each time.

    Args:
        dialect: The name of SQLAlchemy's dialect of the database.
        column: The column.
        name: The name of the parameter.
    """
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(Text)))
    given = func.json_each(bindparam(name, type_=Text)).table_valued("value")
    return column.in_(select(given.c.value))


def texts(connection: Connection, given: Sequence[str]) -> Any:
    """Texts as the value of the parameter of `among`."""
    return given if connection.dialect.name == "postgresql" else json.dumps(given)


class TemporalTable:
    """The changes to the rows of one table that are not yet written.

    A key is the primary key without `from_position`; the values are the other columns in the table's order.

    Args:
        table: A table with `from_position` and `to_position`, whose primary key ends with the former.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._keys = [column for column in table.primary_key if column.name != "from_position"]
        held = {*(column.name for column in self._keys), "from_position", "to_position"}
        value_names = [column.name for column in table.c if column.name not in held]
        key_names = [column.name for column in self._keys]
        self._names = [*key_names, *value_names, "from_position", "to_position"]
        self._open: dict[Key, list[Any]] = {}
        self._new: list[list[Any]] = []
        self._closed: list[Values] = []

    def replace(self, key: Key, values: Values | None, at: int, *, held: bool) -> None:
        """Replace the row of a key as of a transaction, at most once per transaction and key.

        Args:
            key: The key of the row.
            values: The values from then on; None for no row.
            at: The end of the transaction.
            held: Whether this key had a row before.
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

    @property
    def table(self) -> Table:
        """The table."""
        return self._table

    @property
    def names(self) -> list[str]:
        """The names of the columns, in the order of the values."""
        return self._names

    @property
    def new(self) -> list[list[Any]]:
        """The rows that are not yet written."""
        return self._new

    def flush(self, connection: Connection) -> None:
        """Write the changes."""
        if self._closed:
            if connection.dialect.name == "postgresql":
                _close_from_arrays(connection, self._table, self._keys, self._closed)
            else:
                statement, arranged = _close_on_sqlite(self._table, tuple(self._keys))
                connection.exec_driver_sql(statement, list(map(arranged, self._closed)))
        if self._new:
            insert_rows(connection, self._table, self._names, self._new)
        self._open, self._new, self._closed = {}, [], []


_FIND_BY_KEY: Final = select(
    *(
        func.set_config(name, "off", True)  # noqa: FBT003
        for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
    )
)


def find_by_key(connection: Connection) -> None:
    """Make PostgreSQL find rows by their keys for the rest of the transaction.

    While the first month of a whole country is filed, the statistics are those of an empty table, for which a
    scan of the whole table looks cheap; a batch then takes as long as everything before it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_FIND_BY_KEY)


def analyse(connection: Connection, tables: Iterable[Table]) -> None:
    """Update PostgreSQL's statistics of tables, in a transaction that writes.

    With the statistics of an empty table it sorts all accounts for the first page of the list, until its
    autovacuum process updates them.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ANALYZE {', '.join(table.name for table in tables)}")


def insert_rows(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows of the named columns, with COPY on PostgreSQL.

    SQLAlchemy's processing of each parameter would take as long as the database itself.
    """
    if connection.dialect.name == "postgresql":
        columns = ", ".join(f'"{name}"' for name in names)
        connection.exec_driver_sql(
            f'COPY "{table.name}" ({columns}) FROM STDIN (FORMAT BINARY)',
            list(map(tuple, rows)),
            execution_options={"copy_types": [_postgres_type(table, name) for name in names]},
        )
        return
    statement, arranged = _insert_on_sqlite(table, tuple(names))
    connection.exec_driver_sql(statement, list(map(arranged, rows)))


@lru_cache(maxsize=_STATEMENTS_KEPT)
def _insert_on_sqlite(table: Table, names: tuple[str, ...]) -> tuple[str, Callable[[Sequence[Any]], Values]]:
    """The statement that inserts a row of the named columns, and a function that puts values in its order."""
    compiled = insert(table).compile(dialect=_SQLITE, column_keys=list(names))
    order = [names.index(name) for name in compiled.positiontup or ()]
    return compiled.string, tuple if order == list(range(len(names))) else itemgetter(*order)


def _postgres_type(table: Table, name: str) -> str:
    return _POSTGRES_TYPES[type(table.c[name].type)]


@lru_cache(maxsize=_STATEMENTS_KEPT)
def _close_on_sqlite(
    table: Table, keys: tuple[Column[Any], ...]
) -> tuple[str, Callable[[Sequence[Any]], Values]]:
    """The statement that closes the newest row of a key, and a function that puts time and key in its order.

    It finds the row by the whole primary key, so that no planner can choose a worse index.
    """
    newest = table.alias("newest")
    last = select(func.max(newest.c.from_position))
    statement: Update = update(table).values(to_position=bindparam("closed_at"))
    for key in keys:
        last = last.where(newest.c[key.name] == bindparam(f"key_{key.name}"))
        statement = statement.where(key == bindparam(f"key_{key.name}"))
    statement = statement.where(table.c.from_position == last.scalar_subquery())
    compiled = statement.compile(dialect=_SQLITE)
    names = ["closed_at", *(f"key_{key.name}" for key in keys)]
    return compiled.string, itemgetter(*(names.index(name) for name in compiled.positiontup or ()))


def _close_from_arrays(
    connection: Connection, table: Table, keys: Sequence[Any], closed: Sequence[Values]
) -> None:
    """Close the row in force of each key, in one statement.

    The ORDER BY leads PostgreSQL to the primary key: with its statistics of a table that is being filled, any
    index that begins with the same columns looks as good, and takes ten times as long.
    """
    names = ["closed_at", *(key.name for key in keys)]
    types = ["int8", *(_postgres_type(table, key.name) for key in keys)]
    arrays = ", ".join(f"%b::{sql_type}[]" for sql_type in types)
    where = " AND ".join(f'held."{key.name}" = given."{key.name}"' for key in keys)
    given = ", ".join(f'"{name}"' for name in names)
    connection.exec_driver_sql(
        f'UPDATE "{table.name}" AS t SET to_position = newest.closed_at FROM ('  # noqa: S608 - names of ours
        f"SELECT given.closed_at, row.ctid FROM unnest({arrays}) AS given({given}) CROSS JOIN LATERAL ("
        f'SELECT held.ctid FROM "{table.name}" AS held WHERE {where} AND held.to_position = {FOREVER} '
        "ORDER BY held.from_position DESC LIMIT 1) AS row) AS newest WHERE t.ctid = newest.ctid",
        tuple(list(column) for column in zip(*closed, strict=True)),
    )
