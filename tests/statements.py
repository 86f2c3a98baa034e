"""Engines for tests: they share compiled statements and, on PostgreSQL, connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.util import LRUCache

MOST_STATEMENTS = 5_000

Key = tuple[Any, ...]


class _Statements(LRUCache[Key, Any]):
    """Compiled statements by what they say: SQLAlchemy's keys begin with the dialect of one engine."""

    def get(self, key: Key, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Key, value: Any) -> None:
        super().__setitem__(key[1:], value)


_STATEMENTS = {"sqlite": _Statements(MOST_STATEMENTS), "postgresql": _Statements(MOST_STATEMENTS)}


class _KeptConnection(psycopg.Connection[Any]):
    """A connection that waits for the next engine when it is closed, unless it is broken or in use."""

    key: Key = ()

    def close(self) -> None:
        """Keep the connection."""
        if not _KEPT.is_keeping or self.closed or self.info.transaction_status is not TransactionStatus.IDLE:
            super().close()
        elif self not in _KEPT.connections:
            _KEPT.connections.append(self)


class _Kept:
    """The connections that no engine uses, and whether connections are kept at all."""

    def __init__(self) -> None:
        self.connections: list[_KeptConnection] = []
        self.is_keeping = True

    def to(self, database: str) -> list[_KeptConnection]:
        """The connections to a database."""
        return [kept for kept in self.connections if not kept.closed and kept.info.dbname == database]


_KEPT = _Kept()


@contextmanager
def own_connections() -> Iterator[None]:
    """Let every engine make its own connections: for tests of what happens to connections."""
    for kept in _KEPT.connections:
        psycopg.Connection.close(kept)
    _KEPT.connections = []
    _KEPT.is_keeping = False
    yield
    _KEPT.is_keeping = True


def create_engine_sharing(*args: Any, **options: Any) -> Engine:
    """An engine, as SQLAlchemy makes it, that does not repeat what earlier engines of its kind have done.

    It compiles no statement that another one has compiled. On PostgreSQL it uses their connections to the
    same database: the server takes longer to answer the first queries of a connection than most tests need.
    """
    engine = create_engine(*args, **options)
    engine.update_execution_options(compiled_cache=_STATEMENTS[engine.dialect.name])
    if engine.dialect.name == "postgresql":
        event.listen(engine, "do_connect", lambda _, __, arguments, named: _connect(*arguments, **named))
    return engine


def _connect(*arguments: Any, **named: Any) -> _KeptConnection:
    key = (arguments, *sorted((name, value) for name, value in named.items() if name != "context"))
    for kept in [connection for connection in _KEPT.connections if connection.key == key]:
        _KEPT.connections.remove(kept)
        try:
            kept.execute("SELECT 1")
            kept.rollback()
        except psycopg.Error:  # The test has ended it, or its database.
            continue
        return kept
    made = _KeptConnection.connect(*arguments, **named)
    made.key = key
    return made


def close_kept(database: str) -> None:
    """Close the kept connections to a database."""
    for kept in _KEPT.to(database):
        _KEPT.connections.remove(kept)
        psycopg.Connection.close(kept)


def kept_processes(database: str) -> list[int]:
    """The server's processes for the kept connections to a database."""
    return [kept.info.backend_pid for kept in _KEPT.to(database)]
