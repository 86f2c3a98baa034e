"""The sample months: files in the export layout of the statistics platform, about invented enterprises."""

import datetime as dt
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import xlsxwriter  # type: ignore[import-untyped]

from app.demo.cases import CATERING, FIRST_YEAR, PERIODS, PERIODS_A_YEAR, TRADE, at
from app.demo.figures import ITEMS, REVISED_PERIOD, FirmReport, SampleFigure, make_reports, revised_figures
from app.demo.firms import make_firms
from app.runtime.private_files import make_private_folder, open_private

_IDENTITY = ("处理地编码", "统一社会信用代码", "单位详细名称", "[201-1] 行业代码(GB/T4754-2017)", "单位规模")
_OVERRIDE = "校验例外理由"
_IN_DATABASE = "当月在库"
_REASON, _ORIGIN, _DOCUMENT = "更正原因", "更正来源", "依据文号"
# Columns that a file has only if one of its rows has a value for them.
_OPTIONAL = (_OVERRIDE, _IN_DATABASE, _REASON, _ORIGIN, _DOCUMENT)
_SHEETS = {"51": "批发", "52": "零售", "61": "住宿", "62": "餐饮"}
_FORM_TITLES = {TRADE: "批发和零售业商品销售和库存", CATERING: "住宿和餐饮业经营情况"}
# The typical month, in 千元, above which a firm is large, medium or small.
_SIZES = {
    TRADE: ((100_000, "大型"), (10_000, "中型"), (1_000, "小型")),
    CATERING: ((10_000, "大型"), (2_000, "中型"), (400, "小型")),
}
_DASHES = ("—", "—", "–", "—", "-")
_LATE_PERIOD = at(2024, 5)
_PRELIMINARY_PERIOD = at(2024, 12)
_FILING_DAY = 12
_SATURDAY, _A_WEEK = 5, 7
# By then June is registered and July is not, so July's cumulative figures can contain the correction.
_LATE_FILED_ON = dt.date(2024, 7, 19)
_REVISED_ON = dt.date(2024, 8, 7)
# The creation time stored in a workbook. It is constant, so that the same seed gives the same fingerprint.
_MADE = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class SampleFile:
    """One file of the sample: its path, its contents and the day on which the bureau registers it."""

    path: Path
    period: str
    stage: str
    filed_on: dt.date


@dataclass(frozen=True, slots=True)
class _Row:
    sheet: str
    identity: tuple[str, ...]
    figures: tuple[SampleFigure, ...]
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Book:
    name: str
    form: str
    period: int
    filed_on: dt.date
    rows: tuple[_Row, ...]

    @property
    def dash(self) -> str:
        return _DASHES[self._turn % len(_DASHES)]

    @property
    def titled(self) -> bool:
        return self._turn % 3 == 1

    @property
    def totalled(self) -> bool:
        return self._turn % 4 in {1, 2}

    @property
    def dashes_nils(self) -> bool:
        return self._turn % 2 == 1

    @property
    def _turn(self) -> int:
        """The number by which the layouts alternate; the two forms of a month differ."""
        return self.period + (self.form == CATERING) * 2


def _year(period: int) -> int:
    return FIRST_YEAR + period // PERIODS_A_YEAR


def _last_month(period: int) -> int:
    return period % PERIODS_A_YEAR + 2


def _is_combined(period: int) -> bool:
    return period % PERIODS_A_YEAR == 0


def _period_id(period: int) -> str:
    month = "01~02" if _is_combined(period) else f"{_last_month(period):02}"
    return f"{_year(period)}-{month}"


def _period_name(period: int) -> str:
    month = "1—2" if _is_combined(period) else str(_last_month(period))
    return f"{_year(period)}年{month}月"


def _filed_on(period: int) -> dt.date:
    """Return the 12th of the following month, or the Monday after it if it is on a weekend."""
    turn_of_year, month = divmod(_last_month(period), 12)
    day = dt.date(_year(period) + turn_of_year, month + 1, _FILING_DAY)
    return day if day.weekday() < _SATURDAY else day + dt.timedelta(days=_A_WEEK - day.weekday())


def _size(report: FirmReport) -> str:
    sizes = _SIZES[report.line.form]
    return next((size for least, size in sizes if report.line.base >= least), "微型")


def _row(
    report: FirmReport,
    period: int,
    marks: Mapping[str, str],
    figures: tuple[SampleFigure, ...] | None = None,
) -> _Row:
    firm = report.firm
    identity = (report.region(period), firm.uscc, firm.name, report.industry(period), _size(report))
    override = {_OVERRIDE: firm.profile.override} if firm.profile.override else {}
    sheet = _SHEETS[report.line.industry[:2]]
    return _Row(sheet, identity, figures or report.figures(period), {**override, **marks})


def _is_out(report: FirmReport, period: int) -> bool:
    return report.line.marked_out and report.line.leaves == period


def _is_listed(report: FirmReport, period: int) -> bool:
    return report.line.enters <= period < report.line.leaves or _is_out(report, period)


def _is_late(report: FirmReport, period: int) -> bool:
    return report.line.late and period == _LATE_PERIOD


def _month(reports: Iterable[FirmReport], form: str, period: int) -> _Book:
    """Return the export of a form and period; it has the column 当月在库 only if a firm has left."""
    there = [report for report in reports if report.line.form == form and _is_listed(report, period)]
    says_who_left = any(_is_out(report, period) for report in there)
    rows = []
    for report in there:
        if not _is_late(report, period):
            membership = {_IN_DATABASE: "否" if _is_out(report, period) else "是"} if says_who_left else {}
            rows.append(_row(report, period, membership))
    return _Book(f"{_period_name(period)} {form}.xlsx", form, period, _filed_on(period), tuple(rows))


def _late(reports: Iterable[FirmReport]) -> _Book:
    """Return the firms that are missing from the export of May 2024."""
    rows = tuple(
        _row(report, _LATE_PERIOD, {})
        for report in reports
        if _is_late(report, _LATE_PERIOD) and _is_listed(report, _LATE_PERIOD)
    )
    return _Book(f"{_period_name(_LATE_PERIOD)}补报 {TRADE}.xlsx", TRADE, _LATE_PERIOD, _LATE_FILED_ON, rows)


def _corrections(reports: Iterable[FirmReport]) -> _Book:
    """Return the corrected rows of April 2024, each with its reason, origin and document."""
    rows = []
    for report in reports:
        revision = report.firm.profile.revision
        if revision:
            marks = {_REASON: revision.reason, _ORIGIN: revision.origin, _DOCUMENT: revision.document}
            rows.append(_row(report, REVISED_PERIOD, marks, revised_figures(report, revision)))
    name = f"{_period_name(REVISED_PERIOD)}更正 {TRADE}.xlsx"
    return _Book(name, TRADE, REVISED_PERIOD, _REVISED_ON, tuple(rows))


def _headings(book: _Book, optional: Iterable[str]) -> list[str]:
    columns = ("本年-本月", "上年-本月", f"本年-1{book.dash}本月", f"上年-1{book.dash}本月")
    return [*_IDENTITY, *(f"{item};{column}" for item in ITEMS[book.form] for column in columns), *optional]


def _amounts(row: _Row) -> list[int | None]:
    return [
        amount
        for figure in row.figures
        for amount in (figure.current, figure.prior, figure.current_ytd, figure.prior_ytd)
    ]


def _totals(rows: Iterable[_Row]) -> list[int | None]:
    columns = zip(*(_amounts(row) for row in rows), strict=True)
    return [sum(amount for amount in column if amount is not None) for column in columns]


def _table(book: _Book, rows: list[_Row], optional: list[str]) -> list[list[str | int | None]]:
    """Lay a sheet out as rows of cells; `None` is a blank cell."""
    table: list[list[str | int | None]] = []
    if book.titled:
        title = f"{_period_name(book.period)}{_FORM_TITLES[book.form]}（{book.form}表）"
        table.append([f"{title} 计量单位：千元"])
    table.append([*_headings(book, optional)])
    for n, row in enumerate(rows):
        # Some files write nil in two ways, like files that several people edited.
        nil = "—" if book.dashes_nils and n % 2 else None
        amounts = [nil if amount is None else amount for amount in _amounts(row)]
        table.append([*row.identity, *amounts, *(row.marks.get(column) for column in optional)])
    if book.totalled:
        table.append(["合计", *[None] * (len(_IDENTITY) - 1), *_totals(rows)])
    return table


def _write(directory: Path, book: _Book) -> SampleFile:
    path = directory / book.name
    optional = [column for column in _OPTIONAL if any(column in row.marks for row in book.rows)]
    with open_private(path) as file, xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
        workbook.set_properties({"created": _MADE})
        for name in _SHEETS.values():
            rows = [row for row in book.rows if row.sheet == name]
            if rows:
                sheet = workbook.add_worksheet(name)
                for n, cells in enumerate(_table(book, rows, optional)):
                    for column, cell in enumerate(cells):
                        if isinstance(cell, str):
                            sheet.write_string(n, column, cell)
                        elif cell is not None:
                            sheet.write_number(n, column, cell)
    stage = "preliminary" if book.period == _PRELIMINARY_PERIOD else "final"
    return SampleFile(path, _period_id(book.period), stage, book.filed_on)


def write_sample(directory: Path, *, seed: int = 2024, enterprises: int = 1000) -> list[SampleFile]:
    """Write the sample months; return the files in the order of filing.

    The same seed and number give the same cells on every machine.

    Args:
        directory: The folder for the files; it is created if needed.
        seed: The seed of all chance.
        enterprises: Their number: at least that of the special cases (`app.demo.cases.SPECIAL`), at most
            10,000.

    Raises:
        ValueError: The number of enterprises is smaller or larger than that.
    """
    rng = random.Random(seed)  # noqa: S311 - a sample is not a secret
    reports = make_reports(rng, make_firms(rng, enterprises))
    reports.sort(key=lambda report: report.firm.uscc)
    workbooks = [_month(reports, form, period) for period in range(PERIODS) for form in (TRADE, CATERING)]
    workbooks += [_late(reports), _corrections(reports)]
    workbooks.sort(key=lambda book: book.filed_on)
    make_private_folder(directory)
    return [_write(directory, book) for book in workbooks]
