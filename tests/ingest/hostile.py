"""Makes files of a few kilobytes that attack their reader."""

import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.ingest.files import SHOP, table, write_xlsx

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
WORKBOOK = "xl/workbook.xml"

Parts = dict[str, bytes]
Change = Callable[[Parts], None]


def write_changed(path: Path, change: Change) -> Path:
    """A sound workbook of one row, with its parts changed."""
    write_xlsx(path, {"零售": table([*SHOP, 5, 4])})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def _stray(reference: str) -> Change:
    """Put a cell with this reference into row 2."""

    def change(parts: Parts) -> None:
        cell = f'<c r="{reference}"><v>1</v></c></row></sheetData>'.encode()
        parts[SHEET] = parts[SHEET].replace(b"</row></sheetData>", cell)

    return change


def two_sheets_of_one_name(parts: Parts) -> None:
    """Make two sheets of one name: the first has a cell in the last row and column, the second is sound."""
    sound = parts[SHEET]
    _stray("XFD1048576")(parts)
    parts[SHEET] = parts[SHEET].replace(b'<row r="2"', b'<row r="1048576"')
    parts["xl/worksheets/sheet2.xml"] = sound
    parts[WORKBOOK] = re.sub(
        rb'(<sheet [^>]*)sheetId="1" r:id="rId1"/>',
        rb'\1sheetId="1" r:id="rId1"/>\1sheetId="2" r:id="rId99"/>',
        parts[WORKBOOK],
    )
    relations = "xl/_rels/workbook.xml.rels"
    parts[relations] = re.sub(
        rb"(<Relationship )(Id=\"rId1\")( Type=\"[^\"]*/worksheet\")[^>]*>",
        rb'\g<0>\1Id="rId99"\3 Target="worksheets/sheet2.xml"/>',
        parts[relations],
    )


def strings_under(name: str) -> Change:
    """A text of five million characters in a thousand cells, in a part that the scan does not read."""

    def change(parts: Parts) -> None:
        del parts[STRINGS]
        parts[name] = b"<sst><si><t>%s</t></si></sst>" % (b"x" * 5_000_000)
        rows = (b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (row, row) for row in range(1, 1_001))
        parts[SHEET] = (
            b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
            + b"".join(rows)
            + b"</sheetData></worksheet>"
        )

    return change


def long_attribute(parts: Parts) -> None:
    """An attribute of ten million characters: expat parses it again from its start with every block."""
    parts[SHEET] = parts[SHEET].replace(b"<sheetData>", b'<sheetData a="%s">' % (b"x" * 10_000_000))


CHANGES: dict[str, Change] = {
    "a cell that contradicts its row": _stray("XFD1048572"),
    "two sheets of one name": two_sheets_of_one_name,
    "texts in xl/SharedStrings.xml": strings_under("xl/SharedStrings.xml"),
    "texts behind a backslash": strings_under("xl\\sharedStrings.xml"),
    "an attribute of megabytes": long_attribute,
}


def with_declared_size(path: Path, size: int) -> Path:
    """A sound workbook whose parts all declare `size` as their unpacked size in bytes."""
    write_changed(path, lambda _: None)
    data = bytearray(path.read_bytes())
    for found in re.finditer(b"PK\x01\x02", data):
        struct.pack_into("<I", data, found.start() + 24, size)
    path.write_bytes(data)
    return path


def with_password(path: Path) -> Path:
    """A workbook whose parts declare that they have a password."""
    write_changed(path, lambda _: None)
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        for found in re.finditer(mark, data):
            data[found.start() + at] |= 1
    path.write_bytes(data)
    return path


def with_damaged_lzma(path: Path) -> Path:
    """A workbook whose parts are compressed with LZMA, which no workbook uses, and damaged."""
    write_xlsx(path, {"零售": table([*SHOP, 5, 4])})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        start = archive.getinfo(WORKBOOK).header_offset + 30 + len(WORKBOOK)
    data = bytearray(path.read_bytes())
    data[start + 10 : start + 60] = bytes(50)
    path.write_bytes(data)
    return path
