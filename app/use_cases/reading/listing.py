"""The list of accounts and the summary."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from app.use_cases.reading.as_of import PolicyAsOf
from projections.queries import disagreements, policies
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


class ListedWithCeiling(msgspec.Struct, frozen=True):
    """An account in the list, with the ceiling of the version that it is of.

    Attributes:
        disputed: The positions of the events that contradict it: it is shown as last recorded, and in no sum.
    """

    account: ListedAccount
    ceiling_fen: int | None
    disputed: list[int]

    @property
    def headroom_fen(self) -> int | None:
        """What is left under the limit of the whole account; None without one."""
        return None if self.ceiling_fen is None else self.ceiling_fen - self.account.assessed_fen


class Listed(msgspec.Struct, frozen=True):
    """A page of the list; the totals are None where they were not asked for and would have to be counted."""

    accounts: list[ListedWithCeiling]
    next_after: Place | None
    totals: ListTotals | None


def list_accounts(  # noqa: PLR0913 - the parts of a page
    connection: Connection,
    wanted: ListFilter,
    at: PolicyAsOf,
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
    return Listed(_with_ceilings(connection, page.accounts, at), page.next_after, counted)


def _with_ceilings(
    connection: Connection, accounts: Sequence[ListedAccount], at: PolicyAsOf
) -> list[ListedWithCeiling]:
    policy, codes = at.policy_id, [each.uscc for each in accounts]
    if policy is None:
        return [ListedWithCeiling(each, 0, []) for each in accounts]
    versions = at.versions_of(codes)
    ceilings = {each.ref: at.ceiling_fen(each) for each in versions.values()}
    disputed = disagreements.positions(connection, policy, at.window, codes, at.moment.position)
    return [
        ListedWithCeiling(each, ceilings[versions[each.uscc].ref], disputed.get(each.uscc, []))
        for each in accounts
    ]


def summarise(connection: Connection, window: str, dimension: Dimension, at: PolicyAsOf) -> list[Group]:
    """The groups of a window; none while no policy has such accounts."""
    if at.policy_id is None or at.newest is None:
        return []
    limits = [limit.id for limit in policies.policy_of(connection, at.newest.ref).limits]
    return sums.groups(connection, at.policy_id, window, dimension, limits, at.moment.position)


def count_disputed(connection: Connection, at: PolicyAsOf) -> int:
    """How many accounts of the window the log contradicts: they are in no sum."""
    if at.policy_id is None:
        return 0
    return disagreements.count_accounts(connection, at.policy_id, at.window, at.moment.position)
