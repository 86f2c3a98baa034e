"""The sheet of differences (差异清单): amounts before and after, what caused each change, and the sums."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from app.runtime.limits import DIFFERENCE_SHEET_MAX_LINES
from app.workbooks.cells import exact_number, writable
from app.workbooks.sheets import begin_sheet, heading_format, new_workbook, text_format, write_notes
from domain.money import wanyuan_text

SHEET_NAME: Final = "差异清单"
NOT_ASSESSED: Final = "未测算"
_WANYUAN_PLACES: Final = 6


class DifferenceLine(msgspec.Struct, frozen=True):
    """A line of the sheet, with its fields in the order of the columns, and amounts in fen.

    The fields from `causes` on have one line of text for each cause.

    Attributes:
        uscc: The code of the enterprise.
        name: The name of the enterprise.
        region: The district of the enterprise.
        window: The window of the account.
        period: The period.
        policy: The id of the policy.
        before_fen: The amount before; None if the period was not assessed.
        after_fen: The amount after; None if the period is no longer assessed.
        difference_fen: The increase; negative for a decrease.
        causes: The records that caused the difference.
        actors: The actors of the records.
        times: The times of the records, in Beijing.
        positions: The positions of the records in the log.
        reasons: The reasons and origins of corrections.
        documents: The numbers of documents.
        sources: The source files, with sheet and row.
        fingerprints: The SHA-256 of the source files, in hex.
    """

    uscc: str
    name: str
    region: str
    window: str
    period: str
    policy: str
    before_fen: int | None
    after_fen: int | None
    difference_fen: int
    causes: str
    actors: str
    times: str
    positions: str
    reasons: str
    documents: str
    sources: str
    fingerprints: str


class SumsLine(NamedTuple):
    """The last line: the sums of all amounts before and after, and the difference of the sums, in fen."""

    before_fen: int
    after_fen: int
    difference_fen: int


_COLUMNS: Final = (
    ("统一社会信用代码", 21),
    ("企业", 30),
    ("处理地", 12),
    ("期间", 14),
    ("所属期", 14),
    ("政策文件", 20),
    ("变动前测算金额（万元）", 21),
    ("变动后测算金额（万元）", 21),
    ("增减（万元）", 16),
    ("引起变动的记录", 40),
    ("经办人", 18),
    ("登记时间（北京时间）", 21),
    ("台账序号", 12),
    ("更正原因和来源", 36),
    ("依据文号", 26),
    ("来源文件", 36),
    ("来源文件指纹（SHA-256）", 68),
)
_FIRST_AMOUNT: Final = 6


def write_difference_sheet(
    path: Path,
    lines: Iterable[DifferenceLine],
    sums: SumsLine,
    notes: Sequence[tuple[str, str]],
    *,
    max_lines: int = DIFFERENCE_SHEET_MAX_LINES,
) -> None:
    """Write the differences as an .xlsx, with the sums in the last line.

    A sheet is limited to the rows of Excel: differences beyond `max_lines` are left out, and a last line has
    their number. The lines are written as they come and are never all in memory.

    Raises:
        OSError: The file cannot be written, for example because it is open in Excel.
    """
    remaining = iter(lines)
    # The workbook is created first, so that a missing or read-only folder is an OSError before any work.
    with new_workbook(path) as workbook:
        sheet = _DifferenceSheet(workbook)
        for line in islice(remaining, max_lines):
            sheet.write(msgspec.structs.astuple(line))
        sheet.end(sums, left_out=sum(1 for _ in remaining))
        write_notes(workbook, notes)


class _DifferenceSheet:
    """The first sheet of the workbook, written from the top down."""

    def __init__(self, workbook: Any) -> None:
        self._sheet = begin_sheet(workbook, SHEET_NAME, _COLUMNS)
        self._text = text_format(workbook)
        self._amount = workbook.add_format({"valign": "top", "num_format": "#,##0.00####"})
        self._heading = heading_format(workbook)
        self._next_row = 1

    def write(self, line: Sequence[str | int | None]) -> None:
        for index, value in enumerate(line):
            if isinstance(value, int):
                self._write_amount(index, value)
            else:
                text = NOT_ASSESSED if value is None else writable(value)
                self._sheet.write_string(self._next_row, index, text, self._text)
        self._next_row += 1

    def _write_amount(self, index: int, fen: int) -> None:
        number = exact_number(fen, places=_WANYUAN_PLACES)
        if number is None:
            self._sheet.write_string(self._next_row, index, wanyuan_text(fen), self._text)
        else:
            self._sheet.write_number(self._next_row, index, number, self._amount)

    def end(self, sums: SumsLine, *, left_out: int) -> None:
        """Write the sums below the lines, outside the range of the filter."""
        self._sheet.autofilter(0, 0, self._next_row - 1, len(_COLUMNS) - 1)
        self._sheet.write_string(self._next_row, 0, "全部测算金额合计", self._heading)
        for index, fen in enumerate(sums, _FIRST_AMOUNT):
            self._write_amount(index, fen)
        if left_out:
            note = f"另有{left_out}条差异未列出：Excel工作表的行数已到上限。请按期间或处理地分别导出。"
            self._sheet.write_string(self._next_row + 1, 0, note, self._text)
