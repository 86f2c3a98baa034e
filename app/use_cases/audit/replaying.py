"""Replays the log: derives every assessment again from the facts, and the read models from the log.

Nothing is written to the database. Worker processes replay the enterprises in slices; the rows that
enterprises share are summed in a temporary SQLite file.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs
from sqlalchemy import Connection

from app.ledger.corruption import is_of_enterprise
from app.ledger.ledger import Ledger, Slice, Unreadable
from app.ledger.mapper import UnknownTypeError
from app.ledger.publications import Publication, all_unfinished
from app.ledger.workers import ledger_workers
from app.runtime.database import DamagedError, read_transaction, read_untrusted, with_retries
from app.runtime.limits import REPLAY_MOST_REPORTED
from app.runtime.new_files import temporary_folder
from app.runtime.worker_pool import spare_processors
from app.use_cases.reading.as_of import PositionAheadError
from domain.assessment.replay import Kind, Mismatch, Publications, Replay
from domain.errors import LedgerIntegrityError
from domain.events import LogEntry, PolicyAssessed, PolicyPublished, PolicyWithdrawn
from projections.account_windows import AccountWindows
from projections.policies import published_reaches
from projections.projector import position_of
from projections.rebuild.compare import CompareAt, RowDifference, compare_rows, known_accounts, rows_outside
from projections.rebuild.fill import MOST_PUT_ASIDE, CommonRows, fill_rows
from projections.rebuild.side_file import AsideFile
from projections.tables import LIVE

TASKS_PER_PROCESS: Final = 16
"""Enough for the processes to end together, and few enough for shared rows to be written seldom."""

TICK_S: Final = 1.0
"""The interval of calls to `progress`, which can stop the replay."""

Progress = Callable[[int, int], None]
"""Called with the number of events replayed and their total."""


class ReplayRange(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the log to replay.

    Attributes:
        first: The first position whose assessment is compared.
        last: The last one; None for the whole log, together with the read models.
    """

    first: int = 1
    last: int | None = None


class ReplayFindings(msgspec.Struct, kw_only=True):
    """The counts and findings of a replay, or of a part of one.

    Attributes:
        events: The number of events that were read.
        assessments: The number of recorded assessments that were compared.
        mismatches: The first mismatches, at most `REPLAY_MOST_REPORTED`.
        mismatch_count: The number of all mismatches.
        rows: The number of enterprises' rows that follow from the log, by table.
        row_differences: The first differences of rows, at most `REPLAY_MOST_REPORTED`.
        row_difference_count: The number of all differences of rows.
        uncompared: The number of slices whose rows could not be compared, since some events are unreadable.
    """

    events: int = 0
    assessments: int = 0
    mismatches: list[Mismatch] = msgspec.field(default_factory=list)
    mismatch_count: int = 0
    rows: dict[str, int] = msgspec.field(default_factory=dict)
    row_differences: list[RowDifference] = msgspec.field(default_factory=list)
    row_difference_count: int = 0
    uncompared: int = 0

    def add_mismatches(self, more: Sequence[Mismatch]) -> None:
        """Count them all, and keep the first ones."""
        self.mismatch_count += len(more)
        self.mismatches += more[: REPLAY_MOST_REPORTED - len(self.mismatches)]

    def add_row_differences(self, more: Sequence[RowDifference]) -> None:
        """Count them all, and keep the first ones."""
        self.row_difference_count += len(more)
        self.row_differences += more[: REPLAY_MOST_REPORTED - len(self.row_differences)]

    def add(self, other: "ReplayFindings") -> None:
        """Add the findings of other enterprises."""
        self.events += other.events
        self.assessments += other.assessments
        self.add_mismatches(other.mismatches)
        self.mismatch_count += other.mismatch_count - len(other.mismatches)
        for table, rows in other.rows.items():
            self.rows[table] = self.rows.get(table, 0) + rows
        self.add_row_differences(other.row_differences)
        self.row_difference_count += other.row_difference_count - len(other.row_differences)
        self.uncompared += other.uncompared


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a replay.

    Attributes:
        first: The first position whose assessment was compared.
        last: The last one.
        projected: The position as of which the rows of the read models were compared; None if they were not.
        unassessed: The publications whose assessment is not complete.
        found: The counts and findings.
    """

    first: int
    last: int
    projected: int | None
    unassessed: list[Publication]
    found: ReplayFindings

    @property
    def is_clean(self) -> bool:
        """Whether all events could be read, and nothing differs from what follows from the log."""
        found = self.found
        return found.events == self.last and not (found.mismatch_count or found.row_difference_count)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The work of a worker process: the slices to replay, and what is known about the whole replay.

    Attributes:
        slices: The enterprises.
        first: The first position whose assessment is compared.
        last: The end of the replay.
        unassessed: The publications whose assessment is not complete by then.
        is_whole: Whether the whole log is replayed.
        projected: The position as of which the rows are compared; None if they are not.
        accounts: The policies and windows that the read models have rows for.
        aside: The temporary file for the rows that enterprises share.
        is_damaged: Whether the database holds text that is not UTF-8; reading it takes longer.
    """

    slices: list[Slice]
    first: int
    last: int
    unassessed: list[Publication]
    is_whole: bool
    projected: int | None
    accounts: list[tuple[str, str]]
    aside: Path
    is_damaged: bool


def replay(ledger: Ledger, positions: ReplayRange, progress: Progress = lambda _, __: None) -> ReplayResult:
    """Derive every assessment again from the facts alone, by the policy in force at each decision.

    A replay of the whole log also compares the rows of the read models with those that follow from the log.

    Args:
        ledger: The ledger, which is only read.
        positions: The part of the log to replay.
        progress: Called as the replay proceeds.

    Raises:
        LedgerIntegrityError: The other tables of the ledger contradict the log, or the file is damaged.
        PositionAheadError: The range ends above the head of the log.
    """
    check_range(ledger, positions)
    try:
        return _replay(ledger, positions, progress, is_damaged=False)
    except DamagedError:
        return _replay(ledger, positions, progress, is_damaged=True)


def _replay(ledger: Ledger, positions: ReplayRange, progress: Progress, *, is_damaged: bool) -> ReplayResult:
    with temporary_folder("duixian-replay") as folder:
        aside = AsideFile(folder / "aside.db")
        aside.make()
        task = with_retries(lambda: _plan(ledger, positions, aside.path, is_damaged=is_damaged))
        found = with_retries(lambda: _checkpoint_ahead(ledger, task))
        found.add(_replay_all(ledger, task, progress))
        found.add(with_retries(lambda: _compare_common(ledger, task, found)))
        found.add(with_retries(lambda: _rows_outside(ledger, task)))
    progress(task.last, task.last)
    return ReplayResult(
        first=task.first,
        last=task.last,
        projected=task.projected,
        unassessed=task.unassessed,
        found=found,
    )


def _reading(ledger: Ledger, task: Task) -> AbstractContextManager[Connection]:
    return (read_untrusted if task.is_damaged else read_transaction)(ledger.engine)


def check_range(ledger: Ledger, positions: ReplayRange) -> None:
    """Check that the log holds the whole range.

    Raises:
        PositionAheadError: The range ends above the head of the log.
    """
    with read_transaction(ledger.engine) as connection:
        head = ledger.head(connection)
    if max(positions.first, positions.last or 1) > max(head, 1):
        raise PositionAheadError(head)


def _plan(ledger: Ledger, positions: ReplayRange, aside: Path, *, is_damaged: bool) -> Task:
    with (read_untrusted if is_damaged else read_transaction)(ledger.engine) as connection:
        head = ledger.head(connection)
        is_whole = positions.last is None
        return Task(
            slices=ledger.slices(connection),
            first=positions.first,
            last=head if positions.last is None else ledger.transaction_end(connection, positions.last),
            unassessed=all_unfinished(connection) if is_whole else [],
            is_whole=is_whole,
            projected=min(position_of(connection), head) if is_whole else None,
            accounts=known_accounts(connection),
            aside=aside,
            is_damaged=is_damaged,
        )


def _replay_all(ledger: Ledger, task: Task, progress: Progress) -> ReplayFindings:
    """Replay all enterprises in several processes, and check the publications."""
    processes = spare_processors() + 1 if len(task.slices) > 1 else 0
    tasks = max(processes * TASKS_PER_PROCESS, 1)
    found = ReplayFindings()
    with ledger_workers(ledger, processes) as workers:
        parts = [structs.replace(task, slices=task.slices[part::tasks]) for part in range(tasks)]
        running = {workers.submit(replay_slices, part) for part in parts if part.slices}
        while running:
            done, running = wait(running, TICK_S, FIRST_COMPLETED)
            for future in done:
                found.add(future.result())
            progress(min(found.events, task.last), task.last)
    unreadable: list[Unreadable] = []
    with _reading(ledger, task) as connection:
        published = ledger.publications(connection, until=task.last, unreadable=unreadable)
    found.events += len(published) + len(unreadable)
    altered = _published(published).contradictions
    streams = {entry.position: entry.stream for entry in published}
    found.add_mismatches(
        [
            *map(_unreadable, unreadable),
            *(_wrong("policy-altered", position, streams[position], why) for position, why in altered),
        ]
    )
    found.mismatches.sort(key=_place)
    return found


def _place(mismatch: Mismatch) -> tuple[int, str, str]:
    return mismatch.position or mismatch.transaction_end or 0, mismatch.stream, mismatch.period or ""


def replay_slices(ledger: Ledger, task: Task) -> ReplayFindings:
    """Replay the enterprises of some slices, and compare their rows."""
    with _reading(ledger, task) as connection:
        published = ledger.publications(connection, until=task.last, unreadable=[])
    publications, windows = _published(published), AccountWindows(published_reaches(published))
    aside = AsideFile(task.aside)
    found, common = ReplayFindings(), CommonRows()
    for codes in task.slices:
        of_slice, more = with_retries(lambda: _replay_slice(ledger, task, codes, publications, windows))  # noqa: B023
        found.add(of_slice)
        common.merge(more)
        if common.rows > MOST_PUT_ASIDE or codes is task.slices[-1]:
            aside.put(common)
            common = CommonRows()
    return found


def _replay_slice(
    ledger: Ledger, task: Task, codes: Slice, publications: Publications, windows: AccountWindows
) -> tuple[ReplayFindings, CommonRows]:
    """Replay a slice, read in one snapshot; also return its part of the rows that enterprises share."""
    unreadable: list[Unreadable] = []
    found, aside = ReplayFindings(), CommonRows()
    with _reading(ledger, task) as connection:
        entries = ledger.slice_entries(connection, codes, until=task.last, unreadable=unreadable)
        if task.projected is not None:
            compared = _compared(ledger, connection, task)
            followed = None if unreadable else entries
            found, aside = _compare_rows(connection, task, codes, followed, compared, windows)
    played = Replay(publications, task.first)
    for stream in {row.stream for row in unreadable if is_of_enterprise(row.stream)}:
        played.leave_out(stream)
    played.play(entries)
    if task.is_whole and not task.unassessed:
        played.finish(task.last)
    found.events = len(entries) + len(unreadable)
    found.assessments = played.compared
    found.add_mismatches([*map(_unreadable, unreadable), *played.mismatches])
    return found, aside


def _compare_rows(  # noqa: PLR0913, PLR0917 - the rows, and what follows from the log
    connection: Connection,
    task: Task,
    codes: Slice,
    entries: Sequence[LogEntry] | None,
    compared: CompareAt,
    windows: AccountWindows,
) -> tuple[ReplayFindings, CommonRows]:
    """Compare the rows of a slice with those that follow from its entries; None if some are unreadable."""
    found = ReplayFindings()
    projected = [entry for entry in entries or () if entry.position <= compared.until]
    try:
        made = None if entries is None else fill_rows(LIVE, projected, windows)
    except LedgerIntegrityError:
        made = None
    if made is None:
        found.uncompared = 1
        return found, CommonRows()
    for history in made.windows.histories:
        name = str(history.table.name)
        found.rows[name] = len(history.new)
        found.add_row_differences(
            compare_rows(
                connection,
                history,
                above=codes.above,
                up_to=codes.up_to,
                accounts=task.accounts,
                compared=compared,
            )
        )
    return found, made.aside


def _compared(ledger: Ledger, connection: Connection, task: Task) -> CompareAt:
    """The positions for comparing rows; the read models may have advanced since the replay began."""
    return CompareAt(task.projected or 0, min(position_of(connection), ledger.head(connection)))


def _published(entries: Sequence[LogEntry]) -> Publications:
    """The events of the policies' streams; events of other kinds in these streams are ignored."""
    return Publications(
        (entry.position, entry.event)
        for entry in entries
        if isinstance(entry.event, PolicyPublished | PolicyWithdrawn | PolicyAssessed)
    )


def _unreadable(row: Unreadable) -> Mismatch:
    return _wrong("unreadable", row.position, row.stream, row.reason)


def _wrong(kind: Kind, position: int | None, stream: str, detail: str) -> Mismatch:
    return Mismatch(
        kind=kind, stream=stream, period=None, position=position, transaction_end=None, detail=detail
    )


def _checkpoint_ahead(ledger: Ledger, task: Task) -> ReplayFindings:
    """Check whether the read models are ahead of the log, which means that the end of the log is missing."""
    found = ReplayFindings()
    if task.projected is None:
        return found
    with _reading(ledger, task) as connection:
        projected, head = position_of(connection), ledger.head(connection)
    if projected > head:
        ahead = RowDifference(
            table=LIVE.checkpoint.name,
            key={"id": 1},
            stored={"position": projected},
            derived={"position": head},
        )
        found.add_row_differences([ahead])
    return found


def _rows_outside(ledger: Ledger, task: Task) -> ReplayFindings:
    """Find the rows that the comparison by enterprise never reads."""
    found = ReplayFindings()
    if task.projected is None:
        return found
    with _reading(ledger, task) as connection:
        held = _compared(ledger, connection, task).held
        first, count = rows_outside(connection, held=held, most=REPLAY_MOST_REPORTED)
    found.add_row_differences(first)
    found.row_difference_count += count - len(first)
    return found


def _compare_common(ledger: Ledger, task: Task, so_far: ReplayFindings) -> ReplayFindings:
    """Compare the rows that enterprises share, unless the rows of some enterprises could not be compared."""
    found = ReplayFindings()
    if task.projected is None or so_far.uncompared:
        return found
    with _reading(ledger, task) as connection:
        compared = _compared(ledger, connection, task)
        try:
            others = ledger.other_entries(connection, until=compared.until)
        except (LedgerIntegrityError, UnknownTypeError):  # The row has been reported as a mismatch already.
            found.uncompared = 1
            return found
        found.add_row_differences(AsideFile(task.aside).differences(connection, others, compared))
    return found
