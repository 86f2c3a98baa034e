"""Tables of one row of whole numbers, read strictly: SQLite holds any value in any column."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, select, type_coerce
from sqlalchemy.types import NullType

from app.ledger.corruption import VERIFY
from domain.errors import LedgerIntegrityError


def find_numbers(connection: Connection, columns: Sequence[Column[Any]]) -> list[int] | None:
    """The values of the one row; None where there is not one row of whole numbers from 0 on."""
    found = connection.execute(select(*(type_coerce(each, NullType()) for each in columns))).all()
    if len(found) != 1 or not all(type(each) is int and each >= 0 for each in found[0]):
        return None
    return list(found[0])


def read_number(connection: Connection, column: Column[int]) -> int:
    """The value of a column in the one row.

    Raises:
        LedgerIntegrityError: There is not one row with a whole number from 0 on.
    """
    found = find_numbers(connection, [column])
    if found is None:
        raise LedgerIntegrityError(
            f"{column.table.name}表应有且只有一行，{column.name}列应为不小于0的整数。{VERIFY}"
        )
    return found[0]
