"""Scans the XML of a workbook before it is opened, for what its reader does not report.

python-calamine returns a blank for a cell that shows an error (#REF!) and for a formula that was never
calculated; as amounts, both would pass for nil. It also allocates memory for the whole rectangle up to the
last cell and for a copy of every text, and aborts the process when memory runs out.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

from app.ingest.columns import column_index, column_letters
from app.runtime.limits import SHEET_MAX_CELLS, SHEET_MAX_TEXT_CHARS, XLSX_MAX_UNPACKED_BYTES

_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
_STRINGS: Final = "xl/sharedStrings.xml"
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
_UNSOUND: Final = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,  # what zipfile raises for a part with a password
    ValueError,
)

Attributes = dict[str, str]


class WorkbookUnsoundError(Exception):
    """The file is not a workbook that can be read."""


class WorkbookTooLargeError(Exception):
    """The workbook would take more memory than the limits allow; the message says why, in Chinese."""


@dataclass(slots=True)
class SheetScan:
    """What was found in the XML of one sheet.

    Attributes:
        rows: The number of its last row with a value.
        columns: The number of its last column with a value.
        text_cells: The number of its cells that refer to one of the workbook's shared texts.
        shown: The text of each cell that shows an error or has a formula without a value, by row and
            column, both from 0.
    """

    rows: int = 0
    columns: int = 0
    text_cells: int = 0
    shown: dict[tuple[int, int], str] = field(default_factory=dict)


def scan_workbook(path: Path) -> dict[str, SheetScan]:
    """Scan each sheet of a workbook; the results by the name of the sheet.

    Raises:
        WorkbookUnsoundError: The file is not a sound .xlsx.
        WorkbookTooLargeError: It is over one of the limits.
        OSError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _scan(archive)
    except _UNSOUND as error:
        raise WorkbookUnsoundError(str(error)) from error


def _scan(archive: zipfile.ZipFile) -> dict[str, SheetScan]:
    if sum(part.file_size for part in archive.infolist()) > XLSX_MAX_UNPACKED_BYTES:
        raise WorkbookTooLargeError(f"解压后超过{XLSX_MAX_UNPACKED_BYTES // 1_000_000}MB")
    parts = _parts_of_sheets(archive)
    lengths = _lengths_of_texts(archive)
    scans = {name: _scan_sheet(archive, part) for name, part in parts.items()}
    for name, scan in scans.items():
        if scan.rows * scan.columns > SHEET_MAX_CELLS:
            where = f"第{scan.rows}行、{column_letters(scan.columns - 1)}列"
            raise WorkbookTooLargeError(f"工作表“{name}”的内容一直到{where}")
        # Texts are usually short: they are added up only where their sum may exceed the limit.
        most = scan.text_cells * max(lengths, default=0)
        if most > SHEET_MAX_TEXT_CHARS and _text_chars(archive, parts[name], lengths) > SHEET_MAX_TEXT_CHARS:
            raise WorkbookTooLargeError(f"工作表“{name}”的文字过多")
    return scans


def _parts_of_sheets(archive: zipfile.ZipFile) -> dict[str, str]:
    """The part of the archive that holds each sheet of cells, by the name of the sheet."""
    targets = {
        relation["Id"]: posixpath.normpath(posixpath.join("/xl", relation["Target"])).lstrip("/")
        for relation in _elements(archive, _RELATIONS, "Relationship")
        if relation.get("Type", "").endswith("/worksheet")
    }
    sheets = {
        sheet["name"]: next((value for key, value in sheet.items() if key.endswith(":id")), "")
        for sheet in _elements(archive, _WORKBOOK, "sheet")
    }
    return {name: targets[relation] for name, relation in sheets.items() if relation in targets}


def _elements(archive: zipfile.ZipFile, part: str, wanted: str) -> list[Attributes]:
    """The attributes of every element with the name `wanted`."""
    found: list[Attributes] = []

    def start(name: str, attributes: Attributes) -> None:
        if _local(name) == wanted:
            found.append(attributes)

    _parse(archive, part, _parser(start))
    return found


def _lengths_of_texts(archive: zipfile.ZipFile) -> list[int]:
    """The length of each shared text, which may consist of several runs in different fonts."""
    lengths: list[int] = []

    def start(name: str, _: Attributes) -> None:
        if _local(name) == "si":
            lengths.append(0)

    def text(data: str) -> None:
        if lengths:
            lengths[-1] += len(data)

    if _STRINGS in archive.namelist():
        parser = _parser(start)
        parser.CharacterDataHandler = text
        _parse(archive, _STRINGS, parser)
    return lengths


def _text_chars(archive: zipfile.ZipFile, part: str, lengths: list[int]) -> int:
    """The length in characters of all shared texts of a sheet together."""
    indexes: list[int] = []
    is_text = False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal is_text
        if _local(name) == "c":
            is_text = attributes.get("t") == "s"

    def text(data: str) -> None:
        if is_text and data.strip():
            indexes.append(int(data))

    parser = _parser(start)
    parser.CharacterDataHandler = text
    _parse(archive, part, parser)
    return sum(lengths[index] for index in indexes)


def _scan_sheet(archive: zipfile.ZipFile, part: str) -> SheetScan:
    handler = _SheetHandler()
    _parse(archive, part, handler.parser)
    return handler.result()


class _SheetHandler:
    """Handles the elements of a sheet: rows, their cells, and the formula and value of a cell.

    It handles only the starts of elements, and text only in the few cells that need it: a large sheet
    has millions of cells.
    """

    def __init__(self) -> None:
        self.parser = _parser(self._start)
        self._scan = SheetScan()
        self._columns: set[str] = set()
        self._row = "0"
        self._reference = ""
        self._type: str | None = None
        self._formula: list[str] | None = None
        self._value: list[str] | None = None

    def result(self) -> SheetScan:
        """What was found, once the sheet has been parsed."""
        self._end_cell()
        self._scan.columns = max((_position(f"{letters}1")[1] + 1 for letters in self._columns), default=0)
        return self._scan

    def _start(self, name: str, attributes: Attributes) -> None:
        match _local(name):
            case "v" | "is":
                self._start_value()
            case "c":
                self._end_cell()
                self._reference = attributes.get("r") or self._next_reference()
                self._type = attributes.get("t")
            case "row":
                self._end_cell()
                self._row = attributes.get("r") or str(int(self._row) + 1)
                self._reference = ""
            case "f":
                self._formula = []
                self.parser.CharacterDataHandler = self._formula.append

    def _start_value(self) -> None:
        self._columns.add(self._reference.removesuffix(self._row))
        self._scan.rows = max(self._scan.rows, int(self._row))
        self._scan.text_cells += self._type == "s"
        if self._formula is not None or self._type == "e":
            self._value = []
            self.parser.CharacterDataHandler = self._value.append

    def _end_cell(self) -> None:
        """Keep the text that the last cell shows if python-calamine would return a blank for it."""
        if self._formula is None and self._value is None:
            return
        value = "".join(self._value or ()).strip()
        if self._type == "e" or not (value or self._type in {"str", "inlineStr"}):
            self._scan.shown[_position(self._reference)] = value or f"={''.join(self._formula or ())}"
        self._formula = self._value = None
        self.parser.CharacterDataHandler = None

    def _next_reference(self) -> str:
        """The reference of a cell that does not name its own: the next column after the cell before it."""
        column = _position(self._reference)[1] + 1 if self._reference else 0
        return f"{column_letters(column)}{self._row}"


def _position(reference: str) -> tuple[int, int]:
    """The row and column of a reference like B12, both from 0."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise WorkbookUnsoundError(f"no cell: {reference}")
    return int(found[2]) - 1, column_index(found[1])


def _local(name: str) -> str:
    """The name of an element without the namespace prefix that some programs write."""
    return name[name.find(":") + 1 :]


def _parser(start: Callable[[str, Attributes], None]) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


def _parse(archive: zipfile.ZipFile, part: str, parser: expat.XMLParserType) -> None:
    with archive.open(part) as stream:
        parser.ParseFile(stream)


def _refuse_doctype(*_: object) -> None:
    raise WorkbookUnsoundError("a part of the workbook declares a document type")
