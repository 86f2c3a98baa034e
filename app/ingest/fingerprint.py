"""What is learnt of a file in one pass over its bytes, whatever its size."""

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
_ENCODINGS: Final = ("utf-8-sig", "gb18030")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One state of a file.

    Attributes:
        sha256: The SHA-256 of its bytes, in hex.
        start: Its first bytes, which tell what kind of file it is.
        encoding: The first of UTF-8 and GB18030 that the whole file is valid in.
        state: Size and time of change, by which a later reader knows that it is the same.
    """

    sha256: str
    start: bytes
    encoding: str | None
    state: tuple[int, int]

    @property
    def size(self) -> int:
        """In bytes."""
        return self.state[0]


class FileTooLargeError(Exception):
    """The file is over `SOURCE_FILE_MAX_BYTES`."""


def fingerprint_of(path: Path) -> Fingerprint:
    """Reads a file once, block by block.

    Raises:
        FileTooLargeError: When it is too large, or grows while it is read.
        NotATableError: When it is no regular file.
        OSError: When it cannot be read.
    """
    digest = hashlib.sha256()
    decoders = {name: codecs.getincrementaldecoder(name)("strict") for name in _ENCODINGS}
    start = b""
    with open_regular(path) as file:
        state = _state(os.fstat(file.fileno()))
        size = state[0]
        while size <= SOURCE_FILE_MAX_BYTES and (block := file.read(_BLOCK_BYTES)):
            size = max(size, file.tell())  # It may grow meanwhile, without end.
            start = start or block[:8]
            digest.update(block)
            decoders = {name: decoder for name, decoder in decoders.items() if _takes(decoder, block)}
    if size > SOURCE_FILE_MAX_BYTES:
        raise FileTooLargeError
    valid = [name for name, decoder in decoders.items() if _takes(decoder, b"", final=True)]
    return Fingerprint(digest.hexdigest(), start, next(iter(valid), None), state)


def state_of(path: Path) -> tuple[int, int]:
    """The size and the time of the last change of a file.

    Raises:
        OSError: When it is not there any more.
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
