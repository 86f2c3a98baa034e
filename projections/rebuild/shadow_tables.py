"""A second set of the read models, filled beside the one that is read, until it takes its place."""

from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    func,
    insert,
    quoted_name,
    select,
    text,
    update,
)
from sqlalchemy import exc as sql_errors
from sqlalchemy.schema import CreateTable, DropTable

from projections.tables import LIVE, ReadModels
from projections.temporal_rows import analyse

SUFFIX: Final = "_rebuilt"
_REPLACED: Final = "_replaced"
_HELD: Final = ("from_position", "to_position")

_MAKING: Final = 0x4475_6978_6961_6E
"""The number of an advisory lock of PostgreSQL."""


class CommonTables(NamedTuple):
    """What is put aside while the enterprises are filled in, one after the other.

    Attributes:
        sum_changes: What a transaction changes in a sum; several rows of one add up.
        ends: The ends of transactions and their times, each once or oftener.
        slices: The enterprises that are filled in, by the code that each slice begins after.
    """

    sum_changes: Table
    ends: Table
    slices: Table


def common_tables(metadata: MetaData) -> CommonTables:
    """The tables of what is put aside; no migration knows them."""
    key = ("policy", "window", "dimension", "key")
    changes = ("position", *(each.name for each in LIVE.totals.c if each.name not in {*key, *_HELD}))
    return CommonTables(
        Table(
            f"sum_changes{SUFFIX}",
            metadata,
            *(Column(name, LIVE.totals.c[name].type, nullable=False) for name in key),
            *(Column(name, BigInteger, nullable=False) for name in changes),
        ),
        Table(
            f"ends{SUFFIX}",
            metadata,
            Column("position", BigInteger, nullable=False),
            Column("recorded_at_us", BigInteger, nullable=False),
        ),
        Table(f"slices{SUFFIX}", metadata, Column("above", Text, primary_key=True)),
    )


class OvertakenError(Exception):
    """Another rebuild has begun since, with tables of its own in the place of these."""


class ShadowTables:
    """The tables of one rebuild.

    Args:
        dialect: The name of SQLAlchemy's dialect of the database.
        token: Tells this rebuild from any other.
    """

    def __init__(self, dialect: str, token: int) -> None:
        metadata = MetaData()
        self._metadata = metadata
        self._is_postgres = dialect == "postgresql"
        self._token = token  # It is the id of the checkpoint's row.
        self.aside = common_tables(metadata)
        self.models = ReadModels(*(_beside(table, metadata, dialect) for table in LIVE))

    def make(self, connection: Connection) -> None:
        """Make the tables, empty, in the place of those that an earlier rebuild left.

        The checkpoint goes first, as every transaction of a rebuild comes to it first: so this waits for one
        that fills them or switches, and that one never for this.
        """
        if self._is_postgres:  # Of two that make tables at once, neither would see those of the other.
            connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
        for table in (*self.models, *self.aside):
            connection.execute(DropTable(table, if_exists=True))
        for table in self._metadata.sorted_tables:
            connection.execute(CreateTable(table))
        connection.execute(insert(self.models.checkpoint).values(id=self._token, position=0))

    def check(self, connection: Connection) -> None:
        """Keep other rebuilds from these tables until the transaction ends: they would drop them first.

        Raises:
            OvertakenError: Another rebuild has begun since.
        """
        query = select(self.models.checkpoint.c.id)
        try:
            token = connection.execute(query).scalar()
        except sql_errors.DBAPIError as error:
            if not _misses_a_table(error):
                raise
            raise OvertakenError from error  # The other one has ended.
        if token != self._token:
            raise OvertakenError

    def begins(self, connection: Connection, above: str) -> bool:
        """Note that a slice is filled in; False where it is already, by a commit that nobody heard of."""
        slices = self.aside.slices
        if connection.execute(select(slices).where(slices.c.above == above)).one_or_none() is not None:
            return False
        connection.execute(insert(slices).values(above=above))
        return True

    def index(self, connection: Connection) -> None:
        """Make the indexes, which cost less after the rows; on SQLite the switch makes them."""
        if self._is_postgres:
            for table in self.models:
                for index in table.indexes:
                    index.create(connection)

    def analyse(self, connection: Connection) -> None:
        """Have PostgreSQL count what is in them, before they are read."""
        analyse(connection, self.models)

    def take_over(self, connection: Connection) -> int:
        """Wait for all who project or read, keep out those who come, and put the old tables aside.

        The checkpoint comes first and the transactions second, as whoever projects or reads comes to them:
        so nobody waits for this while this waits for them.

        Returns:
            The position of the old tables; 0 where they do not say, and nothing is lost with them.
        """
        for live in LIVE:
            connection.execute(text(f'ALTER TABLE "{live.name}" RENAME TO "{live.name}{_REPLACED}"'))
        query = text(f'SELECT position FROM "{LIVE.checkpoint.name}{_REPLACED}"')  # noqa: S608 - a name of ours
        found = connection.execute(query).scalars().all()
        return found[0] if len(found) == 1 and type(found[0]) is int else 0

    def switch(self, connection: Connection) -> None:
        """Put these tables in the place of the old ones, which go, as does what was put aside."""
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


def _beside(table: Table, metadata: MetaData, dialect: str) -> Table:
    copy = table.to_metadata(metadata, name=table.name + SUFFIX)
    if dialect == "postgresql":  # Names of indexes are unique among all tables.
        copy.primary_key.name = f"{table.primary_key.name}{SUFFIX}"
        for index in copy.indexes:
            index.name = quoted_name(f"{index.name}{SUFFIX}", quote=None)
    else:  # There an index cannot be renamed.
        copy.indexes.clear()
    return copy


def _misses_a_table(error: sql_errors.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "42P01" or str(error.orig).startswith("no such table")


def _rename_indexes(connection: Connection, live: Table) -> None:
    for name in (live.primary_key.name, *(index.name for index in live.indexes)):
        connection.execute(text(f'ALTER INDEX "{name}{SUFFIX}" RENAME TO "{name}"'))
