"""Reads the rows of a file in the calling process, which `app.ingest.confined` starts for each file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.ingest.fingerprint import Fingerprint, read_state
from app.ingest.opening import LOCK_FILE
from app.ingest.periods import is_surveyed
from app.ingest.request import ReadRequest
from app.ingest.rows import FILE_CHANGED, FILE_MISSING, FileProblem, FileRow
from app.ingest.separated_text import SeparatedText
from app.ingest.sheet_reader import SheetReader
from app.ingest.workbook import read_sheets

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
# .xls, and every workbook with a password. They are not read: python-calamine aborts the process on some
# damaged .xls, and returns a blank for a cell that shows an error, which would pass for nil.
_LOCK_FILE_BYTES: Final = 165
_LONGEST_USER_NAME: Final = 31
_COMPOUND: Final = bytes.fromhex("D0CF11E0A1B11AE1")


class FileReading:
    """One reading of a file.

    Args:
        path: The file.
        request: What the person who hands in the file says about it.
        fingerprint: The fingerprint of the file, taken before.

    Attributes:
        ignored: The headings that the ledger does not know, complete once `rows` has run to its end.
    """

    def __init__(self, path: Path, request: ReadRequest, fingerprint: Fingerprint) -> None:
        self.ignored: tuple[str, ...] = ()
        self._path = path
        self._request = request
        self._fingerprint = fingerprint

    def rows(self) -> Iterator[FileRow | FileProblem]:
        """Yield the rows and problems in the order of the file; a change of the file is the last problem."""
        if self._request.period is not None and not is_surveyed(self._request.period):
            yield FileProblem.of_file("period-invalid", _NOT_SURVEYED.format(self._request.period))
            return
        try:
            yield from self._read()
            if read_state(self._path) != self._fingerprint.state:
                yield FILE_CHANGED
        except UnicodeError:
            yield FILE_CHANGED
        except OSError:
            yield FILE_MISSING

    def _read(self) -> Iterator[FileRow | FileProblem]:
        if self._fingerprint.start.startswith(_COMPOUND):
            yield FileProblem.of_file("file-unreadable", _OLD_EXCEL)
            return
        if self._is_lock_file():
            yield FileProblem.of_file("file-unreadable", LOCK_FILE)
            return
        reader = SheetReader(self._request)
        if self._fingerprint.start.startswith(_ZIP):
            yield from self._read_workbook(reader)
        else:
            text = SeparatedText(self._path, self._fingerprint.encoding)
            yield from reader.read("", text.records(), separated=True)
        yield from reader.end()
        self.ignored = tuple(reader.ignored)

    def _is_lock_file(self) -> bool:
        """Whether this is the lock file of an open workbook under another name.

        It has 165 bytes, and begins with the length of the user's name.
        """
        start = self._fingerprint.start
        return self._fingerprint.size == _LOCK_FILE_BYTES and start[0] <= _LONGEST_USER_NAME

    def _read_workbook(self, reader: SheetReader) -> Iterator[FileRow | FileProblem]:
        for sheet in read_sheets(self._path):
            if isinstance(sheet, FileProblem):
                yield reader.pass_on(sheet)
            else:
                yield from reader.read(*sheet)


_OLD_EXCEL: Final = (
    "文件是旧版Excel工作簿（.xls）或设有打开密码。请在Excel中打开，去掉密码，另存为.xlsx后重新提交。"
)
_NOT_SURVEYED: Final = "指定的所属期“{}”无法识别。应写作2024年3月；1月、2月合并调查，写作2024年1—2月。"
