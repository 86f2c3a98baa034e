"""Alterations of a log by someone who can write to the database."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select, text, update

from app.ledger.ledger import Ledger
from app.ledger.tables import events, log_seal, log_tiles, sequencer
from app.runtime.database import write_transaction
from app.transparency.sealing import seal
from projections.tables import LIVE

Alteration = Callable[[Connection], object]


def alter(ledger: Ledger, alteration: Alteration) -> None:
    """Apply an alteration to the tables."""
    with write_transaction(ledger.engine) as connection:
        alteration(connection)


def setting(at: int, /, **values: Any) -> Alteration:
    """Give a row other values."""
    return lambda connection: connection.execute(
        update(events).where(events.c.position == at).values(**values)
    )


def setting_state(position: int, before: bytes, after: bytes) -> Alteration:
    """Replace some bytes of a state, which must occur in it exactly once."""

    def alteration(connection: Connection) -> None:
        state = _state(connection, position)
        assert state.count(before) == 1, state
        setting(position, state=state.replace(before, after))(connection)

    return alteration


def setting_data(position: int, change: Callable[[Any], Any]) -> Alteration:
    """Change the decoded event of a row, and encode it as the ledger would."""

    def alteration(connection: Connection) -> None:
        data = msgspec.json.decode(_state(connection, position))
        change(data)
        setting(position, state=msgspec.json.encode(data))(connection)

    return alteration


def _state(connection: Connection, position: int) -> bytes:
    state: bytes = connection.execute(
        select(events.c.state).where(events.c.position == position)
    ).scalar_one()
    return state


def deleting(first: int, last: int) -> Alteration:
    """Delete rows."""
    return lambda connection: connection.execute(delete(events).where(events.c.position.between(first, last)))


def swapping(one: int, other: int) -> Alteration:
    """Swap the positions of two rows."""

    def alteration(connection: Connection) -> None:
        for before, after in ((one, 0), (other, one), (0, other)):
            setting(before, position=after)(connection)

    return alteration


def inserting(position: int) -> Alteration:
    """Insert a copy of a row before it, as another stream, and move all later rows."""

    def alteration(connection: Connection) -> None:
        query = select(events).where(events.c.position == position)
        row = connection.execute(query).mappings().one()
        later = update(events).where(events.c.position >= position)
        connection.execute(later.values(position=events.c.position + 1000))
        moved = update(events).where(events.c.position >= 1000)
        connection.execute(moved.values(position=events.c.position - 999))
        connection.execute(events.insert().values({**row, "stream": f"{row['stream']}0"}))
        connection.execute(update(sequencer).values(last=sequencer.c.last + 1))

    return alteration


def truncating(last: int) -> Alteration:
    """Cut off the end, so that the rest is consistent."""

    def alteration(connection: Connection) -> None:
        connection.execute(delete(events).where(events.c.position > last))
        kept = connection.execute(select(events).where(events.c.position == last)).one()
        connection.execute(update(sequencer).values(last=last, recorded_at_us=kept.recorded_at_us))
        connection.execute(update(LIVE.checkpoint).values(position=last))

    return alteration


def seal_again(ledger: Ledger) -> None:
    """Seal the log as it is now, as if nothing had been sealed before."""
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(log_tiles))
        connection.execute(update(log_seal).values(size=0))
    seal(ledger)


def without_constraints(connection: Connection, table: str = "events") -> None:
    """On SQLite: move the rows into a table that accepts any value."""
    connection.execute(text(f"CREATE TABLE anything AS SELECT * FROM {table}"))
    connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text(f"ALTER TABLE anything RENAME TO {table}"))
