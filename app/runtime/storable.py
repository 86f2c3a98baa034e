"""Which values every database can store; any other value is refused at the edge."""

from typing import Any, Final

import msgspec

from domain.text import is_storable_text

_MOST: Final = 2**63


def is_storable(value: Any) -> bool:
    """Whether every database can store a text, and an integer fits in 64 bits; for a struct, its fields."""
    if isinstance(value, msgspec.Struct):
        return all(map(is_storable, msgspec.structs.astuple(value)))
    if isinstance(value, str):
        return is_storable_text(value)
    return not isinstance(value, int) or -_MOST <= value < _MOST
