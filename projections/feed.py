"""The interface through which projections read the log."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from domain.events import LogEntry


class Feed(Protocol):
    """A log in the order of its positions."""

    def entries(self, connection: Connection, *, after: int, limit: int) -> Sequence[LogEntry]:
        """The next entries after a position: whole transactions, until there are at least `limit`."""
        ...
