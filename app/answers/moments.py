"""A moment in one text: a position, a day in Beijing or a time. For the service and the command line."""

import re
from typing import Final

from app.use_cases.reading.as_of import AskedDay, AskedMoment
from app.use_cases.times import DAY_US, parse_rfc_3339

BEYOND: Final = 2**63
"""Above every position of a log: what is longer is not above its head by more."""

_POSITION: Final = re.compile(r"[0-9]+", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LIKE: Final = "日期（北京时间）如2024-08-05，或带时差的时间如2024-08-05T18:00:00+08:00"
_LEAP_SECOND: Final = re.compile(r"\d{2}:\d{2}:60", re.ASCII)


class MomentError(ValueError):
    """A text that is no moment; says in Chinese what one is."""


def parse_position(text: str) -> int:
    """The position of a text of digits; `BEYOND` where no log reaches so far.

    Raises:
        MomentError: The text holds something else than the digits 0 to 9.
    """
    if _POSITION.fullmatch(text) is None:
        raise MomentError("台账序号应只用数字0至9书写。")
    digits = text.lstrip("0") or "0"
    return BEYOND if len(digits) > len(str(BEYOND)) else min(int(digits), BEYOND)


def parse_moment(text: str, *, now_us: int, is_start: bool = False) -> AskedMoment:
    """The moment of a position such as `32518`, or what `parse_known_at` takes.

    Raises:
        MomentError: The text is none of them.
    """
    if _POSITION.fullmatch(text) is not None:
        return AskedMoment(position=parse_position(text))
    return _day_or_time(text, now_us=now_us, is_start=is_start, like=f"台账序号如32518，{_LIKE}")


def parse_known_at(text: str, *, now_us: int) -> AskedMoment:
    """The moment of a time (RFC 3339) or of a day: its end in Beijing.

    Args:
        text: A plus sign of the offset may have become a space, as it does in a URL.
        now_us: What the clock shows, in microseconds since 1970.

    Raises:
        MomentError: The text is none of them.
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
    # As of its start nothing of the day is known, not even what was recorded at midnight.
    known_at_us = time_us - 1 if is_start else time_us + DAY_US - 1
    return AskedMoment(known_at_us=known_at_us, day=AskedDay(text, time_us, now_us))


def _reason(text: str, *, is_day: bool) -> str:
    if is_day:
        return "没有这一天；"
    return "闰秒只有世界时23:59:60；" if _LEAP_SECOND.search(text) else ""
