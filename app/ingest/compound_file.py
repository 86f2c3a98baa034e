"""Streams of a compound file, the container of .xls and of workbooks with a password.

After [MS-CFB]: sectors linked in chains by an allocation table; small streams in sectors of 64 bytes
inside the stream of the root entry.
"""

import struct
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = bytes.fromhex("D0CF11E0A1B11AE1")

_LAST_SECTOR: Final = 0xFFFFFFFA
_HEADER_BYTES: Final = 512
_ENTRY_BYTES: Final = 128
_ROOT: Final = 5
_STREAM: Final = 2


class CompoundFileError(Exception):
    """The bytes are not a sound compound file."""
