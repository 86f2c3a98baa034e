"""Records who saw single-unit statistics, before the first figure is shown, and what happened to keys."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from threading import Lock
from typing import Final, Literal

import msgspec
from sqlalchemy import Connection, Engine, delete, event, func, insert, select, tuple_
from sqlalchemy import exc as sql_errors

from app.runtime.database import (
    has_several_writers,
    open_separate,
    read_transaction,
    retry_once,
    write_transaction,
)
from app.runtime.escaping import escaped
from app.runtime.limits import DISCLOSURE_CONNECTIONS, DISCLOSURE_TEXT_MAX_CHARS, DISCLOSURES_KEPT_DAYS
from app.security.tables import disclosures
from domain.errors import LedgerIntegrityError

Kind = Literal["figures", "key-created", "key-first-used", "key-revoked", "removed"]

SUFFIX: Final = "-disclosures"
"""The suffix of the second database file, on SQLite."""

_KEPT_US: Final = DISCLOSURES_KEPT_DAYS * 24 * 3600 * 1_000_000
_REMOVED_AT_ONCE: Final = 10_000
"""Rows removed in one transaction: a disclosure recorded meanwhile waits for tens of milliseconds."""


class DisclosureError(Exception):
    """A disclosure could not be recorded, so the figures must not be shown."""


class TooYoungError(Exception):
    """Rows that must still be kept were to be removed."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry to be recorded.

    Attributes:
        kind: `figures`: single-unit statistics were shown. `key-…`: an event in the life of a key. `removed`:
            older rows of kind `figures` were removed.
        actor: The person or program that acted.
        route: The method and route of the API, or the command.
        key: The name of the key that was used or that the entry is about; None for a command.
        uscc: The enterprise, if the entry is about a single one.
        query: The query.
        count: The number of records or enterprises shown, or of rows removed.
    """

    kind: Kind
    actor: str
    route: str
    key: str | None = None
    uscc: str | None = None
    query: str | None = None
    count: int | None = None


class Disclosure(Entry, frozen=True, kw_only=True):
    """A recorded entry, with its number and its time in microseconds since 1970."""

    id: int
    at_us: int


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to list: by actor, by enterprise, and by time, both ends included."""

    actor: str | None = None
    uscc: str | None = None
    since_us: int | None = None
    until_us: int | None = None


Place = tuple[int, int]
"""The time and the number of the last entry of a page."""


def open_disclosures(engine: Engine) -> Engine:
    """Open an engine for the disclosures that belong to the ledger of `engine`."""
    return open_separate(engine, SUFFIX, pool_size=DISCLOSURE_CONNECTIONS)


class DisclosureLog:
    """The entries, which are inserted and never changed.

    It never waits for a filing: it has its own connections, on SQLite to a file of its own. They are closed
    together with those of the ledger.

    Args:
        engine: The engine of the ledger.
        clock: Returns microseconds since 1970.
    """

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self._ledger_engine = engine
        self._engine = open_disclosures(engine)
        event.listen(engine, "engine_disposed", self._dispose)
        self._clock = clock
        # SQLite polls for the lock now and then, so the threads of this process take turns.
        self._turn = nullcontext() if has_several_writers(engine) else Lock()
        self._used: set[str] = set()

    def close(self) -> None:
        """Close the connections; the log cannot be used again."""
        event.remove(self._ledger_engine, "engine_disposed", self._dispose)
        self._engine.dispose()

    def _dispose(self, _: Engine) -> None:
        self._engine.dispose()

    def record(self, entry: Entry) -> None:
        """Record an entry; it is on disk when this returns.

        Raises:
            DisclosureError: The entry could not be recorded.
        """
        with _refusing():
            retry_once(lambda: self._insert(entry))

    def record_use(self, key: str, route: str) -> None:
        """Record the first use of a key; do nothing for later ones.

        Raises:
            DisclosureError: The entry could not be recorded.
        """
        if key in self._used:
            return
        with _refusing():
            if not retry_once(lambda: self._was_used(key)):
                entry = Entry(kind="key-first-used", actor=key, key=key, route=route)
                with suppress(sql_errors.IntegrityError):  # Another process has just recorded it.
                    self._insert(entry, first_use_of=key)
        self._used.add(key)

    def page(self, criteria: Filter, *, limit: int, after: Place | None = None) -> list[Disclosure]:
        """A page of entries, newest first, that follows the last entry of another page."""
        table = disclosures.c
        query = select(*(table[name] for name in Disclosure.__struct_fields__))
        if criteria.actor is not None:
            query = query.where(table.actor == criteria.actor)
        if criteria.uscc is not None:
            query = query.where(table.uscc == criteria.uscc)
        if criteria.since_us is not None:
            query = query.where(table.at_us >= criteria.since_us)
        if criteria.until_us is not None:
            query = query.where(table.at_us <= criteria.until_us)
        if after is not None:
            query = query.where(tuple_(table.at_us, table.id) < after)
        query = query.order_by(table.at_us.desc(), table.id.desc()).limit(limit)
        with read_transaction(self._engine) as connection:
            return [Disclosure(**row._asdict()) for row in connection.execute(query)]

    def remove(self, before_us: int, *, actor: str, route: str, query: str) -> int:
        """Remove the entries of kind `figures` before a time, and record the removal; the number removed.

        Raises:
            TooYoungError: Some of the entries must still be kept.
            DisclosureError: The removal could not be recorded.
        """
        if before_us > self._clock() - _KEPT_US:
            raise TooYoungError
        old = (disclosures.c.kind == "figures") & (disclosures.c.at_us < before_us)
        with read_transaction(self._engine) as connection:
            count = connection.scalar(select(func.count()).where(old)) or 0
        self.record(Entry(kind="removed", actor=actor, route=route, query=query, count=count))
        some = select(disclosures.c.id).where(old).limit(_REMOVED_AT_ONCE)
        removed = 1
        while removed:
            with self._turn, write_transaction(self._engine) as connection:
                removed = connection.execute(delete(disclosures).where(disclosures.c.id.in_(some))).rowcount
        return count

    def _insert(self, entry: Entry, *, first_use_of: str | None = None) -> None:
        values = {
            name: _storable(value) if isinstance(value, str) else value
            for name, value in msgspec.structs.asdict(entry).items()
        }
        with self._turn, write_transaction(self._engine) as connection:
            connection.execute(
                insert(disclosures).values(**values, at_us=self._clock(), first_use_of=first_use_of)
            )

    def _was_used(self, key: str) -> bool:
        with read_transaction(self._engine) as connection:
            return _has_first_use(connection, key)


def _has_first_use(connection: Connection, key: str) -> bool:
    row = connection.scalar(select(disclosures.c.id).where(disclosures.c.first_use_of == key))
    return row is not None


def _storable(text: str) -> str:
    """The text, fit for every database and safe on every terminal."""
    return escaped(text)[:DISCLOSURE_TEXT_MAX_CHARS]


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (sql_errors.SQLAlchemyError, sqlite3.Error, LedgerIntegrityError) as error:
        raise DisclosureError(str(getattr(error, "orig", None) or error)) from error
