"""A second set of the read models, which a rebuild fills and then switches with the live one."""

from typing import Final, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Table,
    func,
    insert,
    quoted_name,
    select,
    text,
    update,
)
from sqlalchemy import exc as sql_errors
from sqlalchemy.schema import CreateTable, DropTable

from projections.column_types import BIG_INTEGER, TEXT
from projections.tables import LIVE, ReadModels
from projections.temporal_rows import analyse

SUFFIX: Final = "_rebuilt"
_REPLACED: Final = "_replaced"
_HELD: Final = ("from_position", "to_position")

_MAKING: Final = 0x4475_6978_6961_6E
"""The number of an advisory lock of PostgreSQL."""


class CommonTables(NamedTuple):
    """The tables for the rows that enterprises share, until all enterprises are filled in.

    Attributes:
        sum_changes: The change to a sum by a transaction; several rows of one transaction add up.
        ends: The ends of transactions and their times, each at least once.
        slices: The slices of enterprises that are filled in, by the code that each begins after.
    """

    sum_changes: Table
    ends: Table
    slices: Table


def common_tables(metadata: MetaData) -> CommonTables:
    """Define the tables for the shared rows; they are in no migration."""
    key = ("policy", "window", "dimension", "key")
    changes = ("position", *(column.name for column in LIVE.totals.c if column.name not in {*key, *_HELD}))
    return CommonTables(
        Table(
            f"sum_changes{SUFFIX}",
            metadata,
            *(Column(name, LIVE.totals.c[name].type, nullable=False) for name in key),
            *(Column(name, BIG_INTEGER, nullable=False) for name in changes),
            sqlite_strict=True,
        ),
        Table(
            f"ends{SUFFIX}",
            metadata,
            Column("position", BIG_INTEGER, nullable=False),
            Column("recorded_at_us", BIG_INTEGER, nullable=False),
            sqlite_strict=True,
        ),
        Table(f"slices{SUFFIX}", metadata, Column("above", TEXT, primary_key=True), sqlite_strict=True),
    )


class OvertakenError(Exception):
    """Another rebuild has started since, and replaced these tables with its own."""


class ShadowTables:
    """The tables of one rebuild.

    Args:
        dialect: The name of SQLAlchemy's dialect of the database.
        token: A number that distinguishes this rebuild from any other.
    """

    def __init__(self, dialect: str, token: int) -> None:
        metadata = MetaData()
        self._metadata = metadata
        self._is_postgres = dialect == "postgresql"
        self._token = token  # The id of the checkpoint's row.
        self.aside = common_tables(metadata)
        self.models = ReadModels(*(_shadow(table, metadata, dialect) for table in LIVE))

    def make(self, connection: Connection) -> None:
        """Create the empty tables, after dropping those that an earlier rebuild left.

        The checkpoint is dropped first, because every transaction of a rebuild reads it first: so this waits
        for a transaction that fills the tables or switches them, and never the other way round.
        """
        if self._is_postgres:  # Two rebuilds that create tables at once would not see each other's.
            connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
        for table in (*self.models, *self.aside):
            connection.execute(DropTable(table, if_exists=True))
        for table in self._metadata.sorted_tables:
            connection.execute(CreateTable(table))
        connection.execute(insert(self.models.checkpoint).values(id=self._token, position=0))

    def check(self, connection: Connection) -> None:
        """Lock these tables against other rebuilds, which would drop them, until the transaction ends.

        Raises:
            OvertakenError: Another rebuild has started since.
        """
        query = select(self.models.checkpoint.c.id)
        try:
            token = connection.execute(query).scalar()
        except sql_errors.DBAPIError as error:
            if not _misses_a_table(error):
                raise
            raise OvertakenError from error  # The other rebuild is already complete.
        if token != self._token:
            raise OvertakenError

    def begins(self, connection: Connection, above: str) -> bool:
        """Note that a slice is filled in; False if it was already, by a commit whose answer was lost."""
        slices = self.aside.slices
        if connection.execute(select(slices).where(slices.c.above == above)).one_or_none() is not None:
            return False
        connection.execute(insert(slices).values(above=above))
        return True

    def index(self, connection: Connection) -> None:
        """Create the indexes, which is cheaper after the rows; on SQLite the switch creates them."""
        if self._is_postgres:
            for table in self.models:
                for index in table.indexes:
                    index.create(connection)

    def analyse(self, connection: Connection) -> None:
        """Update PostgreSQL's statistics of these tables before they are read."""
        analyse(connection, self.models)

    def take_over(self, connection: Connection) -> int:
        """Rename the live tables, which waits for running projections and reads and keeps out later ones.

        It takes the checkpoint first and the transactions second, in the order in which projections and reads
        do: so none of them waits for this while this waits for it.

        Returns:
            The position of the old tables; 0 if they do not say, and then nothing is lost with them.
        """
        for live in LIVE:
            connection.execute(text(f'ALTER TABLE "{live.name}" RENAME TO "{live.name}{_REPLACED}"'))
        query = text(f'SELECT position FROM "{LIVE.checkpoint.name}{_REPLACED}"')  # noqa: S608 - a name of ours
        found = connection.execute(query).scalars().all()
        return found[0] if len(found) == 1 and type(found[0]) is int else 0

    def switch(self, connection: Connection) -> None:
        """Rename these tables to the live ones, and drop the old ones and those for the shared rows."""
        for table in self.aside:
            connection.execute(DropTable(table))
        for live, made in zip(LIVE, self.models, strict=True):
            connection.execute(text(f'DROP TABLE "{live.name}{_REPLACED}"'))
            connection.execute(text(f'ALTER TABLE "{made.name}" RENAME TO "{live.name}"'))
            if self._is_postgres:
                _rename_indexes(connection, live)
            else:
                for index in live.indexes:  # Their names were taken until now.
                    index.create(connection)
        connection.execute(update(LIVE.checkpoint).values(id=1))


def _shadow(table: Table, metadata: MetaData, dialect: str) -> Table:
    copy = table.to_metadata(metadata, name=table.name + SUFFIX)
    if dialect == "postgresql":  # Names of indexes are unique among all tables.
        copy.primary_key.name = f"{table.primary_key.name}{SUFFIX}"
        for index in copy.indexes:
            index.name = quoted_name(f"{index.name}{SUFFIX}", quote=None)
    else:  # SQLite cannot rename an index.
        copy.indexes.clear()
    return copy


def _misses_a_table(error: sql_errors.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "42P01" or str(error.orig).startswith("no such table")


def _rename_indexes(connection: Connection, live: Table) -> None:
    for name in (live.primary_key.name, *(index.name for index in live.indexes)):
        connection.execute(text(f'ALTER INDEX "{name}{SUFFIX}" RENAME TO "{name}"'))
