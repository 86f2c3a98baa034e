"""The periods of the monthly survey, and the windows of months in which policies count them together.

The survey has eleven periods a year: January and February are surveyed together, then March to December.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal, Self

import msgspec

_PERIOD = re.compile(r"(20[0-9]{2})-(?:(01)~02|(0[3-9]|1[0-2]))", re.ASCII)
_JANUARY_OR_FEBRUARY_ALONE = re.compile(r"(20[0-9]{2})-0[12]", re.ASCII)
_WINDOW = re.compile(
    r"(20[0-9]{2})(?:H([12])|Q([1-4])|-(0[1-9]|1[0-2])(?:~(0[1-9]|1[0-2]))?|~(20[0-9]{2}))?", re.ASCII
)

Per = Literal["month", "quarter", "half-year", "year"]
"""The length of a window; a month is a period of the survey, so January and February together are one."""

_MONTHS: Final = {"quarter": 3, "half-year": 6, "year": 12}
_MONTHS_A_YEAR: Final = 12
_QUARTERS: Final = "一二三四"


class PeriodError(ValueError):
    """The text names no period of the survey, or no window; the message says why, in Chinese."""


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
    """Whole months on end: a quarter, a half-year (半年度), a year, or several years; ordered by time.

    Attributes:
        first: The first month, counted from January of the year 0.
        last: The last month, likewise.
    """

    first: int
    last: int

    @classmethod
    def around(cls, per: Per, period: Period) -> Self:
        """The window of a length that holds a period of the survey."""
        january = period.year * _MONTHS_A_YEAR
        if per == "month":
            return cls(january + period.first_month - 1, january + period.last_month - 1)
        months = _MONTHS[per]
        first = january + (period.first_month - 1) // months * months
        return cls(first, first + months - 1)

    @classmethod
    def of_years(cls, first: int, last: int) -> Self:
        """The years from the first to the last, both included."""
        return cls(first * _MONTHS_A_YEAR, (last + 1) * _MONTHS_A_YEAR - 1)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The window written as `2024`, `2024H1`, `2024Q2`, `2024-03`, `2024-01~02` or `2024~2025`.

        Raises:
            PeriodError: The text is not of this form, another one is the form of this window, or it parts
                January from February.
        """
        match = _WINDOW.fullmatch(text)
        window = None if match is None else cls(*_months_of(*match.groups()))
        if window is None or window.parts_a_period or str(window) != text:
            raise PeriodError(
                f"期间“{text[:40]}”无法识别。应写作2024（全年）、2024H1（上半年）、2024Q2（第二季度）、"
                "2024-03（3月）、2024-01~02（1—2月）或2024~2025（两年）。"
            )
        return window

    def __str__(self) -> str:
        """The window as the contract writes it."""
        return _window_text(self)

    @property
    def first_year(self) -> int:
        """The year of the first month."""
        return self.first // _MONTHS_A_YEAR

    @property
    def last_year(self) -> int:
        """The year of the last month."""
        return self.last // _MONTHS_A_YEAR

    @property
    def years(self) -> range:
        """The years that it has months of."""
        return range(self.first_year, self.last_year + 1)

    @property
    def end(self) -> tuple[int, int]:
        """Year and month of the first month after it."""
        year, month = divmod(self.last + 1, _MONTHS_A_YEAR)
        return year, month + 1

    @property
    def parts_a_period(self) -> bool:
        """Whether it begins with February, ends with January, or ends before it begins."""
        february, january = 1, 0
        return (
            self.first % _MONTHS_A_YEAR == february
            or self.last % _MONTHS_A_YEAR == january
            or self.last < self.first
        )

    @property
    def periods(self) -> list[Period]:
        """The periods of the survey in it, in the order of time."""
        return [period for year in self.years for period in periods_of_year(year) if self.holds(period)]

    @property
    def chinese(self) -> str:
        """The window as an official writes it: `2024年上半年`, `2024年第二季度`, `2024—2025年`."""
        return _window_in_chinese(self)

    def holds(self, period: Period) -> bool:
        """Whether the whole period is in it."""
        january = period.year * _MONTHS_A_YEAR - 1
        return self.first <= january + period.first_month and january + period.last_month <= self.last

    def includes(self, other: "Window") -> bool:
        """Whether the whole of another window is in it."""
        return self.first <= other.first and other.last <= self.last

    def overlaps(self, other: "Window") -> bool:
        """Whether the two share a month."""
        return self.first <= other.last and other.first <= self.last


def _months_of(  # noqa: PLR0913, PLR0917 - the groups of the pattern
    year: str,
    half: str | None,
    quarter: str | None,
    month: str | None,
    last_month: str | None,
    last: str | None,
) -> tuple[int, int]:
    """First and last month of what a text says."""
    january = int(year) * _MONTHS_A_YEAR
    if half is not None:
        return january + 6 * int(half) - 6, january + 6 * int(half) - 1
    if quarter is not None:
        return january + 3 * int(quarter) - 3, january + 3 * int(quarter) - 1
    if month is not None:
        return january + int(month) - 1, january + int(last_month or month) - 1
    last_january = january if last is None else int(last) * _MONTHS_A_YEAR
    return january, last_january + _MONTHS_A_YEAR - 1


@lru_cache(maxsize=4096)
def _window_text(window: Window) -> str:
    first_year, last_year = window.first_year, window.last_year
    if first_year != last_year:
        return f"{first_year}~{last_year}"
    first, months = window.first % _MONTHS_A_YEAR, window.last - window.first + 1
    if months == _MONTHS["year"]:
        return str(first_year)
    for letter, length in (("H", _MONTHS["half-year"]), ("Q", _MONTHS["quarter"])):
        if months == length and first % length == 0:
            return f"{first_year}{letter}{first // length + 1}"
    to = f"~{first + months:02d}" if months > 1 else ""
    return f"{first_year}-{first + 1:02d}{to}"


@lru_cache(maxsize=4096)
def _window_in_chinese(window: Window) -> str:
    first_year, last_year = window.first_year, window.last_year
    if first_year != last_year:
        return f"{first_year}—{last_year}年"
    first, months = window.first % _MONTHS_A_YEAR, window.last - window.first + 1
    if months == _MONTHS["year"]:
        return f"{first_year}年"
    if months == _MONTHS["half-year"] and first % months == 0:
        return f"{first_year}年{'下' if first else '上'}半年"
    if months == _MONTHS["quarter"] and first % months == 0:
        return f"{first_year}年第{_QUARTERS[first // months]}季度"
    to = f"—{first + months}" if months > 1 else ""
    return f"{first_year}年{first + 1}{to}月"


def periods_of_year(year: int) -> list[Period]:
    """The eleven periods of a year, in the order of time."""
    return [Period(year, 1, 2), *(Period(year, month, month) for month in range(3, _MONTHS_A_YEAR + 1))]


def periods_between(first: Period, last: Period) -> Iterator[Period]:
    """The periods of the survey from the first one to the last, both included."""
    for year in range(first.year, last.year + 1):
        yield from (period for period in periods_of_year(year) if first <= period <= last)


@lru_cache(maxsize=4096)
def period_of(text: str) -> Period:
    """`Period.parse`, remembered: a year of a country has millions of returns and eleven periods.

    Raises:
        PeriodError: As `Period.parse`.
    """
    return Period.parse(text)


@lru_cache(maxsize=4096)
def window_of(text: str) -> Window:
    """`Window.parse`, remembered.

    Raises:
        PeriodError: As `Window.parse`.
    """
    return Window.parse(text)


@lru_cache(maxsize=4096)
def year_before(period: str) -> str:
    """The same period of the year before, both as the contract writes them.

    Raises:
        PeriodError: As `Period.parse`.
    """
    return str(period_of(period).year_before)


def is_window(text: str) -> bool:
    """Whether a text names a window as the contract writes it."""
    try:
        window_of(text)
    except PeriodError:
        return False
    return True


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
