"""The moments that queries can read the ledger as of: the ends of its transactions."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, select

from domain.errors import LedgerIntegrityError
from projections.tables import transactions


class Moment(msgspec.Struct, frozen=True):
    """The end of a transaction: its position and time; position 0 and no time before the first one."""

    position: int
    recorded_at_us: int | None


BEGINNING = Moment(0, None)


_LAST: Final = select(transactions).order_by(transactions.c.position.desc()).limit(1)
_BY_POSITION: Final = _LAST.where(transactions.c.position <= bindparam("by"))
_BY_TIME: Final = (
    select(transactions)
    .where(transactions.c.recorded_at_us <= bindparam("by"))
    .order_by(transactions.c.recorded_at_us.desc(), transactions.c.position.desc())
    .limit(1)
)


def now(connection: Connection) -> Moment:
    """The end of the last transaction in the read models."""
    return _moment(connection.execute(_LAST).one_or_none())


def at_position(connection: Connection, position: int) -> Moment:
    """The end of the last transaction that ended at or before a position."""
    return _moment(connection.execute(_BY_POSITION, {"by": position}).one_or_none())


def at_time(connection: Connection, known_at_us: int) -> Moment:
    """The end of the last transaction recorded by a time, in microseconds since 1970-01-01T00:00:00Z."""
    return _moment(connection.execute(_BY_TIME, {"by": known_at_us}).one_or_none())


def _moment(row: Row[Any] | None) -> Moment:
    if row is None:
        return BEGINNING
    position, recorded_at_us = tuple(row)
    if type(position) is not int or type(recorded_at_us) is not int:  # Somebody altered the table.
        raise LedgerIntegrityError(
            "查询表中登记时点（transactions表）的数据无效。请运行duixian projections rebuild重建查询表"
        )
    return Moment(position, recorded_at_us)
