"""The ledger: one log of events, whose streams can be read in bulk."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    UnaryExpression,
    and_,
    any_,
    bindparam,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.sql.operators import custom_op

from app.ledger.clock import now_us
from app.ledger.corruption import place_problem, row_problem, shown
from app.ledger.mapper import (
    EventMapper,
    NewEvent,
    StoredEvent,
    UndecodableEventError,
    UnknownTypeError,
    type_name,
)
from app.ledger.recorder import AppendRequest, ConcurrencyConflictError, SqlRecorder
from app.ledger.singletons import read_number
from app.ledger.tables import events, sequencer
from app.runtime.database import UNAVAILABLE, is_uncertain, with_retries, write_transaction
from app.runtime.limits import LONG_BATCHES_AT_ONCE
from app.runtime.turns import Coalescer, Turns
from domain.errors import LedgerIntegrityError
from domain.events import (
    LEDGER_STREAM,
    AnyEvent,
    EntitlementAssessed,
    LogEntry,
    UnreadableEvent,
    policy_stream,
)
from domain.policy.policy import Policy, PolicyHistory
from domain.text import is_storable_text

STREAMS_PER_QUERY = 10_000
"""The number of streams read at once: their events take some tens of megabytes."""

STREAMS_PER_SLICE = 1_000
"""The number of streams of annual returns in a slice: some ten thousands of events at the end of a year."""

AS_BYTES = {"as_bytes": True}

Outcome = TypeVar("Outcome")

_ENTRY = [
    events.c[name]
    for name in (
        "position",
        "stream",
        "version",
        "topic",
        "recorded_at_us",
        "actor",
        "batch_id",
        "transaction_end",
        "state",
    )
]
_ENTRIES_AFTER: Final = (
    select(*_ENTRY).where(events.c.position > bindparam("after")).order_by(events.c.position)
)
_NEXT_ENTRIES: Final = _ENTRIES_AFTER.limit(bindparam("limit"))
_ENTRIES_UNTIL: Final = _ENTRIES_AFTER.where(events.c.position <= bindparam("until"))


class Slice(NamedTuple):
    """The enterprises with codes after `above` and up to `up_to`; up to the last one if that is None."""

    above: str
    up_to: str | None


class Unreadable(NamedTuple):
    """An event that cannot be read, or that cannot belong to its stream.

    Attributes:
        position: The position; None if its column does not hold a whole number.
        stream: The value of the stream's column, in a printable form.
        reason: The reason, in Chinese.
    """

    position: int | None
    stream: str
    reason: str

    @classmethod
    def from_row(cls, row: Sequence[Any], reason: str) -> Self:
        """The event of a row whose values may be of any type."""
        position, stream = row[:2]
        return cls(position if type(position) is int else None, shown(stream), reason)


class Batch(NamedTuple, Generic[Outcome]):
    """The decision of a command.

    Attributes:
        outcome: The result that is known before anything is recorded.
        events: The events to append; may be empty.
        recording: The actor, the condition and the like of the append.
    """

    outcome: Outcome
    events: Sequence[StoredEvent]
    recording: AppendRequest


class UncertainError(Exception):
    """The connection was lost during the commit of a batch, and its outcome could not be determined.

    Args:
        batch_id: The batch, of which the log holds all events or none.
    """

    def __init__(self, batch_id: str) -> None:
        super().__init__(batch_id)
        self.batch_id = batch_id

    def __str__(self) -> str:
        """The message, with the batch."""
        return f"whether batch {self.batch_id} was recorded is not known"


class Ledger:
    """Appends events to the one log, and reads its streams.

    Args:
        engine: The database.
        clock: Returns microseconds since 1970.
        steady: Returns microseconds of a clock that cannot be set, see `SqlRecorder`.

    Attributes:
        long_batches: The turns of long batches, which would keep many short ones waiting.
        projecting: Updates the read models for several filings at once.
    """

    def __init__(
        self, engine: Engine, clock: Callable[[], int] = now_us, steady: Callable[[], int] | None = None
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.event_mapper = EventMapper()
        self.sql_recorder = SqlRecorder(engine, clock, steady)
        self.long_batches = Turns(LONG_BATCHES_AT_ONCE)
        self.projecting = Coalescer()
        self._policies: tuple[int, tuple[Policy, ...]] = (0, ())

    def stored(self, new_events: Iterable[NewEvent]) -> list[StoredEvent]:
        """Encode events for storage."""
        encode = self.event_mapper.encode
        return [encode(new) for new in new_events]

    def record(self, events_to_append: Sequence[StoredEvent], recording: AppendRequest) -> int:
        """Append events in one transaction, together with `recording.in_same_transaction`.

        Returns:
            The position of the last event; without events, the head that the decision read.

        Raises:
            ClockError: The clock cannot be trusted.
            ConcurrencyConflictError: A conflicting event was recorded since the decision: decide again.
            sqlalchemy.exc.DBAPIError: Nothing was recorded.
            UncertainError: The connection was lost, and the outcome could not be determined.
        """
        if not events_to_append and recording.in_same_transaction is None:
            return recording.read_at
        try:
            with write_transaction(self.engine) as connection:
                return self.sql_recorder.append(connection, events_to_append, recording)
        except Exception as error:  # noqa: BLE001 - raised again where the batch is not recorded
            return self._recorded_after(error, recording)

    def record_alone(self, decide: Callable[[Connection], Batch[Outcome]]) -> tuple[Batch[Outcome], int]:
        """Decide and append in one transaction that holds the lock of the log.

        Args:
            decide: Decides on the batch; all other writers wait for it.

        Returns:
            The batch, and the position as `record` returns it.

        Raises:
            LedgerIntegrityError: The log holds a version of a stream that the decision did not find.
            sqlalchemy.exc.DBAPIError: Nothing was recorded.
            UncertainError: The connection was lost, and the outcome could not be determined.
        """
        batch: Batch[Outcome] | None = None
        try:
            with write_transaction(self.engine) as connection:
                self.sql_recorder.lock_log(connection)
                batch = decide(connection)
                return batch, self.sql_recorder.append(connection, batch.events, batch.recording)
        except ConcurrencyConflictError as error:
            raise LedgerIntegrityError(f"记录流的版本号不连续（{error}）") from error
        except Exception as error:
            if batch is None:
                raise
            return batch, self._recorded_after(error, batch.recording)

    def _recorded_after(self, error: Exception, recording: AppendRequest) -> int:
        """The end of a batch that was recorded although its commit failed; otherwise raise the error."""
        position = self._find_position(recording) if is_uncertain(error) else None
        if position is None:
            raise error
        return position

    def _find_position(self, recording: AppendRequest) -> int | None:
        """Find the end of a batch with an uncertain commit; None if it was not recorded and never will be."""
        try:
            return with_retries(
                lambda: self.sql_recorder.find_batch(recording.batch_id, after=recording.read_at)
            )
        except UNAVAILABLE as error:
            raise UncertainError(recording.batch_id) from error

    def entries(self, connection: Connection, *, after: int, limit: int) -> Sequence[LogEntry]:
        """Read the next entries after a position: whole transactions, until there are at least `limit`.

        Raises:
            UnknownTypeError: A newer program recorded an event.
        """
        given = {"after": after, "limit": limit}
        rows = list(connection.execute(_NEXT_ENTRIES, given, execution_options=AS_BYTES).all())
        if rows and rows[-1].transaction_end > rows[-1].position:
            given = {"after": rows[-1].position, "until": rows[-1].transaction_end}
            rows.extend(connection.execute(_ENTRIES_UNTIL, given, execution_options=AS_BYTES).all())
        return [self._entry_to_project(row) for row in rows]

    def unknown_type(self, connection: Connection, *, after: int) -> str | None:
        """Find a type of events after a position that this program does not know; None if it knows all."""
        known = list(self.event_mapper.topics)
        query = select(events.c.topic).where(events.c.position > after, events.c.topic.not_in(known))
        topic: str | None = connection.scalar(query.limit(1))
        return None if topic is None else shown(topic)

    def page(
        self, connection: Connection, *, after: int, until: int, limit: int, uscc: str | None
    ) -> Sequence[LogEntry]:
        """Read at most `limit` entries after one position and up to another, of one enterprise or of all."""
        at: ColumnElement[int] = events.c.position
        of_enterprise: ColumnElement[bool] = true()
        if uscc is not None:
            find_by_stream(connection)
            at = _unindexed(at)
            of_enterprise = or_(*(_within(prefix) for prefix in self._prefixes(connection, uscc)))
        query = select(*_ENTRY).where(of_enterprise, at > after, at <= until)
        rows = connection.execute(query.order_by(at).limit(limit))
        return [self._entry_to_project(_sound(row)) for row in rows]

    def _prefixes(self, connection: Connection, uscc: str) -> list[str]:
        """The prefixes of an enterprise's streams: of its returns, and of its accounts under each policy."""
        of_policies = self._names(connection, "policy/")
        return [f"returns/{uscc}/", *(f"entitlement/{name.split('/')[1]}/{uscc}/" for name in of_policies)]

    def _entry_to_project(self, row: Any) -> LogEntry:
        """Decode an entry; the content of an unreadable one becomes an `UnreadableEvent`."""
        try:
            return self._entry(row)
        except UnknownTypeError:
            raise
        except UndecodableEventError as error:
            position, stream, version, topic, *recorded, state = row
            unreadable = UnreadableEvent(str(error))
            return LogEntry(position, stream, version, type_name(topic), unreadable, state, *recorded)

    def _entry(self, row: Any) -> LogEntry:
        position, stream, version, topic, recorded_at_us, actor, batch_id, transaction_end, state = row
        try:
            event = self.event_mapper.decode(topic, state, stream)
        except UndecodableEventError as error:
            raise type(error)(f"序号{position}的{error}") from error
        newest = self.event_mapper.newest(topic, state, event)
        kind = type_name(topic)
        return LogEntry(
            position, stream, version, kind, event, newest, recorded_at_us, actor, batch_id, transaction_end
        )

    def slices(self, connection: Connection) -> list[Slice]:
        """Divide all enterprises into slices of about the same size, in the order of their codes."""
        ends, after = [], ""
        query = select(events.c.stream).where(_within("returns/"), events.c.version == 1)
        query = query.order_by(events.c.stream).limit(1).offset(STREAMS_PER_SLICE - 1)
        while (stream := connection.scalar(query.where(events.c.stream > after))) is not None:
            if not is_storable_text(stream):  # It sorts after all valid names.
                break
            ends.append(stream.split("/")[1])
            after = stream
        return [Slice(above, up_to) for above, up_to in pairwise(["", *dict.fromkeys(ends), None])]

    def slice_entries(
        self,
        connection: Connection,
        codes: Slice,
        *,
        until: int,
        unreadable: list[Unreadable] | None = None,
    ) -> list[LogEntry]:
        """Read all entries of the enterprises of a slice up to a position, in the order of the log.

        Args:
            connection: A connection in a read transaction.
            codes: The slice.
            until: The position.
            unreadable: A list to which unreadable events are appended; None raises for the first one.

        Raises:
            UndecodableEventError: An event cannot be read.
        """
        return self._entries(self._slice_rows(connection, codes, until), unreadable)

    def _slice_rows(self, connection: Connection, codes: Slice, until: int) -> list[Any]:
        """Read all rows of the enterprises of a slice up to a position, in the order of the log."""
        prefixes = self._prefixes_of_enterprises(connection)
        find_by_stream(connection)
        query = select(*_ENTRY).where(
            or_(*(_within(prefix, codes) for prefix in prefixes)),
            _unindexed(events.c.position) <= until,
        )
        rows = connection.execute(query, execution_options=AS_BYTES).cursor.fetchall()
        return sorted(rows, key=_position)

    def entries_to_project(self, connection: Connection, codes: Slice, *, until: int) -> list[LogEntry]:
        """Read all entries of the enterprises of a slice up to a position, for the projector.

        Raises:
            LedgerIntegrityError: A value has a type that the ledger does not store.
            UnknownTypeError: A newer program recorded an event.
        """
        rows = self._slice_rows(connection, codes, until)
        return [self._entry_to_project(_sound(row)) for row in rows]

    def other_entries(self, connection: Connection, *, until: int) -> list[LogEntry]:
        """Read all entries up to a position that belong to no slice of enterprises, in the order of the log.

        Raises:
            LedgerIntegrityError: A value has a type that the ledger does not store.
            UnknownTypeError: A newer program recorded an event.
        """
        starts = sorted(self._prefixes_of_enterprises(connection))
        ends = [f"{start[:-1]}0" for start in starts]
        stream = events.c.stream
        between = [and_(stream >= end, stream < start) for end, start in zip(ends, starts[1:], strict=False)]
        query = select(*_ENTRY).where(
            or_(stream < starts[0], *between, stream >= ends[-1]), events.c.position <= until
        )
        rows = connection.execute(query.order_by(events.c.position), execution_options=AS_BYTES).all()
        return [self._entry_to_project(_sound(row)) for row in rows]

    def _prefixes_of_enterprises(self, connection: Connection) -> list[str]:
        """Find the prefixes of the streams of returns and accounts, in one query for each policy."""
        prefixes, after = ["returns/"], "entitlement/"
        following = select(func.min(events.c.stream)).where(
            events.c.stream > bindparam("after"), events.c.stream < "entitlement0"
        )
        while (stream := connection.scalar(following, {"after": after})) is not None:
            if not is_storable_text(stream):  # It sorts after all valid names.
                break
            prefix = "/".join(stream.split("/")[:2]) + "/"
            if stream.startswith(prefix):
                prefixes.append(prefix)
            after = f"{prefix[:-1]}0" if stream.startswith(prefix) else stream
        return prefixes

    def _entries(self, rows: Iterable[Any], unreadable: list[Unreadable] | None) -> list[LogEntry]:
        if unreadable is None:
            return [self._entry(row) for row in rows]
        entries = []
        for row in rows:
            entry = self._read_unchecked(row)
            if isinstance(entry, Unreadable):
                unreadable.append(entry)
            else:
                entries.append(entry)
        return entries

    def _read_unchecked(self, row: Any) -> LogEntry | Unreadable:
        """Decode a row that may be damaged."""
        problem = row_problem(row)
        if problem is not None:
            return Unreadable.from_row(row, problem)
        try:
            entry = self._entry(row)
        except UndecodableEventError as error:
            return Unreadable.from_row(row, str(error))
        problem = place_problem(entry.stream, entry.event)
        return entry if problem is None else Unreadable.from_row(row, problem)

    def publications(
        self, connection: Connection, *, until: int, unreadable: list[Unreadable] | None = None
    ) -> list[LogEntry]:
        """Read all entries up to a position that belong to no enterprise, like `slice_entries`."""
        at = _unindexed(events.c.position)
        of_no_enterprise = or_(_within("policy/"), events.c.stream == LEDGER_STREAM)
        query = select(*_ENTRY).where(of_no_enterprise, at <= until).order_by(at)
        return self._entries(connection.execute(query), unreadable)

    def transaction_end(self, connection: Connection, position: int) -> int:
        """Find the end of the last transaction that ended at or before a position; 0 before the first."""
        at = events.c.position
        query = select(at).where(at <= position, at == events.c.transaction_end).order_by(at.desc())
        end: int | None = connection.scalar(query.limit(1))
        return end or 0

    def streams(self, connection: Connection, names: Iterable[str]) -> Mapping[str, list[AnyEvent]]:
        """Read the events of many streams in the order of their versions; the result has no empty streams.

        Raises:
            UnknownTypeError: A newer program recorded an event.
        """
        found: dict[str, list[AnyEvent]] = {}
        wanted = sorted(set(names))
        decode = self.event_mapper.decode
        find_by_stream(connection)
        query = _of_streams(connection.dialect.name)
        for start in range(0, len(wanted), STREAMS_PER_QUERY):
            chunk = wanted[start : start + STREAMS_PER_QUERY]
            given = chunk if connection.dialect.name == "postgresql" else json.dumps(chunk)
            rows = connection.execute(query, {"wanted": given}, execution_options=AS_BYTES).cursor.fetchall()
            for stream, topic, state in rows:
                of_stream = found.setdefault(stream, [])
                try:
                    of_stream.append(decode(topic, state, stream))
                except UnknownTypeError:
                    raise
                except UndecodableEventError as error:
                    reason = self._unreadable_version(connection, stream, len(of_stream), error)
                    of_stream.append(UnreadableEvent(reason))
        return found

    def _unreadable_version(self, connection: Connection, stream: str, before: int, error: Exception) -> str:
        """The reason why the version after the first `before` versions is unreadable, with its position."""
        query = select(events.c.position).where(events.c.stream == stream).order_by(events.c.version)
        position = connection.scalar(query.limit(1).offset(before))
        return f"序号{position}的{error}"

    def policies(self, connection: Connection) -> tuple[Policy, ...]:
        """Read the newest version of each policy, withdrawn or not, in the order of their ids."""
        published = read_number(connection, sequencer.c.publication)
        # Read the attribute once: another thread, with an older snapshot, may replace it in between.
        known_at, policies = self._policies
        if published != known_at:
            streams = self.streams(connection, self._names(connection, "policy/"))
            newest = [PolicyHistory(events).in_force for events in streams.values()]
            policies = tuple(policy for policy in newest if policy is not None)
            self._policies = (published, policies)
        return policies

    def policy_history(self, connection: Connection, policy: str) -> PolicyHistory:
        """Read the history of a policy; it has no versions if none was published."""
        stream = policy_stream(policy)
        return PolicyHistory(self.streams(connection, [stream]).get(stream, ()))

    def latest_versions(
        self, connection: Connection, accounts: Collection[str], *, at: int
    ) -> dict[str, int]:
        """Read the policy version of the latest assessment of each account, as of a position.

        Args:
            connection: A connection in a read transaction.
            accounts: The names of the accounts' streams; the result leaves out accounts without assessments.
            at: The position.
        """
        find_by_stream(connection)
        last = select(events.c.topic, events.c.state).where(events.c.position <= at)
        last = last.order_by(events.c.version.desc()).limit(1)
        found = {}
        for stream in accounts:
            row = connection.execute(last.where(events.c.stream == stream)).one_or_none()
            event = None if row is None else self.event_mapper.decode(*row, stream)
            if isinstance(event, EntitlementAssessed):
                found[stream] = event.policy.version
        return found

    def _names(self, connection: Connection, prefix: str) -> Sequence[str]:
        query = select(events.c.stream).where(_within(prefix), events.c.version == 1)
        return list(filter(is_storable_text, connection.scalars(query)))  # Others cannot be looked up.

    def returns_streams(
        self, connection: Connection, *, after: str, years: Iterable[int], limit: int
    ) -> list[str]:
        """Read the names of the next streams of annual returns, in their order."""
        query = self._returns_streams(years).where(events.c.stream > after)
        return list(connection.scalars(query.order_by(events.c.stream).limit(limit)))

    def count_returns_streams(self, connection: Connection, *, years: Iterable[int]) -> int:
        """Count the streams of annual returns."""
        query = select(func.count()).select_from(self._returns_streams(years).subquery())
        count: int = connection.execute(query).scalar_one()
        return count

    def count_new_returns_streams(self, connection: Connection, *, years: Iterable[int], after: int) -> int:
        """Count the streams of annual returns that begin after a position."""
        new = select(events.c.stream).where(events.c.position > after, events.c.version == 1)
        ends = tuple(f"/{year}" for year in years)
        names = connection.scalars(new)
        return sum(name.startswith("returns/") and name.endswith(ends) for name in names)

    def _returns_streams(self, years: Iterable[int]) -> Select[tuple[str]]:
        stream = events.c.stream
        of_years = or_(*(stream.endswith(f"/{year}") for year in years))
        return select(stream).where(events.c.version == 1, stream > "returns/", stream < "returns0", of_years)

    def last_transaction(
        self, connection: Connection, *, position: int | None, known_at_us: int | None
    ) -> tuple[int, int] | None:
        """Find the last transaction that had ended by a position, by a time, or by now.

        Returns:
            Its last position, and its time in microseconds since 1970; None if there is none.
        """
        at, time_us = events.c.position, events.c.recorded_at_us
        query = select(at, time_us).where(at == events.c.transaction_end)
        if position is not None:
            query = query.where(at <= position)
        if known_at_us is not None:
            query = query.where(time_us <= known_at_us).order_by(time_us.desc())
        row = connection.execute(query.order_by(at.desc()).limit(1)).one_or_none()
        return None if row is None else (row[0], row[1])

    def last_recorded_us(self, connection: Connection) -> int:
        """The time of the last event, in microseconds since 1970; 0 for an empty log.

        Raises:
            LedgerIntegrityError: The sequencer is damaged.
        """
        return read_number(connection, sequencer.c.recorded_at_us)

    def head(self, connection: Connection) -> int:
        """The position of the last event; 0 for an empty log.

        Raises:
            LedgerIntegrityError: The sequencer is damaged.
        """
        return read_number(connection, sequencer.c.last)


_position = itemgetter(0)


def _sound(row: Any) -> Any:
    """Return the row if it is valid.

    Raises:
        LedgerIntegrityError: The row holds a value that the ledger never stores.
    """
    problem = row_problem(row)
    if problem is not None:
        raise LedgerIntegrityError(f"序号{row[0]}的记录已被改动：{problem}")
    return row


_FIND_BY_INDEX: Final = select(func.set_config("enable_seqscan", "off", True))  # noqa: FBT003


def find_by_stream(connection: Connection) -> None:
    """Make PostgreSQL find streams by the index of their names for the rest of the transaction.

    Its statistics lag behind while the returns of a month arrive, so that it underestimates a full scan.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_FIND_BY_INDEX)


@lru_cache(maxsize=4)
def _of_streams(dialect: str) -> Select[Any]:
    """A query for the events of the streams that its one parameter names."""
    if dialect == "postgresql":
        is_wanted = events.c.stream == any_(bindparam("wanted", type_=ARRAY(Text)))
    else:
        given = func.json_each(bindparam("wanted", type_=Text)).table_valued("value")
        is_wanted = events.c.stream.in_(select(given.c.value))
    query = select(events.c.stream, events.c.topic, events.c.state).where(is_wanted)
    return query.order_by(events.c.stream, events.c.version)


def _unindexed(column: ColumnElement[int]) -> ColumnElement[int]:
    """Keep the database from using the index of a column, so that it uses the index of another one.

    SQLite, which has no statistics, would otherwise scan the whole log in its order instead of sorting some
    rows.
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


ALL_CODES: Final = Slice("", None)


def _within(prefix: str, codes: Slice = ALL_CODES) -> ColumnElement[bool]:
    """A condition for the streams with a prefix and the code of one of these enterprises, as an index range.

    Names have a `/` after the prefix and after the code, and `0` is the character after `/`.
    """
    first = f"{prefix}{codes.above}0" if codes.above else prefix
    last = f"{prefix[:-1]}0" if codes.up_to is None else f"{prefix}{codes.up_to}0"
    return and_(events.c.stream >= first, events.c.stream < last)
