"""A writer that is held between its insert and its commit, while others write and readers go on.

This is the fault by which event stores skip events: a position that is taken early and committed late is
behind the reader when it appears. Here the sequencer makes all writers wait for the held one, and no reader
skips an event.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import pytest
from eventsourcing.persistence import StoredEvent
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy import exc as sql_errors

from app.ledger.ledger import Ledger
from app.ledger.library import LibraryRecorder
from app.ledger.recorder import AppendRequest
from app.ledger.tables import events
from app.runtime import database as databases
from app.runtime.database import read_transaction, write_transaction
from app.use_cases.upkeep.projecting import follow, project_all
from app.use_cases.upkeep.rebuilding import rebuild
from domain.events import LogEntry
from projections.tables import transactions
from tests.databases import Database
from tests.ledger.history import (
    PERIODS,
    code,
    file,
    log,
    publish_whole,
    read_model_rows,
    rows_of,
    trade,
    transaction_ends,
    with_seeds,
)
from tests.ledger.test_concurrency import check_consistency
from tests.processes.running import ActsBeforeTheCommit

WRITERS: Final = 4
APPENDS: Final = 4
WITHDRAWN: Final = b'{"form": "E204-1", "period": "2024-03", "reason": ""}'
PATIENCE_S: Final = 30
"""How long a test waits for something that must happen."""


class RolledBackError(Exception):
    """A writer that was held does not commit."""


class Skipped(AssertionError):  # noqa: N818
    """A reader has not seen an event, or has seen one twice."""


class Follower:
    """A reader that remembers its position, and reads the events after the last one that it saw.

    Attributes:
        positions: The positions that it read, in the order of reading.
        rounds: The number of reads.
    """

    def __init__(self, engine: Engine) -> None:
        self._ledger = Ledger(engine)
        self._looked = threading.Condition()
        self.positions: list[int] = []
        self.rounds = 0

    def look(self) -> Sequence[int]:
        """Read the new events."""
        after = self.positions[-1] if self.positions else 0
        with read_transaction(self._ledger.engine) as connection:
            entries = self._ledger.entries(connection, after=after, limit=3)
        self.positions.extend(entry.position for entry in entries)
        assert not entries or entries[-1].position == entries[-1].transaction_end
        with self._looked:
            self.rounds += 1
            self._looked.notify_all()
        return [entry.position for entry in entries]

    def follow(self, is_over: threading.Event) -> None:
        """Read on, until nothing comes that was committed before it was over."""
        while True:
            was_over = is_over.is_set()
            if not self.look() and was_over:
                return

    def wait_for_looks(self, times: int) -> None:
        """Go on when it has looked so often again, from the beginning to the end."""
        with self._looked:
            wanted = self.rounds + times + 1  # One look may have begun before.
            assert self._looked.wait_for(lambda: self.rounds >= wanted, timeout=PATIENCE_S)

    def check(self, head: int) -> None:
        """Check that it has read every position, once and in order."""
        if self.positions != list(range(1, head + 1)):
            raise Skipped(f"it read {self.positions} of 1 to {head}")


def stored(stream: str, count: int) -> list[StoredEvent]:
    return [StoredEvent(stream, version, "ReturnWithdrawn", WITHDRAWN) for version in range(1, count + 1)]


class Fire:
    """Moments, drawn by a seed, at which a writer is held, and whether it commits then.

    Args:
        seed: The seed of the random choices.
        follower: The reader that reads while a writer is held.
    """

    def __init__(self, seed: int, follower: Follower) -> None:
        self._seed = seed
        self._follower = follower
        self._counting = threading.Lock()
        self.held = 0
        self.rolled_back = 0

    def draw(self, writer: int) -> random.Random:
        return random.Random(f"{self._seed}/{writer}")  # noqa: S311

    def moment(self, draw: random.Random) -> Callable[[], None]:
        """The function between an insert and its commit, which mostly does nothing."""
        is_held, fails, looks = draw.random() < 0.5, draw.random() < 0.4, draw.randrange(1, 4)

        def happen() -> None:
            if not is_held:
                return
            self._follower.wait_for_looks(looks)
            with self._counting:
                self.held += 1
                self.rolled_back += fails
            if fails:
                raise RolledBackError

        return happen


@contextmanager
def readers(*works: Callable[[threading.Event], Any]) -> Iterator[None]:
    """Read in threads, until what is done meanwhile is over and has been read."""
    is_over = threading.Event()
    with ThreadPoolExecutor(len(works)) as pool:
        reading_on: list[Future[Any]] = [pool.submit(work, is_over) for work in works]
        try:
            yield
        finally:
            is_over.set()
        for future in reading_on:
            future.result(timeout=PATIENCE_S)


def write_all(write: Callable[[int], None]) -> None:
    """Write in threads."""
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    opened = database.open()
    yield opened
    opened.dispose()


@with_seeds(sqlite=2, postgresql=5, first=1)
def test_no_reader_skips_an_event_while_writers_are_held_before_their_commit(
    engine: Engine, seed: int
) -> None:
    recorder, follower, subscribed = LibraryRecorder(engine), Follower(engine), []
    fire = Fire(seed, follower)
    committed: list[int] = []

    def write(writer: int) -> None:
        draw = fire.draw(writer)
        for n in range(APPENDS):
            batch, happen = stored(f"{writer}/{n}", draw.randrange(1, 4)), fire.moment(draw)
            recording = AppendRequest("", "", in_same_transaction=lambda _, __, happen=happen: happen())  # type: ignore[misc]
            try:
                committed.extend(recorder.insert_events(batch, recording=recording))
            except RolledBackError:
                continue

    with recorder.subscribe(gt=None) as subscription:

        def subscribe(_: threading.Event) -> None:
            for notification in subscription:
                subscribed.append(notification.id)
                if notification.originator_id == "last":
                    return

        with readers(follower.follow, subscribe):
            try:
                write_all(write)
            finally:
                committed.extend(recorder.insert_events(stored("last", 1)))
    assert fire.held > fire.rolled_back > 0
    assert sorted(committed) == list(range(1, len(committed) + 1))
    follower.check(len(committed))
    assert subscribed == follower.positions


@with_seeds(sqlite=2, postgresql=4, first=1)
def test_projections_have_every_filing_while_filings_are_held_before_their_commit(
    ledger: Ledger, seed: int
) -> None:
    publish_whole(ledger)
    follower = Follower(ledger.engine)
    fire = Fire(seed, follower)

    def write(writer: int) -> None:
        draw = fire.draw(writer)
        for n in range(APPENDS):
            uscc, period = code(draw.randrange(1, 4)), draw.choice(PERIODS[:4])
            row = trade(uscc, period, 110_000 + 1_000 * writer + n, 100_000, reason="企业改报")
            happen = fire.moment(draw)
            try:
                file(ActsBeforeTheCommit(ledger, happen), row)
            except RolledBackError:
                continue

    def project(is_over: threading.Event) -> None:
        while not is_over.is_set():
            project_all(ledger)

    def work(is_over: threading.Event) -> None:
        follow(ledger, is_over.is_set, lambda: None)

    with readers(follower.follow), readers(project, work):  # `follow` may record a seal at its end.
        write_all(write)
    assert fire.held > fire.rolled_back > 0
    project_all(ledger)
    entries: list[LogEntry] = log(ledger)
    follower.check(len(entries))
    check_consistency(ledger)
    with read_transaction(ledger.engine) as connection:
        assert [row[0] for row in rows_of(connection, transactions)] == transaction_ends(ledger)
    made = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == made


@pytest.mark.parametrize("commits", [True, False])
def test_no_writer_gets_ahead_of_one_that_has_not_committed(
    engine: Engine, database: Database, monkeypatch: pytest.MonkeyPatch, *, commits: bool
) -> None:
    monkeypatch.setattr(databases, "LOCK_TIMEOUT_S", 1)
    impatient = database.open()
    recorder, follower = LibraryRecorder(engine), Follower(engine)
    recorder.insert_events(stored("before", 2))

    def try_to_overtake(_: Connection, last: int) -> None:
        assert last == 5
        with pytest.raises(sql_errors.OperationalError, match=r"locked|lock timeout"):
            LibraryRecorder(impatient).insert_events(stored("quick", 1))
        assert follower.look() == [1, 2]
        assert follower.look() == []
        if not commits:
            raise RolledBackError

    with nullcontext() if commits else pytest.raises(RolledBackError):
        recorder.insert_events(
            stored("slow", 3), recording=AppendRequest("", "", in_same_transaction=try_to_overtake)
        )
    assert follower.look() == ([3, 4, 5] if commits else [])
    (position,) = LibraryRecorder(impatient).insert_events(stored("quick", 1))
    assert position == (6 if commits else 3)
    assert follower.look() == [position]
    follower.check(position)
    impatient.dispose()


class TakesPositionsEarly:
    """A wrong design: positions from a counter of the database, which no transaction waits for.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_sqlite = engine.dialect.name == "sqlite"
        counter = (
            "TABLE numbers (n INTEGER PRIMARY KEY AUTOINCREMENT)" if self._is_sqlite else "SEQUENCE numbers"
        )
        with write_transaction(engine) as connection:
            connection.execute(text(f"CREATE {counter}"))

    def append(self, stream: str, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Append an event; something else happens after its position is taken, and before it is committed."""
        if self._is_sqlite:  # It lets one transaction write at a time, so the counter has one of its own.
            with write_transaction(self._engine) as connection:
                position = connection.execute(
                    text("INSERT INTO numbers DEFAULT VALUES RETURNING n")
                ).scalar_one()
            meanwhile()
            with write_transaction(self._engine) as connection:
                self._insert(connection, stream, position)
            return
        with write_transaction(self._engine) as connection:
            position = connection.execute(text("SELECT nextval('numbers')")).scalar_one()
            self._insert(connection, stream, position)
            meanwhile()

    @staticmethod
    def _insert(connection: Connection, stream: str, position: int) -> None:
        connection.execute(
            insert(events).values(
                position=position,
                stream=stream,
                version=1,
                topic="ReturnWithdrawn",
                recorded_at_us=0,
                actor="",
                batch_id="",
                transaction_end=position,
                state=WITHDRAWN,
            )
        )


def test_these_readers_do_notice_a_recorder_that_lets_a_later_position_commit_first(engine: Engine) -> None:
    recorder, follower = TakesPositionsEarly(engine), Follower(engine)

    def overtake() -> None:
        recorder.append("quick")
        assert follower.look() == [2]

    recorder.append("slow", overtake)
    assert follower.look() == []
    with read_transaction(engine) as connection:
        in_the_log = connection.execute(
            select(events.c.position, events.c.stream).order_by(events.c.position)
        )
        assert [tuple(row) for row in in_the_log] == [(1, "slow"), (2, "quick")]
    with pytest.raises(Skipped, match=r"it read \[2\] of 1 to 2"):
        follower.check(2)
