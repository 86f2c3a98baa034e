"""The recorder: the `eventsourcing` library's own tests for recorders, and the promises of ours."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    RecorderTestCase,
)
from sqlalchemy import Connection, Engine, Row, select, update
from sqlalchemy import exc as sql_errors

from app.bootstrap import migrate
from app.ledger.library import LibraryRecorder
from app.ledger.recorder import AppendCondition, AppendRequest
from app.ledger.tables import events, sequencer
from app.runtime.database import read_transaction, write_transaction
from tests.databases import Database, Hosts
from tests.office import TestClock

WRITERS = 8
WRITES_PER_WRITER = 25


class OnADatabase(RecorderTestCase):
    """Gives the library's cases a recorder on a migrated database of its own."""

    kind: str

    @pytest.fixture(autouse=True)
    def _engine(self, hosts: Hosts) -> Iterator[None]:
        database = hosts.of(self.kind).empty()
        self.engine = database.open()
        migrate(self.engine)
        running = set(threading.enumerate())
        yield
        for thread in set(threading.enumerate()) - running:  # The library leaves its readers reading.
            thread.join()
        self.engine.dispose()
        database.drop()

    def new_originator_id(self) -> str:
        return f"returns/{uuid4()}"

    def create_recorder(self) -> LibraryRecorder:
        return LibraryRecorder(self.engine)


class AsApplicationRecorder(OnADatabase, ApplicationRecorderTestCase[LibraryRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestAsApplicationRecorderOnSqlite(AsApplicationRecorder):
    kind = "sqlite"


class TestAsApplicationRecorderOnPostgresql(AsApplicationRecorder):
    kind = "postgresql"


class TestNotificationsDoNotInterleaveOnSqlite(OnADatabase, NonInterleavingNotificationIDsBaseCase):
    kind = "sqlite"


class TestNotificationsDoNotInterleaveOnPostgresql(OnADatabase, NonInterleavingNotificationIDsBaseCase):
    kind = "postgresql"


# Collected through the classes that name a database; these are abstract.
del AsApplicationRecorder, OnADatabase
del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase, RecorderTestCase


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    opened = database.open()
    yield opened
    opened.dispose()


@pytest.fixture
def recorder(engine: Engine, clock: TestClock) -> LibraryRecorder:
    return LibraryRecorder(engine, clock)


def stored(stream: str, version: int, topic: str = "ReturnFiled") -> StoredEvent:
    return StoredEvent(originator_id=stream, originator_version=version, topic=topic, state=b"{}")


def rows(engine: Engine) -> list[Row[tuple[object, ...]]]:
    with read_transaction(engine) as connection:
        return list(connection.execute(select(events).order_by(events.c.position)))


def test_positions_have_no_gap_whatever_many_writers_do(engine: Engine, recorder: LibraryRecorder) -> None:
    def write(writer: int) -> None:
        draw = random.Random(writer)  # noqa: S311
        for n in range(WRITES_PER_WRITER):
            batch = [stored(f"w{writer}/{n}", version) for version in range(1, draw.randrange(2, 6))]
            if draw.random() < 0.3:
                with pytest.raises(IntegrityError):
                    recorder.insert_events([*batch, batch[0]])
            recorder.insert_events(batch)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    found = rows(engine)
    assert len({row.stream for row in found}) == WRITERS * WRITES_PER_WRITER
    assert [row.position for row in found] == list(range(1, len(found) + 1))


def test_no_reader_ever_meets_a_position_before_those_under_it(recorder: LibraryRecorder) -> None:
    last = WRITERS * WRITES_PER_WRITER * 3

    def write(writer: int) -> None:
        for n in range(WRITES_PER_WRITER):
            recorder.insert_events([stored(f"w{writer}/{n}", version) for version in (1, 2, 3)])

    with ThreadPoolExecutor(WRITERS + 1) as pool, recorder.subscribe(gt=None) as subscription:
        following = pool.submit(lambda: [notification.id for notification in islice(subscription, last)])
        list(pool.map(write, range(WRITERS)))
        assert following.result() == list(range(1, last + 1))


def test_every_event_of_a_transaction_carries_its_last_position(
    engine: Engine, recorder: LibraryRecorder
) -> None:
    recorder.insert_events([stored("a", 1), stored("b", 1)])
    recorder.insert_events([stored("a", 2)])
    recorder.insert_events([stored("b", 2), stored("c", 1), stored("c", 2)])
    assert [row.transaction_end for row in rows(engine)] == [2, 2, 3, 6, 6, 6]


def test_the_recorded_time_never_goes_back_when_the_clock_does(
    engine: Engine, recorder: LibraryRecorder, clock: TestClock
) -> None:
    for version, now in enumerate(
        ["2024-05-01T00:00:00Z", "2024-04-01T00:00:00Z", "2024-05-01T00:00:01Z"], start=1
    ):
        clock.set(now)
        recorder.insert_events([stored("a", version)])
    first, second, third = (row.recorded_at_us for row in rows(engine))
    assert first == second
    assert third == first + 1_000_000


def test_actor_and_batch_are_recorded_with_the_event(engine: Engine, recorder: LibraryRecorder) -> None:
    recorder.insert_events([stored("a", 1)], recording=AppendRequest("statistics", "batch-1"))
    (row,) = rows(engine)
    assert (row.actor, row.batch_id) == ("statistics", "batch-1")


def test_nothing_to_record_takes_no_position(recorder: LibraryRecorder) -> None:
    assert recorder.insert_events([]) == []
    assert recorder.max_notification_id() is None
    assert recorder.insert_events([stored("a", 1)]) == [1]


def test_a_version_that_is_recorded_already_is_a_conflict_and_nothing_of_the_batch_stays(
    engine: Engine, recorder: LibraryRecorder
) -> None:
    recorder.insert_events([stored("a", 1)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored("b", 1), stored("a", 1)])
    assert [(row.position, row.stream) for row in rows(engine)] == [(1, "a")]
    assert recorder.insert_events([stored("b", 1)]) == [2]


def test_a_stream_that_was_read_but_not_written_must_not_have_changed_in_between(
    engine: Engine, recorder: LibraryRecorder
) -> None:
    recorder.insert_events([stored("read", 1)])
    condition = AppendCondition(read_at=1, streams=frozenset({"read", "written"}))
    recorder.insert_events([stored("read", 2)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored("written", 1)], recording=AppendRequest("", "", condition))
    assert [row.stream for row in rows(engine)] == ["read", "read"]


def test_what_others_record_elsewhere_is_no_conflict(recorder: LibraryRecorder) -> None:
    recorder.insert_events([stored("read", 1)])
    condition = AppendCondition(read_at=1, streams=frozenset({"read", "written"}))
    recorder.insert_events([stored("other", 1)])
    assert recorder.insert_events([stored("written", 1)], recording=AppendRequest("", "", condition)) == [3]


def test_a_publication_in_between_is_a_conflict_for_every_decision(recorder: LibraryRecorder) -> None:
    recorder.insert_events([stored("read", 1)])
    condition = AppendCondition(read_at=1, streams=frozenset({"read"}))
    recorder.insert_events([stored("policy/p", 1, topic="PolicyPublished"), stored("other", 1)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored("read", 2)], recording=AppendRequest("", "", condition))
    later = AppendCondition(read_at=3, streams=frozenset({"read"}))
    assert recorder.insert_events([stored("read", 2)], recording=AppendRequest("", "", later)) == [4]


def test_nothing_is_recorded_when_what_is_written_with_it_fails(
    engine: Engine, recorder: LibraryRecorder
) -> None:
    class Unanswerable(Exception):  # noqa: N818
        pass

    given: list[int] = []

    def fail(connection: Connection, position: int) -> None:
        given.append(position)
        assert connection.scalar(select(events.c.stream).where(events.c.position == position)) == "b"
        raise Unanswerable

    with pytest.raises(Unanswerable):
        recorder.insert_events([stored("a", 1), stored("b", 1)], recording=AppendRequest("", "", None, fail))
    assert given == [2]
    assert rows(engine) == []
    assert recorder.insert_events([stored("a", 1)]) == [1]


def test_a_writer_waits_for_another_instead_of_failing(engine: Engine, recorder: LibraryRecorder) -> None:
    begun = threading.Event()

    def write() -> list[int]:
        begun.set()
        return list(recorder.insert_events([stored("a", 1)]))

    with ThreadPoolExecutor(1) as pool:
        with write_transaction(engine) as other:
            other.execute(update(sequencer).values(last=sequencer.c.last))
            waiting = pool.submit(write)
            begun.wait()
            assert rows(engine) == []
            assert not waiting.done()
        assert waiting.result() == [1]


def test_a_database_that_cannot_be_written_is_no_conflict(engine: Engine, recorder: LibraryRecorder) -> None:
    recorder.insert_events([stored("a", 1)])
    with write_transaction(engine) as connection:
        sequencer.drop(connection)
    with pytest.raises((sql_errors.OperationalError, sql_errors.ProgrammingError), match="sequencer"):
        recorder.insert_events([stored("a", 2)])
    assert len(rows(engine)) == 1
