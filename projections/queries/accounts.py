"""Reads of one account as of a position."""

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

from domain.events import EntitlementAssessed
from domain.periods import period_of
from projections.queries.returns import in_window
from projections.tables import FOREVER, enterprises, entitlements, returns

_ASSESSED: Final = msgspec.json.Decoder(EntitlementAssessed)


class AssessedPeriod(msgspec.Struct, frozen=True):
    """A period as assessed, and the position of the event that recorded it."""

    assessed: EntitlementAssessed
    position: int


class Identity(msgspec.Struct, frozen=True):
    """The name and the region of an enterprise in its latest period of a window."""

    name: str
    region_code: str


def _holds(table: Table, at: int) -> ColumnElement[bool]:
    return and_(table.c.from_position <= at, table.c.to_position > at)


def has_ever_filed(connection: Connection, uscc: str, window: str) -> bool:
    """Whether a return of the enterprise was ever registered in the window."""
    query = select(returns.c.position).where(returns.c.uscc == uscc, in_window(window))
    return connection.execute(query.limit(1)).one_or_none() is not None


def identity(connection: Connection, uscc: str, window: str, at: int) -> Identity | None:
    """The name and the region of an enterprise; if all its returns are withdrawn, those of the last one."""
    query = select(enterprises.c.name, enterprises.c.region_code)
    query = query.where(enterprises.c.uscc == uscc, enterprises.c.window == window)
    last = query.where(enterprises.c.from_position <= at).order_by(enterprises.c.from_position.desc())
    row = connection.execute(last.limit(1)).one_or_none()
    return None if row is None else Identity(*row)


def periods(connection: Connection, policy: str, uscc: str, window: str, at: int) -> list[AssessedPeriod]:
    """The assessed periods of an account, in the order of time."""
    query = (
        select(entitlements.c.state, entitlements.c.position)
        .where(entitlements.c.policy == policy, entitlements.c.uscc == uscc, entitlements.c.window == window)
        .where(_holds(entitlements, at))
    )
    found = [
        AssessedPeriod(_ASSESSED.decode(state), position) for state, position in connection.execute(query)
    ]
    return sorted(found, key=lambda period: period_of(period.assessed.period))


def assessed_by_period(
    connection: Connection, policy: str, periods: Collection[str]
) -> dict[str, tuple[int, int]]:
    """The number of enterprises with an amount above 0 in a period now, and their sum in fen, by period."""
    query = (
        select(entitlements.c.period, func.count(), func.sum(entitlements.c.assessed_fen))
        .where(entitlements.c.policy == policy, entitlements.c.period.in_(periods))
        .where(entitlements.c.to_position == FOREVER, entitlements.c.assessed_fen > 0)
        .group_by(entitlements.c.period)
    )
    return {period: (count, int(total_fen)) for period, count, total_fen in connection.execute(query)}
