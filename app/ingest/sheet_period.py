"""Finds the period of a sheet by the names, titles and headings that mention one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.ingest.header import Header
from app.ingest.headings import FigureHeading
from app.ingest.periods import in_chinese, january_february, month_period, periods_in_name, periods_within
from app.ingest.request import ReadRequest

_FEBRUARY: Final = 2
_Problem = tuple[str, str]
"""The code and the sentence of a problem."""


@dataclass(frozen=True, slots=True)
class _Finding:
    """The periods that the name of the file, a title or the headings mention."""

    where: str
    periods: frozenset[str]

    def describe(self) -> str:
        """The finding in a message: 标题为2024年3月."""
        return f"{self.where}为{'、'.join(in_chinese(period) for period in sorted(self.periods))}"


def choose_period(
    request: ReadRequest, header: Header, figures: Sequence[FigureHeading], *, named_in_rows: bool
) -> tuple[str | None, list[_Problem]]:
    """The period of the rows that do not name their own, and the problems in finding it.

    A period that was asked for takes precedence, but the name of the file, the name of the sheet, the
    titles and the headings may not contradict it.
    """
    findings = _findings(request, header, figures)
    if request.period is not None:
        requested = request.period
        return requested, [
            _differs(requested, finding) for finding in findings if requested not in finding.periods
        ]
    agreed = _agreed(findings)
    if agreed is not None or named_in_rows:
        return agreed, []
    return None, [_disagree(findings) if findings else _NOTHING_SAID]


def _findings(request: ReadRequest, header: Header, figures: Sequence[FigureHeading]) -> list[_Finding]:
    """Where periods are mentioned, and which."""
    titles = frozenset(period for title in header.titles for period in periods_within(title))
    findings = [
        _Finding(
            "文件名",
            _february_as_surveyed(periods_in_name(_without_extension(request.file_name)), request.period),
        ),
        _Finding("工作表名", _february_as_surveyed(periods_in_name(header.sheet), request.period)),
        _Finding("标题", _february_as_surveyed(titles, request.period)),
        _Finding("表头", _periods_of_headings(figures, request.period)),
    ]
    return [finding for finding in findings if finding.periods]


def _without_extension(file_name: str) -> str:
    return file_name.rpartition(".")[0] or file_name


def _february_as_surveyed(periods: frozenset[str], requested: str | None) -> frozenset[str]:
    """Take 2024年2月 for the period of January and February if that period was asked for."""
    if requested is None or not requested.endswith("~02"):
        return periods
    return frozenset(
        requested if period == month_period(int(requested[:4]), _FEBRUARY) else period for period in periods
    )


def _periods_of_headings(figures: Sequence[FigureHeading], requested: str | None) -> frozenset[str]:
    """The periods of headings like `2024年3月零售额`; those of the year before count for the current one."""
    dated = [figure for figure in figures if figure.year and figure.month]
    years = {figure.year or 0 for figure in dated}
    current = int(requested[:4]) if requested else max(years, default=0)
    if not years <= {current, current - 1}:
        current = max(years)
    return frozenset(_period_of_heading(figure, current) for figure in dated)


def _period_of_heading(figure: FigureHeading, year: int) -> str:
    if figure.cumulative and figure.month == _FEBRUARY:
        return january_february(year)
    return month_period(year, figure.month or 0)


def _agreed(findings: Sequence[_Finding]) -> str | None:
    """The only period that all findings have in common; None if there is no such period."""
    common = frozenset.intersection(*(finding.periods for finding in findings)) if findings else frozenset()
    return next(iter(common)) if len(common) == 1 else None


def _differs(requested: str, finding: _Finding) -> _Problem:
    return (
        "period-differs",
        f"指定的所属期为{in_chinese(requested)}，{finding.describe()}，两者不一致。请核对文件，或改正指定的所属期（命令行：--period）。",
    )


def _disagree(findings: Sequence[_Finding]) -> _Problem:
    found = "，".join(finding.describe() for finding in findings)
    return "period-differs", f"无法确定所属期：{found}。请指定所属期（命令行：--period 2024-03）。"


_NOTHING_SAID: Final = (
    "period-missing",
    "找不到所属期：没有“所属期”列，文件名和标题中也没有写明。请指定所属期（命令行：--period 2024-03）。",
)
