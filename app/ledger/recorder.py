"""One log with gapless positions, on SQLAlchemy Core.

Every append advances a one-row sequencer in its transaction. That serialises the writers, so the order of
positions is the order of commits, and a reader that sees a position sees all earlier ones.
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
from sqlalchemy.dialects.sqlite import pysqlite

from app.ledger.clock import ClockError, ClockWatch, now_us, steady_us
from app.ledger.mapper import StoredEvent
from app.ledger.singletons import find_numbers
from app.ledger.tables import events, sequencer
from app.runtime.database import write_transaction
from domain.errors import LedgerIntegrityError

PUBLICATION_TOPICS: Final = frozenset({"PolicyPublished", "PolicyWithdrawn"})
"""Events that change the version in force: decisions based on another version must be made again."""

ACCEPTANCE_TOPIC = "ClockAccepted"


class ConcurrencyConflictError(Exception):
    """An event recorded since the decision conflicts with it: decide again."""


class AppendCondition(msgspec.Struct, frozen=True):
    """The condition of an append: since the decision, no event in these streams, and no publication.

    Attributes:
        read_at: The head of the log before the streams were read.
        streams: The streams that the decision has read, whether it writes to them or not.
    """

    read_at: int
    streams: Collection[str]


class AppendRequest(msgspec.Struct, frozen=True):
    """The parts of an append that all its events share.

    Attributes:
        actor: The name of the key, or of the command.
        batch_id: The number of the batch, which all its events carry.
        condition: The condition of the append; None checks only the versions of the events' streams.
        in_same_transaction: Called in the transaction, after the events, with the position of the last one;
            it must be idempotent if there are no events.
    """

    actor: str
    batch_id: str
    condition: AppendCondition | None = None
    in_same_transaction: Callable[[Connection, int], None] | None = None

    @property
    def read_at(self) -> int:
        """The head of the log that the decision has read; 0 without a condition."""
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
"""Takes the next positions if the clock can be trusted."""


class SqlRecorder:
    """Appends events to the log, on SQLite, and on PostgreSQL and compatible databases.

    Args:
        engine: The database.
        clock: Returns microseconds since 1970; only its forward steps count.
        steady: Returns microseconds since any moment, by a clock that cannot be set. None uses the machine's
            steady clock if `clock` is the machine's; otherwise it assumes that `clock` cannot be set.
    """

    def __init__(
        self, engine: Engine, clock: Callable[[], int] = now_us, steady: Callable[[], int] | None = None
    ) -> None:
        self._engine = engine
        self.watch = ClockWatch(clock, steady_us if steady is None and clock is now_us else steady)

    def lock_log(self, connection: Connection) -> None:
        """Block all other writers until this write transaction has ended."""
        connection.execute(select(sequencer.c.last).with_for_update())

    def append(
        self, connection: Connection, stored_events: Sequence[StoredEvent], recording: AppendRequest
    ) -> int:
        """Append events, and call `recording.in_same_transaction`, in a write transaction.

        Returns:
            The position of the last event; without events, the head that the decision read.

        Raises:
            ConcurrencyConflictError: A stream that `recording.condition` names has changed, or a version of a
                stream exists already.
            ClockError: The clock cannot be trusted.
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
        accepts_clock = any(stored.topic == ACCEPTANCE_TOPIC for stored in stored_events)
        last, recorded_at_us, publication = self._advance(connection, count, accepts_clock=accepts_clock)
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

    def _advance(self, connection: Connection, count: int, *, accepts_clock: bool) -> tuple[int, int, int]:
        """Take the next positions; this blocks all other writers until the commit.

        Args:
            connection: A connection in a write transaction.
            count: The number of positions.
            accepts_clock: Whether the events accept the clock.

        Returns:
            The last position, the time of the events, and the position of the last publication.

        Raises:
            ClockError: The clock cannot be trusted, and the events do not accept it.
            LedgerIntegrityError: The sequencer is not a single row of whole numbers.
        """
        now_us = self.watch.now()
        believed_after_us = 0 if accepts_clock else self.watch.believed_after_us(connection, now_us)
        given = {"count": count, "now_us": now_us, "believed_after_us": believed_after_us}
        rows = connection.execute(_ADVANCE, given).all()
        problem = None if rows else self.clock_problem(connection)
        if problem is not None:
            raise problem
        if len(rows) != 1 or not all(type(value) is int for value in rows[0]):
            raise LedgerIntegrityError("sequencer表应有且只有一行整数。请运行duixian audit verify核验")
        last, recorded_at_us, publication = rows[0]
        self.watch.recorded(now_us, recorded_at_us)
        return last, recorded_at_us, publication

    def clock_problem(self, connection: Connection) -> ClockError | None:
        """The error of an append made now; None if the clock can be trusted, or there is no sequencer."""
        now_us = self.watch.now()
        found = find_numbers(connection, [sequencer.c.last, sequencer.c.recorded_at_us])
        if found is None or found[0] == 0 or found[1] >= self.watch.believed_after_us(connection, now_us):
            return None
        return ClockError(now_us, found[1])

    def find_batch(self, batch_id: str, *, after: int) -> int | None:
        """Find the last position of a batch after a position; None if the batch is not in the log.

        A transaction that may still append the batch holds the sequencer's row, so this waits for its end.
        """
        with write_transaction(self._engine) as connection:
            self.lock_log(connection)
            query = select(func.max(events.c.position))
            end: int | None = connection.scalar(
                query.where(events.c.position > after, events.c.batch_id == batch_id)
            )
            return end


_COPY: Final = f"COPY events ({', '.join(column.name for column in events.c)}) FROM STDIN (FORMAT BINARY)"
_INSERT_ON_SQLITE: Final = insert(events).compile(dialect=pysqlite.dialect()).string
_COPIED: Final = ("int8", "text", "int4", "text", "int8", "text", "text", "int8", "bytea")


def insert_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows into `events`, by COPY on PostgreSQL, which is the fastest way."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_COPY, list(rows), execution_options={"copy_types": _COPIED})
        return
    connection.exec_driver_sql(_INSERT_ON_SQLITE, list(rows))


_STREAMS_SINCE: Final = select(events.c.stream).where(events.c.position > bindparam("read_at"))


def _check_condition(connection: Connection, condition: AppendCondition, publication: int) -> None:
    if publication > condition.read_at:
        raise ConcurrencyConflictError(f"a policy was published at {publication}")
    # Without DISTINCT, for which SQLite would read the names of the whole log.
    since = connection.scalars(_STREAMS_SINCE, {"read_at": condition.read_at})
    touched = set(since).intersection(condition.streams)
    if touched:
        raise ConcurrencyConflictError(f"recorded in between: {min(touched)}")
