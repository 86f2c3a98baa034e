"""Indexes the versions of streams, and the references to them, on disk: a country has millions of streams."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, NamedTuple, Self

from domain.periods import period_of, window_of

ROWS_AT_ONCE: Final = 20_000


class Version(NamedTuple):
    """A version of a stream: its position in the log, and the period of the return that it registers."""

    stream: str
    version: int
    position: int
    period: str | None


class Reference(NamedTuple):
    """A reference from the assessment of a period, at a position, to a version of a stream."""

    position: int
    stream: str
    version: int
    period: str


class Break(NamedTuple):
    """A version of a stream that does not follow the preceding one in its number or its position.

    Attributes:
        before: The preceding version; 0 if there is none.
        before_position: The position of the preceding version; 0 if there is none.
    """

    position: int
    stream: str
    version: int
    before: int
    before_position: int


class StreamIndex:
    """Collects versions and references while a log is read, and compares them once all are collected.

    It is an SQLite database without a name, which is in memory at first, uses a temporary file as it grows,
    and disappears when it is closed.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._versions: list[Version] = []
        self._references: list[Reference] = []

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """Open an empty index."""
        with closing(sqlite3.connect("", isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=OFF")
            database.execute(
                "CREATE TABLE versions (stream TEXT, version INTEGER, position INTEGER, period TEXT) STRICT"
            )
            database.execute(
                "CREATE TABLE refs (position INTEGER, stream TEXT, version INTEGER, period TEXT) STRICT"
            )
            database.execute("BEGIN")
            yield cls(database)

    def note(self, version: Version) -> None:
        """Add a version of a stream."""
        self._versions.append(version)
        if len(self._versions) == ROWS_AT_ONCE:
            self._flush()

    def refer(self, reference: Reference) -> None:
        """Add a reference."""
        self._references.append(reference)

    def _flush(self) -> None:
        self._database.executemany("INSERT INTO versions VALUES (?, ?, ?, ?)", self._versions)
        self._database.executemany("INSERT INTO refs VALUES (?, ?, ?, ?)", self._references)
        self._versions.clear()
        self._references.clear()

    def finish(self) -> None:
        """Build the index: after the last addition, and before any query."""
        self._flush()
        self._database.execute("CREATE INDEX in_order ON versions (stream, version, position, period)")

    def breaks(self) -> Iterator[Break]:
        """Yield the versions that break the order 1, 2, 3 … or that of the positions, in the log's order."""
        query = """
            SELECT position, stream, version, before, before_position FROM (
                SELECT
                    position, stream, version,
                    lag(version, 1, 0) OVER in_stream AS before,
                    lag(position, 1, 0) OVER in_stream AS before_position
                FROM versions WINDOW in_stream AS (PARTITION BY stream ORDER BY version, position)
            )
            WHERE version <> before + 1 OR position <= before_position
            ORDER BY position, stream, version
        """
        return map(Break._make, self._database.execute(query))

    def dangling(self) -> Iterator[Reference]:
        """Yield the references to versions not recorded before them, or without a return of the period."""
        query = """
            SELECT refs.position, refs.stream, refs.version, refs.period, versions.period FROM refs
            LEFT JOIN versions ON versions.stream = refs.stream AND versions.version = refs.version
            AND versions.position < refs.position
            WHERE versions.period IS NULL OR versions.period <> refs.period
            ORDER BY refs.position, refs.stream, refs.version
        """
        for *reference, registered in self._database.execute(query):
            found = Reference._make(reference)
            if registered is None or not window_of(found.period).holds(period_of(registered)):
                yield found
