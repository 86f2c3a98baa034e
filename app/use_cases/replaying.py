"""Replaying the log: every assessment derived again from the facts, and the read models from the log.

Nothing is written to the database. The work goes enterprise by enterprise, in slices that other processes
take; what enterprises have in common is added up in a temporary file of SQLite.
"""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs
from sqlalchemy import Connection

from app.database import reading, steadily
from app.ledger.helpers import Helpers, spare_processors
from app.ledger.ledger import Ledger, Slice, Unreadable, published_policy
from app.ledger.publications import unfinished
from app.limits import REPLAY_MOST_REPORTED
from app.use_cases.reading import PositionAheadError
from domain.errors import LedgerIntegrityError
from domain.events import LogEntry
from domain.policy import Policy
from domain.replay import Kind, Mismatch, Publications, Replay, enterprise_year
from projections.afresh import MOST_PUT_ASIDE, PutAside, make_afresh
from projections.aside import AsideFile
from projections.comparing import RowDifference, differences_of, known_accounts
from projections.projector import position_of
from projections.tables import LIVE

TASKS_PER_PROCESS: Final = 16
"""So many that no process waits long for the last one, and what is added up is written seldom."""

TICK_S: Final = 1.0
"""Whoever waits is told so often how far it has come, and can stop it then."""

Progress = Callable[[int, int], None]
"""Called with the number of events that are replayed, and of how many."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be replayed.

    Attributes:
        first: Assessments from this position on are compared.
        last: And up to this one; None for the whole log, with the read models.
    """

    first: int = 1
    last: int | None = None


class Found(msgspec.Struct, kw_only=True):
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

    def add(self, other: "Found") -> None:
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
        found: What was counted and found.
    """

    first: int
    last: int
    projected: int | None
    found: Found

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
        is_assessed: Whether by then every publication was assessed to its end.
        projected: The rows are compared as they were at this position; None if they are not.
        accounts: The policies and windows of which there are rows.
        aside: The temporary file.
    """

    slices: list[Slice]
    first: int
    last: int
    is_assessed: bool
    projected: int | None
    accounts: list[tuple[str, str]]
    aside: Path


def replay(ledger: Ledger, wanted: Wanted, progress: Progress = lambda _, __: None) -> Report:
    """Derive every assessment again from the facts alone, by the policy in force at each decision.

    In a replay of the whole log the rows of the read models are compared with those that follow from it.

    Args:
        ledger: The ledger, which is only read.
        wanted: What is to be replayed.
        progress: Called as it goes on.

    Raises:
        PositionAheadError: The range ends above the head of the log.
    """
    check_range(ledger, wanted)
    with tempfile.TemporaryDirectory(prefix="duixian-replay-") as folder:
        task = steadily(lambda: _plan(ledger, wanted, Path(folder) / "aside.db"))
        AsideFile(task.aside).make()
        found = _replay_all(ledger, task, progress)
        found.add(steadily(lambda: _compare_common(ledger, task, found)))
        found.add_row_differences(steadily(lambda: _rows_ahead(ledger, task)))
    return Report(first=task.first, last=task.last, projected=task.projected, found=found)


def check_range(ledger: Ledger, wanted: Wanted) -> None:
    """Whether the log holds the whole range.

    Raises:
        PositionAheadError: The range ends above its head.
    """
    with reading(ledger.engine) as connection:
        head = ledger.head(connection)
    if max(wanted.first, wanted.last or 1) > max(head, 1):
        raise PositionAheadError(head)


def _plan(ledger: Ledger, wanted: Wanted, aside: Path) -> Task:
    with reading(ledger.engine) as connection:
        head = ledger.head(connection)
        is_whole = wanted.last is None
        return Task(
            slices=ledger.slices(connection),
            first=wanted.first,
            last=head if wanted.last is None else ledger.transaction_end(connection, wanted.last),
            is_assessed=is_whole and unfinished(connection) is None,
            projected=min(position_of(connection), head) if is_whole else None,
            accounts=known_accounts(connection),
            aside=aside,
        )


def _replay_all(ledger: Ledger, task: Task, progress: Progress) -> Found:
    """Replay all enterprises, several processes some slices each, and look at the publications."""
    processes = spare_processors() + 1 if len(task.slices) > 1 else 0
    tasks = max(processes * TASKS_PER_PROCESS, 1)
    found = Found()
    with Helpers(ledger, processes) as helpers:
        parts = [structs.replace(task, slices=task.slices[part::tasks]) for part in range(tasks)]
        replayed = [helpers.submit(replay_slices, part) for part in parts if part.slices]
        left = set(replayed)
        while left:
            done, left = wait(left, TICK_S, FIRST_COMPLETED)
            for each in done:
                found.add(each.result())
            progress(found.events, task.last)
    unreadable: list[Unreadable] = []
    with reading(ledger.engine) as connection:
        published = ledger.publications(connection, until=task.last, unreadable=unreadable)
    found.events += len(published) + len(unreadable)
    found.add_mismatches([*map(_unreadable, unreadable), *_versions(published)[1]])
    found.mismatches.sort(key=_place)
    return found


def _place(mismatch: Mismatch) -> tuple[int, str, str]:
    return mismatch.position or mismatch.transaction_end or 0, mismatch.stream, mismatch.period or ""


def replay_slices(ledger: Ledger, task: Task) -> Found:
    """Replay the enterprises of some slices, and compare their rows."""
    with reading(ledger.engine) as connection:
        published = ledger.publications(connection, until=task.last, unreadable=[])
    publications = Publications(_versions(published)[0])
    aside = AsideFile(task.aside)
    found, common = Found(), PutAside()
    for codes in task.slices:
        of_slice, more = steadily(lambda: _replay_slice(ledger, task, codes, publications))  # noqa: B023
        found.add(of_slice)
        common.merge(more)
        if common.rows > MOST_PUT_ASIDE or codes is task.slices[-1]:
            aside.put(common)
            common = PutAside()
    return found


def _replay_slice(
    ledger: Ledger, task: Task, codes: Slice, publications: Publications
) -> tuple[Found, PutAside]:
    """Replay a slice, read in one snapshot; and what its enterprises have in common with others."""
    unreadable: list[Unreadable] = []
    found, aside = Found(), PutAside()
    with reading(ledger.engine) as connection:
        entries = ledger.entries_of(connection, codes, until=task.last, unreadable=unreadable)
        if task.projected is not None:
            found, aside = _compare_rows(connection, task, codes, entries, is_whole=not unreadable)
    played = Replay(publications, task.first)
    for each in unreadable:
        played.leave_out(enterprise_year(each.stream))
    played.play(entries)
    if task.is_assessed:
        played.finish(task.last)
    found.events = len(entries) + len(unreadable)
    found.assessments = played.compared
    found.add_mismatches([*map(_unreadable, unreadable), *played.mismatches])
    return found, aside


def _compare_rows(
    connection: Connection, task: Task, codes: Slice, entries: Sequence[LogEntry], *, is_whole: bool
) -> tuple[Found, PutAside]:
    """Compare the rows of a slice with those that follow, unless nothing follows from some of its events."""
    found = Found()
    projected = [each for each in entries if each.position <= (task.projected or 0)]
    try:
        made = make_afresh(LIVE, projected) if is_whole else None
    except LedgerIntegrityError:
        made = None
    if made is None:
        found.uncompared = 1
        return found, PutAside()
    for history in made.half_years.histories:
        name = str(history.table.name)
        found.rows[name] = len(history.new)
        found.add_row_differences(
            differences_of(
                connection,
                history,
                above=codes.above,
                up_to=codes.up_to,
                accounts=task.accounts,
                until=task.projected or 0,
            )
        )
    return found, made.aside


def _versions(published: Sequence[LogEntry]) -> tuple[list[tuple[int, Policy]], list[Mismatch]]:
    """The versions that were published, and what is wrong with the others."""
    versions: list[tuple[int, Policy]] = []
    altered: list[Mismatch] = []
    for entry in published:
        try:
            versions.append((entry.position, published_policy(entry.event)))
        except LedgerIntegrityError as error:
            altered.append(_wrong("policy-altered", entry.position, entry.stream, str(error)))
    return versions, altered


def _unreadable(each: Unreadable) -> Mismatch:
    return _wrong("unreadable", each.position, each.stream, each.reason)


def _wrong(kind: Kind, position: int, stream: str, detail: str) -> Mismatch:
    return Mismatch(
        kind=kind, stream=stream, period=None, position=position, transaction_end=None, detail=detail
    )


def _rows_ahead(ledger: Ledger, task: Task) -> list[RowDifference]:
    """What there is where the read models go on after the end of the log: its end was cut off."""
    with reading(ledger.engine) as connection:
        projected, head = position_of(connection), ledger.head(connection)
    if task.projected is None or projected <= head:
        return []
    return [
        RowDifference(
            table=LIVE.checkpoint.name,
            key={"id": 1},
            stored={"position": projected},
            derived={"position": head},
        )
    ]


def _compare_common(ledger: Ledger, task: Task, so_far: Found) -> Found:
    """Compare the rows in which enterprises meet, unless some of theirs could not be made."""
    found = Found()
    if task.projected is None or so_far.uncompared:
        return found
    try:
        with reading(ledger.engine) as connection:
            published = ledger.publications(connection, until=task.projected, unreadable=[])
            differences = AsideFile(task.aside).differences(connection, published, task.projected)
    except LedgerIntegrityError:
        found.uncompared = 1
    else:
        found.add_row_differences(differences)
    return found
