"""What a process that reads a file is told, and what it answers: frames, each with its length before it."""

from typing import Any, Final

import msgspec

from app.ingest.fingerprint import Fingerprint
from app.ingest.request import ReadRequest
from app.ingest.rows import FileProblem, Place

LENGTH_BYTES: Final = 4

OUT_OF_MEMORY: Final = 3
"""The exit status of a process that notices by itself that it has no memory left."""


class Limits(msgspec.Struct, frozen=True):
    """What the process may take.

    Attributes:
        memory_bytes: Of address space.
        cpu_s: Of processor time.
        wait_s: How long its caller waits for it in all, without the time that it waits for its caller.
    """

    memory_bytes: int
    cpu_s: int
    wait_s: float


class Task(msgspec.Struct, frozen=True):
    """What the process is told.

    Attributes:
        path: The file, as the system names it.
        request: What is asked of it.
        fingerprint: Of the file.
        limits: What the process may take.
    """

    path: bytes
    request: ReadRequest
    fingerprint: Fingerprint
    limits: Limits


class Row(msgspec.Struct, frozen=True, array_like=True, tag=0, gc=False):
    """A row, whose `places` are those of this number."""

    sheet: str
    row: int
    data: dict[str, Any]
    places: int
    texts: list[str]


class Trouble(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A problem."""

    problem: FileProblem


class Batch(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Rows and problems in their order, with the places that no batch before named."""

    places: list[dict[str, Place]]
    items: list[Row | Trouble]


class End(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The file was read to its end; the headings that are not ours."""

    ignored: tuple[str, ...]


class Fault(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The reading failed in a way that nobody foresaw."""

    traceback: str


Frame = Batch | End | Fault
