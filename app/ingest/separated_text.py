"""Reads CSV and similar text as a stream: however large the file, only a few rows are in memory."""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from charset_normalizer import from_bytes

from app.ingest.fingerprint import ENCODINGS
from app.ingest.header import Record
from app.ingest.headings import is_recognised
from app.ingest.rows import FileProblem
from app.runtime.limits import CSV_RECORD_MAX_CHARS, HEADER_SEARCH_ROWS, TEXT_SAMPLE_BYTES

_XML_2003: Final = "urn:schemas-microsoft-com:office:spreadsheet"
_MHTML = re.compile(
    r"(?:MIME-Version|From|Content-Type):[^\n]*\n(?:[^\n]*\n){0,20}?.*multipart/related", re.IGNORECASE
)
_SEPARATORS: Final = (",", "\t", ";")
# Some exports write a code as a formula, ="0912", so that Excel keeps it as text.
_TEXT_FORMULA = re.compile(r'="([^"]*)"')


class RecordTooLongError(Exception):
    """A record of a text file is longer than `CSV_RECORD_MAX_CHARS`."""


class SeparatedText:
    """The records of a text file; each iteration reads the file again.

    Args:
        path: The file.
        encoding: The encoding if it is known; None to infer it from a sample.
    """

    def __init__(self, path: Path, encoding: str | None) -> None:
        self._path = path
        self._encoding = encoding

    def records(self) -> Iterator[Record | FileProblem]:
        """The records, numbered as a spreadsheet would number them."""
        encoding = self._encoding or _inferred_encoding(self._path)
        if encoding is None:
            yield _undecodable(self._path)
            return
        with self._path.open(encoding=encoding, newline="") as file:
            sample = file.read(TEXT_SAMPLE_BYTES)
            other = _other_kind(sample)
            if other is not None:
                yield FileProblem.of_file("file-unreadable", other)
                return
            file.seek(0)
            yield from _records(file, _separator(sample))


def _records(file: TextIO, separator: str) -> Iterator[Record | FileProblem]:
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    number = 0
    while True:
        number += 1
        lines.start_record()
        try:
            texts = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield _unreadable(number)
        except RecordTooLongError:
            yield _unreadable(number)
            return
        else:
            yield number, [_shown(text) for text in texts]


class _Lines:
    """The lines of a file; fails when the lines of one record exceed the limit together."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._room = CSV_RECORD_MAX_CHARS

    def start_record(self) -> None:
        self._room = CSV_RECORD_MAX_CHARS

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._room + 1)
        if not line:
            raise StopIteration
        self._room -= len(line)
        if self._room < 0:
            raise RecordTooLongError
        return line


def _other_kind(sample: str) -> str | None:
    """What a file is that is text and no table, in a message; None for a table."""
    start = sample.lstrip()
    if _XML_2003 in sample:
        return _XML_TABLE
    if start.startswith("<"):
        return _WEB_PAGE
    return _SAVED_WEB_PAGE if _MHTML.match(start) else None


def _undecodable(path: Path) -> FileProblem:
    """The row with the first bytes that are no text, in the encoding in which most of the file is text."""
    row, encoding = max((_first_undecodable_row(path, encoding), encoding) for encoding in ENCODINGS)
    if row == 1:
        return FileProblem.of_file("file-unreadable", _UNKNOWN_ENCODING)
    name = "UTF-8" if encoding.startswith("utf") else "GB18030"
    whole = FileProblem.of_file("file-unreadable", _BAD_BYTES.format(row, name))
    return replace(whole, row=row)


def _first_undecodable_row(path: Path, encoding: str) -> int:
    row = 0
    with path.open("rb") as file:
        while line := file.readline(CSV_RECORD_MAX_CHARS):
            row += 1
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return row
    return row


def _separator(sample: str) -> str:
    """The separator that splits a row of the sample into the most known headings."""
    return max(_SEPARATORS, key=lambda separator: _most_headings(sample, separator))


def _most_headings(sample: str, separator: str) -> int:
    lines = sample.splitlines()[:HEADER_SEARCH_ROWS]
    rows = csv.reader(lines, delimiter=separator)
    return max((sum(map(is_recognised, row)) for row in rows), default=0)


def _inferred_encoding(path: Path) -> str | None:
    """An encoding other than UTF-8 and GB18030 in which the whole file is valid."""
    with path.open("rb") as file:
        best = from_bytes(file.read(TEXT_SAMPLE_BYTES)).best()
    return best.encoding if best is not None and _is_valid(path, best.encoding) else None


def _is_valid(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as file:
            while file.read(TEXT_SAMPLE_BYTES):
                pass
    except UnicodeError:
        return False
    return True


def _shown(text: str) -> str:
    """The text of a cell as a spreadsheet would show it."""
    if not text.startswith("="):
        return text
    formula = _TEXT_FORMULA.fullmatch(text)
    return formula[1] if formula else text


def _unreadable(number: int) -> FileProblem:
    return FileProblem(
        sheet="",
        row=number,
        column=None,
        text=None,
        code="line-unreadable",
        message=f"第{number}行：双引号不成对或内容过长，无法分列。请把内容中的双引号改为中文引号，或在Excel中打开后另存为.xlsx再提交。",
    )


_UNKNOWN_ENCODING: Final = "无法识别文件的文字编码。请在Excel中打开，另存为.xlsx或CSV UTF-8格式后重新提交。"
_BAD_BYTES: Final = (
    "第{}行含有不完整的汉字（按{}编码），多为内容被截断所致。"
    "请改正该行，或在Excel中打开核对后另存为.xlsx重新提交。"
)
_SAVED_WEB_PAGE: Final = "文件是另存的网页（MHTML），不是表格。请在Excel中打开，另存为.xlsx后重新提交。"
_XML_TABLE: Final = "文件是XML电子表格（Excel 2003），不是.xlsx。请在Excel中打开，另存为.xlsx后重新提交。"
_WEB_PAGE: Final = "文件内容是网页，不是表格。请在Excel中打开，另存为.xlsx后重新提交。"
