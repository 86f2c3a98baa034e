"""Reads the sheets of an .xlsx."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from app.ingest.columns import column_letters
from app.ingest.header import Record
from app.ingest.rows import FileProblem
from app.ingest.text import UnclearText, cell_text
from app.ingest.workbook_scan import (
    SheetScan,
    WorkbookTooLargeError,
    WorkbookUnsoundError,
    scan_workbook,
)
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
    marks = _marks(scan)
    for row, values in enumerate(sheet.iter_rows()):
        texts = before + [cell_text(value) for value in values]
        for column, mark in marks.get(row, ()):
            texts += [""] * (column + 1 - len(texts))
            texts[column] = mark(texts[column])
        yield row + 1, texts


_Mark = Callable[[str], str]
"""What a cell means, by the text that python-calamine returns for it."""


def _marks(scan: SheetScan) -> dict[int, list[tuple[int, _Mark]]]:
    """The columns of each row whose cells mean something else than python-calamine returns."""
    marks: dict[int, list[tuple[int, _Mark]]] = {}
    for (row, column), shown in scan.shown.items():
        marks.setdefault(row, []).append((column, partial(_shown, shown)))
    for row, column in scan.scaled:
        marks.setdefault(row, []).append((column, _scaled))
    for cell in scan.merged:
        place = f"{column_letters(cell.first_column)}{cell.first_row + 1}"
        for row in range(cell.first_row, min(cell.last_row + 1, scan.rows)):
            for column in range(cell.first_column, min(cell.last_column + 1, scan.columns)):
                if (row, column) != (cell.first_row, cell.first_column):
                    marks.setdefault(row, []).append((column, partial(_covered, place)))
    return marks


def _shown(shown: str, _: str) -> str:
    return UnclearText(shown, _UNCALCULATED if shown.startswith("=") else _ERROR)


def _scaled(text: str) -> str:
    return UnclearText(text, _SCALED)


def _covered(place: str, text: str) -> str:
    return UnclearText(text, _MERGED.format(place))


def _too_large(why: str) -> FileProblem:
    message = f"工作簿过大：{why}。请删去数据区以外的内容，或另存为CSV后重新提交（CSV可达2GB）。"
    return FileProblem.of_file("file-too-large", message)


_UNCALCULATED: Final = "公式没有计算结果。请在Excel中打开该文件，计算并保存后重新提交。"
_ERROR: Final = "单元格显示错误，没有数值。请改正公式或填入数值后重新提交。"
_SCALED: Final = (
    "单元格的格式把存储的数缩小或换算成百分数显示，看到的数不是存储的数。"
    "请将格式改为“常规”，核对数值和单位后重新提交。"
)
_MERGED: Final = "单元格已并入{}，自身没有内容。请取消合并，逐格填写后重新提交。"
_UNREADABLE: Final = (
    "文件打不开：不是完好的Excel工作簿（.xlsx），或设有打开密码。"
    "请在Excel中打开，去掉密码，另存为.xlsx后重新提交。"
)
