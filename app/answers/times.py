"""Times as the API writes and reads them: RFC 3339, to the microsecond, without a float in between."""

from datetime import UTC, datetime, timedelta

from app.use_cases.times import parse_rfc_3339

__all__ = ["parse_rfc_3339", "rfc_3339"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc_3339(time_us: int) -> str:
    """Microseconds since 1970 in UTC: `2024-04-10T08:00:00Z`, with a fraction where there is one."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
