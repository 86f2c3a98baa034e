"""Importing a file: validated whole, conflicts included, then recorded in chunks."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from app.ledger.ledger import Ledger
from app.use_cases import wording
from app.use_cases.filing import FilingAnswer, Refused, conflicts, file_returns, row_name
from app.use_cases.rows import Draft, RowReader
from domain.errors import Problem

ROWS_PER_CHUNK: Final = 2_000
"""A chunk is one transaction: a commit costs little for each row, and other writers do not wait long."""

Rows = Callable[[], Iterable[Any]]
"""The rows of a file in the shape of `POST /v1/returns`, read anew at each call."""

Progress = Callable[[int], None]
"""Called with the number of rows that are done."""


def import_rows(  # noqa: PLR0913 - how a file is imported
    ledger: Ledger,
    rows: Rows,
    reader: RowReader,
    *,
    actor: str,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
) -> FilingAnswer | Refused:
    """Register the rows of a file. Each chunk is all or nothing; none is begun unless the file is in order.

    Problems and points to verify count the rows of the file from 0.

    Raises:
        app.use_cases.filing.ContentionError: Others kept recording in between; what was recorded stays, and
            importing the file again goes on from there.
    """
    problems = check_rows(ledger, rows, reader)
    if problems:
        return Refused(problems)
    if dry_run:  # Decided as one, since a later row may rest on an earlier one.
        return file_returns(ledger, list(_drafts(rows, reader)), actor=actor, dry_run=True)
    total: FilingAnswer | None = None
    done = 0
    for chunk in _chunks(_drafts(rows, reader)):
        answer = file_returns(ledger, chunk, actor=actor)
        if isinstance(answer, Refused):
            return answer  # Another one recorded a conflict since the check.
        total = answer if total is None else _sum(total, answer)
        done += len(chunk)
        progress(done)
    return total if total is not None else _expected(file_returns(ledger, [], actor=actor))


def check_rows(ledger: Ledger, rows: Rows, reader: RowReader) -> list[Problem]:
    """Everything that keeps a file from being recorded."""
    problems: list[Problem] = []
    first: dict[str, str] = {}
    chunk: list[Draft] = []
    for index, data in enumerate(rows()):
        read = reader.read(index, data)
        if not isinstance(read, Draft):
            problems.extend(read)
            continue
        key = f"{read.uscc} {read.registered.form} {read.registered.period}"
        if key in first:
            message = wording.duplicate_row(first[key])
            problems.append(Problem(row=index, field=None, code="duplicate-row", message=message))
            continue
        first[key] = row_name(read)
        chunk.append(read)
        if len(chunk) == ROWS_PER_CHUNK:
            problems.extend(conflicts(ledger, chunk))
            chunk = []
    problems.extend(conflicts(ledger, chunk))
    return problems


def _drafts(rows: Rows, reader: RowReader) -> Iterator[Draft]:
    for index, data in enumerate(rows()):
        read = reader.read(index, data)
        if not isinstance(read, Draft):
            raise TypeError(f"row {index} has changed since it was checked")
        yield read


def _chunks(drafts: Iterator[Draft]) -> Iterator[list[Draft]]:
    while chunk := list(islice(drafts, ROWS_PER_CHUNK)):
        yield chunk


def _expected(answer: FilingAnswer | Refused) -> FilingAnswer:
    if isinstance(answer, Refused):
        raise TypeError("nothing cannot be refused")
    return answer


def _sum(total: FilingAnswer, answer: FilingAnswer) -> FilingAnswer:
    return msgspec.structs.replace(
        total,
        position=answer.position,
        filed=total.filed + answer.filed,
        revised=total.revised + answer.revised,
        unchanged=total.unchanged + answer.unchanged,
        entitlements_changed=total.entitlements_changed + answer.entitlements_changed,
        warnings=total.warnings + answer.warnings,
    )
