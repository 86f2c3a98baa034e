"""Reads tables of one row of whole numbers strictly, since somebody may have altered the database."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection, Select, select

from app.ledger.corruption import VERIFY
from domain.errors import LedgerIntegrityError


def find_numbers(connection: Connection, columns: Sequence[Column[Any]]) -> list[int] | None:
    """Read the values of the only row; None if there is not exactly one row of whole numbers from 0."""
    found = connection.execute(_values(tuple(columns))).all()
    if len(found) != 1 or not all(type(value) is int and value >= 0 for value in found[0]):
        return None
    return list(found[0])


@lru_cache(maxsize=64)
def _values(columns: tuple[Column[Any], ...]) -> Select[Any]:
    return select(*columns)


def read_number(connection: Connection, column: Column[int]) -> int:
    """Read the value of a column in the only row.

    Raises:
        LedgerIntegrityError: There is not exactly one row with a whole number from 0.
    """
    found = find_numbers(connection, [column])
    if found is None:
        raise LedgerIntegrityError(
            f"{column.table.name}表应有且只有一行，{column.name}列应为不小于0的整数。{VERIFY}"
        )
    return found[0]
