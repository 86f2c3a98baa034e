"""The list of accounts and the summary."""

import msgspec
from sqlalchemy import Connection

from app.use_cases.reading import Opened
from projections.queries import totals as sums
from projections.queries.listing import (
    ListedAccount,
    ListFilter,
    ListTotals,
    Place,
    Sort,
    account_page,
    list_totals,
)
from projections.queries.totals import Dimension, Group


class Listed(msgspec.Struct, frozen=True):
    """A page of the list; the totals are None where they were not asked for and would have to be counted."""

    accounts: list[ListedAccount]
    next_after: Place | None
    totals: ListTotals | None


def list_accounts(  # noqa: PLR0913 - the parts of a page
    connection: Connection,
    wanted: ListFilter,
    at: Opened,
    *,
    sort: Sort,
    limit: int,
    after: Place | None,
    totals: bool,
) -> Listed:
    """A page of accounts after the one with this amount and code."""
    position = at.moment.position
    counted = None
    if totals or wanted.has_maintained_totals:
        # Before the page, which keeps PostgreSQL from reading whole tables, as counting all of them needs.
        counted = list_totals(connection, wanted, position)
    page = account_page(connection, wanted, position, sort=sort, limit=limit, after=after)
    return Listed(page.accounts, page.next_after, counted)


def summarise(connection: Connection, window: str, dimension: Dimension, at: Opened) -> list[Group]:
    """The groups of a half-year; none while no policy covers it."""
    if at.version is None:
        return []
    return sums.groups(connection, at.version.ref.id, window, dimension, at.moment.position)
