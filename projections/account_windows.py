"""The windows that a period counts in: those of the accounts of every version published by then.

Enterprises are listed by half-year even without a published policy, so that window is always one of them.
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, select

from domain.periods import Per, Window, is_window, period_of, periods_of_year, window_of
from domain.policy.reach import Reach
from projections.tables import FOREVER, ReadModels

LISTED_PER: Final[Per] = "half-year"


def is_listed(text: str) -> bool:
    """Whether enterprises are listed by this window even without a published policy."""
    window = window_of(text)
    return Window.around(LISTED_PER, window.periods[0]) == window


class PublishedReach(NamedTuple):
    """The reach of a published version, and the position of its publication."""

    position: int
    reach: Reach


class AccountWindows:
    """The windows that periods count in, by the versions published in a log.

    Args:
        published: The versions, in any order.
    """

    def __init__(self, published: Iterable[PublishedReach]) -> None:
        self._published = sorted(published, key=lambda version: version.position)
        self._positions = [version.position for version in self._published]
        self._found: dict[tuple[int, str], tuple[str, ...]] = {}
        self._in_use: dict[tuple[int, str], bool] = {}

    def of_period(self, text: str, *, at: int = FOREVER) -> tuple[str, ...]:
        """The windows that a period counts in.

        Args:
            text: A period of the survey, as the API writes it.
            at: Only versions published before this position count.

        Raises:
            PeriodError: The text is not a period of the survey.
        """
        known = bisect_left(self._positions, at)
        found = self._found.get((known, text))
        if found is None:
            period = period_of(text)
            windows = {Window.around(LISTED_PER, period)}
            for _, reach in self._published[:known]:
                window = reach.window(period)
                if window.holds(period) and reach.has(window):
                    windows.add(window)
            found = self._found[known, text] = tuple(map(str, sorted(windows)))
        return found

    def has(self, text: str, *, at: int = FOREVER) -> bool:
        """Whether a text names a window that some period counts in."""
        known = bisect_left(self._positions, at)
        found = self._in_use.get((known, text))
        if found is None:
            found = is_window(text) and text in self.of_period(str(window_of(text).periods[0]), at=at)
            self._in_use[known, text] = found
        return found

    def of_year(self, year: int, *, at: int = FOREVER) -> tuple[str, ...]:
        """The windows that the periods of a year count in."""
        every = [self.of_period(str(period), at=at) for period in periods_of_year(year)]
        return tuple(dict.fromkeys(window for windows in every for window in windows))


@lru_cache(maxsize=4)
def _published(models: ReadModels) -> Select[Any]:
    table = models.policies.c
    return select(table.position, table.first_period, table.last_period, table.account_per)


def account_windows(connection: Connection, models: ReadModels) -> AccountWindows:
    """The windows by the versions in the read models."""
    rows = connection.execute(_published(models)).cursor.fetchall()
    return AccountWindows(
        PublishedReach(position, Reach(period_of(first), period_of(last), per))
        for position, first, last, per in rows
    )
