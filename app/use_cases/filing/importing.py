"""Importing a file: it is read once, validated as a whole, including conflicts, and then recorded in chunks.

The valid rows are kept in a temporary file and recorded from there. Worker processes validate and decide the
next chunks while this process records, so that a month of a country takes little memory and both processors.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from io import SEEK_END
from itertools import chain, islice
from typing import IO, Any, Final, NamedTuple, Self, TypeVar

import msgspec

from app.ledger.ledger import Ledger
from app.ledger.mapper import StoredEvent
from app.ledger.recorder import AppendCondition
from app.ledger.workers import ledger_workers
from app.runtime.database import has_several_writers, read_transaction, write_transaction
from app.runtime.limits import PROBLEMS_MOST_KEPT
from app.runtime.worker_pool import WorkerPool, spare_processors
from app.use_cases.filing.deciding import (
    FilingDecision,
    Refused,
    RowPlace,
    conflicts,
    decide,
    duplicate_row,
    row_place,
)
from app.use_cases.filing.file_returns import FilingAnswer, file_returns, record_decision
from app.use_cases.filing.first import First
from app.use_cases.filing.rows import Draft, RowReader
from app.use_cases.upkeep.projecting import project_all, project_until
from domain.errors import FilingWarning, Problem
from domain.identifiers import USCC_LENGTH
from projections.tables import LIVE
from projections.temporal_rows import analyse

ROWS_PER_CHUNK: Final = 4_000
"""A chunk is one transaction: the cost of a commit per row is small, and other writers do not wait long."""

CHUNKS_AHEAD: Final = 2
"""The number of chunks decided ahead: enough that no process waits, few enough to fit in memory."""

Progress = Callable[[int, int | None, str], None]
"""Called with the number of rows done, their total if it is known, and the name of the step, in Chinese.

The total is known once the whole file is valid. From then on, rows that are done are in the log: the function
is called for each recorded chunk before anything else can fail.
"""

T = TypeVar("T")

_drafts_encoder = msgspec.msgpack.Encoder()
_drafts_decoder = msgspec.msgpack.Decoder(list[Draft])


class Checked(NamedTuple):
    """A chunk of rows after validation.

    Attributes:
        drafts: The drafts of the rows that are valid by themselves, encoded.
        keys: The enterprise, form and period of each draft.
        problems: The first problems: of the other rows, and conflicts with the ledger.
        more: The number of further problems.
        rows: The number of rows in the chunk.
    """

    drafts: bytes
    keys: list[str]
    problems: list[Problem]
    more: int
    rows: int


class StoredChunk(NamedTuple):
    """The place of a chunk of drafts in the temporary file, and the enterprises that they are about."""

    start: int
    length: int
    rows: int
    codes: frozenset[str]


class PackedDecision(NamedTuple):
    """A decision sent from a worker process: plain tuples are several times as fast to send as objects."""

    read_at: int
    streams: frozenset[str]
    events: list[tuple[str, int, str, bytes]]
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int
    warnings: list[FilingWarning]
    warnings_total: int

    @classmethod
    def of(cls, decision: FilingDecision) -> Self:
        """Pack a decision, without the preview of its changes."""
        return cls(
            decision.condition.read_at,
            frozenset(decision.condition.streams),
            [(stored.stream, stored.version, stored.topic, stored.state) for stored in decision.events],
            decision.filed,
            decision.revised,
            decision.unchanged,
            decision.entitlements_changed,
            decision.warnings,
            decision.warnings_total,
        )

    def unpacked(self, read_at: int) -> FilingDecision:
        """Unpack the decision, which is valid for the state of the log at `read_at`."""
        return FilingDecision(
            condition=AppendCondition(read_at, self.streams),
            events=[StoredEvent(*event) for event in self.events],
            filed=self.filed,
            revised=self.revised,
            unchanged=self.unchanged,
            entitlements_changed=self.entitlements_changed,
            changes=[],
            warnings=self.warnings,
            warnings_total=self.warnings_total,
        )


def import_rows(  # noqa: PLR0913 - how a file is imported
    ledger: Ledger,
    rows: Iterable[Any],
    reader: RowReader,
    *,
    actor: str,
    dry_run: bool = False,
    in_order: Callable[[], bool] = lambda: True,
    progress: Progress = lambda _, __, ___: None,
) -> FilingAnswer | Refused:
    """Register the rows of a file if the whole file is valid. A chunk is recorded completely or not at all.

    Problems and warnings count the rows of the file from 0. If another process records a conflict after the
    check, its chunk and all later ones are refused; chunks recorded before stay.

    Args:
        ledger: The ledger.
        rows: The rows in the shape of `POST /v1/returns`; iterated once.
        reader: Reads the rows.
        actor: The name under which they are recorded.
        dry_run: Whether only to preview the result.
        in_order: Called after the last row was read; returns whether the whole file was readable.
        progress: Called as the import proceeds; an exception that it raises ends the import between two
            chunks.
    """
    project_all(ledger)
    chunks = _chunks(rows)
    first = deque(islice(chunks, 2))
    several = len(first) > 1
    with (
        tempfile.TemporaryFile() as file,
        ledger_workers(ledger, spare_processors() if several else 0) as workers,
    ):
        checked = _Check(workers, reader, file)
        problems = checked.check(chain(_drain(first), chunks), progress)
        if problems.total or not in_order():
            return Refused(problems.kept, problems.more)
        if dry_run:  # All rows are decided together, since a later row may depend on an earlier one.
            return file_returns(ledger, list(checked.drafts()), actor=actor, dry_run=True)
        projects_in_worker = several and has_several_writers(ledger.engine)
        with ledger_workers(ledger, 1 if projects_in_worker else 0) as projectors:
            recording = _Recording(ledger, workers, projectors, checked, actor=actor, progress=progress)
            answer = recording.record()
    if several:
        with write_transaction(ledger.engine, no_timeout=True) as connection:
            analyse(connection, LIVE)
    return answer


def return_key(draft: Draft) -> str:
    """The enterprise, form and period of a draft: a file may have one row for each."""
    return f"{draft.uscc} {draft.registered.form} {draft.registered.period}"


def validate(ledger: Ledger, reader: RowReader, chunk: Sequence[tuple[int, Any]]) -> Checked:
    """Read a chunk of rows, and find conflicts with the ledger."""
    drafts: list[Draft] = []
    problems: First[Problem] = First(PROBLEMS_MOST_KEPT)
    for index, data in chunk:
        read = reader.read(index, data)
        if isinstance(read, Draft):
            drafts.append(read)
        else:
            problems.extend(read)
    problems.extend(conflicts(ledger, drafts))
    keys = [return_key(draft) for draft in drafts]
    return Checked(_drafts_encoder.encode(drafts), keys, problems.kept, problems.more, len(chunk))


class _Check:
    """Validates the rows of a file, and keeps the drafts in a temporary file.

    Attributes:
        chunks: The valid chunks.
    """

    def __init__(self, workers: WorkerPool[Ledger], reader: RowReader, file: IO[bytes]) -> None:
        self.chunks: list[StoredChunk] = []
        self._workers = workers
        self._reader = reader
        self._file = file
        # Hashes of the keys take a third of the memory; keys with equal hashes are compared at the end.
        self._seen: set[int] = set()
        self._again: set[str] = set()

    def check(self, chunks: Iterable[list[tuple[int, Any]]], progress: Progress) -> First[Problem]:
        """Validate every row; return the problems that keep the file from being recorded."""
        problems: First[Problem] = First(PROBLEMS_MOST_KEPT)
        done = 0
        for checked in self._workers.map_ordered(validate, ((self._reader, chunk) for chunk in chunks)):
            self._take(checked)
            problems.extend(checked.problems, more=checked.more)
            done += checked.rows
            progress(done, None, "核对")
        found: First[Problem] = First(PROBLEMS_MOST_KEPT)
        found.extend(self._duplicates())
        twice = {problem.row for problem in found.kept}
        found.extend((problem for problem in problems.kept if problem.row not in twice), more=problems.more)
        return found

    def _duplicates(self) -> Iterator[Problem]:
        """Yield a problem for each row that repeats the enterprise, form and period of an earlier row."""
        first: dict[str, RowPlace] = {}
        for draft in self.drafts() if self._again else ():
            key = return_key(draft)
            if key in self._again:
                place = row_place(draft)
                other = first.setdefault(key, place)
                if other is not place:
                    yield duplicate_row(other, place)

    def _take(self, checked: Checked) -> None:
        for key in checked.keys:
            number = hash(key)
            if number in self._seen:
                self._again.add(key)
            self._seen.add(number)
        codes = frozenset(key[:USCC_LENGTH] for key in checked.keys)
        start = self._file.seek(0, SEEK_END)
        self._file.write(checked.drafts)
        self.chunks.append(StoredChunk(start, len(checked.drafts), len(checked.keys), codes))

    def packed(self, chunk: StoredChunk) -> bytes:
        """The encoded drafts of a valid chunk."""
        self._file.seek(chunk.start)
        return self._file.read(chunk.length)

    def drafts(self) -> Iterator[Draft]:
        """Yield all drafts."""
        for chunk in self.chunks:
            yield from _drafts_decoder.decode(self.packed(chunk))


def decide_chunk(ledger: Ledger, packed: bytes) -> PackedDecision | Refused:
    """Decide on registering a chunk of drafts."""
    with read_transaction(ledger.engine) as connection:
        decision = decide(ledger, connection, _drafts_decoder.decode(packed))
    return decision if isinstance(decision, Refused) else PackedDecision.of(decision)


class _Recording:
    """Records the chunks of a file in order, while worker processes decide the next ones.

    A chunk is decided ahead only if it shares no enterprise with any earlier chunk that is not yet recorded
    and projected: then events that this import records in between are no conflict.
    """

    def __init__(  # noqa: PLR0913 - what a recording needs
        self,
        ledger: Ledger,
        workers: WorkerPool[Ledger],
        projectors: WorkerPool[Ledger],
        checked: _Check,
        *,
        actor: str,
        progress: Progress,
    ) -> None:
        self._ledger = ledger
        self._workers = workers
        self._projectors = projectors
        self._checked = checked
        self._actor = actor
        self._progress = progress
        self._rows = sum(chunk.rows for chunk in checked.chunks)
        self._done = 0
        self._own: dict[int, int] = {}
        self._ahead: deque[tuple[StoredChunk, Future[PackedDecision | Refused]]] = deque()
        self._projecting: tuple[StoredChunk, Future[None]] | None = None

    def record(self) -> FilingAnswer | Refused:
        """Record all chunks; return the combined answer, or the refusal of a chunk."""
        total: FilingAnswer | None = None
        self._tell_progress()
        for answer in self._answers():
            if isinstance(answer, Refused):
                return answer  # Another process has recorded a conflict since the check.
            total = answer if total is None else _sum(total, answer)
        return total if total is not None else _nothing(self._ledger, self._actor)

    def _tell_progress(self) -> None:
        self._progress(self._done, self._rows, "登记")

    def _answers(self) -> Iterator[FilingAnswer | Refused]:
        for chunk in self._checked.chunks:
            while self._must_wait(chunk):
                yield self._record_next()
            if self._projecting is not None and not chunk.codes.isdisjoint(self._projecting[0].codes):
                self._wait_for_projection()
            packed = self._checked.packed(chunk)
            self._ahead.append((chunk, self._workers.submit(decide_chunk, packed)))
        while self._ahead:
            yield self._record_next()
        self._wait_for_projection()

    def _wait_for_projection(self) -> None:
        if self._projecting is not None:
            _, future = self._projecting
            future.result()
            self._projecting = None

    def _must_wait(self, chunk: StoredChunk) -> bool:
        return len(self._ahead) > CHUNKS_AHEAD or any(
            not chunk.codes.isdisjoint(ahead.codes) for ahead, _ in self._ahead
        )

    def _record_next(self) -> FilingAnswer | Refused:
        chunk, future = self._ahead.popleft()
        packed = future.result()
        decision = packed if isinstance(packed, Refused) else packed.unpacked(self._seen(packed.read_at))
        answer = record_decision(
            self._ledger,
            decision,
            lambda: _drafts_decoder.decode(self._checked.packed(chunk)),
            actor=self._actor,
        )
        if not isinstance(answer, Refused):
            self._done += chunk.rows
            self._tell_progress()
            recorded = answer.filed + answer.revised + answer.entitlements_changed
            self._own[answer.position - recorded] = answer.position
            self._wait_for_projection()
            self._projecting = (chunk, self._projectors.submit(project_until, answer.position))
        return answer

    def _seen(self, read_at: int) -> int:
        """The position up to which only this import has recorded since the streams were read."""
        while self._own.get(read_at, read_at) > read_at:
            read_at = self._own[read_at]
        return read_at


def _chunks(rows: Iterable[Any]) -> Iterator[list[tuple[int, Any]]]:
    numbered = enumerate(rows)
    while chunk := list(islice(numbered, ROWS_PER_CHUNK)):
        yield chunk


def _drain(first: deque[T]) -> Iterator[T]:
    """Yield each item once, and release it."""
    while first:
        yield first.popleft()


def _nothing(ledger: Ledger, actor: str) -> FilingAnswer | Refused:
    return file_returns(ledger, [], actor=actor)


def _sum(total: FilingAnswer, answer: FilingAnswer) -> FilingAnswer:
    total.warnings.extend(answer.warnings[: max(PROBLEMS_MOST_KEPT - len(total.warnings), 0)])
    return msgspec.structs.replace(
        total,
        warnings_total=total.warnings_total + answer.warnings_total,
        position=answer.position,
        filed=total.filed + answer.filed,
        revised=total.revised + answer.revised,
        unchanged=total.unchanged + answer.unchanged,
        entitlements_changed=total.entitlements_changed + answer.entitlements_changed,
    )
