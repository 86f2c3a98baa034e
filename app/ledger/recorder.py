"""One log with gapless positions, on SQLAlchemy Core.

A one-row sequencer is advanced in the transaction of every append. That serialises the writers, so the order
of positions is the order of commits, and no reader can meet a position before all those under it.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import exc as sql_errors

from app.ledger.clock import ClockError, ClockWatch, now_us, steady_us
from app.ledger.mapper import StoredEvent
from app.ledger.singletons import find_numbers
from app.ledger.tables import events, sequencer
from app.runtime.database import write_transaction
from domain.errors import LedgerIntegrityError

PUBLICATION_TOPICS: Final = frozenset({"PolicyPublished", "PolicyWithdrawn"})
"""What changes which version is in force: a decision made by another one is decided again."""

ACCEPTANCE_TOPIC = "ClockAccepted"


class ConcurrencyConflictError(Exception):
    """What a decision rests on was changed by another one that was recorded in between: decide again."""


class AppendCondition(msgspec.Struct, frozen=True):
    """What a decision rests on.

    Attributes:
        read_at: The head of the log before its streams were read.
        streams: The streams that it read, written to or not.
    """

    read_at: int
    streams: Collection[str]


class AppendRequest(msgspec.Struct, frozen=True):
    """What is recorded beside an event, the same for all of a transaction.

    Attributes:
        actor: Who records.
        batch_id: What is recorded together.
        condition: What the events rest on; None rests on nothing but the versions of its streams.
        in_same_transaction: Called in the transaction, after the events, with the position of the last one;
            it must be such that it may be done twice where there are no events.
    """

    actor: str
    batch_id: str
    condition: AppendCondition | None = None
    in_same_transaction: Callable[[Connection, int], None] | None = None

    @property
    def read_at(self) -> int:
        """The head of the log that the events rest on; 0 where they rest on nothing."""
        return 0 if self.condition is None else self.condition.read_at


UNATTENDED = AppendRequest(actor="", batch_id="")


_NOW: Final = bindparam("now_us", type_=BigInteger)
_ADVANCE: Final = (
    update(sequencer)
    .where(
        or_(
            sequencer.c.last == 0,
            sequencer.c.recorded_at_us >= bindparam("believed_after_us", type_=BigInteger),
        )
    )
    .values(
        last=sequencer.c.last + bindparam("count", type_=BigInteger),
        recorded_at_us=case((sequencer.c.recorded_at_us > _NOW, sequencer.c.recorded_at_us), else_=_NOW),
    )
    .returning(sequencer.c.last, sequencer.c.recorded_at_us, sequencer.c.publication)
)
"""Takes the next positions, unless the clock is not believed."""


class SqlRecorder:
    """Appends events to the log, on SQLite, PostgreSQL and its relatives alike.

    Args:
        engine: The database.
        clock: Microseconds since 1970; only its forward steps count.
        steady: The same by a clock that nobody sets, from any moment on; None takes the machine's for the
            machine's, and any other clock for one that nobody sets.
    """

    def __init__(
        self, engine: Engine, clock: Callable[[], int] = now_us, steady: Callable[[], int] | None = None
    ) -> None:
        self._engine = engine
        self.watch = ClockWatch(clock, steady_us if steady is None and clock is now_us else steady)

    def lock_log(self, connection: Connection) -> None:
        """Keep everybody else from recording until this transaction, which writes, has ended."""
        connection.execute(select(sequencer.c.last).with_for_update())

    def append(
        self, connection: Connection, stored_events: Sequence[StoredEvent], recording: AppendRequest
    ) -> int:
        """Append events, and what goes with them, in a transaction that writes.

        Returns:
            The position of the last event; without events, the head that was read.

        Raises:
            ConcurrencyConflictError: A stream that `recording.condition` names has changed, or a version of a
                stream exists already.
            ClockError: The clock is not believed.
        """
        if stored_events:
            last = self._append_events(connection, stored_events, recording)
        else:
            last = recording.read_at
            self.lock_log(connection)
        if recording.in_same_transaction is not None:
            recording.in_same_transaction(connection, last)
        return last

    def _append_events(
        self, connection: Connection, stored_events: Sequence[StoredEvent], recording: AppendRequest
    ) -> int:
        count = len(stored_events)
        vouches = any(stored.topic == ACCEPTANCE_TOPIC for stored in stored_events)
        last, recorded_at_us, publication = self._advance(connection, count, vouches=vouches)
        first = last - count + 1
        if recording.condition is not None and recording.condition.read_at != first - 1:
            _check_condition(connection, recording.condition, publication)
        rows = [
            (
                position,
                stored.stream,
                stored.version,
                stored.topic,
                recorded_at_us,
                recording.actor,
                recording.batch_id,
                last,
                stored.state,
            )
            for position, stored in enumerate(stored_events, first)
        ]
        try:
            insert_rows(connection, rows)
        except sql_errors.IntegrityError as error:
            raise ConcurrencyConflictError("a version of a stream is recorded already") from error
        published = [row[0] for row in rows if row[3] in PUBLICATION_TOPICS]
        if published:
            connection.execute(update(sequencer).values(publication=max(published)))
        return last

    def _advance(self, connection: Connection, count: int, *, vouches: bool) -> tuple[int, int, int]:
        """Take the next positions; from here to the commit no one else records.

        Raises:
            ClockError: The clock is not believed, and what is recorded does not vouch for it.
            LedgerIntegrityError: The sequencer is not one row of whole numbers.
        """
        now_us = self.watch.now()
        believed_after_us = 0 if vouches else self.watch.believed_after_us(connection, now_us)
        given = {"count": count, "now_us": now_us, "believed_after_us": believed_after_us}
        rows = connection.execute(_ADVANCE, given).all()
        problem = None if rows else self.clock_problem(connection)
        if problem is not None:
            raise problem
        if len(rows) != 1 or not all(type(each) is int for each in rows[0]):
            raise LedgerIntegrityError("sequencer表应有且只有一行整数。请运行duixian audit verify核验")
        last, recorded_at_us, publication = rows[0]
        self.watch.recorded(now_us, recorded_at_us)
        return last, recorded_at_us, publication

    def clock_problem(self, connection: Connection) -> ClockError | None:
        """Why nothing would be recorded now; None where the clock is believed or there is no sequencer."""
        now_us = self.watch.now()
        found = find_numbers(connection, [sequencer.c.last, sequencer.c.recorded_at_us])
        if found is None or found[0] == 0 or found[1] >= self.watch.believed_after_us(connection, now_us):
            return None
        return ClockError(now_us, found[1])

    def find_batch(self, batch_id: str, *, after: int) -> int | None:
        """The last position of a batch in the log after a position; None if it is not there.

        A transaction that may still append it holds the sequencer's row until it ended: this waits for it.
        """
        with write_transaction(self._engine) as connection:
            self.lock_log(connection)
            query = select(func.max(events.c.position))
            end: int | None = connection.scalar(
                query.where(events.c.position > after, events.c.batch_id == batch_id)
            )
            return end


_COPY: Final = f"COPY events ({', '.join(column.name for column in events.c)}) FROM STDIN (FORMAT BINARY)"
_COPIED: Final = ("int8", "text", "int4", "text", "int8", "text", "text", "int8", "bytea")


def insert_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of `events` as fast as the driver takes them: by COPY where the database has it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_COPY, list(rows), execution_options={"copy_types": _COPIED})
        return
    compiled = insert(events).compile(dialect=connection.dialect)
    connection.exec_driver_sql(compiled.string, list(rows))


def _check_condition(connection: Connection, condition: AppendCondition, publication: int) -> None:
    if publication > condition.read_at:
        raise ConcurrencyConflictError(f"a policy was published at {publication}")
    # Each of them, not the distinct ones: for these SQLite reads the names of the whole log.
    since = select(events.c.stream).where(events.c.position > condition.read_at)
    touched = set(connection.scalars(since)).intersection(condition.streams)
    if touched:
        raise ConcurrencyConflictError(f"recorded in between: {min(touched)}")
