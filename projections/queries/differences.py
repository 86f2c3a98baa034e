"""Reads of the changes between two moments: the amounts whose rows began or ended in between.

The queries go through the enterprises by code, in slices of the primary key: the cost of a slice depends
neither on the number of enterprises nor on the time between the moments, and no filing pays for an index.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, case, func, or_, select, true, tuple_

from domain.returns import ReturnVersion
from projections.queries import totals
from projections.queries.policies import PolicyVersion
from projections.queries.returns import as_version
from projections.tables import enterprises, entitlements, returns, transactions
from projections.temporal_rows import among, texts

SLICE: Final = 2_000
"""The number of rows in a slice."""


class Span(NamedTuple):
    """The records after the first position and up to the last; both are ends of transactions."""

    first: int
    last: int


class Scope(NamedTuple):
    """The accounts to examine; None for all.

    Attributes:
        window: The window of the accounts.
        region_code: The region in the enterprise's latest period of the window, as of the end of the span.
        uscc: The code of an enterprise.
    """

    window: str | None = None
    region_code: str | None = None
    uscc: str | None = None


class Place(NamedTuple):
    """A period of an account, in the order of the primary key."""

    uscc: str
    policy: str
    window: str
    period: str


BEGINNING: Final = Place("", "", "", "")


class AmountInForce(NamedTuple):
    """An amount, and the ends of the transactions from which and to which it held."""

    uscc: str
    policy: str
    window: str
    period: str
    assessed_fen: int
    selected_fen: int
    from_position: int
    to_position: int

    @property
    def place(self) -> Place:
        """The place of its period."""
        return Place(self.uscc, self.policy, self.window, self.period)

    @property
    def is_cut(self) -> bool:
        """Whether a limit that the period shares with others cut the amount."""
        return self.assessed_fen < self.selected_fen


class Identity(NamedTuple):
    """Name and region of an enterprise in a window."""

    name: str
    region_code: str


def slice_end(connection: Connection, scope: Scope, after: Place) -> Place | None:
    """The place before which the slice after a place ends: the next enterprise; None for the last slice."""
    code = entitlements.c.uscc
    query = select(code).where(code > after.uscc, true() if scope.uscc is None else code == scope.uscc)
    found = connection.scalar(query.order_by(code).offset(SLICE).limit(1))
    return None if found is None else Place(found, "", "", "")


def held_within(
    connection: Connection, scope: Scope, span: Span, *, after: Place, until: Place | None
) -> list[AmountInForce]:
    """The amounts of a slice whose rows began or ended in the span, by account, period and time."""
    table = entitlements.c
    query = select(*(table[name] for name in AmountInForce._fields)).where(
        tuple_(table.uscc, table.policy, table.window, table.period) > tuple(after),
        or_(
            and_(table.from_position > span.first, table.from_position <= span.last),
            and_(table.to_position > span.first, table.to_position <= span.last),
        ),
    )
    if until is not None:
        query = query.where(table.uscc < until.uscc)
    if scope.uscc is not None:
        query = query.where(table.uscc == scope.uscc)
    if scope.window is not None:
        query = query.where(table.window == scope.window)
    query = query.order_by(table.uscc, table.policy, table.window, table.period, table.from_position)
    return [AmountInForce(*row) for row in connection.execute(query)]


def versions_within(
    connection: Connection, span: Span, codes: Sequence[str]
) -> list[tuple[int, ReturnVersion]]:
    """The versions of these enterprises' returns in the span, each with the end of its transaction first."""
    table = returns.c
    query = select(returns).where(
        among(connection.dialect.name, table.uscc, "codes"),
        table.from_position > span.first,
        table.from_position <= span.last,
    )
    rows = connection.execute(query.order_by(table.position), {"codes": texts(connection, codes)})
    return [(row.from_position, as_version(row)) for row in rows]


def identities(
    connection: Connection, windows: Collection[str], codes: Sequence[str], at: int
) -> dict[tuple[str, str], Identity]:
    """Names and regions by window and code; if all returns are withdrawn, those of the last one."""
    table = enterprises.c
    query = select(table.window, table.uscc, table.name, table.region_code).where(
        table.window.in_(windows),
        among(connection.dialect.name, table.uscc, "codes"),
        table.from_position <= at,
    )
    rows = connection.execute(query.order_by(table.from_position), {"codes": texts(connection, codes)})
    return {(window, uscc): Identity(name, region_code) for window, uscc, name, region_code in rows}


def read_times(connection: Connection, ends: Collection[int]) -> dict[int, int]:
    """The times, in microseconds since 1970, of the transactions that ended at these positions."""
    query = select(transactions).where(transactions.c.position.in_(sorted(ends)))
    return {row.position: row.recorded_at_us for row in connection.execute(query)}


def read_sums(
    connection: Connection, scope: Scope, span: Span, published: Sequence[PolicyVersion]
) -> tuple[int, int]:
    """The sums, in fen, of the amounts in force before the span and at its end.

    Args:
        connection: A connection in a transaction.
        scope: For an enterprise or a region the sums are computed; otherwise the maintained ones are read.
        span: The span.
        published: The versions of the policies.
    """
    if scope.uscc is not None or scope.region_code is not None:
        return _counted(connection, scope, span)
    accounts = {(version.ref.id, str(window)) for version in published for window in version.windows}
    wanted = [account for account in accounts if scope.window in {None, account[1]}]
    return _kept(connection, wanted, span.first), _kept(connection, wanted, span.last)


def _kept(connection: Connection, accounts: Iterable[tuple[str, str]], at: int) -> int:
    return sum(
        group.assessed_fen
        for policy, window in accounts
        for group in totals.listed(connection, policy, window, at)
    )


def _counted(connection: Connection, scope: Scope, span: Span) -> tuple[int, int]:
    table, who = entitlements.c, enterprises.c
    held = [and_(table.from_position <= at, table.to_position > at) for at in span]
    amounts = [
        func.coalesce(func.sum(case((condition, table.assessed_fen), else_=0)), 0) for condition in held
    ]
    query = select(*amounts).where(or_(*held))
    if scope.window is not None:
        query = query.where(table.window == scope.window)
    if scope.uscc is not None:
        query = query.where(table.uscc == scope.uscc)
    if scope.region_code is not None:
        older = enterprises.alias("older")
        newest = select(func.max(older.c.from_position)).where(
            older.c.window == who.window, older.c.uscc == who.uscc, older.c.from_position <= span.last
        )
        query = query.where(
            who.window == table.window,
            who.uscc == table.uscc,
            who.region_code == scope.region_code,
            who.from_position == newest.scalar_subquery(),
        )
    before_fen, after_fen = connection.execute(query).one()
    return int(before_fen), int(after_fen)
