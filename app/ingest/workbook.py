"""Reads the sheets of an .xlsx."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from app.ingest.header import Record
from app.ingest.rows import FileProblem
from app.ingest.text import cell_text
from app.ingest.workbook_scan import SheetScan, WorkbookTooLargeError, WorkbookUnsoundError, scan_workbook
from app.runtime.limits import XLSX_MAX_BYTES

Sheet = tuple[str, Iterator[Record]]


def read_sheets(path: Path) -> Iterator[Sheet | FileProblem]:
    """Yield the sheets of a workbook in its order, each with its name and its records.

    Hidden sheets are read like the others: if they were left out silently, their rows would not be missed.

    Raises:
        OSError: The file cannot be read.
    """
    if path.stat().st_size > XLSX_MAX_BYTES:
        yield _too_large(f"超过{XLSX_MAX_BYTES // 1_000_000}MB")
        return
    try:
        scans = scan_workbook(path)
        with path.open("rb") as file, CalamineWorkbook.from_filelike(file) as workbook:
            for name, scan in scans.items():
                yield name, _records(workbook.get_sheet_by_name(name), scan)
    except WorkbookTooLargeError as error:
        yield _too_large(str(error))
    except (WorkbookUnsoundError, CalamineError):
        yield FileProblem.of_file("file-unreadable", _UNREADABLE)


def _records(sheet: CalamineSheet, scan: SheetScan) -> Iterator[Record]:
    """The rows of a sheet from row 1 and column A, blank rows and columns before its first value included."""
    before = [""] * (sheet.start[1] if sheet.start else 0)
    shown: dict[int, dict[int, str]] = {}
    for (row, column), text in scan.shown.items():
        shown.setdefault(row, {})[column] = text
    for row, values in enumerate(sheet.iter_rows()):
        texts = before + [cell_text(value) for value in values]
        for column, text in shown.get(row, {}).items():
            texts += [""] * (column + 1 - len(texts))
            texts[column] = text
        yield row + 1, texts


def _too_large(why: str) -> FileProblem:
    message = f"工作簿过大：{why}。请删去数据区以外的内容，或另存为CSV后重新提交（CSV可达2GB）。"
    return FileProblem.of_file("file-too-large", message)


_UNREADABLE: Final = (
    "文件打不开：不是完好的Excel工作簿（.xlsx），或设有打开密码。"
    "请在Excel中打开，去掉密码，另存为.xlsx后重新提交。"
)
