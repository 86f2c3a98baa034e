"""The answers about disclosures, and the times by which they can be filtered."""

import re
from typing import Final

import msgspec

from app.answers.models import Model
from app.runtime.times import parse_rfc_3339, rfc_3339
from app.security.disclosures import Disclosure, Kind

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_US: Final = 24 * 60 * 60 * 1_000_000


class DisclosureItem(Model):
    """An entry: who saw which figures, or the creation, use or revocation of a key."""

    id: int
    kind: Kind
    at: str
    actor: str
    key: str | None
    route: str
    uscc: str | None
    query: str | None
    count: int | None


def disclosure_item(entry: Disclosure) -> DisclosureItem:
    """Present an entry."""
    fields = msgspec.structs.asdict(entry)
    return DisclosureItem(at=rfc_3339(fields.pop("at_us")), **fields)


def parse_time_or_day(text: str, *, is_end: bool) -> int:
    """Parse a time, or a day, which stands for its start or its end in Beijing.

    Returns:
        Microseconds since 1970.

    Raises:
        ValueError: The text is neither a time nor a day.
    """
    if _DAY.fullmatch(text) is None:
        return parse_rfc_3339(text.replace(" ", "+"))
    return parse_rfc_3339(f"{text}T00:00:00+08:00") + (_DAY_US - 1 if is_end else 0)
