"""Reads of the histories of many enterprises as of a position, in slices by their codes."""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection, and_, func, select

from domain.periods import Period
from domain.returns import ReturnVersion
from projections.queries.returns import as_version
from projections.tables import enterprises, returns
from projections.temporal_rows import among, texts


class Known(msgspec.Struct, frozen=True):
    """An enterprise of a window; name and region of its latest period, or of its last withdrawn one."""

    uscc: str
    name: str
    region_code: str


def walk_along_keys(connection: Connection) -> None:
    """Make PostgreSQL read slices in the order of their keys for the rest of the transaction.

    Until its statistics include a newly filed month, reading and sorting the whole table for each slice looks
    cheap to it.
    """
    if connection.dialect.name == "postgresql":
        names = ("enable_seqscan", "enable_bitmapscan", "enable_hashagg", "enable_sort")
        connection.execute(select(*(func.set_config(name, "off", True) for name in names)))  # noqa: FBT003


def enterprises_after(connection: Connection, window: str, at: int, *, after: str, limit: int) -> list[Known]:
    """The next enterprises that ever filed in a window, by code."""
    newest = (
        select(enterprises.c.uscc, func.max(enterprises.c.from_position).label("from_position"))
        .where(enterprises.c.window == window, enterprises.c.uscc > after, enterprises.c.from_position <= at)
        .group_by(enterprises.c.uscc)
        .order_by(enterprises.c.uscc)
        .limit(limit)
        .subquery()
    )
    is_newest = and_(
        enterprises.c.uscc == newest.c.uscc, enterprises.c.from_position == newest.c.from_position
    )
    query = (
        select(enterprises.c.uscc, enterprises.c.name, enterprises.c.region_code)
        .join(newest, is_newest)
        .where(enterprises.c.window == window)
        .order_by(enterprises.c.uscc)
    )
    return [Known(*row) for row in connection.execute(query)]


def versions_of(
    connection: Connection, codes: Sequence[str], periods: Collection[Period], at: int
) -> list[ReturnVersion]:
    """Every version of these enterprises' returns of some periods, by code, period, form and time."""
    query = (
        select(returns)
        .where(
            among(connection.dialect.name, returns.c.uscc, "codes"),
            returns.c.period.in_(map(str, periods)),
            returns.c.from_position <= at,
        )
        .order_by(returns.c.uscc, returns.c.period, returns.c.form, returns.c.from_position)
    )
    return [as_version(row) for row in connection.execute(query, {"codes": texts(connection, codes)})]
