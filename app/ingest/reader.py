"""Reads a file of the statistics bureau: an .xlsx or a CSV in the layout of the platform's export."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.ingest.fingerprint import Fingerprint, fingerprint_of, state_of
from app.ingest.periods import is_surveyed, normal_period
from app.ingest.request import ReadRequest
from app.ingest.rows import FileProblem, FileRow
from app.ingest.separated_text import SeparatedText
from app.ingest.sheet_reader import SheetReader
from app.ingest.units import NAME_OF_CODE
from app.ingest.workbook import sheets_of

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
# .xls, and every workbook with a password. python-calamine ends the process on some damaged .xls, and
# gives a blank for a cell that shows an error, which would pass for nil: so they are not read.
_COMPOUND: Final = bytes.fromhex("D0CF11E0A1B11AE1")


class SourceFile:
    """A file that returns are read from.

    Attributes:
        name: The name of the file without folders.
        sha256: The SHA-256 of its bytes, in hex; None when it cannot be read.
    """

    def __init__(self, path: Path, request: ReadRequest, fingerprint: Fingerprint | None) -> None:
        self.name = request.file_name
        self.sha256 = fingerprint.sha256 if fingerprint else None
        self._path = path
        self._request = request
        self._fingerprint = fingerprint
        self._ignored: tuple[str, ...] = ()

    @property
    def ignored_headings(self) -> tuple[str, ...]:
        """The headings that are not ours, known once `rows` has run to its end."""
        return self._ignored

    def rows(self) -> Iterator[FileRow | FileProblem]:
        """The rows and problems in the order of the file, read anew at each call.

        Nothing in a file raises an exception. A CSV is read as a stream, whatever its size. A file
        that has changed since its fingerprint was taken is a problem, after its last row.
        """
        if self._fingerprint is None:
            yield FileProblem.of_file("file-unreadable", _NO_FILE)
            return
        if self._request.period is not None and not is_surveyed(self._request.period):
            yield FileProblem.of_file("period-invalid", _NOT_SURVEYED.format(self._request.period))
            return
        try:
            yield from self._read(self._fingerprint)
            if state_of(self._path) != self._fingerprint.state:
                yield FileProblem.of_file("file-changed", _CHANGED)
        except UnicodeError:
            yield FileProblem.of_file("file-changed", _CHANGED)
        except OSError:
            yield FileProblem.of_file("file-unreadable", _NO_FILE)

    def _read(self, fingerprint: Fingerprint) -> Iterator[FileRow | FileProblem]:
        if fingerprint.start.startswith(_COMPOUND):
            yield FileProblem.of_file("file-unreadable", _OLD_EXCEL)
            return
        reader = SheetReader(self._request)
        if fingerprint.start.startswith(_ZIP):
            yield from self._read_workbook(reader)
        else:
            text = SeparatedText(self._path, fingerprint.encoding)
            yield from reader.read("", text.records(), separated=True)
        yield from reader.end()
        self._ignored = tuple(reader.ignored)

    def _read_workbook(self, reader: SheetReader) -> Iterator[FileRow | FileProblem]:
        for sheet in sheets_of(self._path):
            if isinstance(sheet, FileProblem):
                yield reader.pass_on(sheet)
            else:
                yield from reader.read(*sheet)


def shown_name(path: Path) -> str:
    """The name of a file without folders, as it can be shown.

    One that is not valid in the file system's encoding must not break a message or a workbook.
    """
    return os.fsencode(path.name).decode("utf-8", "replace")


def read_file(path: Path, *, unit: str, period: str | None) -> SourceFile:
    """Takes the fingerprint of a file and prepares to read its rows.

    Args:
        path: The file. What it holds decides how it is read, not the ending of its name.
        unit: The code of the unit of all amounts in the file, as `unit_code` gives it.
        period: The period of its rows as a person writes it, for files that do not name it.

    Raises:
        ValueError: For a unit that `unit_code` does not give.
    """
    if unit not in NAME_OF_CODE:
        raise ValueError(f"unknown unit: {unit}")
    request = ReadRequest(
        file_name=shown_name(path), unit=unit, period=normal_period(period) if period else None
    )
    try:
        return SourceFile(path, request, fingerprint_of(path))
    except OSError:
        return SourceFile(path, request, None)


_NO_FILE: Final = "文件不存在或没有读取权限。请核对文件名和位置。"
_CHANGED: Final = "读取过程中文件被改动。请关闭正在编辑该文件的程序后重新提交。"
_OLD_EXCEL: Final = (
    "文件是旧版Excel工作簿(.xls)或设有打开密码。请在Excel中打开,去掉密码,另存为.xlsx后重新提交。"
)
_NOT_SURVEYED: Final = "指定的所属期“{}”无法识别。应写作2024年3月;1月、2月合并调查,写作2024年1—2月。"
