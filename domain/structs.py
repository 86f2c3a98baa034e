"""Structs that several threads read at once."""

from typing import TypeVar

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)


def prepared(kind: type[StructT]) -> type[StructT]:
    """A struct whose reader is made now, by the one thread that imports its module.

    `msgspec` (0.22) makes it when the struct is first read, and hands the unfinished one to another thread
    that reads the same struct meanwhile: the process then ends with a segmentation fault.
    """
    msgspec.json.Decoder(kind)
    return kind
