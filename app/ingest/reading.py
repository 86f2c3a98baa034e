"""Reads the rows of a file in the process that calls it, which `app.ingest.confined` makes for each file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.ingest.fingerprint import Fingerprint, state_of
from app.ingest.periods import is_surveyed
from app.ingest.request import ReadRequest
from app.ingest.rows import FILE_CHANGED, FILE_MISSING, FileProblem, FileRow
from app.ingest.separated_text import SeparatedText
from app.ingest.sheet_reader import SheetReader
from app.ingest.workbook import sheets_of

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
# .xls, and every workbook with a password. python-calamine ends the process on some damaged .xls, and
# gives a blank for a cell that shows an error, which would pass for nil: so they are not read.
_COMPOUND: Final = bytes.fromhex("D0CF11E0A1B11AE1")


class Reading:
    """One reading of a file.

    Args:
        path: The file.
        request: What is asked of it.
        fingerprint: Of the file as it is to be read.

    Attributes:
        ignored: The headings that are not ours, known once `rows` has run to its end.
    """

    def __init__(self, path: Path, request: ReadRequest, fingerprint: Fingerprint) -> None:
        self.ignored: tuple[str, ...] = ()
        self._path = path
        self._request = request
        self._fingerprint = fingerprint

    def rows(self) -> Iterator[FileRow | FileProblem]:
        """The rows and problems in the order of the file; that it has changed comes after its last row."""
        if self._request.period is not None and not is_surveyed(self._request.period):
            yield FileProblem.of_file("period-invalid", _NOT_SURVEYED.format(self._request.period))
            return
        try:
            yield from self._read()
            if state_of(self._path) != self._fingerprint.state:
                yield FILE_CHANGED
        except UnicodeError:
            yield FILE_CHANGED
        except OSError:
            yield FILE_MISSING

    def _read(self) -> Iterator[FileRow | FileProblem]:
        if self._fingerprint.start.startswith(_COMPOUND):
            yield FileProblem.of_file("file-unreadable", _OLD_EXCEL)
            return
        reader = SheetReader(self._request)
        if self._fingerprint.start.startswith(_ZIP):
            yield from self._read_workbook(reader)
        else:
            text = SeparatedText(self._path, self._fingerprint.encoding)
            yield from reader.read("", text.records(), separated=True)
        yield from reader.end()
        self.ignored = tuple(reader.ignored)

    def _read_workbook(self, reader: SheetReader) -> Iterator[FileRow | FileProblem]:
        for sheet in sheets_of(self._path):
            if isinstance(sheet, FileProblem):
                yield reader.pass_on(sheet)
            else:
                yield from reader.read(*sheet)


_OLD_EXCEL: Final = (
    "文件是旧版Excel工作簿（.xls）或设有打开密码。请在Excel中打开，去掉密码，另存为.xlsx后重新提交。"
)
_NOT_SURVEYED: Final = "指定的所属期“{}”无法识别。应写作2024年3月；1月、2月合并调查，写作2024年1—2月。"
