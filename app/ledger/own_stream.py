"""Reads the stream in which the ledger records its own seals and clocks."""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from app.ledger.corruption import VERIFY
from app.ledger.tables import events
from domain.errors import LedgerIntegrityError
from domain.events import LEDGER_STREAM, LogSealed

_SEALED = "LogSealed"


class OwnStream(NamedTuple):
    """The last version of the ledger's stream, and the last seal recorded in it."""

    version: int
    sealed: LogSealed | None


def read_own_stream(connection: Connection) -> OwnStream:
    """Read the stream of the ledger.

    Raises:
        LedgerIntegrityError: The last recorded seal is unreadable.
    """
    query = select(events.c.version, events.c.topic, events.c.state).where(events.c.stream == LEDGER_STREAM)
    rows = connection.execute(query.order_by(events.c.version.desc())).all()
    states = [state for _, topic, state in rows if topic == _SEALED]
    try:
        sealed = msgspec.json.decode(states[0], type=LogSealed) if states else None
    except (ValueError, TypeError) as error:
        raise LedgerIntegrityError(f"台账关于封存的记录无法读取。{VERIFY}") from error
    return OwnStream(rows[0].version if rows else 0, sealed)
