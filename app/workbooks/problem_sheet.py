"""The problem sheet (审核问题清单), which goes back to the senders of the files."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from app.runtime.limits import PROBLEM_SHEET_MAX_LINES
from app.workbooks.cells import writable
from app.workbooks.sheets import begin_sheet, new_workbook, text_format

SHEET_NAME: Final = "审核问题清单"

_COLUMNS: Final = (
    ("文件", 24),
    ("工作表", 12),
    ("行号", 8),
    ("列", 6),
    ("表头", 24),
    ("单元格内容", 24),
    ("类别", 12),
    ("代码", 20),
    ("问题说明", 80),
)


@dataclass(frozen=True, slots=True)
class ProblemLine:
    """One line of the problem sheet, its fields in the order of the columns.

    Attributes:
        file: The name of the file.
        sheet: The name of the sheet; "" for a CSV.
        row: The number of the row as the file shows it; None for a problem of the whole file.
        column: The letters of the column, or "".
        heading: The heading of the column, or "".
        text: The text of the cell, or "".
        category: 审核错误 keeps the data from being registered, 核实提示 does not.
        code: The code of the problem.
        message: What is wrong, where, and how to correct it.
    """

    file: str
    sheet: str
    row: int | None
    column: str
    heading: str
    text: str
    category: Literal["审核错误", "核实提示"]
    code: str
    message: str


def write_problem_sheet(
    path: Path,
    problems: Iterable[ProblemLine],
    *,
    more: int = 0,
    max_lines: int = PROBLEM_SHEET_MAX_LINES,
) -> None:
    """Write the problem sheet as an .xlsx.

    A sheet is limited to the rows of Excel: problems beyond `max_lines` are left out, and a last line gives
    their number, including the `more` that were only counted. The lines are written as they come and are
    never all in memory.

    Raises:
        OSError: The file cannot be written, for example because it is open in Excel.
    """
    remaining = iter(problems)
    # The workbook is created first, so that a missing or read-only folder is an OSError before any work.
    with new_workbook(path) as workbook:
        sheet = _ProblemSheet(workbook)
        for line in islice(remaining, max_lines):
            sheet.write(line)
        sheet.end(left_out=sum(1 for _ in remaining) + more)


class _ProblemSheet:
    """The only sheet of the workbook, written from the top down."""

    def __init__(self, workbook: Any) -> None:
        self._sheet = begin_sheet(workbook, SHEET_NAME, _COLUMNS)
        self._text = text_format(workbook)
        self._number = workbook.add_format({"valign": "top", "align": "left"})
        self._next_row = 1

    def write(self, line: ProblemLine) -> None:
        for index, value in enumerate(astuple(line)):
            if isinstance(value, int):
                self._sheet.write_number(self._next_row, index, value, self._number)
            elif value:
                self._sheet.write_string(self._next_row, index, writable(value), self._text)
        self._next_row += 1

    def end(self, *, left_out: int) -> None:
        self._sheet.autofilter(0, 0, self._next_row - 1, len(_COLUMNS) - 1)
        if left_out:
            message = f"另有{left_out}条问题未列出。请先处理以上问题后重新提交。"
            self._sheet.write_string(self._next_row, len(_COLUMNS) - 1, message, self._text)
