"""Sealing: extending the Merkle tree to the head of the log, after the writers have recorded.

A batch is read and hashed without a lock. Then it is stored in a short transaction, whose first statement
moves the sealed size on from where the batch began: if several processes seal at once, one of them stores
the batch, and the others notice that it is stored.
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
"""So large that the cost of a transaction per event is small, and a batch fits in a few tens of megabytes."""


class Sealed(NamedTuple):
    """The result of sealing a batch.

    Attributes:
        size: The number of sealed events; unchanged if the log was sealed up to its head already.
        by_another: Whether another process sealed the batch meanwhile.
    """

    size: int
    by_another: bool


def seal(ledger: Ledger, *, at_most: int | None = None) -> int:
    """Seal the log up to its present head; the number of events that are sealed then.

    Args:
        ledger: The ledger.
        at_most: Stop after the batch with which this call has sealed that many events; None seals all.

    Raises:
        LedgerIntegrityError: The log or its tree contradicts itself; sealed events stay sealed.
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
    """Seal the log up to a position in the caller's transaction, which keeps all others from recording.

    Raises:
        LedgerIntegrityError: The log or its tree contradicts itself.
    """
    while (size := tiles.sealed_size(connection)) < until:
        leaves = _leaf_hashes(connection, after=size, head=until)
        changed = list(tiles.grown(TileReader(connection), size=size, leaves=b"".join(leaves)))
        tiles.store(connection, changed, before=size, size=size + len(leaves))


def shortened_seal(connection: Connection) -> str | None:
    """The problem, in Chinese, if fewer events are sealed than the log has recorded as sealed; else None.

    Such a seal is not completed automatically: that would seal any record that was altered meanwhile.

    Raises:
        LedgerIntegrityError: The tables do not hold the sealed size.
    """
    sealed, size = read_own_stream(connection).sealed, tiles.sealed_size(connection)
    return None if sealed is None else shortened(sealed.size, size)


def shortened(recorded: int, size: int) -> str | None:
    """The problem, in Chinese, if `size` events are sealed but the log has recorded more; else None."""
    return f"台账曾记载前{recorded}条已封存，现只有前{size}条：封存缺失或变短" if size < recorded else None


def _leaf_hashes(connection: Connection, *, after: int, head: int) -> list[bytes]:
    """The hashes of a batch of events after a position, extended to the end of its last transaction."""
    lines = _next_lines(connection, after=after, until=head)
    hashes = [leaf_hash(canonical(line)) for line in lines]
    while lines and lines[-1].position < (end := min(lines[-1].transaction_end, head)):
        lines = _next_lines(connection, after=lines[-1].position, until=end)
        hashes += [leaf_hash(canonical(line)) for line in lines]
    return hashes


def _next_lines(connection: Connection, *, after: int, until: int) -> list[Line]:
    """Read the next rows of the log up to a position, and check that none is missing.

    Raises:
        LedgerIntegrityError: A row is missing.
    """
    # The range ends where the batch does: for a longer one PostgreSQL may sort the whole rest of the log.
    end = min(after + EVENTS_PER_BATCH, until)
    lines = read_lines(connection, after=after, until=end, limit=EVENTS_PER_BATCH)
    found = [line.position for line in lines]
    expected = range(after + 1, end + 1)
    if found != list(expected):
        missing = min(set(expected).difference(found))
        raise LedgerIntegrityError(f"台账缺少序号{missing}的记录，其后至序号{until}。{VERIFY}")
    return lines
