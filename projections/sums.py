"""The rows of `tables.totals`: how a change of an account changes the sums of its window."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from projections.rows import AccountRow, EnterpriseRow, EntitlementRow, Periods
from projections.tables import limits_of

LIST_DIMENSION = "list"
"""The totals of the list: by the account's region and the measures that its periods are awarded by."""

FILED_DIMENSION = "filed"
"""Under no policy: the enterprises with a standing return, by region and by who has assessed them."""

Totals = tuple[int, int, int, int]
"""Counted, assessed_fen, open_fen, preliminary_fen."""

NOTHING: Totals = (0, 0, 0, 0)


def capped_dimension(dimension: str, limit: str) -> str:
    """Where the periods are counted that a limit cut, by the keys of a dimension of the summary."""
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


_Awarded = tuple[str, str, str, str, str | None, str | None, str]
"""What the groups of an awarded period are made of, as `_group_keys` takes it, and the limits that cut."""


@lru_cache(maxsize=65_536)
def _group_keys(  # noqa: PLR0913, PLR0917 - what the groups are made of
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
    """The totals of the list in which an account counts; None without a period."""
    if account is None:
        return None
    measures = frozenset([row.measure for row in periods.values() if row.measure is not None])
    return _list_key(policy, window, account.region_code, measures)


def groups_of(policy: str, window: str, period: str, row: EntitlementRow) -> tuple[TotalKey, ...]:
    """The groups of the summary that a period counts in: none unless it is awarded."""
    if row.measure is None:
        return ()
    return _group_keys(policy, window, period, row.measure, row.region_code, row.industry)


def assessed_groups(policy: str, window: str, periods: Periods) -> frozenset[TotalKey]:
    """The groups in which an enterprise has more than 0 assessed: it counts once in each."""
    found: set[TotalKey] = set()
    for period, row in periods.items():
        if row.assessed_fen > 0:
            found.update(groups_of(policy, window, period, row))
    return frozenset(found)


class SumChanges:
    """What the accounts of one transaction add to the sums, and take from them."""

    def __init__(self) -> None:
        self._by_key: dict[TotalKey, list[int]] = {}
        self._of_periods: dict[_Awarded, list[int]] = {}

    def items(self) -> Iterable[tuple[TotalKey, Sequence[int]]]:
        """What changes by key, in the order of `Totals`.

        A period counts in four groups; what changes in it is added up first, and once to each of them here.
        """
        for (*awarded, capped_by), (periods, *change) in self._of_periods.items():
            limits = limits_of(capped_by)
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
        """Count an enterprise with a standing return in (1) or out (-1)."""
        if row is not None:
            self._at(_filed_key(window, row.region_code, row.assessed_by))[0] += sign

    def listed(self, key: TotalKey | None, account: AccountRow | None, sign: int) -> None:
        """Count an account in or out of the totals of the list, under the key of `list_key`."""
        if key is None or account is None:
            return
        sums = self._at(key)
        sums[0] += sign
        sums[1] += sign * account.assessed_fen
        sums[2] += sign * account.open_fen
        sums[3] += sign * account.preliminary_fen

    def grouped(self, policy: str, window: str, period: str, row: EntitlementRow | None, sign: int) -> None:
        """Count the amounts of a period in or out of its groups; enterprises are counted apart."""
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
        """Count an enterprise in the groups that it is new in, and out of those that it has left."""
        for key in after - before:
            self._at(key)[0] += 1
        for key in before - after:
            self._at(key)[0] -= 1


def plus(left: Totals, right: Sequence[int]) -> Totals:
    """The sum of two."""
    return (
        left[0] + right[0],
        left[1] + right[1],
        left[2] + right[2],
        left[3] + right[3],
    )
