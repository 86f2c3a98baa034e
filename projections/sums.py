"""The rows of `tables.totals`: how a change of an account changes the sums of its window."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from projections.rows import AccountRow, EnterpriseRow, EntitlementRow, Periods
from projections.tables import parse_limit_set

LIST_DIMENSION = "list"
"""The dimension for the totals of the list: the region of an account, and the measures of its awards."""

FILED_DIMENSION = "filed"
"""The dimension for enterprises with a standing return, by region and by the policies that assessed them.

It belongs to no policy.
"""

Totals = tuple[int, int, int, int]
"""Counted, assessed_fen, open_fen, preliminary_fen."""

NOTHING: Totals = (0, 0, 0, 0)


def capped_dimension(dimension: str, limit: str) -> str:
    """The dimension for the periods that a limit cut, with the keys of a dimension of the summary."""
    return f"{dimension}/{limit}"


class TotalKey(NamedTuple):
    """The key of `tables.totals`."""

    policy: str
    window: str
    dimension: str
    key: str


@lru_cache(maxsize=65_536)
def _list_key(policy: str, window: str, region_code: str, measures: frozenset[str]) -> TotalKey:
    return TotalKey(policy, window, LIST_DIMENSION, f"{region_code}|{','.join(sorted(measures))}")


@lru_cache(maxsize=65_536)
def _filed_key(window: str, region_code: str, assessed_by: str) -> TotalKey:
    return TotalKey("", window, FILED_DIMENSION, f"{region_code}|{assessed_by}")


_AwardedPeriod = tuple[str, str, str, str, str | None, str | None, str]
"""The arguments of `_group_keys` for an awarded period, and the limits that cut it."""


@lru_cache(maxsize=65_536)
def _group_keys(  # noqa: PLR0913, PLR0917 - the values that the groups are formed by
    policy: str, window: str, period: str, measure: str, region_code: str | None, industry: str | None
) -> tuple[TotalKey, ...]:
    """The groups of the summary that an awarded period counts in."""
    return (
        TotalKey(policy, window, "period", period),
        TotalKey(policy, window, "measure", measure),
        TotalKey(policy, window, "region_code", region_code or ""),
        TotalKey(policy, window, "industry", industry or ""),
    )


def list_key(policy: str, window: str, account: AccountRow | None, periods: Periods) -> TotalKey | None:
    """The key of the list's totals that an account counts in; None without a period."""
    if account is None:
        return None
    measures = frozenset([row.measure for row in periods.values() if row.measure is not None])
    return _list_key(policy, window, account.region_code, measures)


def summary_groups(policy: str, window: str, period: str, row: EntitlementRow) -> tuple[TotalKey, ...]:
    """The groups of the summary that a period counts in; none without an award."""
    if row.measure is None:
        return ()
    return _group_keys(policy, window, period, row.measure, row.region_code, row.industry)


def assessed_groups(policy: str, window: str, periods: Periods) -> frozenset[TotalKey]:
    """The groups in which an enterprise has an assessed amount above 0; it counts once in each."""
    found: set[TotalKey] = set()
    for period, row in periods.items():
        if row.assessed_fen > 0:
            found.update(summary_groups(policy, window, period, row))
    return frozenset(found)


class SumChanges:
    """The changes to the sums by the accounts of one transaction."""

    def __init__(self) -> None:
        self._by_key: dict[TotalKey, list[int]] = {}
        self._of_periods: dict[_AwardedPeriod, list[int]] = {}

    def items(self) -> Iterable[tuple[TotalKey, Sequence[int]]]:
        """The changes by key, in the order of `Totals`.

        A period counts in four groups; its changes are added up first, and added to each group here, once.
        """
        for (*awarded, capped_by), (periods, *change) in self._of_periods.items():
            limits = parse_limit_set(capped_by)
            for key in _group_keys(*awarded):
                sums = self._at(key)
                for index, amount_fen in enumerate(change, 1):
                    sums[index] += amount_fen
                for limit in limits:
                    capped = key._replace(dimension=capped_dimension(key.dimension, limit))
                    self._at(capped)[0] += periods
        self._of_periods = {}
        return ((key, change) for key, change in self._by_key.items() if any(change))

    def _at(self, key: TotalKey) -> list[int]:
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = [0, 0, 0, 0]
        return found

    def filed(self, window: str, row: EnterpriseRow | None, sign: int) -> None:
        """Add an enterprise with a standing return to its sums (1), or remove it (-1)."""
        if row is not None:
            self._at(_filed_key(window, row.region_code, row.assessed_by))[0] += sign

    def listed(self, key: TotalKey | None, account: AccountRow | None, sign: int) -> None:
        """Add an account to the totals of the list, or remove it, under the key of `list_key`."""
        if key is None or account is None:
            return
        sums = self._at(key)
        sums[0] += sign
        sums[1] += sign * account.assessed_fen
        sums[2] += sign * account.open_fen
        sums[3] += sign * account.preliminary_fen

    def grouped(self, policy: str, window: str, period: str, row: EntitlementRow | None, sign: int) -> None:
        """Add the amounts of a period to its groups, or remove them; `enterprises` counts enterprises."""
        if row is None or row.measure is None:
            return
        awarded = (policy, window, period, row.measure, row.region_code, row.industry, row.capped_by)
        sums = self._of_periods.get(awarded)
        if sums is None:
            sums = self._of_periods[awarded] = [0, 0, 0, 0]
        sums[0] += sign
        assessed_fen = sign * row.assessed_fen
        sums[1] += assessed_fen
        sums[2] += sign * row.open_fen
        if row.stage == "preliminary":
            sums[3] += assessed_fen

    def enterprises(self, before: frozenset[TotalKey], after: frozenset[TotalKey]) -> None:
        """Add an enterprise to the groups that it has entered, and remove it from those that it has left."""
        for key in after - before:
            self._at(key)[0] += 1
        for key in before - after:
            self._at(key)[0] -= 1


def plus(left: Totals, right: Sequence[int]) -> Totals:
    """The sum of two totals."""
    return (
        left[0] + right[0],
        left[1] + right[1],
        left[2] + right[2],
        left[3] + right[3],
    )
