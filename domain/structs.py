"""Structs that several threads decode at the same time."""

from typing import TypeVar

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)


def prepared(kind: type[StructT]) -> type[StructT]:
    """Build the decoder of a struct now, in the one thread that imports its module.

    `msgspec` (0.22) builds the decoder when the struct is first decoded, and lets another thread use it
    before it is complete: the process then ends with a segmentation fault.
    """
    msgspec.json.Decoder(kind)
    return kind
