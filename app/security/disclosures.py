"""Who saw figures of single units, and what became of keys: recorded before the first figure is shown."""

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
    open_beside,
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
"""Of the second file, on SQLite."""

_KEPT_US: Final = DISCLOSURES_KEPT_DAYS * 24 * 3600 * 1_000_000
_REMOVED_AT_ONCE: Final = 10_000
"""Rows that a transaction removes: who records a disclosure meanwhile waits for tens of milliseconds."""


class DisclosureError(Exception):
    """It could not be recorded who sees figures, so that nobody may see them."""


class TooYoungError(Exception):
    """Rows are to be removed that have to be kept."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded.

    Attributes:
        kind: `figures`: figures of single units were shown. `key-…`: what became of a key. `removed`: older
            rows of figures were removed.
        actor: Who.
        route: How: a method and a route of the API, or a command.
        key: The name of the key, the one that was used or the one that it is about; None of a command.
        uscc: The enterprise, if it was one.
        query: What was asked for.
        count: How many records or enterprises were shown; how many rows were removed.
    """

    kind: Kind
    actor: str
    route: str
    key: str | None = None
    uscc: str | None = None
    query: str | None = None
    count: int | None = None


class Disclosure(Entry, frozen=True, kw_only=True):
    """An entry with its number, and its time in microseconds since 1970."""

    id: int
    at_us: int


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are asked for: of whom, about which enterprise, from when to when, both included."""

    actor: str | None = None
    uscc: str | None = None
    since_us: int | None = None
    until_us: int | None = None


Place = tuple[int, int]
"""Time and number of the last entry of a page."""


def open_disclosures(engine: Engine) -> Engine:
    """The engine of the disclosures of the ledger that another engine is of."""
    return open_beside(engine, SUFFIX, pool_size=DISCLOSURE_CONNECTIONS)


class DisclosureLog:
    """Entries, which are inserted and never changed.

    No filing keeps it waiting: it has connections of its own, on SQLite to a file of its own. They are closed
    with those of the ledger.

    Args:
        engine: Of the ledger.
        clock: Microseconds since 1970.
    """

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self._ledger_engine = engine
        self._engine = open_disclosures(engine)
        event.listen(engine, "engine_disposed", self._dispose)
        self._clock = clock
        # On SQLite, who waits for the lock asks now and again: those of one process had better take turns.
        self._turn = nullcontext() if has_several_writers(engine) else Lock()
        self._used: set[str] = set()

    def close(self) -> None:
        """Close its connections; it is not used again."""
        event.remove(self._ledger_engine, "engine_disposed", self._dispose)
        self._engine.dispose()

    def _dispose(self, _: Engine) -> None:
        self._engine.dispose()

    def record(self, entry: Entry) -> None:
        """Record an entry; it is on the disk when this returns.

        Raises:
            DisclosureError: It could not be recorded.
        """
        with _refusing():
            retry_once(lambda: self._insert(entry))

    def record_use(self, key: str, route: str) -> None:
        """Record the first use of a key; nothing of the later ones.

        Raises:
            DisclosureError: It could not be recorded.
        """
        if key in self._used:
            return
        with _refusing():
            if not retry_once(lambda: self._was_used(key)):
                entry = Entry(kind="key-first-used", actor=key, key=key, route=route)
                with suppress(sql_errors.IntegrityError):  # Another process recorded it at this moment.
                    self._insert(entry, first_use_of=key)
        self._used.add(key)

    def page(self, wanted: Filter, *, limit: int, after: Place | None = None) -> list[Disclosure]:
        """The entries, the newest first, after the last one of another page."""
        table = disclosures.c
        query = select(*(table[name] for name in Disclosure.__struct_fields__))
        if wanted.actor is not None:
            query = query.where(table.actor == wanted.actor)
        if wanted.uscc is not None:
            query = query.where(table.uscc == wanted.uscc)
        if wanted.since_us is not None:
            query = query.where(table.at_us >= wanted.since_us)
        if wanted.until_us is not None:
            query = query.where(table.at_us <= wanted.until_us)
        if after is not None:
            query = query.where(tuple_(table.at_us, table.id) < after)
        query = query.order_by(table.at_us.desc(), table.id.desc()).limit(limit)
        with read_transaction(self._engine) as connection:
            return [Disclosure(**row._asdict()) for row in connection.execute(query)]

    def remove(self, before_us: int, *, actor: str, route: str, query: str) -> int:
        """Remove the entries of figures before a time, which leaves an entry for good; how many.

        Raises:
            TooYoungError: Some of them have to be kept.
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
    found = connection.scalar(select(disclosures.c.id).where(disclosures.c.first_use_of == key))
    return found is not None


def _storable(text: str) -> str:
    """A text as any database holds it and any terminal may show it."""
    return escaped(text)[:DISCLOSURE_TEXT_MAX_CHARS]


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (sql_errors.SQLAlchemyError, sqlite3.Error, LedgerIntegrityError) as error:
        raise DisclosureError(str(getattr(error, "orig", None) or error)) from error
