"""Bringing the read models up to the log: after a filing, at the start, and whole."""

from sqlalchemy import Connection

from app.database import reading, writing
from app.ledger.ledger import Ledger
from projections.projector import catch_up, clear, position_of


def project_until(ledger: Ledger, position: int) -> None:
    """Project the log up to a position, one batch a transaction."""
    while True:
        with reading(ledger.engine) as connection:
            if position_of(connection) >= position:
                return
        with writing(ledger.engine) as connection:
            catch_up(ledger, connection, position)


def project_all(ledger: Ledger) -> int:
    """Project what the log holds now; the position reached. At the start this completes what was cut off."""
    with reading(ledger.engine) as connection:
        head = ledger.head(connection)
    project_until(ledger, head)
    return head


def rebuild(ledger: Ledger) -> int:
    """Empty the read models and project the whole log, in one transaction; the position reached."""
    with writing(ledger.engine) as connection:
        clear(connection)
        return _project_rest(ledger, connection)


def _project_rest(ledger: Ledger, connection: Connection) -> int:
    before = -1
    while (at := catch_up(ledger, connection)) != before:
        before = at
    return at
