"""Reads the tables that belong to the log without trusting their contents, for verification."""

from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, select, text, type_coerce
from sqlalchemy.types import NullType

from app.ledger.singletons import find_numbers
from app.ledger.tables import log_seal, log_tiles, sequencer
from app.transparency import merkle
from app.transparency.tiles import TILE_HASHES, TileReader


class Sequenced(NamedTuple):
    """The row of the sequencer: last position, its time, and the position of the last `PolicyPublished`."""

    last: int
    recorded_at_us: int
    publication: int


def read_sequencer(connection: Connection) -> Sequenced | None:
    """Read the sequencer; None if it is not a single row of integers."""
    found = find_numbers(connection, [sequencer.c[name] for name in Sequenced._fields])
    return None if found is None else Sequenced(*found)


def read_sealed_size(connection: Connection) -> int | None:
    """Read how many events are sealed; None if the table is not a single row with an integer."""
    found = find_numbers(connection, [log_seal.c.size])
    return None if found is None else found[0]


def read_leaf_tiles(connection: Connection, *, first: int, last: int) -> dict[int, bytes]:
    """Read the tiles with the hashes of the events at these positions, by index; skip what is not bytes."""
    query = select(log_tiles.c.index, _as_stored(log_tiles.c.hashes)).where(
        log_tiles.c.level == 0,
        log_tiles.c.index.between((first - 1) // TILE_HASHES, (last - 1) // TILE_HASHES),
    )
    found = connection.execute(query, execution_options={"as_bytes": True})
    return {index: hashes for index, hashes in found if type(hashes) is bytes}


def find_loose_tables(connection: Connection) -> list[str]:
    """Find the tables of SQLite that are not STRICT, because somebody changed their definition."""
    if connection.dialect.name != "sqlite":
        return []
    query = text(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'alembic_version' ORDER BY name"
    )
    return list(connection.scalars(query))


def read_root(connection: Connection, size: int) -> bytes:
    """Compute the root over the first `size` events from the tiles.

    Raises:
        LedgerIntegrityError: A tile that it needs is missing, too short, or not bytes.
    """
    return merkle.root(TileReader(connection), size)


def _as_stored(column: Column[Any]) -> Any:
    """A column whose values come as the driver returns them."""
    return type_coerce(column, NullType())
