"""Which values every database can store; any other value is refused at the edge."""

import re
from typing import Any, Final

import msgspec

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_MOST: Final = 2**63


def is_storable(value: Any) -> bool:
    """Whether a text has neither NUL nor a lone surrogate, and an integer fits in 64 bits.

    PostgreSQL cannot store NUL, and neither database a lone surrogate or a longer integer. For a struct, its
    fields are checked.
    """
    if isinstance(value, msgspec.Struct):
        return all(map(is_storable, msgspec.structs.astuple(value)))
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    return not isinstance(value, int) or -_MOST <= value < _MOST
