"""Times: microseconds since 1970, as RFC 3339 writes them and as Beijing reads them."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

SECOND_US: Final = 1_000_000
DAY_US: Final = 24 * 60 * 60 * SECOND_US

BEIJING: Final = timezone(timedelta(hours=8))

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR_AND_MINUTE: Final = r"(?:[01]\d|2[0-3]):[0-5]\d"
_TIME: Final = re.compile(
    rf"(\d{{4}}-\d{{2}}-\d{{2}})[Tt]({_HOUR_AND_MINUTE}):([0-5]\d|60)(\.\d+)?([Zz]|[+-]{_HOUR_AND_MINUTE})",
    re.ASCII,
)


def rfc_3339(time_us: int) -> str:
    """Format microseconds since 1970 in UTC: `2024-04-10T08:00:00Z`, with a fraction unless it is zero."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def beijing(time_us: int) -> str:
    """Format microseconds since 1970 as a Beijing time, to the second."""
    return f"{_EPOCH.astimezone(BEIJING) + timedelta(microseconds=time_us):%Y-%m-%d %H:%M:%S}"


def to_us(time: datetime) -> int:
    """The microseconds since 1970 of a time with its offset."""
    return (time - _EPOCH) // _MICROSECOND


def parse_rfc_3339(text: str) -> int:
    """Return microseconds since 1970; smaller fractions of a second are cut off.

    A leap second is 23:59:60 in UTC. No clock of a ledger shows it, so it counts as the last microsecond of
    its day: a moment that includes everything recorded on that day.

    Raises:
        ValueError: The text is not a time of RFC 3339 with its offset, in the years 1 to 9999.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    day, minute, second, fraction, offset = match.groups(default="")
    is_leap = second == "60"
    shown = "59" if is_leap else second
    time = datetime.fromisoformat(f"{day}T{minute}:{shown}{fraction}{offset.upper()}")
    time_us = to_us(time)
    if not is_leap:
        return time_us
    last_second_us = time_us - time_us % SECOND_US
    if (last_second_us + SECOND_US) % DAY_US:
        raise ValueError(text)
    return last_second_us + SECOND_US - 1
