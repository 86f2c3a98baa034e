"""Reads a file of the statistics bureau: an .xlsx or a CSV in the layout of the platform's export."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.ingest.confined import limits_for, read_confined
from app.ingest.fingerprint import FileTooLargeError, Fingerprint, take_fingerprint
from app.ingest.frames import ReadTask
from app.ingest.opening import NotATableError
from app.ingest.periods import normal_period
from app.ingest.request import ReadRequest
from app.ingest.rows import FILE_MISSING, FileProblem, FileRow
from app.ingest.units import NAME_OF_CODE
from app.runtime.limits import SOURCE_FILE_MAX_BYTES


class SourceFile:
    """A file that returns are read from.

    Attributes:
        name: The name of the file without folders.
        sha256: The SHA-256 of its bytes, in hex; None when it cannot be read.
    """

    def __init__(self, path: Path, request: ReadRequest, found: Fingerprint | FileProblem) -> None:
        self.name = request.file_name
        self.sha256 = found.sha256 if isinstance(found, Fingerprint) else None
        self._path = path
        self._request = request
        self._found = found
        self._ignored: tuple[str, ...] = ()

    @property
    def ignored_headings(self) -> tuple[str, ...]:
        """The headings that the ledger does not know, complete once `rows` has run to its end."""
        return self._ignored

    def rows(self) -> Iterator[FileRow | FileProblem]:
        """Yield the rows and problems in the order of the file; each call reads it again, in a new process.

        Nothing in a file raises an exception: if its process dies, that is a problem too. A CSV is
        read as a stream. If the file has changed since its fingerprint was taken, a problem follows
        the last row.

        Raises:
            OSError: The system cannot start a process.
        """
        if isinstance(self._found, FileProblem):
            yield self._found
        else:
            path, limits = os.fsencode(self._path), limits_for(self._found.size)
            self._ignored = yield from read_confined(ReadTask(path, self._request, self._found, limits))


def shown_name(path: Path) -> str:
    """The name of a file without folders, fit to be shown.

    A name that is not valid UTF-8 must not break a message or a workbook.
    """
    return os.fsencode(path.name).decode("utf-8", "replace")


def read_file(path: Path, *, unit: str, period: str | None) -> SourceFile:
    """Take the fingerprint of a file and prepare to read its rows.

    Args:
        path: The file. Its contents decide how it is read, not the extension of its name.
        unit: The code of the unit of all amounts in the file, as `unit_code` returns it.
        period: The period of its rows as a person writes it, for files that do not name it.

    Raises:
        ValueError: The unit is not one that `unit_code` returns.
    """
    if unit not in NAME_OF_CODE:
        raise ValueError(f"unknown unit: {unit}")
    request = ReadRequest(
        file_name=shown_name(path), unit=unit, period=normal_period(period) if period else None
    )
    return SourceFile(path, request, _found(path))


def _found(path: Path) -> Fingerprint | FileProblem:
    try:
        return take_fingerprint(path)
    except NotATableError as error:
        return FileProblem.of_file("file-unreadable", str(error))
    except FileTooLargeError:
        return FileProblem.of_file("file-too-large", _TOO_LARGE)
    except OSError:
        return FILE_MISSING


_TOO_LARGE: Final = (
    f"文件超过{SOURCE_FILE_MAX_BYTES // 1_000_000_000}GB，未读取。请按月或按处理地分成几个文件后重新提交。"
)
