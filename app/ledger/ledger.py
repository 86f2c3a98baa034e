"""The ledger: one log of events, whose streams are read in bulk."""

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
from app.ledger.corruption import is_text, place_problem, row_problem, shown
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

STREAMS_PER_QUERY = 10_000
"""Few enough that what is read at once fits in some tens of megabytes."""

STREAMS_PER_SLICE = 1_000
"""So many streams of annual returns make a slice: some ten thousands of events at the end of a year."""

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


class Slice(NamedTuple):
    """Enterprises whose codes come after one and up to another; up to the last one where that is None."""

    above: str
    up_to: str | None


class Unreadable(NamedTuple):
    """An event that cannot be read, or cannot be one of its stream.

    Attributes:
        position: None where what stands in its place is no whole number.
        stream: What stands in its place, as it can be shown.
        reason: In Chinese.
    """

    position: int | None
    stream: str
    reason: str

    @classmethod
    def told(cls, row: Sequence[Any], reason: str) -> Self:
        """That of a row whose values may be of any type."""
        position, stream = row[:2]
        return cls(position if type(position) is int else None, shown(stream), reason)


class Batch(NamedTuple, Generic[Outcome]):
    """What a command comes to.

    Attributes:
        outcome: What is known of it before it is recorded.
        events: What is appended, if anything.
        recording: What is recorded beside them.
    """

    outcome: Outcome
    events: Sequence[StoredEvent]
    recording: AppendRequest


class UncertainError(Exception):
    """The connection was lost while a batch was recorded, and what became of it could not be found out.

    Args:
        batch_id: The batch, which is in the log whole or not at all.
    """

    def __init__(self, batch_id: str) -> None:
        super().__init__(batch_id)
        self.batch_id = batch_id

    def __str__(self) -> str:
        """What is not known."""
        return f"whether batch {self.batch_id} was recorded is not known"


class Ledger:
    """Appends events and reads streams; the one log of the city.

    Args:
        engine: The database.
        clock: Microseconds since 1970.
        steady: The same by a clock that nobody sets, from any moment on; see `SqlRecorder`.

    Attributes:
        long_batches: The turns of batches that would keep many short ones waiting.
        projecting: Brings the read models up to the log for several filings at once.
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
        """The events as they are stored."""
        encode = self.event_mapper.encode
        return [encode(new) for new in new_events]

    def record(self, events_to_append: Sequence[StoredEvent], recording: AppendRequest) -> int:
        """Append events, and what goes with them, in one transaction.

        Returns:
            The position of the last event; without events, the head that was read.

        Raises:
            ClockError: The clock is not believed.
            ConcurrencyConflictError: Something else was recorded in between: decide again.
            sqlalchemy.exc.DBAPIError: Nothing was recorded.
            UncertainError: The connection was lost, and what became of the batch could not be found out.
        """
        if not events_to_append and recording.in_same_transaction is None:
            return recording.read_at
        try:
            with write_transaction(self.engine) as connection:
                return self.sql_recorder.append(connection, events_to_append, recording)
        except Exception as error:  # noqa: BLE001 - raised again where the batch is not recorded
            return self._recorded_after(error, recording)

    def record_alone(self, decide: Callable[[Connection], Batch[Outcome]]) -> tuple[Batch[Outcome], int]:
        """Decide and append in one transaction, while nobody else records.

        Args:
            decide: What is to be recorded; everybody who records waits for it.

        Returns:
            What was decided, and the position that `record` gives.

        Raises:
            LedgerIntegrityError: A version of a stream is recorded that the decision did not find.
            sqlalchemy.exc.DBAPIError: Nothing was recorded.
            UncertainError: The connection was lost, and what became of the batch could not be found out.
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
        """Where a batch ends that was recorded although its commit failed; else the error is raised."""
        position = self._position_of(recording) if is_uncertain(error) else None
        if position is None:
            raise error
        return position

    def _position_of(self, recording: AppendRequest) -> int | None:
        """Where a batch ends whose commit is uncertain; None if it was not recorded and never will be."""
        try:
            return with_retries(
                lambda: self.sql_recorder.find_batch(recording.batch_id, after=recording.read_at)
            )
        except UNAVAILABLE as error:
            raise UncertainError(recording.batch_id) from error

    def entries(self, connection: Connection, *, after: int, limit: int) -> Sequence[LogEntry]:
        """The next entries after a position: whole transactions, until there are at least `limit`.

        Raises:
            UnknownTypeError: A newer program recorded an event.
        """
        query = select(*_ENTRY).where(events.c.position > after).order_by(events.c.position)
        rows = list(connection.execute(query.limit(limit), execution_options=AS_BYTES).all())
        if rows and rows[-1].transaction_end > rows[-1].position:
            rest = query.where(
                events.c.position > rows[-1].position, events.c.position <= rows[-1].transaction_end
            )
            rows.extend(connection.execute(rest, execution_options=AS_BYTES).all())
        return [self._entry_to_project(row) for row in rows]

    def unknown_type(self, connection: Connection, *, after: int) -> str | None:
        """The type of an event after a position that this program does not know; None where it knows all."""
        known = list(self.event_mapper.topics)
        query = select(events.c.topic).where(events.c.position > after, events.c.topic.not_in(known))
        topic: str | None = connection.scalar(query.limit(1))
        return None if topic is None else shown(topic)

    def page(
        self, connection: Connection, *, after: int, until: int, limit: int, uscc: str | None
    ) -> Sequence[LogEntry]:
        """At most `limit` entries after one position and up to another, of one enterprise or of all."""
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
        """How the streams of an enterprise begin: its returns, and its accounts under each policy."""
        of_policies = self._names(connection, "policy/")
        return [f"returns/{uscc}/", *(f"entitlement/{name.split('/')[1]}/{uscc}/" for name in of_policies)]

    def _entry_to_project(self, row: Any) -> LogEntry:
        """The entry; of one whose content cannot be read, what the read models can hold of it."""
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
        place, recorded = (position, stream, version), (recorded_at_us, actor, batch_id, transaction_end)
        newest = self.event_mapper.newest(topic, state, event)
        return LogEntry(*place, type_name(topic), event, newest, *recorded)

    def slices(self, connection: Connection) -> list[Slice]:
        """The enterprises in slices of about one size, in the order of their codes; together they are all."""
        ends, after = [], ""
        query = select(events.c.stream).where(_within("returns/"), events.c.version == 1)
        query = query.order_by(events.c.stream).limit(1).offset(STREAMS_PER_SLICE - 1)
        while (stream := connection.scalar(query.where(events.c.stream > after))) is not None:
            if not is_text(stream):  # It comes after all that can be asked for.
                break
            ends.append(stream.split("/")[1])
            after = stream
        return [Slice(above, up_to) for above, up_to in pairwise(["", *dict.fromkeys(ends), None])]

    def entries_of(
        self,
        connection: Connection,
        codes: Slice,
        *,
        until: int,
        unreadable: list[Unreadable] | None = None,
    ) -> list[LogEntry]:
        """All entries of the enterprises of a slice up to a position, in the order of the log.

        Args:
            connection: In a transaction that reads.
            codes: The slice.
            until: The position.
            unreadable: Takes the events that cannot be read, if it is given.

        Raises:
            UndecodableEventError: An event cannot be read.
        """
        return self._entries(self._rows_of(connection, codes, until), unreadable)

    def _rows_of(self, connection: Connection, codes: Slice, until: int) -> list[Any]:
        """All rows of the enterprises of a slice up to a position, in the order of the log."""
        prefixes = self._prefixes_of_enterprises(connection)
        find_by_stream(connection)
        query = select(*_ENTRY).where(
            or_(*(_within(prefix, codes) for prefix in prefixes)),
            _unindexed(events.c.position) <= until,
        )
        rows = connection.execute(query, execution_options=AS_BYTES).cursor.fetchall()
        return sorted(rows, key=_position)

    def entries_to_project(self, connection: Connection, codes: Slice, *, until: int) -> list[LogEntry]:
        """All entries of the enterprises of a slice up to a position, as the projector is given them.

        Raises:
            LedgerIntegrityError: A row is not of the types that the ledger stores.
            UnknownTypeError: A newer program recorded an event.
        """
        rows = self._rows_of(connection, codes, until)
        return [self._entry_to_project(_sound(row)) for row in rows]

    def other_entries(self, connection: Connection, *, until: int) -> list[LogEntry]:
        """All entries up to a position that are of no slice of enterprises, in the order of the log.

        Raises:
            LedgerIntegrityError: A row is not of the types that the ledger stores.
            UnknownTypeError: A newer program recorded an event.
        """
        starts = sorted(self._prefixes_of_enterprises(connection))
        ends = [f"{each[:-1]}0" for each in starts]
        stream = events.c.stream
        between = [and_(stream >= end, stream < start) for end, start in zip(ends, starts[1:], strict=False)]
        query = select(*_ENTRY).where(
            or_(stream < starts[0], *between, stream >= ends[-1]), events.c.position <= until
        )
        rows = connection.execute(query.order_by(events.c.position), execution_options=AS_BYTES).all()
        return [self._entry_to_project(_sound(row)) for row in rows]

    def _prefixes_of_enterprises(self, connection: Connection) -> list[str]:
        """How the names of streams of returns and accounts begin: each policy's are found in one step."""
        prefixes, after = ["returns/"], "entitlement/"
        following = select(func.min(events.c.stream)).where(
            events.c.stream > bindparam("after"), events.c.stream < "entitlement0"
        )
        while (stream := connection.scalar(following, {"after": after})) is not None:
            if not is_text(stream):  # It comes after all that can be asked for.
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
            entry = self._looked_at(row)
            if isinstance(entry, Unreadable):
                unreadable.append(entry)
            else:
                entries.append(entry)
        return entries

    def _looked_at(self, row: Any) -> LogEntry | Unreadable:
        """The entry of a row that nobody vouches for."""
        problem = row_problem(row)
        if problem is not None:
            return Unreadable.told(row, problem)
        try:
            entry = self._entry(row)
        except UndecodableEventError as error:
            return Unreadable.told(row, str(error))
        problem = place_problem(entry.stream, entry.event)
        return entry if problem is None else Unreadable.told(row, problem)

    def publications(
        self, connection: Connection, *, until: int, unreadable: list[Unreadable] | None = None
    ) -> list[LogEntry]:
        """All entries up to a position that are of no enterprise, as `entries_of` gives the others."""
        at = _unindexed(events.c.position)
        of_no_enterprise = or_(_within("policy/"), events.c.stream == LEDGER_STREAM)
        query = select(*_ENTRY).where(of_no_enterprise, at <= until).order_by(at)
        return self._entries(connection.execute(query), unreadable)

    def transaction_end(self, connection: Connection, position: int) -> int:
        """The end of the last transaction that ended at or before a position; 0 before the first."""
        at = events.c.position
        query = select(at).where(at <= position, at == events.c.transaction_end).order_by(at.desc())
        end: int | None = connection.scalar(query.limit(1))
        return end or 0

    def streams(self, connection: Connection, names: Iterable[str]) -> Mapping[str, list[AnyEvent]]:
        """The events of many streams in the order of their versions; a stream without events is not in it.

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
        """Why the version of a stream after so many others cannot be read, with its position."""
        query = select(events.c.position).where(events.c.stream == stream).order_by(events.c.version)
        position = connection.scalar(query.limit(1).offset(before))
        return f"序号{position}的{error}"

    def policies(self, connection: Connection) -> tuple[Policy, ...]:
        """The newest version of each policy, withdrawn or not, in the order of their ids."""
        published = read_number(connection, sequencer.c.publication)
        # Read once: another thread, whose snapshot is an older one, may replace it in between.
        known_at, policies = self._policies
        if published != known_at:
            streams = self.streams(connection, self._names(connection, "policy/"))
            newest = [PolicyHistory(events).in_force for events in streams.values()]
            policies = tuple(each for each in newest if each is not None)
            self._policies = (published, policies)
        return policies

    def policy_history(self, connection: Connection, policy: str) -> PolicyHistory:
        """What was published of a policy; without versions where nothing was."""
        stream = policy_stream(policy)
        return PolicyHistory(self.streams(connection, [stream]).get(stream, ()))

    def latest_versions(
        self, connection: Connection, accounts: Collection[str], *, at: int
    ) -> dict[str, int]:
        """The version of the policy that the latest assessment of each account names, as of a position.

        Args:
            connection: In a transaction that reads.
            accounts: The names of the accounts' streams; one that is not assessed is not in the answer.
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
        return list(filter(is_text, connection.scalars(query)))  # No query can ask for another one.

    def returns_streams(
        self, connection: Connection, *, after: str, years: Iterable[int], limit: int
    ) -> list[str]:
        """The next streams of annual returns in the order of their names."""
        query = self._returns_streams(years).where(events.c.stream > after)
        return list(connection.scalars(query.order_by(events.c.stream).limit(limit)))

    def count_returns_streams(self, connection: Connection, *, years: Iterable[int]) -> int:
        """How many streams of annual returns there are."""
        query = select(func.count()).select_from(self._returns_streams(years).subquery())
        count: int = connection.execute(query).scalar_one()
        return count

    def count_new_returns_streams(self, connection: Connection, *, years: Iterable[int], after: int) -> int:
        """How many of them have begun after a position."""
        new = select(events.c.stream).where(events.c.position > after, events.c.version == 1)
        ends = tuple(f"/{year}" for year in years)
        return sum(each.startswith("returns/") and each.endswith(ends) for each in connection.scalars(new))

    def _returns_streams(self, years: Iterable[int]) -> Select[tuple[str]]:
        stream = events.c.stream
        of_years = or_(*(stream.endswith(f"/{year}") for year in years))
        return select(stream).where(events.c.version == 1, stream > "returns/", stream < "returns0", of_years)

    def last_transaction(
        self, connection: Connection, *, position: int | None, known_at_us: int | None
    ) -> tuple[int, int] | None:
        """Position and time of the last transaction that had ended by a position, by a time, or by now."""
        at, time_us = events.c.position, events.c.recorded_at_us
        query = select(at, time_us).where(at == events.c.transaction_end)
        if position is not None:
            query = query.where(at <= position)
        if known_at_us is not None:
            query = query.where(time_us <= known_at_us).order_by(time_us.desc())
        row = connection.execute(query.order_by(at.desc()).limit(1)).one_or_none()
        return None if row is None else (row[0], row[1])

    def last_recorded_us(self, connection: Connection) -> int:
        """The time of the last event, in microseconds since 1970; 0 of an empty log.

        Raises:
            LedgerIntegrityError: The sequencer does not say.
        """
        return read_number(connection, sequencer.c.recorded_at_us)

    def head(self, connection: Connection) -> int:
        """The position of the last event; 0 of an empty log.

        Raises:
            LedgerIntegrityError: The sequencer does not say.
        """
        return read_number(connection, sequencer.c.last)


_position = itemgetter(0)


def _sound(row: Any) -> Any:
    """The row.

    Raises:
        LedgerIntegrityError: It holds what the ledger never stores.
    """
    problem = row_problem(row)
    if problem is not None:
        raise LedgerIntegrityError(f"序号{row[0]}的记录已被改动：{problem}")
    return row


def find_by_stream(connection: Connection) -> None:
    """Have PostgreSQL find streams by the index of their names for the rest of the transaction.

    Its statistics lag behind a month that comes in: reading the whole log looks cheap by them.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.set_config("enable_seqscan", "off", True)))  # noqa: FBT003


@lru_cache(maxsize=4)
def _of_streams(dialect: str) -> Select[Any]:
    """The events of the streams that are given in one parameter."""
    if dialect == "postgresql":
        is_wanted = events.c.stream == any_(bindparam("wanted", type_=ARRAY(Text)))
    else:
        given = func.json_each(bindparam("wanted", type_=Text)).table_valued("value")
        is_wanted = events.c.stream.in_(select(given.c.value))
    query = select(events.c.stream, events.c.topic, events.c.state).where(is_wanted)
    return query.order_by(events.c.stream, events.c.version)


def _unindexed(column: ColumnElement[int]) -> ColumnElement[int]:
    """A column, as no index has it: rows are found by the index of another one.

    SQLite, which has no statistics, would rather walk through the whole log in its order than sort some rows.
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


ALL_CODES: Final = Slice("", None)


def _within(prefix: str, codes: Slice = ALL_CODES) -> ColumnElement[bool]:
    """The streams whose names begin so, as a range of their index; what follows is of these enterprises.

    The prefix and what follows end with `/`, which comes before `0`.
    """
    first = f"{prefix}{codes.above}0" if codes.above else prefix
    last = f"{prefix[:-1]}0" if codes.up_to is None else f"{prefix}{codes.up_to}0"
    return and_(events.c.stream >= first, events.c.stream < last)
