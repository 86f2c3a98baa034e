"""Importing a file: read once, validated whole, conflicts included, then recorded in chunks.

What was checked is kept in a temporary file and recorded from there. Other processes validate and decide the
chunks to come while this one records, so that a month of a country takes little memory and both processors.
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
from app.use_cases.filing import wording
from app.use_cases.filing.deciding import Decision, Refused, conflicts, decide, row_number
from app.use_cases.filing.file_returns import FilingAnswer, file_returns, record_decision
from app.use_cases.filing.first import First
from app.use_cases.filing.rows import Draft, RowReader
from app.use_cases.upkeep.projecting import project_all, project_until
from domain.errors import FilingWarning, Problem
from domain.identifiers import USCC_LENGTH
from projections.tables import LIVE
from projections.temporal_rows import analyse

ROWS_PER_CHUNK: Final = 4_000
"""A chunk is one transaction: a commit costs little for each row, and other writers do not wait long."""

CHUNKS_AHEAD: Final = 2
"""So many chunks are decided ahead: enough that no process waits, few enough to fit in memory."""

Progress = Callable[[int, int | None, str], None]
"""Called with the number of rows that are done, of how many if that is known, and what is being done.

How many there are is known as soon as the whole file is in order. From then on those that are done stand in
the log: it is called for each chunk that is recorded before anything else can fail.
"""

T = TypeVar("T")

_drafts_encoder = msgspec.msgpack.Encoder()
_drafts_decoder = msgspec.msgpack.Decoder(list[Draft])


class Checked(NamedTuple):
    """A chunk of rows after validation.

    Attributes:
        drafts: The drafts that are in order by themselves, packed.
        keys: Of each draft its enterprise, form and period, and its row from 0.
        problems: What is wrong with the other rows, and conflicts with what stands: the first ones.
        more: How many problems there are besides those.
        rows: How many rows it has.
    """

    drafts: bytes
    keys: list[tuple[str, int]]
    problems: list[Problem]
    more: int
    rows: int


class StoredChunk(NamedTuple):
    """Where a chunk of drafts lies in the temporary file, and whose they are."""

    start: int
    length: int
    rows: int
    codes: frozenset[str]


class PackedDecision(NamedTuple):
    """A decision on its way from another process: plain tuples pass several times as fast as objects."""

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
    def of(cls, decision: Decision) -> Self:
        """The decision, packed; the preview of its changes stays behind."""
        return cls(
            decision.guard.read_at,
            frozenset(decision.guard.streams),
            [(stored.stream, stored.version, stored.topic, stored.state) for stored in decision.events],
            decision.filed,
            decision.revised,
            decision.unchanged,
            decision.entitlements_changed,
            decision.warnings,
            decision.warnings_total,
        )

    def unpacked(self, read_at: int) -> Decision:
        """The decision, resting on what stood at `read_at`."""
        return Decision(
            guard=AppendCondition(read_at, self.streams),
            events=[StoredEvent(*each) for each in self.events],
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
    """Register the rows of a file. Each chunk is all or nothing; none is begun unless the file is in order.

    Problems and warnings count the rows of the file from 0. A conflict that others record after the
    check refuses its chunk and those to come; what was recorded before stays.

    Args:
        ledger: The ledger.
        rows: The rows in the shape of `POST /v1/returns`; read once.
        reader: Reads them.
        actor: The name under which they are recorded.
        dry_run: Whether only to say what would happen.
        in_order: Asked after the last row was read: whether the file itself can be read as a whole.
        progress: Told how far it has come; what it raises ends the import between two chunks.
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
        problems = checked.check(chain(_taken(first), chunks), progress)
        if problems.total or not in_order():
            return Refused(problems.kept, problems.more)
        if dry_run:  # Decided as one, since a later row may rest on an earlier one.
            return file_returns(ledger, list(checked.drafts()), actor=actor, dry_run=True)
        projects_beside = several and has_several_writers(ledger.engine)
        with ledger_workers(ledger, 1 if projects_beside else 0) as projectors:
            recording = _Recording(ledger, workers, projectors, checked, actor=actor, progress=progress)
            answer = recording.record()
    if several:
        with write_transaction(ledger.engine, no_timeout=True) as connection:
            analyse(connection, LIVE)
    return answer


def key_of(draft: Draft) -> str:
    """What a file may say only once: an enterprise, form and period."""
    return f"{draft.uscc} {draft.registered.form} {draft.registered.period}"


def validate(ledger: Ledger, reader: RowReader, chunk: Sequence[tuple[int, Any]]) -> Checked:
    """Read a chunk of rows, and look for conflicts with what stands."""
    drafts: list[Draft] = []
    problems: First[Problem] = First(PROBLEMS_MOST_KEPT)
    for index, data in chunk:
        read = reader.read(index, data)
        if isinstance(read, Draft):
            drafts.append(read)
        else:
            problems.extend(read)
    problems.extend(conflicts(ledger, drafts))
    keys = [(key_of(each), each.row) for each in drafts]
    return Checked(_drafts_encoder.encode(drafts), keys, problems.kept, problems.more, len(chunk))


class _Check:
    """Validates the rows of a file, and keeps the drafts in a temporary file.

    Attributes:
        kept: The chunks that were validated.
    """

    def __init__(self, workers: WorkerPool[Ledger], reader: RowReader, file: IO[bytes]) -> None:
        self.kept: list[StoredChunk] = []
        self._workers = workers
        self._reader = reader
        self._file = file
        # A number for each key takes a third of the memory; what seems to come again is looked up in the end.
        self._seen: set[int] = set()
        self._again: dict[str, list[int]] = {}

    def check(self, chunks: Iterable[list[tuple[int, Any]]], progress: Progress) -> First[Problem]:
        """Validate every row; everything that keeps the file from being recorded."""
        problems: First[Problem] = First(PROBLEMS_MOST_KEPT)
        done = 0
        for checked in self._workers.map_ordered(validate, ((self._reader, chunk) for chunk in chunks)):
            self._take(checked)
            problems.extend(checked.problems, more=checked.more)
            done += checked.rows
            progress(done, None, "核对")
        found: First[Problem] = First(PROBLEMS_MOST_KEPT)
        found.extend(self._duplicates())
        twice = {each.row for each in found.kept}
        found.extend((each for each in problems.kept if each.row not in twice), more=problems.more)
        return found

    def _duplicates(self) -> Iterator[Problem]:
        """The rows whose enterprise, form and period another row had before."""
        first: dict[str, tuple[int, int]] = {}
        for draft in self.drafts() if self._again else ():
            key = key_of(draft)
            if key in self._again:
                first.setdefault(key, (draft.row, row_number(draft)))
        for key, rows in self._again.items():
            message = wording.duplicate_row(str(first[key][1]))
            for row in rows:
                if row != first[key][0]:
                    yield Problem(row=row, field=None, code="duplicate-row", message=message)

    def _take(self, checked: Checked) -> None:
        for key, row in checked.keys:
            number = hash(key)
            if number in self._seen:
                self._again.setdefault(key, []).append(row)
            self._seen.add(number)
        codes = frozenset(key[:USCC_LENGTH] for key, _ in checked.keys)
        start = self._file.seek(0, SEEK_END)
        self._file.write(checked.drafts)
        self.kept.append(StoredChunk(start, len(checked.drafts), len(checked.keys), codes))

    def packed(self, kept: StoredChunk) -> bytes:
        """The drafts of a chunk, as they were validated."""
        self._file.seek(kept.start)
        return self._file.read(kept.length)

    def drafts(self) -> Iterator[Draft]:
        """All drafts."""
        for each in self.kept:
            yield from _drafts_decoder.decode(self.packed(each))


def decide_chunk(ledger: Ledger, packed: bytes) -> PackedDecision | Refused:
    """What registering a chunk of drafts comes to."""
    with read_transaction(ledger.engine) as connection:
        decision = decide(ledger, connection, _drafts_decoder.decode(packed))
    return decision if isinstance(decision, Refused) else PackedDecision.of(decision)


class _Recording:
    """Records the chunks of a file in their order, while others decide those to come.

    A chunk is decided ahead only if no chunk before it that is not yet recorded and projected is about one of
    its enterprises: what this import records in between is then no conflict.
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
        self._rows = sum(each.rows for each in checked.kept)
        self._done = 0
        self._own: dict[int, int] = {}
        self._ahead: deque[tuple[StoredChunk, Future[PackedDecision | Refused]]] = deque()
        self._projecting: tuple[StoredChunk, Future[None]] | None = None

    def record(self) -> FilingAnswer | Refused:
        """Record all chunks; how it ended."""
        total: FilingAnswer | None = None
        self._tell_progress()
        for answer in self._answers():
            if isinstance(answer, Refused):
                return answer  # Another one recorded a conflict since the check.
            total = answer if total is None else _sum(total, answer)
        return total if total is not None else _nothing(self._ledger, self._actor)

    def _tell_progress(self) -> None:
        self._progress(self._done, self._rows, "登记")

    def _answers(self) -> Iterator[FilingAnswer | Refused]:
        for kept in self._checked.kept:
            while self._must_wait(kept):
                yield self._record_next()
            if self._projecting is not None and not kept.codes.isdisjoint(self._projecting[0].codes):
                self._wait_for_projection()
            packed = self._checked.packed(kept)
            self._ahead.append((kept, self._workers.submit(decide_chunk, packed)))
        while self._ahead:
            yield self._record_next()
        self._wait_for_projection()

    def _wait_for_projection(self) -> None:
        if self._projecting is not None:
            _, future = self._projecting
            future.result()
            self._projecting = None

    def _must_wait(self, kept: StoredChunk) -> bool:
        return len(self._ahead) > CHUNKS_AHEAD or any(
            not kept.codes.isdisjoint(each.codes) for each, _ in self._ahead
        )

    def _record_next(self) -> FilingAnswer | Refused:
        kept, future = self._ahead.popleft()
        packed = future.result()
        decision = packed if isinstance(packed, Refused) else packed.unpacked(self._seen(packed.read_at))
        answer = record_decision(
            self._ledger,
            decision,
            lambda: _drafts_decoder.decode(self._checked.packed(kept)),
            actor=self._actor,
        )
        if not isinstance(answer, Refused):
            self._done += kept.rows
            self._tell_progress()
            recorded = answer.filed + answer.revised + answer.entitlements_changed
            self._own[answer.position - recorded] = answer.position
            self._wait_for_projection()
            self._projecting = (kept, self._projectors.submit(project_until, answer.position))
        return answer

    def _seen(self, read_at: int) -> int:
        """The position up to which nothing but this import has recorded since the streams were read."""
        while self._own.get(read_at, read_at) > read_at:
            read_at = self._own[read_at]
        return read_at


def _chunks(rows: Iterable[Any]) -> Iterator[list[tuple[int, Any]]]:
    numbered = enumerate(rows)
    while chunk := list(islice(numbered, ROWS_PER_CHUNK)):
        yield chunk


def _taken(first: deque[T]) -> Iterator[T]:
    """Each once, and it is kept no longer."""
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
