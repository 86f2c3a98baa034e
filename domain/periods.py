"""The periods of the monthly survey and the half-years in which they are counted together.

The survey has eleven periods a year: January and February are surveyed together, then March to December.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Self

import msgspec

_PERIOD = re.compile(r"(20[0-9]{2})-(?:(01)~02|(0[3-9]|1[0-2]))", re.ASCII)
_WINDOW = re.compile(r"(20[0-9]{2})H([12])", re.ASCII)
_JANUARY_OR_FEBRUARY_ALONE = re.compile(r"(20[0-9]{2})-0[12]", re.ASCII)
_LAST_MONTH_OF_FIRST_HALF = 6


class PeriodError(ValueError):
    """The text names no period of the survey; the message says why, in Chinese."""


class Period(msgspec.Struct, frozen=True, order=True, gc=False):
    """A period of the survey, ordered by time: one month, or January and February together.

    Attributes:
        year: From 2000 to 2099.
        first_month: From 1 to 12.
        last_month: The same, or 2 for the January-February period.
    """

    year: int
    first_month: int
    last_month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The period written as `2024-03` or `2024-01~02`.

        Raises:
            PeriodError: The text is not of this form, or is January or February alone.
        """
        match = _PERIOD.fullmatch(text)
        if match is None:
            raise PeriodError(_why_not_a_period(text))
        year, january, month = match.groups()
        if january:
            return cls(int(year), 1, 2)
        return cls(int(year), int(month), int(month))

    def __str__(self) -> str:
        """The period as the contract writes it."""
        if self.first_month == self.last_month:
            return f"{self.year}-{self.first_month:02d}"
        return f"{self.year}-{self.first_month:02d}~{self.last_month:02d}"

    @property
    def chinese(self) -> str:
        """The period as an official writes it: `2024年3月`, `2024年1—2月`."""
        if self.first_month == self.last_month:
            return f"{self.year}年{self.first_month}月"
        return f"{self.year}年{self.first_month}—{self.last_month}月"

    @property
    def window(self) -> "Window":
        """The half-year that the period is counted in."""
        return Window(self.year, 1 if self.last_month <= _LAST_MONTH_OF_FIRST_HALF else 2)

    @property
    def previous(self) -> "Period | None":
        """The period before in the same year, or None for the first: cumulative figures start anew."""
        if self.first_month == 1:
            return None
        if self.first_month == 3:  # noqa: PLR2004 - March follows the January-February period
            return Period(self.year, 1, 2)
        return Period(self.year, self.first_month - 1, self.first_month - 1)

    @property
    def year_before(self) -> "Period":
        """The same period of the year before."""
        return Period(self.year - 1, self.first_month, self.last_month)

    def overlaps(self, other: "Period") -> bool:
        """Whether the two share a month."""
        return (
            self.year == other.year
            and self.first_month <= other.last_month
            and other.first_month <= self.last_month
        )


class Window(msgspec.Struct, frozen=True, order=True, gc=False):
    """A half-year (半年度): January to June (1) or July to December (2)."""

    year: int
    half: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The half-year written as `2024H1`.

        Raises:
            PeriodError: The text is not of this form.
        """
        match = _WINDOW.fullmatch(text)
        if match is None:
            raise PeriodError(f"半年度“{text}”无法识别。应写作2024H1（上半年）或2024H2（下半年）。")
        return cls(int(match.group(1)), int(match.group(2)))

    def __str__(self) -> str:
        """The half-year as the contract writes it."""
        return f"{self.year}H{self.half}"

    @property
    def chinese(self) -> str:
        """The half-year as an official writes it: `2024年上半年`."""
        return f"{self.year}年{'上' if self.half == 1 else '下'}半年"


def periods_between(first: Period, last: Period) -> Iterator[Period]:
    """The periods of the survey from the first one to the last, both included."""
    for year in range(first.year, last.year + 1):
        for month in (1, *range(3, 13)):
            period = Period(year, month, 2 if month == 1 else month)
            if first <= period <= last:
                yield period


@lru_cache(maxsize=4096)
def period_of(text: str) -> Period:
    """`Period.parse`, remembered: a year of a country has millions of returns and eleven periods.

    Raises:
        PeriodError: As `Period.parse`.
    """
    return Period.parse(text)


@lru_cache(maxsize=4096)
def window_name(period: str) -> str:
    """The half-year of a period, both as the contract writes them.

    Raises:
        PeriodError: As `Period.parse`.
    """
    return str(period_of(period).window)


@lru_cache(maxsize=4096)
def year_before(period: str) -> str:
    """The same period of the year before, both as the contract writes them.

    Raises:
        PeriodError: As `Period.parse`.
    """
    return str(period_of(period).year_before)


def is_window(text: str) -> bool:
    """Whether a text names a half-year as the contract writes it."""
    return _WINDOW.fullmatch(text) is not None


def _why_not_a_period(text: str) -> str:
    shown = text[:40]
    if _JANUARY_OR_FEBRUARY_ALONE.fullmatch(text):
        return (
            f"所属期“{shown}”不能单独登记：1月、2月合并调查，写作2024年1—2月（接口写作{text[:4]}-01~02）；"
            "来源将两月分列的，先相加再登记。"
        )
    return (
        f"所属期“{shown}”无法识别。应写作2024年3月（接口写作2024-03）；"
        "1月、2月合并调查，写作2024年1—2月（接口写作2024-01~02）。"
    )
