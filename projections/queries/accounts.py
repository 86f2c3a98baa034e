"""Reads of half-year accounts: one, the list, the summary; each as it stood at a position."""

from typing import Any, Final, Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    and_,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from domain.events import EntitlementAssessed
from projections.accounts import LIST_DIMENSION
from projections.tables import accounts, enterprises, entitlements, returns, totals

_ASSESSED: Final = msgspec.json.Decoder(EntitlementAssessed)

Sort = Literal["-assessed_fen", "assessed_fen", "uscc"]
Dimension = Literal["region_code", "industry", "period", "measure"]


class AssessedPeriod(msgspec.Struct, frozen=True):
    """A period as assessed, and the position of the event that recorded it."""

    assessed: EntitlementAssessed
    position: int


class Identity(msgspec.Struct, frozen=True):
    """Who an enterprise is: name and region of its latest period in a window."""

    name: str
    region_code: str


class ListedAccount(msgspec.Struct, frozen=True):
    """An account in the list."""

    uscc: str
    name: str
    region_code: str
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    periods: int


class ListFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the list is narrowed to; `policy` None where no policy covers the window yet."""

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
        """Whether the sums over the list are kept, instead of counted."""
        return (
            not self.min_assessed_fen
            and self.industry is None
            and self.status is None
            and self.stage is None
            and self.q is None
        )


class ListTotals(msgspec.Struct, frozen=True):
    """How many accounts a list has, and what they are assessed to together."""

    total: int
    assessed_fen: int


class Group(msgspec.Struct, frozen=True):
    """A group of the summary. The fields are those of the contract."""

    key: str
    enterprises: int
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    month_ceiling: int
    half_year_ceiling: int


def _holds(table: Table, at: int) -> ColumnElement[bool]:
    return and_(table.c.from_position <= at, table.c.to_position > at)


def has_ever_filed(connection: Connection, uscc: str, window: str) -> bool:
    """Whether a return of the enterprise was ever registered in the half-year."""
    query = select(returns.c.position).where(returns.c.uscc == uscc, returns.c.window == window)
    return connection.execute(query.limit(1)).one_or_none() is not None


def identity(connection: Connection, uscc: str, window: str, at: int) -> Identity | None:
    """Who the enterprise is; where all its returns are withdrawn, as the last one had it."""
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
        .order_by(entitlements.c.period)
    )
    return [
        AssessedPeriod(_ASSESSED.decode(state), position) for state, position in connection.execute(query)
    ]


def account_page(  # noqa: PLR0913 - the parts of a page
    connection: Connection,
    wanted: ListFilter,
    at: int,
    *,
    sort: Sort,
    limit: int,
    after: tuple[int, str] | None,
) -> list[ListedAccount]:
    """At most `limit` accounts after the one with this amount and code, in the order of `sort`."""
    listed = _listed(wanted, at)
    query = select(listed)
    amount, code = listed.c.assessed_fen, listed.c.uscc
    match sort:
        case "uscc":
            query = query.order_by(code)
            query = query if after is None else query.where(code > after[1])
        case "assessed_fen":
            query = query.order_by(amount, code)
            query = query if after is None else query.where(tuple_(amount, code) > after)
        case "-assessed_fen":
            query = query.order_by(amount.desc(), code)
            if after is not None:
                query = query.where(or_(amount < after[0], and_(amount == after[0], code > after[1])))
    return [ListedAccount(*row) for row in connection.execute(query.limit(limit))]


def _listed(wanted: ListFilter, at: int) -> Subquery:
    """The accounts, and those who filed and of whom the policy has assessed nothing (yet)."""
    columns = [accounts.c[name] for name in ListedAccount.__struct_fields__]
    return union_all(select(*columns).where(_filtered(wanted, at)), _unassessed(wanted, at)).subquery()


def _filtered(wanted: ListFilter, at: int) -> ColumnElement[bool]:
    conditions = [
        accounts.c.policy == wanted.policy,
        accounts.c.window == wanted.window,
        _holds(accounts, at),
        accounts.c.assessed_fen >= wanted.min_assessed_fen,
        *_described(wanted, accounts),
    ]
    period_level = {"measure": wanted.measure, "status": wanted.status, "stage": wanted.stage}
    given = {name: value for name, value in period_level.items() if value is not None}
    if given:
        conditions.append(
            exists().where(
                entitlements.c.uscc == accounts.c.uscc,
                entitlements.c.policy == accounts.c.policy,
                entitlements.c.window == accounts.c.window,
                _holds(entitlements, at),
                *(entitlements.c[name] == value for name, value in given.items()),
            )
        )
    return and_(*conditions)


def _described(wanted: ListFilter, table: Table) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.region_code is not None:
        conditions.append(table.c.region_code == wanted.region_code)
    if wanted.industry is not None:
        conditions.append(table.c.industry_code.startswith(wanted.industry, autoescape=True))
    if wanted.q is not None:
        conditions.append(
            or_(
                table.c.uscc.startswith(wanted.q, autoescape=True),
                table.c.name.startswith(wanted.q, autoescape=True),
            )
        )
    return conditions


def _unassessed(wanted: ListFilter, at: int) -> Select[Any]:
    """Those who filed without an account; none where a filter asks for an assessment."""
    asks_for_assessment = wanted.measure or wanted.status or wanted.stage or wanted.min_assessed_fen
    has_account = exists().where(
        accounts.c.policy == wanted.policy,
        accounts.c.window == enterprises.c.window,
        accounts.c.uscc == enterprises.c.uscc,
        _holds(accounts, at),
    )
    nothing = [literal(0).label(name) for name in ("assessed_fen", "open_fen", "preliminary_fen", "periods")]
    return select(enterprises.c.uscc, enterprises.c.name, enterprises.c.region_code, *nothing).where(
        false() if asks_for_assessment else true(),
        enterprises.c.window == wanted.window,
        _holds(enterprises, at),
        ~has_account,
        *_described(wanted, enterprises),
    )


def list_totals(connection: Connection, wanted: ListFilter, at: int) -> ListTotals:
    """The sums over the list: kept ones where there are, else counted."""
    if wanted.has_maintained_totals:
        kept = _maintained(connection, wanted, at)
        waiting = select(func.count()).select_from(_unassessed(wanted, at).subquery())
        return ListTotals(kept.total + connection.execute(waiting).scalar_one(), kept.assessed_fen)
    listed = _listed(wanted, at)
    counted = select(func.count(), func.coalesce(func.sum(listed.c.assessed_fen), 0)).select_from(listed)
    total, assessed_fen = connection.execute(counted).one()
    return ListTotals(total, int(assessed_fen))


def _maintained(connection: Connection, wanted: ListFilter, at: int) -> ListTotals:
    query = select(totals.c.key, totals.c.enterprises, totals.c.assessed_fen).where(
        totals.c.policy == wanted.policy,
        totals.c.window == wanted.window,
        totals.c.dimension == LIST_DIMENSION,
        _holds(totals, at),
    )
    total = assessed_fen = 0
    for key, count, fen in connection.execute(query):
        region_code, _, measures = key.partition("|")
        if wanted.region_code in {None, region_code} and (
            wanted.measure is None or wanted.measure in measures.split(",")
        ):
            total += count
            assessed_fen += fen
    return ListTotals(total, assessed_fen)


def groups(connection: Connection, policy: str, window: str, dimension: Dimension, at: int) -> list[Group]:
    """The groups of the summary by key."""
    columns = [totals.c[name] for name in Group.__struct_fields__]
    query = select(*columns).where(
        totals.c.policy == policy,
        totals.c.window == window,
        totals.c.dimension == dimension,
        _holds(totals, at),
    )
    return [Group(*row) for row in connection.execute(query.order_by(totals.c.key))]
