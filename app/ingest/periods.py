"""Parses periods (所属期) as people write them in cells, titles and names of files."""

import datetime as dt
import re
from calendar import monthrange

from app.ingest.text import compact, one_dash, plain
from app.runtime.times import BEIJING

_TO = "[-~至到、]"
_ONE_MONTH = re.compile(
    r"(?P<year>[0-9]{4})(?:年(?P<a>[0-9]{1,2})月份?|[-/.](?P<b>[0-9]{1,2})|(?P<c>[0-9]{2})"
    # Typed into Excel, 2024-03 becomes the first day of the month; other programs write its last day.
    r"|[-/.](?P<d>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})(?:00:00:00)?)"
)
_TWO_MONTHS = re.compile(rf"(?P<year>[0-9]{{4}})(?:年0?1月?{_TO}0?2月份?|-01~02)")

# In running text, a day (2024年4月10日) and any other span of months are not periods.
_TWO_MONTHS_WITHIN = re.compile(rf"(20[0-9]{{2}})(?:\s*年\s*0?1\s*月?\s*{_TO}\s*0?2\s*月|-01~02(?![0-9]))")
_ONE_MONTH_WITHIN = re.compile(
    rf"(20[0-9]{{2}})\s*年\s*(0?[1-9]|1[0-2])\s*月(?!份?\s*(?:[0-9]{{1,2}}\s*[日号]|{_TO}\s*[0-9]{{1,2}}\s*月))"
    r"|(?<![0-9])(?<![0-9]-)(20[0-9]{2})-(0[1-9]|1[0-2])(?![0-9~]|-[0-9])"
)
_IN_NAME = re.compile(
    r"(?<![0-9.])(?P<year>20[0-9]{2})(?:(?=[01][0-9](?![0-9.]))|[.](?=1?[0-9](?![0-9.])))"
    r"(?P<month>0?[1-9]|1[0-2])(?![0-9])"
)
_DROPPED_ZERO = re.compile(r"20[0-9]{2}\.1")
_SURVEYED = re.compile(r"[0-9]{4}-(?:0[3-9]|1[0-2]|01~02)")


def normal_period(text: str) -> str:
    """`2024-03` or `2024-01~02` for a period as people write it; other text is only cleaned.

    `2024年1月` becomes `2024-01`, which is not a period of the survey: the validator says so.
    """
    written = compact(text)
    if two := _TWO_MONTHS.fullmatch(written):
        return january_february(int(two["year"]))
    one = _ONE_MONTH.fullmatch(written)
    month = int(one["a"] or one["b"] or one["c"] or one["d"]) if one else 0
    if one is None or month not in range(1, 13) or not _is_edge(int(one["year"]), month, one["day"]):
        return plain(text)
    return month_period(int(one["year"]), month)


def _is_edge(year: int, month: int, day: str | None) -> bool:
    """Whether a day is the first or the last one of its month, or there is none."""
    return day is None or int(day) in {1, monthrange(year, month)[1]}


def is_october_or_january(text: str) -> bool:
    """Whether a cell may hold October of a year, whose last 0 a spreadsheet dropped: 2024.1 for 2024.10."""
    return _DROPPED_ZERO.fullmatch(plain(text)) is not None


def periods_in_name(name: str) -> frozenset[str]:
    """The periods that the name of a file or sheet mentions, which may be written `202403` or `2024.3`."""
    written = {
        month_period(int(found["year"]), int(found["month"])) for found in _IN_NAME.finditer(one_dash(name))
    }
    return periods_within(name) | frozenset(written)


def periods_within(text: str) -> frozenset[str]:
    """The periods that running text mentions: `2024年3月`, `2024-03`, `2024年1—2月`."""
    written = one_dash(text)
    twos = {january_february(int(found[1])) for found in _TWO_MONTHS_WITHIN.finditer(written)}
    rest = _TWO_MONTHS_WITHIN.sub(" ", written)
    ones = {
        month_period(int(found[1] or found[3]), int(found[2] or found[4]))
        for found in _ONE_MONTH_WITHIN.finditer(rest)
    }
    return frozenset(twos | ones)


def is_surveyed(period: str) -> bool:
    """Whether a period in normal form is one of the eleven periods of the survey in a year."""
    return _SURVEYED.fullmatch(period) is not None


def has_begun(period: str) -> bool:
    """Whether a period has begun in Beijing, by the clock of this machine; true for any other text."""
    today = dt.datetime.now(BEIJING)
    return not is_surveyed(period) or (int(period[:4]), int(period[5:7])) <= (today.year, today.month)


def month_period(year: int, month: int) -> str:
    """The normal form of one month."""
    return f"{year:04}-{month:02}"


def january_february(year: int) -> str:
    """The normal form of January and February, which are surveyed together."""
    return f"{year:04}-01~02"


def in_chinese(period: str) -> str:
    """A period in normal form as people read it: `2024年3月`, `2024年1—2月`; other text is unchanged."""
    year, _, months = period.partition("-")
    if months == "01~02":
        return f"{year}年1—2月"
    return f"{year}年{int(months)}月" if months.isdecimal() else period
