"""The list of the accounts of a window, page by page, as of a position.

A page costs the same for any number of enterprises. Without further filters it takes one step in an index for
each account. With filters that no index covers, it scans the accounts in their order, in slices, up to
`MOST_SCANNED`: then the page ends early, and its cursor says where to continue.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import takewhile
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union,
)

from projections.queries import totals
from projections.queries.disagreements import disputes
from projections.tables import accounts, enterprises, entitlements, policy_set
from projections.temporal_rows import find_by_key

Sort = Literal["-assessed_fen", "assessed_fen", "uscc"]

MOST_SCANNED: Final = 20_000
"""The most accounts that one page scans, which takes some tens of milliseconds."""

SLICE: Final = 2_000
"""The number of accounts in one query if a filter may exclude most of them."""

MOST_FOUND_BY_NAME: Final = 2_000
"""The most enterprises found by a prefix of name or code that are sorted at once; for more, a page scans."""

FIRST_SURROGATE: Final = 0xD800
LAST_SURROGATE: Final = 0xDFFF
"""No text has a character from the first to the last of these code points."""

Place = tuple[int, str]
"""The end of a page: the amount and the code of the last account that it scanned."""


class ListedAccount(msgspec.Struct, frozen=True):
    """An account in the list."""

    uscc: str
    name: str
    region_code: str
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    periods: int


class Page(NamedTuple):
    """A page of the list, and the place after which the next one begins; None after the last page."""

    accounts: list[ListedAccount]
    next_after: Place | None


class ListFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of the list; `policy` is None if no policy covers the window yet."""

    policy: str | None
    window: str
    region_code: str | None = None
    industry: str | None = None
    measure: str | None = None
    status: str | None = None
    stage: str | None = None
    min_assessed_fen: int = 0
    q: str | None = None

    @property
    def has_maintained_totals(self) -> bool:
        """Whether the sums over the list are maintained ones, which need no counting."""
        return (
            not self.min_assessed_fen
            and self.industry is None
            and self.status is None
            and self.stage is None
            and self.q is None
        )

    @property
    def asks_for_assessment(self) -> bool:
        """Whether the filters exclude enterprises without an assessment."""
        period_level = (self.measure, self.status, self.stage)
        return bool(self.min_assessed_fen) or any(value is not None for value in period_level)


class ListTotals(msgspec.Struct, frozen=True):
    """The number of accounts in a list, and the sum of their assessed amounts, in fen."""

    total: int
    assessed_fen: int


class _ScannedAccount(NamedTuple):
    """An account that was scanned, and whether it passes the filters."""

    account: ListedAccount
    passes: bool

    @property
    def place(self) -> Place:
        return self.account.assessed_fen, self.account.uscc


def account_page(  # noqa: PLR0913 - the parts of a page
    connection: Connection,
    wanted: ListFilter,
    at: int,
    *,
    sort: Sort,
    limit: int,
    after: Place | None,
) -> Page:
    """At most `limit` accounts after the one at `after`, in the order of `sort`.

    Accounts with equal amounts are in the order of their codes, or in reverse order for `assessed_fen`.
    """
    listing = _Listing(connection, wanted, at, sort)
    found: list[ListedAccount] = []
    for scanned, seen in enumerate(listing.after(after, limit + 1), 1):
        if seen.passes:
            if len(found) == limit:
                return Page(found, (found[-1].assessed_fen, found[-1].uscc))
            found.append(seen.account)
        if scanned == MOST_SCANNED:
            return Page(found, seen.place)
    return Page(found, None)


def has_industry(connection: Connection, window: str, prefix: str) -> bool:
    """Whether some enterprise ever had a standing return in a window with an industry of this prefix."""
    query = select(enterprises.c.uscc).where(
        enterprises.c.window == window, enterprises.c.industry_code.startswith(prefix, autoescape=True)
    )
    return connection.execute(query.limit(1)).first() is not None


def list_totals(connection: Connection, wanted: ListFilter, at: int) -> ListTotals:
    """The sums over the list: maintained ones if there are any, otherwise counted."""
    if not wanted.has_maintained_totals:
        return _counted(connection, wanted, at)
    total = assessed_fen = 0
    of_policy = [] if wanted.policy is None else totals.listed(connection, wanted.policy, wanted.window, at)
    for group in of_policy:
        if wanted.region_code in {None, group.region_code} and (
            wanted.measure is None or wanted.measure in group.measures
        ):
            total += group.accounts
            assessed_fen += group.assessed_fen
    if not wanted.asks_for_assessment:
        total += sum(group.enterprises for group in _unassessed(connection, wanted, at))
    return ListTotals(total, assessed_fen)


def _unassessed(connection: Connection, wanted: ListFilter, at: int) -> list[totals.Filed]:
    """The groups of enterprises with a standing return and no account under the policy."""
    account_of = "" if wanted.policy is None else policy_set((wanted.policy,))
    return [
        group
        for group in totals.filed(connection, wanted.window, at)
        if (wanted.policy is None or account_of not in group.assessed_by)
        and wanted.region_code in {None, group.region_code}
    ]


class _Listing:
    """The accounts of a window in one order, together with the enterprises that filed and have no account.

    Args:
        connection: A connection in a transaction.
        wanted: The filters.
        at: The position of the moment that is read.
        sort: The order.
    """

    def __init__(self, connection: Connection, wanted: ListFilter, at: int, sort: Sort) -> None:
        self._connection = connection
        self._wanted = wanted
        self._at = at
        self._sort: Sort = sort
        self._order = _ORDERS[sort]
        if any(value is not None for value in (wanted.industry, wanted.measure, wanted.status, wanted.stage)):
            # To apply these filters, PostgreSQL would prefer to read all entitlements for each slice.
            find_by_key(connection)
        self._candidates = None if wanted.q is None else _found_by_name(connection, wanted, at)
        without = [] if wanted.asks_for_assessment else _unassessed(connection, wanted, at)
        self._assessed_by = sorted({group.assessed_by for group in without})

    def after(self, place: Place | None, enough: int) -> Iterator[_ScannedAccount]:
        """The accounts after a place, read in slices; if all pass the filters, `enough` are one slice."""
        size = enough if self._passes_all else SLICE
        while True:
            sources = [self._accounts(place, size)]
            if self._assessed_by and not self._is_far_from_nothing(sources[0], size):
                sources += [self._enterprises(place, size, assessed_by) for assessed_by in self._assessed_by]
            whole, seen = self._merged(sources, size)
            for candidate in seen:
                place = candidate.place
                yield candidate
            if whole:
                return

    def _merged(
        self, sources: list[list[_ScannedAccount]], size: int
    ) -> tuple[bool, Iterator[_ScannedAccount]]:
        """Whether no source was cut off, and the sources in one order up to the first cut."""
        key = self._order.key
        ends = [key(source[-1].place) for source in sources if len(source) == size]
        merged = merge(*sources, key=lambda seen: key(seen.place))
        if not ends:
            return True, merged
        end = min(ends)
        return False, takewhile(lambda seen: key(seen.place) <= end, merged)

    @property
    def _passes_all(self) -> bool:
        wanted = self._wanted
        return self._candidates is not None or not (
            wanted.industry or wanted.measure or wanted.status or wanted.stage or wanted.q
        )

    def _is_far_from_nothing(self, page: Sequence[_ScannedAccount], size: int) -> bool:
        """Whether the slice ends before the enterprises without an account, in the order of amounts."""
        return self._sort == "-assessed_fen" and len(page) == size and page[-1].account.assessed_fen > 0

    def _accounts(self, place: Place | None, size: int) -> list[_ScannedAccount]:
        wanted, table = self._wanted, accounts
        base = [table.c.policy == wanted.policy, table.c.window == wanted.window, _holds(table, self._at)]
        if wanted.region_code is not None:
            base.append(table.c.region_code == wanted.region_code)
        if wanted.min_assessed_fen:
            base.append(table.c.assessed_fen >= wanted.min_assessed_fen)
        passes = _passes(wanted, table, self._at)
        if self._candidates is not None:
            base += [table.c.uscc.in_(self._candidates), passes]
            passes = true()
        columns = [table.c[name] for name in ListedAccount.__struct_fields__]
        query = select(*columns, passes.label("passes")).order_by(*self._order.by(table))
        return self._rows(query.where(*base), self._order.ranges(table, place), size)

    def _enterprises(self, place: Place | None, size: int, assessed_by: str) -> list[_ScannedAccount]:
        wanted, table = self._wanted, enterprises
        place = self._order.among_nothing(place)
        if place is _NOWHERE:
            return []
        base = [
            table.c.window == wanted.window,
            table.c.assessed_by == assessed_by,
            _holds(table, self._at),
        ]
        if wanted.region_code is not None:
            base.append(table.c.region_code == wanted.region_code)
        passes = _described(wanted, table)
        if self._candidates is not None:
            base += [table.c.uscc.in_(self._candidates), passes]
            passes = true()
        nothing = [
            literal(0).label(name) for name in ("assessed_fen", "open_fen", "preliminary_fen", "periods")
        ]
        query = select(table.c.uscc, table.c.name, table.c.region_code, *nothing, passes.label("passes"))
        query = query.where(*base).order_by(self._order.by_code(table))
        after = [] if place is None else [self._order.code_after(table, place[1])]
        return self._rows(query, [and_(true(), *after)], size)

    def _rows(
        self, query: Select[Any], ranges: Iterable[ColumnElement[bool]], size: int
    ) -> list[_ScannedAccount]:
        """The first rows of the ranges, one after the other."""
        found: list[_ScannedAccount] = []
        for condition in ranges:
            rows = self._connection.execute(query.where(condition).limit(size - len(found)))
            found += [_ScannedAccount(ListedAccount(*row[:-1]), bool(row[-1])) for row in rows]
            if len(found) == size:
                break
        return found


class _Order(NamedTuple):
    """One order of the list.

    Attributes:
        by: The columns that accounts are ordered by.
        by_code: The order of accounts with equal amounts.
        code_after: The condition for the accounts after a code, among those with equal amounts.
        ranges: The conditions for the accounts after a place, as consecutive ranges of an index.
        among_nothing: The place among the accounts with an amount of 0.
        key: The sort key of a place, for comparisons in the same order.
    """

    by: Callable[[Table], tuple[ColumnElement[Any], ...]]
    by_code: Callable[[Table], ColumnElement[Any]]
    code_after: Callable[[Table, str], ColumnElement[bool]]
    ranges: Callable[[Table, Place | None], list[ColumnElement[bool]]]
    among_nothing: Callable[[Place | None], Place | None]
    key: Callable[[Place], Any]


_NOWHERE: Final[Place] = (-1, "")
"""The place after all accounts with an amount of 0."""


def _highest_first(table: Table, place: Place | None) -> list[ColumnElement[bool]]:
    if place is None:
        return [true()]
    amount = table.c.assessed_fen
    return [and_(amount == place[0], table.c.uscc > place[1]), amount < place[0]]


def _lowest_first(table: Table, place: Place | None) -> list[ColumnElement[bool]]:
    if place is None:
        return [true()]
    amount = table.c.assessed_fen
    return [and_(amount == place[0], table.c.uscc < place[1]), amount > place[0]]


def _by_code(table: Table, place: Place | None) -> list[ColumnElement[bool]]:
    return [true() if place is None else table.c.uscc > place[1]]


_ORDERS: Final[dict[Sort, _Order]] = {
    "-assessed_fen": _Order(
        by=lambda table: (table.c.assessed_fen.desc(), table.c.uscc),
        by_code=lambda table: table.c.uscc,
        code_after=lambda table, code: table.c.uscc > code,
        ranges=_highest_first,
        among_nothing=lambda place: None if place is None or place[0] > 0 else place,
        key=lambda place: (-place[0], place[1]),
    ),
    "assessed_fen": _Order(
        by=lambda table: (table.c.assessed_fen, table.c.uscc.desc()),
        by_code=lambda table: table.c.uscc.desc(),
        code_after=lambda table, code: table.c.uscc < code,
        ranges=_lowest_first,
        among_nothing=lambda place: _NOWHERE if place is not None and place[0] > 0 else place,
        key=lambda place: (place[0], [-ord(character) for character in place[1]]),
    ),
    "uscc": _Order(
        by=lambda table: (table.c.uscc,),
        by_code=lambda table: table.c.uscc,
        code_after=lambda table, code: table.c.uscc > code,
        ranges=_by_code,
        among_nothing=lambda place: place,
        key=lambda place: place[1],
    ),
}


def _holds(table: Table, at: int) -> ColumnElement[bool]:
    return and_(table.c.from_position <= at, table.c.to_position > at)


def _passes(wanted: ListFilter, table: Table, at: int) -> ColumnElement[bool]:
    """The condition for the filters that no index of the accounts covers."""
    period_level = {"measure": wanted.measure, "status": wanted.status, "stage": wanted.stage}
    given = {name: value for name, value in period_level.items() if value is not None}
    if not given:
        return _described(wanted, table)
    has_period = exists().where(
        entitlements.c.uscc == table.c.uscc,
        entitlements.c.policy == table.c.policy,
        entitlements.c.window == table.c.window,
        _holds(entitlements, at),
        *(entitlements.c[name] == value for name, value in given.items()),
    )
    return and_(_described(wanted, table), has_period)


def _described(wanted: ListFilter, table: Table) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if wanted.industry is not None:
        conditions.append(table.c.industry_code.startswith(wanted.industry, autoescape=True))
    if wanted.q is not None:
        conditions.append(
            or_(
                table.c.uscc.startswith(wanted.q, autoescape=True),
                table.c.name.startswith(wanted.q, autoescape=True),
            )
        )
    return and_(*conditions)


def _found_by_name(connection: Connection, wanted: ListFilter, at: int) -> list[str] | None:
    """The codes of the enterprises whose name or code begins with the prefix; None if they are many."""
    prefix = wanted.q or ""
    end = prefix_end(prefix)
    queries = [
        select(enterprises.c.uscc)
        .where(
            enterprises.c.window == wanted.window,
            column >= prefix,
            true() if end is None else column < end,
            _holds(enterprises, at),
        )
        .limit(MOST_FOUND_BY_NAME + 1)
        .subquery()
        for column in (enterprises.c.uscc, enterprises.c.name)
    ]
    found = connection.scalars(union(*(select(query.c.uscc) for query in queries))).all()
    return None if len(found) > MOST_FOUND_BY_NAME else sorted(found)


def prefix_end(prefix: str) -> str | None:
    """The first text, by code points, after all texts that begin with the prefix; None without one."""
    for length in range(len(prefix), 0, -1):
        after = ord(prefix[length - 1]) + 1
        if after == FIRST_SURROGATE:
            after = LAST_SURROGATE + 1
        if after <= sys.maxunicode:
            return prefix[: length - 1] + chr(after)
    return None


def _counted(connection: Connection, wanted: ListFilter, at: int) -> ListTotals:
    """The sums over a list whose filters have no maintained sums: the query reads every account."""
    of_accounts = select(func.count(), func.coalesce(func.sum(accounts.c.assessed_fen), 0)).where(
        accounts.c.policy == wanted.policy,
        accounts.c.window == wanted.window,
        _holds(accounts, at),
        accounts.c.assessed_fen >= wanted.min_assessed_fen,
        true() if wanted.region_code is None else accounts.c.region_code == wanted.region_code,
        _passes(wanted, accounts, at),
        not_(disputes(at)),
    )
    total, assessed_fen = connection.execute(of_accounts).one()
    if not wanted.asks_for_assessment:
        groups = {group.assessed_by for group in _unassessed(connection, wanted, at)}
        of_enterprises = select(func.count()).where(
            enterprises.c.window == wanted.window,
            enterprises.c.assessed_by.in_(groups) if groups else false(),
            _holds(enterprises, at),
            true() if wanted.region_code is None else enterprises.c.region_code == wanted.region_code,
            _described(wanted, enterprises),
        )
        total += connection.execute(of_enterprises).scalar_one()
    return ListTotals(total, int(assessed_fen))
