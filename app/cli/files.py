"""Files on the command line: read, imported, and what is wrong with them by sheet, row, column and cell."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.exports.problem_sheet import ProblemLine
from app.ingest.reader import read_file
from app.ingest.rows import FileProblem, FileRow
from app.ledger.ledger import Ledger
from app.use_cases.filing import FilingAnswer, Refused
from app.use_cases.importing import Progress, check_rows, import_rows
from app.use_cases.rows import RowReader
from domain.errors import Notice, Problem
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
    """What became of a file: an answer, or problems and nothing recorded; points to verify in both cases."""

    name: str
    answer: FilingAnswer | None
    lines: list[ProblemLine]
    ignored_headings: tuple[str, ...] = ()

    @property
    def problems(self) -> list[ProblemLine]:
        """What keeps the file from being recorded."""
        return [line for line in self.lines if line.category == "审核错误"]


def import_file(
    ledger: Ledger, path: Path, options: ImportOptions, *, actor: str, progress: Progress = lambda _: None
) -> ImportedFile:
    """Register the returns of a file; all that is wrong with it if it is refused."""
    file = read_file(path, unit=options.unit, period=options.period)
    unreadable = [each for each in file.rows() if isinstance(each, FileProblem)]
    given = {
        name: value
        for name, value in (
            ("reason", options.reason),
            ("origin", options.origin),
            ("document", options.document),
        )
        if value is not None
    }

    def rows() -> Iterator[FileRow]:
        return (each for each in file.rows() if isinstance(each, FileRow))

    def data() -> Iterator[dict[str, Any]]:
        return ({**given, **each.data} for each in rows())

    source = Source(name=file.name, sha256=file.sha256)
    reader = RowReader(unit=options.unit, stage=options.stage, source=source)
    lines = [_unreadable_line(file.name, each) for each in unreadable]
    if unreadable:
        refused = check_rows(ledger, data, reader)
        return ImportedFile(name=file.name, answer=None, lines=lines + _lines(file.name, rows(), refused))
    result = import_rows(ledger, data, reader, actor=actor, dry_run=options.dry_run, progress=progress)
    if isinstance(result, Refused):
        return ImportedFile(name=file.name, answer=None, lines=_lines(file.name, rows(), result.problems))
    return ImportedFile(
        name=file.name,
        answer=result,
        lines=_lines(file.name, rows(), result.warnings),
        ignored_headings=file.ignored_headings,
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


def _lines(name: str, rows: Iterable[FileRow], found: Iterable[Problem | Notice]) -> list[ProblemLine]:
    """The lines of what was found, with the cells that it is about: the file is read once more for them."""
    by_row: dict[int, list[Problem | Notice]] = {}
    for each in found:
        by_row.setdefault(each.row, []).append(each)
    if not by_row:
        return []
    lines: list[ProblemLine] = []
    for index, row in enumerate(rows):
        lines.extend(_line(name, row, each) for each in by_row.get(index, ()))
    return lines


def _line(name: str, row: FileRow, found: Problem | Notice) -> ProblemLine:
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
