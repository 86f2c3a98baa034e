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


class ListedAccountWithCeiling(msgspec.Struct, frozen=True):
    """An account in the list, with the ceiling of its policy version.

    Attributes:
        disputed: The positions of the events that contradict it; a disputed account shows what was recorded
            last, and counts in no sum.
    """

    account: ListedAccount
    ceiling_fen: int | None
    disputed: list[int]

    @property
    def headroom_fen(self) -> int | None:
        """The unused part of the limit of the whole account, in fen; None without such a limit."""
        return None if self.ceiling_fen is None else self.ceiling_fen - self.account.assessed_fen


class Listed(msgspec.Struct, frozen=True):
    """A page of the list; `totals` is None if counting them is needed and was not requested."""

    accounts: list[ListedAccountWithCeiling]
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
    """Read a page of accounts, after the one with the amount and the code of `after`."""
    position = at.moment.position
    counted = None
    if totals or wanted.has_maintained_totals:
        # Count before reading the page, which keeps PostgreSQL from scanning whole tables, as counting needs.
        counted = list_totals(connection, wanted, position)
    page = account_page(connection, wanted, position, sort=sort, limit=limit, after=after)
    return Listed(_with_ceilings(connection, page.accounts, at), page.next_after, counted)


def _with_ceilings(
    connection: Connection, accounts: Sequence[ListedAccount], at: PolicyAsOf
) -> list[ListedAccountWithCeiling]:
    policy, codes = at.policy_id, [account.uscc for account in accounts]
    if policy is None:
        return [ListedAccountWithCeiling(account, 0, []) for account in accounts]
    versions = at.versions_of(codes)
    ceilings = {version.ref: at.ceiling_fen(version) for version in versions.values()}
    disputed = disagreements.positions(connection, policy, at.window, codes, at.moment.position)
    return [
        ListedAccountWithCeiling(
            account, ceilings[versions[account.uscc].ref], disputed.get(account.uscc, [])
        )
        for account in accounts
    ]


def summarise(connection: Connection, window: str, dimension: Dimension, at: PolicyAsOf) -> list[Group]:
    """Read the groups of a window; empty while no policy has such accounts."""
    if at.policy_id is None or at.newest is None:
        return []
    limits = [limit.id for limit in policies.policy_of(connection, at.newest.ref).limits]
    return sums.groups(connection, at.policy_id, window, dimension, limits, at.moment.position)


def count_disputed(connection: Connection, at: PolicyAsOf) -> int:
    """Count the accounts of the window that the log contradicts; they are in no sum."""
    if at.policy_id is None:
        return 0
    return disagreements.count_accounts(connection, at.policy_id, at.window, at.moment.position)
