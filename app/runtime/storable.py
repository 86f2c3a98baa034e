"""What every database holds, and nothing else: refused at the edge, wherever it comes from."""

import re
from typing import Any, Final

import msgspec

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_MOST: Final = 2**63


def is_storable(value: Any) -> bool:
    """Whether a text has neither NUL nor a lone surrogate, and an integer fits 64 bits.

    PostgreSQL holds no NUL, neither database a lone surrogate or a longer integer. Of a struct, its fields.
    """
    if isinstance(value, msgspec.Struct):
        return all(map(is_storable, msgspec.structs.astuple(value)))
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    return not isinstance(value, int) or -_MOST <= value < _MOST
