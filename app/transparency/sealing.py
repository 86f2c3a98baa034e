"""Sealing: bringing the Merkle tree up to the log, behind those who write to it.

A batch is read and hashed without a lock. Then it is stored, in a short transaction whose first statement
moves the sealed size on from where the batch began: of several that seal at once one gets it done, and the
others find it done.
"""

from typing import Final, NamedTuple

from sqlalchemy import Connection

from app.ledger.corruption import VERIFY
from app.ledger.ledger import Ledger
from app.ledger.lines import Line, canonical, read_lines
from app.ledger.own_stream import read_own_stream
from app.runtime.database import read_transaction, with_retries, write_transaction
from app.transparency import tiles
from app.transparency.merkle import leaf_hash
from app.transparency.tiles import TileReader
from domain.errors import LedgerIntegrityError

EVENTS_PER_BATCH: Final = 20_000
"""Enough that a transaction costs little for each event, and a batch fits in a few tens of megabytes."""


class Sealed(NamedTuple):
    """What came of a batch.

    Attributes:
        size: How many events are sealed now; the same as before at the head.
        by_another: Whether somebody else sealed the batch meanwhile.
    """

    size: int
    by_another: bool


def seal(ledger: Ledger, *, at_most: int | None = None) -> int:
    """Seal what the log holds now; the size reached.

    Args:
        ledger: The ledger.
        at_most: Stop after the batch that brings the events sealed here to so many; None seals all.

    Raises:
        LedgerIntegrityError: The log or its tree contradicts itself; what is sealed stays.
    """
    with read_transaction(ledger.engine) as connection:
        began, head = tiles.sealed_size(connection), ledger.head(connection)
    before, size = -1, began
    until = head if at_most is None else min(head, began + at_most)
    while before < size < until:
        before, size = size, seal_next(ledger).size
    return size


def seal_next(ledger: Ledger) -> Sealed:
    """Seal the next batch of whole transactions.

    Raises:
        LedgerIntegrityError: The log or its tree contradicts itself.
    """
    return with_retries(lambda: _seal_batch(ledger))


def _seal_batch(ledger: Ledger) -> Sealed:
    with read_transaction(ledger.engine) as connection:
        size, head = tiles.sealed_size(connection), ledger.head(connection)
        if size > head:
            raise LedgerIntegrityError(f"台账止于序号{head}，而已封存{size}条：末尾的记录缺失。{VERIFY}")
        problem = shortened_seal(connection)
        if problem is not None:
            raise LedgerIntegrityError(f"{problem}。{VERIFY}")
        leaves = _leaf_hashes(connection, after=size, head=head)
        changed = list(tiles.grown(TileReader(connection), size=size, leaves=b"".join(leaves)))
    if not leaves:
        return Sealed(size, by_another=False)
    reached = size + len(leaves)
    with write_transaction(ledger.engine) as connection:
        if tiles.store(connection, changed, before=size, size=reached):
            return Sealed(reached, by_another=False)
        return Sealed(tiles.sealed_size(connection), by_another=True)


def seal_within(connection: Connection, *, until: int) -> None:
    """Seal the log up to its head in the caller's transaction, while nobody else records.

    Raises:
        LedgerIntegrityError: The log or its tree contradicts itself.
    """
    while (size := tiles.sealed_size(connection)) < until:
        leaves = _leaf_hashes(connection, after=size, head=until)
        changed = list(tiles.grown(TileReader(connection), size=size, leaves=b"".join(leaves)))
        tiles.store(connection, changed, before=size, size=size + len(leaves))


def shortened_seal(connection: Connection) -> str | None:
    """What is wrong with a seal that holds less than the log says of it, in Chinese; None if it does not.

    It is not made anew: who took it away would have whatever was altered meanwhile sealed.

    Raises:
        LedgerIntegrityError: The tables do not say.
    """
    sealed, size = read_own_stream(connection).sealed, tiles.sealed_size(connection)
    return None if sealed is None else shortened(sealed.size, size)


def shortened(recorded: int, size: int) -> str | None:
    """What to say where the log says that so many events were sealed; None where so many are."""
    return f"台账曾记载前{recorded}条已封存，现只有前{size}条：封存缺失或变短" if size < recorded else None


def _leaf_hashes(connection: Connection, *, after: int, head: int) -> list[bytes]:
    """The hashes of the events after a position: a batch, and on to the end of its last transaction."""
    lines = _next_lines(connection, after=after, until=head)
    hashes = [leaf_hash(canonical(line)) for line in lines]
    while lines and lines[-1].position < (end := min(lines[-1].transaction_end, head)):
        lines = _next_lines(connection, after=lines[-1].position, until=end)
        hashes += [leaf_hash(canonical(line)) for line in lines]
    return hashes


def _next_lines(connection: Connection, *, after: int, until: int) -> list[Line]:
    """The next rows of the log up to a position, none of them missing."""
    # A range that ends where the batch does: PostgreSQL may sort the whole rest of the log for a longer one.
    end = min(after + EVENTS_PER_BATCH, until)
    lines = read_lines(connection, after=after, until=end, limit=EVENTS_PER_BATCH)
    found = [line.position for line in lines]
    expected = range(after + 1, end + 1)
    if found != list(expected):
        missing = min(set(expected).difference(found))
        raise LedgerIntegrityError(f"台账缺少序号{missing}的记录，其后至序号{until}。{VERIFY}")
    return lines
