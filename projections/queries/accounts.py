"""Reads of one account as of a position."""

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from domain.events import EntitlementAssessed
from domain.periods import period_of
from projections.tables import FOREVER, enterprises, entitlements

_ASSESSED: Final = msgspec.json.Decoder(EntitlementAssessed)


class AssessedPeriod(msgspec.Struct, frozen=True):
    """A period as assessed, and the position of the event that recorded it."""

    assessed: EntitlementAssessed
    position: int


class Identity(msgspec.Struct, frozen=True):
    """The name and the region of an enterprise in its latest period of a window."""

    name: str
    region_code: str


_IDENTITY: Final = (
    select(enterprises.c.name, enterprises.c.region_code)
    .where(enterprises.c.uscc == bindparam("of_uscc"), enterprises.c.window == bindparam("of_window"))
    .where(enterprises.c.from_position <= bindparam("at"))
    .order_by(enterprises.c.from_position.desc())
    .limit(1)
)
_PERIODS: Final = select(entitlements.c.state, entitlements.c.position).where(
    entitlements.c.policy == bindparam("of_policy"),
    entitlements.c.uscc == bindparam("of_uscc"),
    entitlements.c.window == bindparam("of_window"),
    entitlements.c.from_position <= bindparam("at"),
    entitlements.c.to_position > bindparam("at"),
)


def identity(connection: Connection, uscc: str, window: str, at: int) -> Identity | None:
    """The name and the region of an enterprise; if all its returns are withdrawn, those of the last one."""
    given = {"of_uscc": uscc, "of_window": window, "at": at}
    row = connection.execute(_IDENTITY, given).one_or_none()
    return None if row is None else Identity(*row)


def periods(connection: Connection, policy: str, uscc: str, window: str, at: int) -> list[AssessedPeriod]:
    """The assessed periods of an account, in the order of time."""
    given = {"of_policy": policy, "of_uscc": uscc, "of_window": window, "at": at}
    found = [
        AssessedPeriod(_ASSESSED.decode(state), position)
        for state, position in connection.execute(_PERIODS, given)
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
