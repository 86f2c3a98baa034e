"""The ledger for programs that use the `eventsourcing` library; no other module here uses the library.

Another team can attach its own projection with the library's `Projection` and `ProjectionRunner`, or read an
aggregate through the library's repository: `docs/attached_projection.py` shows both.
"""

from collections.abc import Callable, Sequence
from threading import Event as Flag
from typing import Any, Final
from uuid import UUID

import msgspec
from eventsourcing.application import Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    JSONTranscoder,
    Mapper,
    MapperDeserialisationError,
    Notification,
    StoredEvent,
    Subscription,
)
from eventsourcing.utils import Environment, EnvType
from sqlalchemy import Engine, Select, func, select

from app.ledger import mapper
from app.ledger.clock import now_us
from app.ledger.recorder import UNATTENDED, AppendRequest, ConcurrencyConflictError, SqlRecorder
from app.ledger.tables import events
from app.runtime.database import open_engine, read_transaction, write_transaction
from domain.events import Event

POLL_INTERVAL_S: Final = 0.05
DATABASE_URL: Final = "DUIXIAN_DATABASE_URL"


class LedgerEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of the ledger with its place in a stream, under the library's names.

    Attributes:
        originator_id: The name of the stream; see `docs/reference.md`.
        originator_version: The version of the event in the stream, from 1.
        event: The event, in the newest version of its type.
    """

    originator_id: str
    originator_version: int
    event: Event


class LibraryMapper(Mapper[str]):
    """Maps `LedgerEvent` to the library's `StoredEvent` and back."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())
        self._mapper = mapper.EventMapper()

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Encode an event for storage."""
        if not isinstance(domain_event, LedgerEvent):
            raise TypeError(f"not a LedgerEvent: {domain_event!r}")
        place = domain_event.originator_id, domain_event.originator_version
        return StoredEvent(*self._mapper.encode(mapper.NewEvent(*place, domain_event.event)))

    def to_domain_event(self, stored_event: StoredEvent) -> LedgerEvent:
        """Decode a stored event.

        Raises:
            MapperDeserialisationError: The content does not fit its type, or the type is unknown.
        """
        try:
            stream = str(stored_event.originator_id)
            event = self._mapper.decode(stored_event.topic, stored_event.state, stream)
        except mapper.UndecodableEventError as error:
            raise MapperDeserialisationError(str(error)) from error
        return LedgerEvent(stream, stored_event.originator_version, event)


class LibraryRecorder(ApplicationRecorder):
    """The library's interface of an event recorder, on top of `SqlRecorder`.

    Args:
        engine: The database.
        clock: Returns microseconds since 1970.
    """

    def __init__(self, engine: Engine, clock: Callable[[], int] = now_us) -> None:
        self._engine = engine
        self._recorder = SqlRecorder(engine, clock)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], *, recording: AppendRequest = UNATTENDED, **_: Any
    ) -> Sequence[int]:
        """Append events in one transaction; return their positions.

        Raises:
            IntegrityError: A version of a stream exists already, or a stream that `recording.condition` names
                has changed.
        """
        if not stored_events:
            return []
        appended = [
            mapper.StoredEvent(
                str(stored.originator_id), stored.originator_version, stored.topic, stored.state
            )
            for stored in stored_events
        ]
        try:
            with write_transaction(self._engine) as connection:
                last = self._recorder.append(connection, appended, recording)
        except ConcurrencyConflictError as error:
            raise IntegrityError(str(error)) from error
        return list(range(last - len(appended) + 1, last + 1))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Read the events of one stream, in the order of their versions."""
        query = select(events.c.stream, events.c.version, events.c.topic, events.c.state)
        query = query.where(events.c.stream == str(originator_id))
        if gt is not None:
            query = query.where(events.c.version > gt)
        if lte is not None:
            query = query.where(events.c.version <= lte)
        query = query.order_by(events.c.version.desc() if desc else events.c.version).limit(limit)
        with read_transaction(self._engine) as connection:
            return [StoredEvent(*row) for row in connection.execute(query)]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Read the events of the log from a position on, in its order."""
        query: Select[Any] = select(
            events.c.stream, events.c.version, events.c.topic, events.c.state, events.c.position
        )
        if start is not None:
            at = events.c.position
            query = query.where(at >= start if inclusive_of_start else at > start)
        if stop is not None:
            query = query.where(events.c.position <= stop)
        if topics:
            query = query.where(events.c.topic.in_(topics))
        with read_transaction(self._engine) as connection:
            rows = connection.execute(query.order_by(events.c.position).limit(limit))
            return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        """The head of the log; None for an empty log."""
        with read_transaction(self._engine) as connection:
            head: int | None = connection.scalar(select(func.max(events.c.position)))
            return head

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Subscribe to the events after a position, including future ones."""
        return PollingSubscription(recorder=self, gt=gt, topics=topics)


class PollingSubscription(Subscription[ApplicationRecorder]):
    """Waits for events by polling, which works on every database."""

    def __init__(
        self, recorder: ApplicationRecorder, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._stopped = Flag()

    def stop(self) -> None:
        """Stop the subscription, even if it is waiting."""
        super().stop()
        self._stopped.set()

    def __next__(self) -> Notification:
        """Wait for the next event, and return it."""
        while not self._stopped.is_set():
            found = self._recorder.select_notifications(
                self._last_notification_id, 1, topics=self._topics, inclusive_of_start=False
            )
            if found:
                self._last_notification_id = found[0].id
                return found[0]
            self._stopped.wait(POLL_INTERVAL_S)
        raise StopIteration


class LedgerApplication(Application[str]):
    """The ledger as an application of the library, for reading.

    Use the ledger's own commands to record: only they apply the rules and keep the read models up to date.

    Args:
        env: The environment, in which `DUIXIAN_DATABASE_URL` names the database.

    Raises:
        OSError: The variable is missing; the library's own factories raise the same error.
    """

    name = "duixian"

    def __init__(self, env: EnvType | None = None) -> None:
        url = (env or {}).get(DATABASE_URL)
        if url is None:
            raise OSError(f"{DATABASE_URL} is missing in the environment that the application is given")
        self._engine = open_engine(url)
        super().__init__(env)

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Use a fixed environment, so that variables of the process cannot change how events are stored."""
        return Environment(name, env or {})

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        """The default factory of the library, which creates neither the recorder nor the mapper."""
        return InfrastructureFactory.construct(Environment(env.name))

    def construct_mapper(self) -> Mapper[str]:
        """The mapper for the ledger's events."""
        return LibraryMapper()

    def construct_recorder(self) -> ApplicationRecorder:
        """The recorder on top of the ledger's."""
        return LibraryRecorder(self._engine)

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._engine.dispose()
