"""A temporary file in which the processes of a replay add up what enterprises have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, NullPool, create_engine

from domain.events import LogEntry
from projections.rebuild.compare import CompareAt, RowDifference, common_differences
from projections.rebuild.fill import CommonRows, finish
from projections.rebuild.shadow_tables import ShadowTables

TOKEN: Final = 2
"""Of the tables, which nobody else sees."""

WAIT_S: Final = 600
"""A process waits so long for another one that writes: they take turns of some seconds at the most."""


class AsideFile:
    """The file, which is an SQLite database.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(
            f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": WAIT_S}
        )
        self._scratch = ShadowTables(self._engine.dialect.name, TOKEN)

    def make(self) -> None:
        """Make the tables."""
        with self._engine.begin() as connection:
            self._scratch.make(connection)

    def put(self, common: CommonRows) -> None:
        """Put aside what some enterprises have in common with others."""
        with self._engine.begin() as connection:
            common.write(connection, self._scratch.aside)

    def differences(
        self, connection: Connection, others: Sequence[LogEntry], compared: CompareAt
    ) -> list[RowDifference]:
        """Compare the rows in which enterprises meet with those that follow.

        Args:
            connection: Of the read models, in a transaction that reads.
            others: Every entry that is of no enterprise.
            compared: Which rows.
        """
        with self._engine.begin() as derived:
            finish(derived, self._scratch.models, self._scratch.aside, others, compared.until)
            return list(common_differences(connection, derived, self._scratch.models, compared))
