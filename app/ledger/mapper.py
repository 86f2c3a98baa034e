"""Maps the events of the domain to the stored bytes and back: JSON, under a short stable topic."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from app.ledger.corruption import shown
from app.ledger.earlier_events import UPCASTS, Upcast
from domain.events import EVENT_TYPES, Event


class UndecodableEventError(Exception):
    """The stored bytes are not an event of their topic."""


class UnknownTypeError(UndecodableEventError):
    """An event has a type that this program does not know: a newer program recorded it."""


class NewEvent(NamedTuple):
    """An event with its place in a stream; versions count from 1."""

    stream: str
    version: int
    event: Event


class StoredEvent(NamedTuple):
    """An encoded event with its place: the topic names the type, the state is JSON."""

    stream: str
    version: int
    topic: str
    state: bytes


@lru_cache(maxsize=64)
def type_name(topic: str) -> str:
    """The name of the type that a topic belongs to, without the number of a version (`ReturnFiled.2`)."""
    return topic.partition(".")[0]


class EventMapper:
    """Maps `NewEvent` to `StoredEvent` and back.

    Args:
        types: The types by topic.
        upcasts: The conversions by topic, for topics of earlier versions.
    """

    def __init__(
        self, types: Mapping[str, type[Any]] = EVENT_TYPES, upcasts: Mapping[str, Upcast] = UPCASTS
    ) -> None:
        self._topics = {kind: topic for topic, kind in types.items()}
        earlier = {topic: upcast.earlier for topic, upcast in upcasts.items()}
        self._decoders = {topic: msgspec.json.Decoder(kind) for topic, kind in {**earlier, **types}.items()}
        self._types = types
        self._upcasts = upcasts
        self._encode = msgspec.json.Encoder().encode

    @property
    def topics(self) -> frozenset[str]:
        """The topics that can be decoded."""
        return frozenset(self._decoders)

    def encode(self, new: NewEvent) -> StoredEvent:
        """Encode an event for storage."""
        stream, version, event = new
        return StoredEvent(stream, version, self._topics[type(event)], self._encode(event))

    def decode(self, topic: str, state: bytes, stream: str) -> Event:
        """Decode an event, into the newest version of its type.

        Args:
            topic: The topic.
            state: The event as JSON.
            stream: The name of its stream, from which earlier versions take some of their content.

        Raises:
            UnknownTypeError: This program does not know the topic.
            UndecodableEventError: The state does not fit the type.
        """
        decoder = self._decoders.get(topic)
        if decoder is None:
            raise UnknownTypeError(f"类型{shown(topic)}是本程序不认识的，须使用更新的程序")
        try:
            event: Event = decoder.decode(state)
            return event if topic in self._types else self._upcast(topic, event, stream)
        # Bytes that are not UTF-8, endless brackets; in SQLite a number instead of bytes.
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UndecodableEventError(f"内容不是{shown(topic)}类型的记录") from error

    def newest(self, topic: str, state: bytes, event: Event) -> bytes:
        """Encode a decoded event in the newest version of its type."""
        return state if topic in self._types else self._encode(event)

    def _upcast(self, topic: str, event: Any, stream: str) -> Event:
        while topic not in self._types:
            topic, event = self._upcasts[topic].apply(stream, event)
        newest: Event = event
        return newest
