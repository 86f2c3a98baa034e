"""An entry of the log of disclosures, and the times that entries are asked for by."""

import re
from typing import Final

import msgspec

from app.answers.models import Model
from app.answers.times import parse_rfc_3339, rfc_3339
from app.security.disclosures import Disclosure, Kind

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_US: Final = 24 * 60 * 60 * 1_000_000


class DisclosureItem(Model):
    """An entry: who saw what, or what became of a key."""

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
    """An entry."""
    told = msgspec.structs.asdict(entry)
    return DisclosureItem(at=rfc_3339(told.pop("at_us")), **told)


def time_of(text: str, *, is_end: bool) -> int:
    """Microseconds since 1970 of a time, or of the start or the end of a day in Beijing.

    Raises:
        ValueError: It is neither.
    """
    if _DAY.fullmatch(text) is None:
        return parse_rfc_3339(text.replace(" ", "+"))
    return parse_rfc_3339(f"{text}T00:00:00+08:00") + (_DAY_US - 1 if is_end else 0)
