"""The sheet of red flags (疑点清单): the questions with what they rest on, and what each flag asks."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from app.runtime.limits import RED_FLAG_SHEET_MAX_LINES
from app.runtime.times import beijing
from app.workbooks.cells import exact_number, writable
from app.workbooks.sheets import begin_sheet, new_workbook, text_format, write_notes
from domain.events import Figure, Return
from domain.forms import FORMS
from domain.money import wanyuan_text
from domain.periods import period_of
from domain.red_flags.kinds import RedFlag
from domain.regions import region_name
from domain.returns import ReturnVersion, required_figure
from domain.words import COLUMNS, FLAGS, ORIGINS, RECORDS, STAGES

SHEET_NAME: Final = "疑点清单"

Kind = Literal["text", "count", "wanyuan", "percent"]
Cell = str | int | None


class _Column(NamedTuple):
    """A column: its heading, its width in characters, and the content of its cells."""

    title: str
    width: int
    kind: Kind = "text"


_COLUMNS: Final = (
    _Column("疑点序号", 9, "count"),
    _Column("疑点", 26),
    _Column("统一社会信用代码", 21),
    _Column("企业", 30),
    _Column("处理地", 12),
    _Column("所属期", 13),
    _Column("表号", 9),
    _Column("需核实的问题", 80),
    _Column("数据列", 12),
    _Column("现数（万元）", 16, "wanyuan"),
    _Column("比较数（万元）", 16, "wanyuan"),
    _Column("期间测算金额（万元）", 18, "wanyuan"),
    _Column("仅此处按比较数测算（万元）", 24, "wanyuan"),
    _Column("期间内各处均按比较数测算（万元）", 29, "wanyuan"),
    _Column("户次或次数", 12, "count"),
    _Column("合计户次或次数", 15, "count"),
    _Column("占比（%）", 10, "percent"),
    _Column("参考占比（%）", 12, "percent"),
    _Column("依据：台账序号", 14, "count"),
    _Column("依据：记录", 10),
    _Column("依据：登记时间（北京时间）", 24),
    _Column("依据：经办人", 16),
    _Column("依据：统一社会信用代码", 22),
    _Column("依据：所属期", 13),
    _Column("依据：表号", 10),
    _Column("依据：阶段", 10),
    _Column("依据：企业", 30),
    _Column("依据：处理地", 13),
    _Column("依据：行业代码", 13),
    _Column("依据：在库", 10),
    _Column("依据：本期数（万元）", 18, "wanyuan"),
    _Column("依据：上年同期数（万元）", 21, "wanyuan"),
    _Column("依据：本期1—本月累计（万元）", 25, "wanyuan"),
    _Column("依据：上年同期1—本月累计（万元）", 29, "wanyuan"),
    _Column("依据：其他指标", 44),
    _Column("依据：来源文件", 30),
    _Column("依据：来源文件指纹（SHA-256）", 68),
    _Column("依据：工作表", 12),
    _Column("依据：行号", 10, "count"),
    _Column("依据：更正或撤销原因", 30),
    _Column("依据：更正来源", 13),
    _Column("依据：文号", 24),
)
_PLACES: Final = {"count": 0, "wanyuan": 6, "percent": 2}
_NUMBER_FORMATS: Final = {"count": "0", "wanyuan": "#,##0.00####", "percent": "0.00"}


def write_red_flag_sheet(
    path: Path,
    flags: Iterable[RedFlag],
    notes: Sequence[tuple[str, str]],
    *,
    max_lines: int = RED_FLAG_SHEET_MAX_LINES,
) -> None:
    """Write the red flags as an .xlsx, with a line for each version that a question is about.

    A sheet is limited to the rows of Excel: lines beyond `max_lines` are left out, and a last line has their
    number. The lines are written as they come and are never all in memory.

    Args:
        path: The file.
        flags: The questions.
        notes: The headings and texts of the second sheet.
        max_lines: The most lines of the first sheet.

    Raises:
        OSError: The file cannot be written, for example because it is open in Excel.
    """
    lines = ((n, flag, version) for n, flag in enumerate(flags, 1) for version in flag.evidence)
    # The workbook is created first, so that a missing or read-only folder is an OSError before any work.
    with new_workbook(path) as workbook:
        sheet = _RedFlagSheet(workbook)
        for n, flag, version in islice(lines, max_lines):
            sheet.write((*_question(n, flag), *_evidence(version)))
        sheet.end(left_out=sum(1 for _ in lines))
        write_notes(workbook, notes)


def _question(n: int, flag: RedFlag) -> tuple[Cell, ...]:
    group = flag.group
    counts: tuple[Cell, ...] = (None,) * 4
    if group is not None:
        counts = (group.counted, group.total, group.share_bp, group.expected_bp)
    return (
        n,
        FLAGS[flag.flag],
        flag.uscc,
        flag.name,
        None if flag.region_code is None else region_name(flag.region_code),
        None if flag.period is None else period_of(flag.period).chinese,
        flag.form,
        flag.sentence,
        None if flag.column is None else COLUMNS[flag.column],
        flag.stated_fen,
        flag.compared_fen,
        flag.assessed_fen,
        flag.compared_assessed_fen,
        flag.together_assessed_fen,
        *counts,
    )


def _evidence(version: ReturnVersion) -> tuple[Cell, ...]:
    event = version.event
    registered = event if isinstance(event, Return) else None
    figure = Figure() if registered is None else required_figure(registered)
    source = None if registered is None else registered.source
    return (
        version.position,
        RECORDS[version.type],
        beijing(version.recorded_at_us),
        version.actor,
        version.uscc,
        period_of(version.period).chinese,
        version.form,
        None if registered is None else STAGES[registered.stage],
        *_who(registered),
        figure.current_fen,
        figure.prior_year_fen,
        figure.current_ytd_fen,
        figure.prior_year_ytd_fen,
        None if registered is None else _other_figures(registered),
        *((None,) * 4 if source is None else (source.name, source.sha256, source.sheet, source.row)),
        event.reason,
        None if event.origin is None else ORIGINS[event.origin],
        event.document,
    )


def _who(registered: Return | None) -> tuple[Cell, ...]:
    """The name, region and industry, and whether the unit is in the database of units above the limit."""
    if registered is None:
        return (None,) * 4
    is_in = "是" if registered.in_database else "否"
    return registered.name, region_name(registered.region_code), registered.industry_code, is_in


def _other_figures(registered: Return) -> str:
    """The items other than the required one, in one text."""
    form = FORMS[registered.form]
    return "；".join(
        f"{form.items[item]}：本期{_amount(figure.current_fen)}，上年同期{_amount(figure.prior_year_fen)}"
        for item, figure in registered.figures.items()
        if item != form.required_item
    )


def _amount(fen: int | None) -> str:
    return "未填" if fen is None else f"{wanyuan_text(fen)}万元"


class _RedFlagSheet:
    """The first sheet of the workbook, written from the top down."""

    def __init__(self, workbook: Any) -> None:
        self._sheet = begin_sheet(
            workbook, SHEET_NAME, ((heading.title, heading.width) for heading in _COLUMNS)
        )
        self._text = text_format(workbook)
        self._numbers = {
            kind: workbook.add_format({"valign": "top", "num_format": text})
            for kind, text in _NUMBER_FORMATS.items()
        }
        self._next_row = 1

    def write(self, line: Sequence[Cell]) -> None:
        for index, (column, value) in enumerate(zip(_COLUMNS, line, strict=True)):
            if isinstance(value, int):
                self._write_number(index, column.kind, value)
            elif value:
                self._sheet.write_string(self._next_row, index, writable(value), self._text)
        self._next_row += 1

    def _write_number(self, index: int, kind: Kind, units: int) -> None:
        number = exact_number(units, places=_PLACES[kind])
        if number is None:
            self._sheet.write_string(self._next_row, index, wanyuan_text(units), self._text)
        else:
            self._sheet.write_number(self._next_row, index, number, self._numbers[kind])

    def end(self, *, left_out: int) -> None:
        self._sheet.autofilter(0, 0, self._next_row - 1, len(_COLUMNS) - 1)
        if left_out:
            note = f"另有{left_out}行未列出：Excel工作表的行数已到上限。请按疑点或处理地分别导出。"
            self._sheet.write_string(self._next_row, 7, note, self._text)
