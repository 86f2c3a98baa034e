"""Inserts rows into an empty log unchecked, in the caller's transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update
from sqlalchemy import exc as sql_errors

from app.ledger.lines import Line, LineError
from app.ledger.recorder import insert_rows
from app.ledger.tables import events, sequencer


class NotEmptyError(Exception):
    """The log has events already."""


def lock_empty(connection: Connection) -> None:
    """Lock an empty log, so that no other process can record until the transaction ends.

    Raises:
        NotEmptyError: The log has events.
    """
    locked = connection.execute(update(sequencer).where(sequencer.c.last == 0).values(last=0)).rowcount
    if locked != 1 or connection.execute(select(events.c.position).limit(1)).first() is not None:
        raise NotEmptyError("the log has events already")


def insert_lines(connection: Connection, lines: Sequence[Line]) -> None:
    """Insert the next rows.

    Raises:
        LineError: A position, or a version of a stream, exists already.
    """
    try:
        insert_rows(connection, lines)
    except sql_errors.IntegrityError as error:
        raise LineError("序号或版本重复") from error


def set_sequencer(connection: Connection, last: Line, *, publication: int) -> None:
    """Set the sequencer to the last row; `publication` is the position of the last `PolicyPublished`."""
    values = {"last": last.position, "recorded_at_us": last.recorded_at_us, "publication": publication}
    connection.execute(update(sequencer).values(values))
