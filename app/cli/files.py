"""Imports files for the command line, and reports their problems by sheet, row, column and cell."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.ingest.reader import SourceFile, read_file
from app.ingest.rows import FileProblem, FileRow
from app.ledger.ledger import Ledger
from app.runtime.limits import PROBLEMS_MOST_KEPT
from app.use_cases.filing.deciding import Refused
from app.use_cases.filing.file_returns import FilingAnswer
from app.use_cases.filing.first import First
from app.use_cases.filing.importing import Progress, import_rows
from app.use_cases.filing.rows import RowReader
from app.workbooks.problem_sheet import ProblemLine
from domain.errors import FilingWarning, Problem
from domain.events import Source, Stage


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to import files; `reason`, `origin` and `document` apply to rows without their own."""

    unit: str
    period: str | None = None
    stage: Stage = "final"
    reason: str | None = None
    origin: str | None = None
    document: str | None = None
    dry_run: bool = False


class ImportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """The result of importing a file: an answer, or problems and nothing recorded; warnings in both cases.

    Attributes:
        name: The name of the file without folders.
        answer: The answer; None if the file was refused.
        lines: The problems and the warnings.
        more: The number of problems and warnings without a line.
        ignored_headings: The headings that the ledger does not know.
        unread: Whether the file was refused because it could not be read.
    """

    name: str
    answer: FilingAnswer | None
    lines: list[ProblemLine]
    more: int = 0
    ignored_headings: tuple[str, ...] = ()
    unread: bool = False

    @property
    def problems(self) -> list[ProblemLine]:
        """The problems that keep the file from being recorded."""
        return [line for line in self.lines if line.category == "审核错误"]


def import_file(
    ledger: Ledger,
    path: Path,
    options: ImportOptions,
    *,
    actor: str,
    progress: Progress = lambda _, __, ___: None,
) -> ImportedFile:
    """Register the returns of a file, or return all its problems if it is refused."""
    file = read_file(path, unit=options.unit, period=options.period)
    unreadable: First[FileProblem] = First(PROBLEMS_MOST_KEPT)
    given = {
        name: value
        for name, value in (
            ("reason", options.reason),
            ("origin", options.origin),
            ("document", options.document),
        )
        if value is not None
    }

    def data() -> Iterator[dict[str, Any]]:
        for item in file.rows():
            if isinstance(item, FileProblem):
                unreadable.extend([item])
            else:
                yield {**given, **item.data} if given else item.data

    result = import_rows(
        ledger,
        data(),
        RowReader(unit=options.unit, stage=options.stage, source=Source(name=file.name, sha256=file.sha256)),
        actor=actor,
        dry_run=options.dry_run,
        in_order=lambda: not unreadable.total,
        progress=progress,
    )
    problems: Sequence[Problem | FilingWarning]
    if isinstance(result, Refused):
        problems, more = result.problems, result.more
    else:
        problems, more = result.warnings, result.warnings_total - len(result.warnings)
    return ImportedFile(
        name=file.name,
        answer=None if isinstance(result, Refused) else result,
        lines=[_unreadable_line(file.name, problem) for problem in unreadable.kept] + _lines(file, problems),
        more=unreadable.more + more,
        ignored_headings=() if isinstance(result, Refused) else file.ignored_headings,
        unread=any(problem.is_of_unread_file for problem in unreadable.kept),
    )


def _unreadable_line(name: str, problem: FileProblem) -> ProblemLine:
    return ProblemLine(
        file=name,
        sheet=problem.sheet,
        row=problem.row,
        column=problem.column or "",
        heading="",
        text=problem.text or "",
        category="审核错误",
        code=problem.code,
        message=problem.message,
    )


def _lines(file: SourceFile, problems: Iterable[Problem | FilingWarning]) -> list[ProblemLine]:
    """The lines of problems and warnings with their cells, for which the file is read once more."""
    by_row: dict[int, list[Problem | FilingWarning]] = {}
    for problem in problems:
        by_row.setdefault(problem.row, []).append(problem)
    if not by_row:
        return []
    rows = (item for item in file.rows() if isinstance(item, FileRow))
    return [
        _line(file.name, row, problem) for index, row in enumerate(rows) for problem in by_row.get(index, ())
    ]


def _line(name: str, row: FileRow, problem: Problem | FilingWarning) -> ProblemLine:
    field = (problem.field if isinstance(problem, Problem) else None) or ""
    cell = row.cells.get(field)
    message = problem.message if cell is None else problem.message.replace(f"“{field}”", f"“{cell.heading}”")
    return ProblemLine(
        file=name,
        sheet=row.sheet,
        row=row.row,
        column="" if cell is None else cell.column,
        heading="" if cell is None else cell.heading,
        text="" if cell is None else cell.text,
        category="审核错误" if isinstance(problem, Problem) else "核实提示",
        code=problem.code,
        message=message,
    )
