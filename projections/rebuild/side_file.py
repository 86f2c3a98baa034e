"""A temporary file in which the processes of a replay add up the rows that enterprises share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, NullPool, create_engine

from domain.events import LogEntry
from projections.rebuild.compare import CompareAt, RowDifference, common_differences
from projections.rebuild.fill import CommonRows, finish
from projections.rebuild.shadow_tables import ShadowTables

TOKEN: Final = 2
"""The token of the tables, which no other rebuild can see."""

WAIT_S: Final = 600
"""How long a process waits for another one that writes; each writes for some seconds at most."""


class AsideFile:
    """The file, which is an SQLite database.

    Args:
        path: The path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(
            f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": WAIT_S}
        )
        self._tables = ShadowTables(self._engine.dialect.name, TOKEN)

    def make(self) -> None:
        """Create the tables."""
        with self._engine.begin() as connection:
            self._tables.make(connection)

    def put(self, common: CommonRows) -> None:
        """Write the rows that some enterprises share with others."""
        with self._engine.begin() as connection:
            common.write(connection, self._tables.aside)

    def differences(
        self, connection: Connection, others: Sequence[LogEntry], compared: CompareAt
    ) -> list[RowDifference]:
        """Compare the rows that enterprises share with those that follow from the log.

        Args:
            connection: A connection to the read models, in a transaction that reads.
            others: Every entry that does not belong to an enterprise.
            compared: The moment of the comparison.
        """
        with self._engine.begin() as derived:
            finish(derived, self._tables.models, self._tables.aside, others, compared.until)
            return list(common_differences(connection, derived, self._tables.models, compared))
