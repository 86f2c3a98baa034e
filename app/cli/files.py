"""Files on the command line: read, imported, and what is wrong with them by sheet, row, column and cell."""

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
    """How files are to be imported; `reason`, `origin` and `document` are for rows that give none."""

    unit: str
    period: str | None = None
    stage: Stage = "final"
    reason: str | None = None
    origin: str | None = None
    document: str | None = None
    dry_run: bool = False


class ImportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: an answer, or problems and nothing recorded; warnings in both cases.

    Attributes:
        name: Its name without folders.
        answer: None where it is refused.
        lines: The problems and the warnings.
        more: How many there are besides those that have a line.
        ignored_headings: The headings that are not ours.
        unread: Whether it is refused because the file itself cannot be read.
    """

    name: str
    answer: FilingAnswer | None
    lines: list[ProblemLine]
    more: int = 0
    ignored_headings: tuple[str, ...] = ()
    unread: bool = False

    @property
    def problems(self) -> list[ProblemLine]:
        """What keeps the file from being recorded."""
        return [line for line in self.lines if line.category == "审核错误"]


def import_file(
    ledger: Ledger,
    path: Path,
    options: ImportOptions,
    *,
    actor: str,
    progress: Progress = lambda _, __, ___: None,
) -> ImportedFile:
    """Register the returns of a file; all that is wrong with it if it is refused."""
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
        for each in file.rows():
            if isinstance(each, FileProblem):
                unreadable.extend([each])
            else:
                yield {**given, **each.data} if given else each.data

    result = import_rows(
        ledger,
        data(),
        RowReader(unit=options.unit, stage=options.stage, source=Source(name=file.name, sha256=file.sha256)),
        actor=actor,
        dry_run=options.dry_run,
        in_order=lambda: not unreadable.total,
        progress=progress,
    )
    found: Sequence[Problem | FilingWarning]
    if isinstance(result, Refused):
        found, more = result.problems, result.more
    else:
        found, more = result.warnings, result.warnings_total - len(result.warnings)
    return ImportedFile(
        name=file.name,
        answer=None if isinstance(result, Refused) else result,
        lines=[_unreadable_line(file.name, each) for each in unreadable.kept] + _lines(file, found),
        more=unreadable.more + more,
        ignored_headings=() if isinstance(result, Refused) else file.ignored_headings,
        unread=any(each.is_of_unread_file for each in unreadable.kept),
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


def _lines(file: SourceFile, found: Iterable[Problem | FilingWarning]) -> list[ProblemLine]:
    """The lines of what was found, with the cells that it is about: the file is read once more for them."""
    by_row: dict[int, list[Problem | FilingWarning]] = {}
    for each in found:
        by_row.setdefault(each.row, []).append(each)
    if not by_row:
        return []
    rows = (each for each in file.rows() if isinstance(each, FileRow))
    return [_line(file.name, row, each) for index, row in enumerate(rows) for each in by_row.get(index, ())]


def _line(name: str, row: FileRow, found: Problem | FilingWarning) -> ProblemLine:
    field = (found.field if isinstance(found, Problem) else None) or ""
    cell = row.cells.get(field)
    message = found.message if cell is None else found.message.replace(f"“{field}”", f"“{cell.heading}”")
    return ProblemLine(
        file=name,
        sheet=row.sheet,
        row=row.row,
        column="" if cell is None else cell.column,
        heading="" if cell is None else cell.heading,
        text="" if cell is None else cell.text,
        category="审核错误" if isinstance(found, Problem) else "核实提示",
        code=found.code,
        message=message,
    )
