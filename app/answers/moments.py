"""Parses moments, for HTTP and for the command line: a position, a day in Beijing, or a time."""

import re
from typing import Final

from app.runtime.times import DAY_US, parse_rfc_3339
from app.use_cases.reading.as_of import AskedDay, AskedMoment

BEYOND: Final = 2**63
"""Greater than every position; greater numbers are reduced to it."""

_POSITION: Final = re.compile(r"[0-9]+", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LIKE: Final = "日期（北京时间）如2024-08-05，或带时差的时间如2024-08-05T18:00:00+08:00"
_LEAP_SECOND: Final = re.compile(r"\d{2}:\d{2}:60", re.ASCII)


class MomentError(ValueError):
    """A text is not a moment; the message says in Chinese what a moment looks like."""


def parse_position(text: str) -> int:
    """Parse a position; return `BEYOND` if it is greater than any log has.

    Raises:
        MomentError: The text contains characters other than the digits 0 to 9.
    """
    if _POSITION.fullmatch(text) is None:
        raise MomentError("台账序号应只用数字0至9书写。")
    digits = text.lstrip("0") or "0"
    return BEYOND if len(digits) > len(str(BEYOND)) else min(int(digits), BEYOND)


def parse_moment(text: str, *, now_us: int, is_start: bool = False) -> AskedMoment:
    """Parse a position such as `32518`, a time (RFC 3339), or a day.

    Args:
        text: The plus sign of an offset may have become a space, as it does in a URL.
        now_us: The time of the clock, in microseconds since 1970.
        is_start: Whether a day stands for its start in Beijing; otherwise for its end.

    Raises:
        MomentError: The text is none of them.
    """
    if _POSITION.fullmatch(text) is not None:
        return AskedMoment(position=parse_position(text))
    return _day_or_time(text, now_us=now_us, is_start=is_start, like=f"台账序号如32518，{_LIKE}")


def parse_known_at(text: str, *, now_us: int) -> AskedMoment:
    """Parse a time (RFC 3339), or a day, which stands for its end in Beijing.

    Args:
        text: The plus sign of an offset may have become a space, as it does in a URL.
        now_us: The time of the clock, in microseconds since 1970.

    Raises:
        MomentError: The text is neither.
    """
    return _day_or_time(text, now_us=now_us, is_start=False, like=_LIKE)


def _day_or_time(text: str, *, now_us: int, is_start: bool, like: str) -> AskedMoment:
    is_day = _DAY.fullmatch(text) is not None
    try:
        time_us = parse_rfc_3339(f"{text}T00:00:00+08:00" if is_day else text.replace(" ", "+"))
    except ValueError as error:
        raise MomentError(f"{_reason(text, is_day=is_day)}应为{like}。") from error
    if not is_day:
        return AskedMoment(known_at_us=time_us)
    # The start excludes everything recorded on the day, even at midnight exactly.
    known_at_us = time_us - 1 if is_start else time_us + DAY_US - 1
    return AskedMoment(known_at_us=known_at_us, day=AskedDay(text, time_us, now_us))


def _reason(text: str, *, is_day: bool) -> str:
    if is_day:
        return "没有这一天；"
    return "闰秒只有世界时23:59:60；" if _LEAP_SECOND.search(text) else ""
