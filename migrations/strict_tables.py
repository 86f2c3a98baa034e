"""Replaces tables of SQLite by others with the same columns, for STRICT tables, which check types.

PostgreSQL checks the types of every table.
"""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable, DropTable

from domain.errors import LedgerIntegrityError

_CHINESE: Final = {"integer": "整数", "real": "小数", "text": "文字", "blob": "字节", "null": "空值"}
"""What SQLite's `typeof` returns."""

_REFUSED: Final = (
    "本程序不会这样写入，数据库曾被改动。数据库未作任何更改。"
    "请用升级前的程序运行duixian audit verify核验，从备份恢复后再升级"
)


def replace_with_rows(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Replace tables by these, with all rows.

    Raises:
        LedgerIntegrityError: A row does not fit: somebody altered the database.
    """
    for table in tables:
        _refuse_other_types(connection, table)
        old = table.to_metadata(sa.MetaData(), name=f"{table.name}_replaced")
        connection.execute(sa.text(f'ALTER TABLE "{table.name}" RENAME TO "{old.name}"'))
        connection.execute(CreateTable(table))
        rows = sa.insert(table).from_select([column.name for column in table.c], sa.select(old))
        try:
            connection.execute(rows)
        except IntegrityError as error:
            raise LedgerIntegrityError(f"{table.name}表中有重复的行（{error.orig}）：{_REFUSED}") from error
        connection.execute(DropTable(old))
        _create_indexes(connection, table)


def replace_empty(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Replace tables by these, without rows."""
    for table in tables:
        connection.execute(DropTable(table))
        connection.execute(CreateTable(table))
        _create_indexes(connection, table)


def _create_indexes(connection: sa.Connection, table: sa.Table) -> None:
    for index in table.indexes:
        index.create(connection)


def _refuse_other_types(connection: sa.Connection, table: sa.Table) -> None:
    """Raise an error that names the first value which is not of the type of its column."""
    is_wrong = {column.name: sa.func.typeof(column).not_in(_types(column)) for column in table.c}
    first = sa.case(*((wrong, name) for name, wrong in is_wrong.items())).label("wrong")
    place = table.c.position if "position" in table.c else sa.null()
    query = sa.select(sa.literal_column("rowid"), place, first).where(sa.or_(*is_wrong.values()))
    row = connection.execute(query.order_by(sa.literal_column("rowid")).limit(1)).one_or_none()
    if row is None:
        return
    number, position, name = row
    typeof = sa.func.typeof(table.c[name])
    found = connection.scalar(sa.select(typeof).where(sa.literal_column("rowid") == number))
    where = f"序号{position}" if type(position) is int else f"第{number}行"
    expected = "或".join(_CHINESE[kind] for kind in _types(table.c[name]))
    raise LedgerIntegrityError(
        f"{table.name}表中{where}的{name}列是{_CHINESE[str(found)]}，应为{expected}：{_REFUSED}"
    )


def _types(column: sa.Column[object]) -> list[str]:
    """The types of the values that a column may hold, as SQLite names them."""
    kinds = {sa.Integer: "integer", sa.Boolean: "integer", sa.Text: "text", sa.LargeBinary: "blob"}
    kind = next(name for base, name in kinds.items() if isinstance(column.type, base))
    return [kind, "null"] if column.nullable else [kind]
