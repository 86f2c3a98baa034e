"""Scans the XML of a workbook before it is opened, for what its reader does not report.

python-calamine returns a blank for a cell that shows an error (#REF!), for a formula that was never
calculated and for a cell under a merged one; as amounts, all would pass for nil. It returns the stored number
where a format shows another one. It also allocates memory for the whole rectangle up to the last cell and for
a copy of every text, and aborts the process when memory runs out.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from xml.parsers import expat

from app.ingest.columns import column_index, column_letters
from app.runtime.limits import SHEET_MAX_CELLS, SHEET_MAX_TEXT_CHARS, XLSX_MAX_UNPACKED_BYTES

_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"
_STRINGS: Final = "xl/sharedStrings.xml"
_STYLES: Final = "xl/styles.xml"
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

_PERCENT: Final = frozenset({"9", "10"})
"""The built-in formats that show a number times a hundred."""

# Of a format: texts in quotation marks, escaped characters, colours and conditions.
_LITERAL = re.compile(r'"[^"]*"|[\\!_*].|\[[^\]]*\]')
# A comma behind the last digit divides by a thousand: 0.0, shows 12.3 for 12345.
_SCALING = re.compile(r"%|[0#?],+(?:\.|[^0#?,]*$)")

Attributes = dict[str, str]


class WorkbookUnsoundError(Exception):
    """The file is not a workbook that can be read."""


class WorkbookTooLargeError(Exception):
    """The workbook would take more memory than the limits allow; the message says why, in Chinese."""


class MergedCell(NamedTuple):
    """A merged cell: the first and the last row and column of its area, from 0."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


@dataclass(slots=True)
class SheetScan:
    """What was found in the XML of one sheet.

    Attributes:
        rows: The number of its last row with a value.
        columns: The number of its last column with a value.
        text_cells: The number of its cells that refer to one of the workbook's shared texts.
        shown: The text of each cell that shows an error or has a formula without a value, by row and
            column, both from 0.
        scaled: The cells, by row and column, that show their number divided by a thousand or as a percentage.
        merged: The merged cells.
    """

    rows: int = 0
    columns: int = 0
    text_cells: int = 0
    shown: dict[tuple[int, int], str] = field(default_factory=dict)
    scaled: set[tuple[int, int]] = field(default_factory=set)
    merged: list[MergedCell] = field(default_factory=list)


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
    package = _Package(archive)
    parts = _parts_of_sheets(package)
    lengths = _lengths_of_texts(package)
    traits = _Traits(_scaling_styles(package), is_recalculated=_is_recalculated(package))
    scans = {name: _scan_sheet(package, part, traits) for name, part in parts.items()}
    for name, scan in scans.items():
        if scan.rows * scan.columns > SHEET_MAX_CELLS:
            where = f"第{scan.rows}行、{column_letters(scan.columns - 1)}列"
            raise WorkbookTooLargeError(f"工作表“{name}”的内容一直到{where}")
        # Texts are usually short: they are added up only where their sum may exceed the limit.
        most = scan.text_cells * max(lengths, default=0)
        if most > SHEET_MAX_TEXT_CHARS and _text_chars(package, parts[name], lengths) > SHEET_MAX_TEXT_CHARS:
            raise WorkbookTooLargeError(f"工作表“{name}”的文字过多")
    return scans


class _Package:
    """The parts of a workbook by name; some programs write names with backslashes or other capitals."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._parts: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            # zipfile turns the backslashes of a name into slashes only on Windows.
            if self._parts.setdefault(_part_name(info.filename), info) is not info:
                raise WorkbookUnsoundError(f"two parts named {info.filename}")

    def has(self, part: str) -> bool:
        """Whether the workbook has a part of this name."""
        return _part_name(part) in self._parts

    def parse(self, part: str, parser: expat.XMLParserType) -> None:
        """Parse a part."""
        with self._archive.open(self._parts[_part_name(part)]) as stream:
            parser.ParseFile(stream)

    def elements(self, part: str, wanted: str) -> list[Attributes]:
        """The attributes of every element with the name `wanted`."""
        found: list[Attributes] = []

        def start(name: str, attributes: Attributes) -> None:
            if _local(name) == wanted:
                found.append(attributes)

        self.parse(part, _parser(start))
        return found


def _part_name(name: str) -> str:
    return name.replace("\\", "/").lower()


class _Traits(NamedTuple):
    """What holds for all sheets of a workbook.

    Attributes:
        scaling_styles: The numbers of the styles whose format shows another number than the stored one.
        is_recalculated: Whether Excel is to calculate all formulas when it opens the workbook: then a program
            wrote it, and a formula with the value 0 was never calculated.
    """

    scaling_styles: frozenset[str]
    is_recalculated: bool


def _is_recalculated(package: _Package) -> bool:
    return any(
        calculation.get("fullCalcOnLoad") in {"1", "true"}
        for calculation in package.elements(_WORKBOOK, "calcPr")
    )


def _scaling_styles(package: _Package) -> frozenset[str]:
    """The numbers of the styles of cells whose format divides by a thousand, or multiplies by a hundred."""
    if not package.has(_STYLES):
        return frozenset()
    scaling = {
        number_format["numFmtId"]
        for number_format in package.elements(_STYLES, "numFmt")
        if _SCALING.search(_LITERAL.sub("", number_format.get("formatCode", "")).partition(";")[0])
    }
    styles: list[str] = []
    is_of_cells = False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal is_of_cells
        match _local(name):
            case "cellXfs":
                is_of_cells = True
            case "cellStyles" | "dxfs":
                is_of_cells = False
            case "xf" if is_of_cells:
                styles.append(attributes.get("numFmtId", "0"))

    package.parse(_STYLES, _parser(start))
    return frozenset(str(number) for number, style in enumerate(styles) if style in scaling | _PERCENT)


def _parts_of_sheets(package: _Package) -> dict[str, str]:
    """The part of the archive that holds each sheet of cells, by the name of the sheet."""
    targets = {
        relation["Id"]: posixpath.normpath(posixpath.join("/xl", relation["Target"])).lstrip("/")
        for relation in package.elements(_RELATIONS, "Relationship")
        if relation.get("Type", "").endswith("/worksheet")
    }
    sheets = {
        sheet["name"]: next((value for key, value in sheet.items() if key.endswith(":id")), "")
        for sheet in package.elements(_WORKBOOK, "sheet")
    }
    return {name: targets[relation] for name, relation in sheets.items() if relation in targets}


def _lengths_of_texts(package: _Package) -> list[int]:
    """The length of each shared text, which may consist of several runs in different fonts."""
    lengths: list[int] = []

    def start(name: str, _: Attributes) -> None:
        if _local(name) == "si":
            lengths.append(0)

    def text(data: str) -> None:
        if lengths:
            lengths[-1] += len(data)

    if package.has(_STRINGS):
        parser = _parser(start)
        parser.CharacterDataHandler = text
        package.parse(_STRINGS, parser)
    return lengths


def _text_chars(package: _Package, part: str, lengths: list[int]) -> int:
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
    package.parse(part, parser)
    return sum(lengths[index] for index in indexes)


def _scan_sheet(package: _Package, part: str, traits: _Traits) -> SheetScan:
    handler = _SheetHandler(traits)
    package.parse(part, handler.parser)
    return handler.result()


class _SheetHandler:
    """Handles the elements of a sheet: rows, their cells, the formula and value of a cell, and merged cells.

    It handles text only in the few cells that need it: a large sheet has millions of cells. What follows the
    rows (data bars, lists of other sheets, footers) has formulas and texts too, which belong to no cell.
    """

    def __init__(self, traits: _Traits) -> None:
        self.parser = _parser(self._start)
        self.parser.EndElementHandler = self._end
        self._traits = traits
        self._scan = SheetScan()
        self._columns: set[str] = set()
        self._row = "0"
        self._reference = ""
        self._type: str | None = None
        self._is_scaled = False
        self._formula: list[str] | None = None
        self._value: list[str] | None = None

    def result(self) -> SheetScan:
        """What was found, once the sheet has been parsed."""
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
                self._is_scaled = attributes.get("s") in self._traits.scaling_styles
            case "row":
                self._end_cell()
                self._row = attributes.get("r") or str(int(self._row) + 1)
                self._reference = ""
            case "f":
                self._formula = []
                self.parser.CharacterDataHandler = self._formula.append

    def _end(self, name: str) -> None:
        if name.endswith("sheetData"):
            self._end_cell()
            self.parser.EndElementHandler = None
            self.parser.StartElementHandler = self._start_after_rows

    def _start_after_rows(self, name: str, attributes: Attributes) -> None:
        if _local(name) == "mergeCell":
            first, _, last = attributes.get("ref", "").partition(":")
            self._scan.merged.append(MergedCell(*_position(first), *_position(last or first)))

    def _start_value(self) -> None:
        self._columns.add(self._reference.removesuffix(self._row))
        self._scan.rows = max(self._scan.rows, int(self._row))
        self._scan.text_cells += self._type == "s"
        if self._is_scaled and self._type in {None, "n"}:
            self._scan.scaled.add(_position(self._reference))
        if self._formula is not None or self._type == "e":
            self._value = []
            self.parser.CharacterDataHandler = self._value.append

    def _end_cell(self) -> None:
        """Keep the text that the last cell shows if python-calamine would return a blank for it."""
        if self._formula is None and self._value is None:
            return
        value = "".join(self._value or ()).strip()
        was_calculated = value and not (self._traits.is_recalculated and value == "0")
        if self._type == "e" or not (was_calculated or self._type in {"str", "inlineStr"}):
            value = value if self._type == "e" else ""
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


def _refuse_doctype(*_: object) -> None:
    raise WorkbookUnsoundError("a part of the workbook declares a document type")
