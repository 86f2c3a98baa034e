"""Formats and parses the times of the API: RFC 3339, exact to the microsecond."""

from datetime import UTC, datetime, timedelta

from app.use_cases.times import parse_rfc_3339

__all__ = ["parse_rfc_3339", "rfc_3339"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc_3339(time_us: int) -> str:
    """Format microseconds since 1970 in UTC: `2024-04-10T08:00:00Z`, with a fraction unless it is zero."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
