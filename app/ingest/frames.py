"""The messages between a caller and the process that reads its file: frames, each preceded by its length."""

from typing import Any, Final

import msgspec

from app.ingest.fingerprint import Fingerprint
from app.ingest.request import ReadRequest
from app.ingest.rows import FieldColumn, FileProblem

LENGTH_BYTES: Final = 4

OUT_OF_MEMORY: Final = 3
"""The exit status of a process that caught a `MemoryError`."""


class Limits(msgspec.Struct, frozen=True):
    """Limits on a process that reads a file.

    Attributes:
        memory_bytes: Address space.
        cpu_s: Processor time.
        wait_s: How long the caller waits for the process in all. The time that the process waits for its
            caller does not count.
    """

    memory_bytes: int
    cpu_s: int
    wait_s: float


class ReadTask(msgspec.Struct, frozen=True):
    """The file that the process is to read.

    Attributes:
        path: The path of the file in the encoding of the file system.
        request: What the person who hands in the file says about it.
        fingerprint: The fingerprint of the file.
        limits: The limits on the process.
    """

    path: bytes
    request: ReadRequest
    fingerprint: Fingerprint
    limits: Limits


class Row(msgspec.Struct, frozen=True, array_like=True, tag=0, gc=False):
    """A row; `places` is the index of its places among those of all batches so far."""

    sheet: str
    row: int
    data: dict[str, Any]
    places: int
    texts: list[str]


class Trouble(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A problem."""

    problem: FileProblem


class RowBatch(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Rows and problems in order, with the places that no earlier batch contained."""

    places: list[dict[str, FieldColumn]]
    items: list[Row | Trouble]


class End(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The file was read to its end; `ignored` holds the headings that the ledger does not know."""

    ignored: tuple[str, ...]


class Fault(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The reader failed with an exception that it does not handle."""

    traceback: str


Frame = RowBatch | End | Fault
