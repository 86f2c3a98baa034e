"""Replaying the log: every assessment derived again from the facts, and the read models from the log.

Nothing is written to the database. The work goes enterprise by enterprise, in slices that other processes
take; what enterprises have in common is added up in a temporary file of SQLite.
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
"""So many that no process waits long for the last one, and what is added up is written seldom."""

TICK_S: Final = 1.0
"""Whoever waits is told so often how far it has come, and can stop it then."""

Progress = Callable[[int, int], None]
"""Called with the number of events that are replayed, and of how many."""


class ReplayRange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be replayed.

    Attributes:
        first: Assessments from this position on are compared.
        last: And up to this one; None for the whole log, with the read models.
    """

    first: int = 1
    last: int | None = None


class ReplayFindings(msgspec.Struct, kw_only=True):
    """What was counted and found.

    Attributes:
        events: How many were read.
        assessments: How many recorded ones were compared.
        mismatches: At most `REPLAY_MOST_REPORTED` of them.
        mismatch_count: How many there are.
        rows: How many rows of enterprises follow from the log, by table.
        row_differences: At most `REPLAY_MOST_REPORTED` of them.
        row_difference_count: How many there are.
        uncompared: Slices whose rows could not be compared, as nothing follows from some of their events.
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
        """Count more, and keep them as long as there is room."""
        self.mismatch_count += len(more)
        self.mismatches += more[: REPLAY_MOST_REPORTED - len(self.mismatches)]

    def add_row_differences(self, more: Sequence[RowDifference]) -> None:
        """Count more, and keep them as long as there is room."""
        self.row_difference_count += len(more)
        self.row_differences += more[: REPLAY_MOST_REPORTED - len(self.row_differences)]

    def add(self, other: "ReplayFindings") -> None:
        """Add what was found of other enterprises."""
        self.events += other.events
        self.assessments += other.assessments
        self.add_mismatches(other.mismatches)
        self.mismatch_count += other.mismatch_count - len(other.mismatches)
        for table, rows in other.rows.items():
            self.rows[table] = self.rows.get(table, 0) + rows
        self.add_row_differences(other.row_differences)
        self.row_difference_count += other.row_difference_count - len(other.row_differences)
        self.uncompared += other.uncompared


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found.

    Attributes:
        first: Assessments from this position on were compared.
        last: And up to this one.
        projected: The rows of the read models were compared as they were at this position; None if not.
        unassessed: The publications whose assessment is not complete.
        found: What was counted and found.
    """

    first: int
    last: int
    projected: int | None
    unassessed: list[Publication]
    found: ReplayFindings

    @property
    def is_clean(self) -> bool:
        """Whether all of it was read, and everything follows."""
        found = self.found
        return found.events == self.last and not (found.mismatch_count or found.row_difference_count)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a process needs to know to replay some slices.

    Attributes:
        slices: The enterprises.
        first: Assessments from this position on are compared.
        last: The end of the replay.
        unassessed: The publications whose assessment is not complete by then.
        is_whole: Whether the whole log is replayed.
        projected: The rows are compared as they were at this position; None if they are not.
        accounts: The policies and windows of which there are rows.
        aside: The temporary file.
        is_damaged: Whether there is text that is no UTF-8: to read it all the same takes longer.
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


def replay(ledger: Ledger, wanted: ReplayRange, progress: Progress = lambda _, __: None) -> Report:
    """Derive every assessment again from the facts alone, by the policy in force at each decision.

    In a replay of the whole log the rows of the read models are compared with those that follow from it.

    Args:
        ledger: The ledger, which is only read.
        wanted: What is to be replayed.
        progress: Called as it goes on.

    Raises:
        LedgerIntegrityError: What the tables beside the log hold makes no sense, or the file is damaged.
        PositionAheadError: The range ends above the head of the log.
    """
    check_range(ledger, wanted)
    try:
        return _replay(ledger, wanted, progress, is_damaged=False)
    except DamagedError:
        return _replay(ledger, wanted, progress, is_damaged=True)


def _replay(ledger: Ledger, wanted: ReplayRange, progress: Progress, *, is_damaged: bool) -> Report:
    with temporary_folder("duixian-replay") as folder:
        aside = AsideFile(folder / "aside.db")
        aside.make()
        task = with_retries(lambda: _plan(ledger, wanted, aside.path, is_damaged=is_damaged))
        found = with_retries(lambda: _checkpoint_ahead(ledger, task))
        found.add(_replay_all(ledger, task, progress))
        found.add(with_retries(lambda: _compare_common(ledger, task, found)))
        found.add(with_retries(lambda: _rows_outside(ledger, task)))
    progress(task.last, task.last)
    return Report(
        first=task.first,
        last=task.last,
        projected=task.projected,
        unassessed=task.unassessed,
        found=found,
    )


def _reading(ledger: Ledger, task: Task) -> AbstractContextManager[Connection]:
    return (read_untrusted if task.is_damaged else read_transaction)(ledger.engine)


def check_range(ledger: Ledger, wanted: ReplayRange) -> None:
    """Whether the log holds the whole range.

    Raises:
        PositionAheadError: The range ends above its head.
    """
    with read_transaction(ledger.engine) as connection:
        head = ledger.head(connection)
    if max(wanted.first, wanted.last or 1) > max(head, 1):
        raise PositionAheadError(head)


def _plan(ledger: Ledger, wanted: ReplayRange, aside: Path, *, is_damaged: bool) -> Task:
    with (read_untrusted if is_damaged else read_transaction)(ledger.engine) as connection:
        head = ledger.head(connection)
        is_whole = wanted.last is None
        return Task(
            slices=ledger.slices(connection),
            first=wanted.first,
            last=head if wanted.last is None else ledger.transaction_end(connection, wanted.last),
            unassessed=all_unfinished(connection) if is_whole else [],
            is_whole=is_whole,
            projected=min(position_of(connection), head) if is_whole else None,
            accounts=known_accounts(connection),
            aside=aside,
            is_damaged=is_damaged,
        )


def _replay_all(ledger: Ledger, task: Task, progress: Progress) -> ReplayFindings:
    """Replay all enterprises, several processes some slices each, and look at the publications."""
    processes = spare_processors() + 1 if len(task.slices) > 1 else 0
    tasks = max(processes * TASKS_PER_PROCESS, 1)
    found = ReplayFindings()
    with ledger_workers(ledger, processes) as workers:
        parts = [structs.replace(task, slices=task.slices[part::tasks]) for part in range(tasks)]
        replayed = [workers.submit(replay_slices, part) for part in parts if part.slices]
        left = set(replayed)
        while left:
            done, left = wait(left, TICK_S, FIRST_COMPLETED)
            for each in done:
                found.add(each.result())
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
    """Replay a slice, read in one snapshot; and what its enterprises have in common with others."""
    unreadable: list[Unreadable] = []
    found, aside = ReplayFindings(), CommonRows()
    with _reading(ledger, task) as connection:
        entries = ledger.entries_of(connection, codes, until=task.last, unreadable=unreadable)
        if task.projected is not None:
            compared = _compared(ledger, connection, task)
            followed = None if unreadable else entries
            found, aside = _compare_rows(connection, task, codes, followed, compared, windows)
    played = Replay(publications, task.first)
    for stream in {each.stream for each in unreadable if is_of_enterprise(each.stream)}:
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
    """Compare the rows of a slice with those that follow; None of entries from some of which nothing does."""
    found = ReplayFindings()
    projected = [each for each in entries or () if each.position <= compared.until]
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
    """Which rows are compared; the read models may have gone on since the replay began."""
    return CompareAt(task.projected or 0, min(position_of(connection), ledger.head(connection)))


def _published(entries: Sequence[LogEntry]) -> Publications:
    """What the policies' streams say; an event of another stream that stands in one of them says nothing."""
    return Publications(
        (entry.position, entry.event)
        for entry in entries
        if isinstance(entry.event, PolicyPublished | PolicyWithdrawn | PolicyAssessed)
    )


def _unreadable(each: Unreadable) -> Mismatch:
    return _wrong("unreadable", each.position, each.stream, each.reason)


def _wrong(kind: Kind, position: int | None, stream: str, detail: str) -> Mismatch:
    return Mismatch(
        kind=kind, stream=stream, period=None, position=position, transaction_end=None, detail=detail
    )


def _checkpoint_ahead(ledger: Ledger, task: Task) -> ReplayFindings:
    """Whether the read models go on after the end of the log: its end was cut off."""
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
    """The rows that the comparison cannot have met."""
    found = ReplayFindings()
    if task.projected is None:
        return found
    with _reading(ledger, task) as connection:
        held = _compared(ledger, connection, task).held
        told, count = rows_outside(connection, held=held, most=REPLAY_MOST_REPORTED)
    found.add_row_differences(told)
    found.row_difference_count += count - len(told)
    return found


def _compare_common(ledger: Ledger, task: Task, so_far: ReplayFindings) -> ReplayFindings:
    """Compare the rows in which enterprises meet, unless some of theirs could not be made."""
    found = ReplayFindings()
    if task.projected is None or so_far.uncompared:
        return found
    with _reading(ledger, task) as connection:
        compared = _compared(ledger, connection, task)
        try:
            others = ledger.other_entries(connection, until=compared.until)
        except (LedgerIntegrityError, UnknownTypeError):  # Nothing follows of such a row, which is named.
            found.uncompared = 1
            return found
        found.add_row_differences(AsideFile(task.aside).differences(connection, others, compared))
    return found
