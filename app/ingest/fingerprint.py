"""Reads a file of any size once, for its hash, its encoding and its kind."""

import codecs
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.ingest.opening import open_regular
from app.runtime.limits import SOURCE_FILE_MAX_BYTES

_BLOCK_BYTES: Final = 1 << 20
# UTF-8 is tried first, since hardly any GB18030 text is also valid UTF-8, but the reverse is common.
ENCODINGS: Final = ("utf-8-sig", "gb18030")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One state of a file.

    Attributes:
        sha256: The SHA-256 of its bytes, in hex.
        start: Its first bytes, which show what kind of file it is.
        encoding: The first of UTF-8 and GB18030 in which the whole file is valid; None if neither.
        state: Size in bytes and time of change in nanoseconds; a later reader compares them to
            notice a change.
    """

    sha256: str
    start: bytes
    encoding: str | None
    state: tuple[int, int]

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.state[0]


class FileTooLargeError(Exception):
    """The file is over `SOURCE_FILE_MAX_BYTES`."""


def take_fingerprint(path: Path) -> Fingerprint:
    """Read a file once, block by block.

    Raises:
        FileTooLargeError: The file is too large, or grows too large while it is read.
        NotATableError: It is no regular file.
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    decoders = {name: codecs.getincrementaldecoder(name)("strict") for name in ENCODINGS}
    start = b""
    with open_regular(path) as file:
        state = _state(os.fstat(file.fileno()))
        size = state[0]
        while size <= SOURCE_FILE_MAX_BYTES and (block := file.read(_BLOCK_BYTES)):
            size = max(size, file.tell())  # The file may go on growing while it is read.
            start = start or block[:8]
            digest.update(block)
            decoders = {name: decoder for name, decoder in decoders.items() if _takes(decoder, block)}
    if size > SOURCE_FILE_MAX_BYTES:
        raise FileTooLargeError
    valid = [name for name, decoder in decoders.items() if _takes(decoder, b"", final=True)]
    return Fingerprint(digest.hexdigest(), start, next(iter(valid), None), state)


def read_state(path: Path) -> tuple[int, int]:
    """The size of a file in bytes, and the time of its last change in nanoseconds.

    Raises:
        OSError: The file is gone.
    """
    return _state(path.stat())


def _state(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _takes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    """Whether the bytes so far are text in the decoder's encoding."""
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True
