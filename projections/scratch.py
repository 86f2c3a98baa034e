"""A second set of the read models, filled beside the one that is read, until it takes its place."""

import secrets
from typing import Final

from sqlalchemy import Connection, MetaData, Table, func, insert, quoted_name, select, text, update
from sqlalchemy import exc as sql_errors
from sqlalchemy.schema import DropTable

from projections.tables import LIVE, ReadModels

SUFFIX: Final = "_rebuilt"
_REPLACED: Final = "_replaced"

_MAKING: Final = 0x4475_6978_6961_6E
"""The number of an advisory lock of PostgreSQL."""


class OvertakenError(Exception):
    """Another rebuild has begun since, with tables of its own in the place of these."""


class Scratch:
    """The tables of one rebuild.

    Args:
        dialect: The name of SQLAlchemy's dialect of the database.
    """

    def __init__(self, dialect: str) -> None:
        metadata = MetaData()
        self._metadata = metadata
        self._is_postgres = dialect == "postgresql"
        # The id of the checkpoint's row tells this rebuild from any other.
        self._token = 2 + secrets.randbelow(2**31 - 2)
        self.models = ReadModels(*(_beside(table, metadata, dialect) for table in LIVE))

    def make(self, connection: Connection) -> None:
        """Make the tables, empty, in the place of those that an earlier rebuild left.

        The checkpoint goes first, as every transaction of a rebuild comes to it first: so this waits for one
        that fills them or switches, and that one never for this.
        """
        if self._is_postgres:  # Of two that make tables at once, neither would see those of the other.
            connection.execute(select(func.pg_advisory_xact_lock(_MAKING)))
        for table in self.models:
            connection.execute(DropTable(table, if_exists=True))
        self._metadata.create_all(connection)
        connection.execute(insert(self.models.checkpoint).values(id=self._token, position=0))

    def check(self, connection: Connection) -> None:
        """Keep others out of these tables until the transaction ends.

        Raises:
            OvertakenError: Another rebuild has begun since.
        """
        query = select(self.models.checkpoint.c.id).with_for_update()
        try:
            token = connection.execute(query).scalar()
        except sql_errors.DBAPIError as error:
            if not _misses_a_table(error):
                raise
            raise OvertakenError from error  # The other one has ended.
        if token != self._token:
            raise OvertakenError

    def analyse(self, connection: Connection) -> None:
        """Have PostgreSQL count what is in them, before they are read."""
        if self._is_postgres:
            for table in self.models:
                connection.execute(text(f'ANALYZE "{table.name}"'))

    def take_over(self, connection: Connection) -> int:
        """Wait for all who project or read, keep out those who come, and put the old tables aside.

        The checkpoint comes first and the transactions second, as whoever projects or reads comes to them:
        so nobody waits for this while this waits for them.

        Returns:
            The position of the old tables.
        """
        for live in LIVE:
            connection.execute(text(f'ALTER TABLE "{live.name}" RENAME TO "{live.name}{_REPLACED}"'))
        query = text(f'SELECT position FROM "{LIVE.checkpoint.name}{_REPLACED}"')  # noqa: S608 - a name of ours
        position: int = connection.execute(query).scalar_one()
        return position

    def switch(self, connection: Connection) -> None:
        """Put these tables in the place of the old ones, which go."""
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
