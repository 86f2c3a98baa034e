"""Reads of the maintained sums as of a position."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from projections.sums import FILED_DIMENSION, LIST_DIMENSION, capped_dimension
from projections.tables import totals

Dimension = Literal["region_code", "industry", "period", "measure"]


class Group(msgspec.Struct, frozen=True):
    """A group of the summary.

    Attributes:
        enterprises: The number of enterprises with an assessed amount above 0.
        capped: The number of periods that each limit cut, by its id.
    """

    key: str
    enterprises: int
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    capped: dict[str, int]


class _TotalsRow(NamedTuple):
    """The values of a row of the sums."""

    key: str
    counted: int
    assessed_fen: int
    open_fen: int
    preliminary_fen: int


class Listed(NamedTuple):
    """The sums of the accounts of one region and set of measures: part of the totals of the list."""

    region_code: str
    measures: frozenset[str]
    accounts: int
    assessed_fen: int


class Filed(NamedTuple):
    """The number of a region's enterprises that have a standing return and are assessed by these policies."""

    region_code: str
    assessed_by: str
    enterprises: int


_OF_DIMENSION: Final = (
    totals.c.policy == bindparam("policy"),
    totals.c.window == bindparam("window"),
    totals.c.dimension == bindparam("dimension"),
)
_FIRST: Final = select(func.min(totals.c.key).label("key")).where(*_OF_DIMENSION).cte("keys", recursive=True)
_NEXT: Final = select(func.min(totals.c.key)).where(*_OF_DIMENSION, totals.c.key > _FIRST.c.key)
# One step in the index finds each key, and one more the row of the key that held then: the work depends on
# the few keys, and not on the length of the history.
_KEYS: Final = _FIRST.union_all(select(_NEXT.scalar_subquery()).where(_FIRST.c.key.is_not(None)))
_OLDER: Final = totals.alias("older")
_NEWEST: Final = select(func.max(_OLDER.c.from_position)).where(
    _OLDER.c.policy == bindparam("policy"),
    _OLDER.c.window == bindparam("window"),
    _OLDER.c.dimension == bindparam("dimension"),
    _OLDER.c.key == _KEYS.c.key,
    _OLDER.c.from_position <= bindparam("at"),
)
_HELD: Final = (
    select(*(totals.c[name] for name in _TotalsRow._fields))
    .join(_KEYS, totals.c.key == _KEYS.c.key)
    .where(
        *_OF_DIMENSION,
        totals.c.from_position == _NEWEST.scalar_subquery(),
        totals.c.to_position > bindparam("at"),
    )
    .order_by(totals.c.key)
)


def _held(connection: Connection, policy: str, window: str, dimension: str, at: int) -> list[_TotalsRow]:
    asked = {"policy": policy, "window": window, "dimension": dimension, "at": at}
    return [_TotalsRow(*row) for row in connection.execute(_HELD, asked)]


def groups(  # noqa: PLR0913, PLR0917 - the rows to group, and the limits to count
    connection: Connection, policy: str, window: str, dimension: Dimension, limits: Sequence[str], at: int
) -> list[Group]:
    """The groups of the summary by key; `limits` are the ids of the limits whose cuts are counted."""
    capped = {
        limit: {
            held.key: held.counted
            for held in _held(connection, policy, window, capped_dimension(dimension, limit), at)
        }
        for limit in limits
    }
    sums = {held.key: held for held in _held(connection, policy, window, dimension, at)}
    # If limits leave nothing of the awards, the sums have no row.
    keys = sorted({*sums, *(key for counted in capped.values() for key in counted)})
    return [
        Group(
            *sums.get(key, _TotalsRow(key, 0, 0, 0, 0)),
            {limit: counted.get(key, 0) for limit, counted in capped.items()},
        )
        for key in keys
    ]


def listed(connection: Connection, policy: str, window: str, at: int) -> list[Listed]:
    """The sums of the list, by region and set of measures."""
    found = []
    for row in _held(connection, policy, window, LIST_DIMENSION, at):
        region_code, _, measures = row.key.partition("|")
        of_measures = frozenset(measures.split(",")) if measures else frozenset[str]()
        found.append(Listed(region_code, of_measures, row.counted, row.assessed_fen))
    return found


def regions(connection: Connection, window: str) -> set[str]:
    """The regions in which some enterprise ever had a standing return in a window."""
    asked = {"policy": "", "window": window, "dimension": FILED_DIMENSION}
    keys = connection.execute(select(_KEYS.c.key).where(_KEYS.c.key.is_not(None)), asked).scalars()
    return {key.partition("|")[0] for key in keys}


def filed(connection: Connection, window: str, at: int) -> list[Filed]:
    """The numbers of enterprises with a standing return, by region and by the policies that assessed them."""
    found = []
    for row in _held(connection, "", window, FILED_DIMENSION, at):
        region_code, _, assessed_by = row.key.partition("|")
        found.append(Filed(region_code, assessed_by, row.counted))
    return found
