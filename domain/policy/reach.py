"""The reach of a version of a policy: its periods, and the windows of its accounts."""

from typing import Literal, NamedTuple

from domain.periods import Period, Window, period_of
from domain.policy.document import PolicyDocument

AccountPer = Literal["quarter", "half-year", "year", "policy"]
"""The length of accounts; `policy` is all years of the policy's periods."""


class Reach(NamedTuple):
    """The periods that a version covers, and the length of the accounts that add them up.

    Attributes:
        first: The first period.
        last: The last period, included.
        per: The length of an account.
    """

    first: Period
    last: Period
    per: AccountPer

    def covers(self, period: Period) -> bool:
        """Whether the version covers the period."""
        return self.first <= period <= self.last

    def window(self, period: Period) -> Window:
        """The window of the account that a period belongs to, whether or not the version covers it."""
        if self.per == "policy":
            return Window.of_years(self.first.year, self.last.year)
        return Window.around(self.per, period)

    def has(self, window: Window) -> bool:
        """Whether the version has accounts of exactly this window."""
        covered = (period for period in window.periods if self.covers(period))
        period = next(covered, None)
        return period is not None and self.window(period) == window

    @property
    def windows(self) -> list[Window]:
        """The windows of all accounts, in the order of time."""
        years = Window.of_years(self.first.year, self.last.year)
        return sorted({self.window(period) for period in years.periods if self.covers(period)})


def derive_reach(document: PolicyDocument) -> Reach:
    """The reach of a document.

    An account covers the smallest window that holds every period and every limit: if no limit is longer than
    a period, it is the year.

    Raises:
        PeriodError: The first or the last period of its coverage is not a period of the survey.
    """
    limited = {limit.per for limit in document.limits}
    lengths: tuple[AccountPer, ...] = ("policy", "year", "half-year", "quarter")
    per: AccountPer = next((length for length in lengths if length in limited), "year")
    return Reach(period_of(document.covers.first), period_of(document.covers.last), per)
