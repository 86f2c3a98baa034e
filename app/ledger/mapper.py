"""Between the events of the domain and the bytes that are stored: JSON, under a short stable topic."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, MapperDeserialisationError, StoredEvent

from app.ledger.corruption import shown
from domain.events import EVENT_TYPES, Event

EventState = dict[str, Any]
Upcast = Callable[[EventState], tuple[str, EventState]]
"""From the state of an earlier version of a type to the topic and state of the next one."""

UPCASTS: Mapping[str, Upcast] = {}
"""By topic. A changed type is stored under a new topic (`ReturnFiled.2`), the old one is upcast for ever."""


class UnknownTypeError(MapperDeserialisationError):
    """An event is of a type that this program does not know: a newer one recorded it."""


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with its place in a stream, in the words of the `eventsourcing` library."""

    originator_id: str
    originator_version: int
    event: Event


class EventMapper(Mapper[str]):
    """Maps `NewEvent` to the library's `StoredEvent` and back.

    Args:
        types: The types by topic.
        upcasts: The upcasts by topic, for topics that are written no more.
    """

    def __init__(
        self, types: Mapping[str, type[Any]] = EVENT_TYPES, upcasts: Mapping[str, Upcast] = UPCASTS
    ) -> None:
        super().__init__(JSONTranscoder())
        self._topics = {kind: topic for topic, kind in types.items()}
        self._decoders = {topic: msgspec.json.Decoder(kind) for topic, kind in types.items()}
        self._types = types
        self._upcasts = upcasts
        self._encode = msgspec.json.Encoder().encode

    @property
    def topics(self) -> frozenset[str]:
        """The topics that can be decoded."""
        return frozenset({*self._types, *self._upcasts})

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """The event as it is stored."""
        if not isinstance(domain_event, NewEvent):
            raise TypeError(f"not a NewEvent: {domain_event!r}")
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=self._topics[type(domain_event.event)],
            state=self._encode(domain_event.event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> NewEvent:
        """The event as it was before it was stored, in the newest version of its type."""
        return NewEvent(
            str(stored_event.originator_id),
            stored_event.originator_version,
            self.decode(stored_event.topic, stored_event.state),
        )

    def decode(self, topic: str, state: bytes) -> Event:
        """The event of a topic and a state.

        Raises:
            UnknownTypeError: This program does not know the topic.
            MapperDeserialisationError: The state is not of its type.
        """
        decoder = self._decoders.get(topic)
        if decoder is None and topic not in self._upcasts:
            raise UnknownTypeError(f"类型{shown(topic)}是本程序不认识的，须使用更新的程序")
        try:
            if decoder is not None:
                event: Event = decoder.decode(state)
                return event
            return self._upcast(topic, state)
        # Bytes that are no UTF-8, endless brackets; in SQLite a number in the place of bytes.
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MapperDeserialisationError(f"内容不是{shown(topic)}类型的记录") from error

    def newest(self, topic: str, state: bytes, event: Event) -> bytes:
        """The state of a decoded event in the newest version of its type."""
        return state if topic in self._types else self._encode(event)

    def _upcast(self, topic: str, state: bytes) -> Event:
        data = msgspec.json.decode(state, type=dict[str, Any])
        while topic not in self._types:
            topic, data = self._upcasts[topic](data)
        event: Event = msgspec.convert(data, self._types[topic])
        return event
