"""Reads of the histories of many enterprises, in slices by their codes, as they stood at a position."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, select

from domain.returns import ReturnVersion
from projections.history import among, texts
from projections.queries.returns import version_of
from projections.tables import enterprises, returns


class Known(msgspec.Struct, frozen=True):
    """An enterprise of a half-year; name and region of its latest period, or of its last withdrawn one."""

    uscc: str
    name: str
    region_code: str


def enterprises_after(connection: Connection, window: str, at: int, *, after: str, limit: int) -> list[Known]:
    """The next enterprises that ever filed in a half-year, by code."""
    older = enterprises.alias("older")
    newest = select(func.max(older.c.from_position)).where(
        older.c.window == window, older.c.uscc == enterprises.c.uscc, older.c.from_position <= at
    )
    query = (
        select(enterprises.c.uscc, enterprises.c.name, enterprises.c.region_code)
        .where(
            enterprises.c.window == window,
            enterprises.c.uscc > after,
            enterprises.c.from_position == newest.scalar_subquery(),
        )
        .order_by(enterprises.c.uscc)
        .limit(limit)
    )
    return [Known(*row) for row in connection.execute(query)]


def versions_of(
    connection: Connection, codes: Sequence[str], windows: Sequence[str], at: int
) -> list[ReturnVersion]:
    """Every version of these enterprises' returns of some half-years, by code, period, form and time."""
    query = (
        select(returns)
        .where(
            among(connection, returns.c.uscc, "codes"),
            returns.c.window.in_(windows),
            returns.c.from_position <= at,
        )
        .order_by(returns.c.uscc, returns.c.period, returns.c.form, returns.c.from_position)
    )
    return [version_of(row) for row in connection.execute(query, {"codes": texts(connection, codes)})]
