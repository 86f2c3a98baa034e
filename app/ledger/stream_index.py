"""Which versions the streams have and which are referred to, on disk: a country has millions of streams."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, NamedTuple, Self

from domain.periods import period_of, window_of

ROWS_AT_ONCE: Final = 20_000


class Version(NamedTuple):
    """A version of a stream: its position in the log, and the period where it registers a return."""

    stream: str
    version: int
    position: int
    period: str | None


class Reference(NamedTuple):
    """What the assessment of a period, at a position, says that it used: a version of a stream."""

    position: int
    stream: str
    version: int
    period: str


class Break(NamedTuple):
    """A version of a stream that does not follow on the one before it, which has its own position.

    Attributes:
        before: The version before it; 0 where there is none.
        before_position: Its position; 0 where there is none.
    """

    position: int
    stream: str
    version: int
    before: int
    before_position: int


class StreamIndex:
    """Collects versions and references while a log is read, to be compared when it is read whole.

    It is an SQLite database without a name, which lives in memory, goes to a temporary file as it grows, and
    is gone when it is closed.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._versions: list[Version] = []
        self._references: list[Reference] = []

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Self]:
        """An empty one."""
        with closing(sqlite3.connect("", isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=OFF")
            database.execute("CREATE TABLE versions (stream, version, position, period)")
            database.execute("CREATE TABLE refs (position, stream, version, period)")
            database.execute("BEGIN")
            yield cls(database)

    def note(self, version: Version) -> None:
        """Take a version of a stream."""
        self._versions.append(version)
        if len(self._versions) == ROWS_AT_ONCE:
            self._flush()

    def refer(self, reference: Reference) -> None:
        """Take a reference."""
        self._references.append(reference)

    def _flush(self) -> None:
        self._database.executemany("INSERT INTO versions VALUES (?, ?, ?, ?)", self._versions)
        self._database.executemany("INSERT INTO refs VALUES (?, ?, ?, ?)", self._references)
        self._versions.clear()
        self._references.clear()

    def finish(self) -> None:
        """Order what was taken: before anything is asked, and after the last was taken."""
        self._flush()
        self._database.execute("CREATE INDEX in_order ON versions (stream, version, position, period)")

    def breaks(self) -> Iterator[Break]:
        """Where versions do not run 1, 2, 3 … or their positions do not grow, in the order of the log."""
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
        """The references to what was not recorded before them, or registers no return of the period."""
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
