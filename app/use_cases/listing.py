"""The list of accounts and the summary."""

import msgspec
from sqlalchemy import Connection

from app.use_cases.reading import Opened
from projections.queries import accounts
from projections.queries.accounts import Dimension, Group, ListedAccount, ListFilter, ListTotals, Sort


class Listed(msgspec.Struct, frozen=True):
    """A page of the list; the totals are None where they were not asked for and would have to be counted."""

    accounts: list[ListedAccount]
    has_more: bool
    totals: ListTotals | None


def list_accounts(  # noqa: PLR0913 - the parts of a page
    connection: Connection,
    wanted: ListFilter,
    at: Opened,
    *,
    sort: Sort,
    limit: int,
    after: tuple[int, str] | None,
    totals: bool,
) -> Listed:
    """A page of accounts after the one with this amount and code."""
    position = at.moment.position
    page = accounts.account_page(connection, wanted, position, sort=sort, limit=limit + 1, after=after)
    counted = None
    if totals or wanted.has_maintained_totals:
        counted = accounts.list_totals(connection, wanted, position)
    return Listed(page[:limit], len(page) > limit, counted)


def summarise(connection: Connection, window: str, dimension: Dimension, at: Opened) -> list[Group]:
    """The groups of a half-year; none while no policy covers it."""
    if at.version is None:
        return []
    return accounts.groups(connection, at.version.ref.id, window, dimension, at.moment.position)
