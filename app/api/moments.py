"""A moment in one text: a position, a day or a time."""

import re
from typing import Final

from app.api.times import parse_rfc_3339
from app.use_cases.reading import AskedMoment

_POSITION: Final = re.compile(r"[0-9]{1,40}", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_US: Final = 24 * 60 * 60 * 1_000_000


def parse_moment(text: str) -> AskedMoment:
    """The moment of a position such as `32518`, a time of RFC 3339, or a day: its end in Beijing.

    Raises:
        ValueError: The text is none of them.
    """
    if _POSITION.fullmatch(text) is not None:
        return AskedMoment(position=int(text))
    if _DAY.fullmatch(text) is not None:
        return AskedMoment(known_at_us=parse_rfc_3339(f"{text}T00:00:00+08:00") + _DAY_US - 1)
    return AskedMoment(known_at_us=parse_rfc_3339(text.replace(" ", "+")))
