"""Times as the API writes and reads them: RFC 3339, to the microsecond, without a float in between."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def rfc_3339(time_us: int) -> str:
    """Microseconds since 1970 in UTC: `2024-04-10T08:00:00Z`, with a fraction where there is one."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def parse_rfc_3339(text: str) -> int:
    """Microseconds since 1970.

    Raises:
        ValueError: The text is no time of RFC 3339 with its offset.
    """
    if _RFC_3339.fullmatch(text) is None:
        raise ValueError(text)
    try:
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
    except OverflowError as error:
        raise ValueError(text) from error
