"""The periods of the monthly survey, and the windows of months over which policies add them up.

The survey has eleven periods a year: January and February together, then each month from March to December.
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
"""The length of a window; a `month` is a period of the survey, so January and February together are one."""

_MONTHS: Final = {"quarter": 3, "half-year": 6, "year": 12}
_MONTHS_A_YEAR: Final = 12
_QUARTERS: Final = "一二三四"


class PeriodError(ValueError):
    """The text is not a period of the survey, or not a window; the message says why, in Chinese."""


class Period(msgspec.Struct, frozen=True, order=True, gc=False):
    """A period of the survey, ordered by time: one month, or January and February together.

    Attributes:
        year: From 2000 to 2099.
        first_month: From 1 to 12.
        last_month: The same month, or 2 for January and February together.
    """

    year: int
    first_month: int
    last_month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a period written as `2024-03` or `2024-01~02`.

        Raises:
            PeriodError: The text does not have this form, or is January or February alone.
        """
        match = _PERIOD.fullmatch(text)
        if match is None:
            raise PeriodError(_why_not_a_period(text))
        year, january, month = match.groups()
        if january:
            return cls(int(year), 1, 2)
        return cls(int(year), int(month), int(month))

    def __str__(self) -> str:
        """The period as the API writes it: `2024-03`, `2024-01~02`."""
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
        """The period before in the same year; None for the first, where cumulative figures start at zero."""
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
    """Consecutive whole months, ordered by time: a month, a quarter, a half-year (半年度), a year or several.

    Attributes:
        first: The first month, counted from January of the year 0.
        last: The last month, likewise.
    """

    first: int
    last: int

    @classmethod
    def around(cls, per: Per, period: Period) -> Self:
        """The window of this length that holds a period of the survey."""
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
        """Parse a window written as `2024`, `2024H1`, `2024Q2`, `2024-03`, `2024-01~02` or `2024~2025`.

        Raises:
            PeriodError: The text does not have this form, is not the shortest form of its window, or
                separates January from February.
        """
        match = _WINDOW.fullmatch(text)
        window = None if match is None else cls(*_parse_months(*match.groups()))
        if window is None or window.parts_a_period or str(window) != text:
            raise PeriodError(
                f"期间“{text[:40]}”无法识别。应写作2024（全年）、2024H1（上半年）、2024Q2（第二季度）、"
                "2024-03（3月）、2024-01~02（1—2月）或2024~2025（两年）。"
            )
        return window

    def __str__(self) -> str:
        """The window as the API writes it: `2024H1`, `2024Q2`, `2024-01~02`."""
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
        """The years of its months."""
        return range(self.first_year, self.last_year + 1)

    @property
    def end(self) -> tuple[int, int]:
        """The year and the month of the first month after the window."""
        year, month = divmod(self.last + 1, _MONTHS_A_YEAR)
        return year, month + 1

    @property
    def parts_a_period(self) -> bool:
        """Whether the window begins with February, ends with January, or ends before it begins."""
        february, january = 1, 0
        return (
            self.first % _MONTHS_A_YEAR == february
            or self.last % _MONTHS_A_YEAR == january
            or self.last < self.first
        )

    @property
    def periods(self) -> tuple[Period, ...]:
        """The periods of the survey in the window, in the order of time."""
        return _window_periods(self)

    @property
    def chinese(self) -> str:
        """The window as an official writes it: `2024年上半年`, `2024年第二季度`, `2024—2025年`."""
        return _window_in_chinese(self)

    def holds(self, period: Period) -> bool:
        """Whether the window holds the whole period."""
        january = period.year * _MONTHS_A_YEAR - 1
        return self.first <= january + period.first_month and january + period.last_month <= self.last

    def includes(self, other: "Window") -> bool:
        """Whether the window holds the whole of another one."""
        return self.first <= other.first and other.last <= self.last

    def overlaps(self, other: "Window") -> bool:
        """Whether the two share a month."""
        return self.first <= other.last and other.first <= self.last


def _parse_months(  # noqa: PLR0913, PLR0917 - the groups of the pattern
    year: str,
    half: str | None,
    quarter: str | None,
    month: str | None,
    last_month: str | None,
    last: str | None,
) -> tuple[int, int]:
    """The first and the last month of a window, from the groups of the pattern."""
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
def _window_periods(window: Window) -> tuple[Period, ...]:
    return tuple(period for year in window.years for period in periods_of_year(year) if window.holds(period))


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
    """The periods of the survey from the first to the last, both included."""
    for year in range(first.year, last.year + 1):
        yield from (period for period in periods_of_year(year) if first <= period <= last)


@lru_cache(maxsize=4096)
def period_of(text: str) -> Period:
    """`Period.parse` with a cache: a whole country files millions of returns a year, for eleven periods.

    Raises:
        PeriodError: As `Period.parse`.
    """
    return Period.parse(text)


@lru_cache(maxsize=4096)
def window_of(text: str) -> Window:
    """`Window.parse` with a cache.

    Raises:
        PeriodError: As `Window.parse`.
    """
    return Window.parse(text)


@lru_cache(maxsize=4096)
def year_before(period: str) -> str:
    """The same period of the year before; both texts are as the API writes them.

    Raises:
        PeriodError: As `Period.parse`.
    """
    return str(period_of(period).year_before)


def is_window(text: str) -> bool:
    """Whether a text is a window as the API writes it."""
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
