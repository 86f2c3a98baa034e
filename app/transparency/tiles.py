"""Stores the Merkle tree: full tiles of 256 hashes, and the growing ones at the right edge."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, update

from app.ledger.corruption import VERIFY
from app.ledger.singletons import read_number
from app.ledger.tables import log_seal, log_tiles
from app.runtime.limits import ROOTS_KEPT
from app.transparency import merkle
from app.transparency.merkle import HASH_BYTES
from domain.errors import LedgerIntegrityError

TILE_HEIGHT: Final = 8
TILE_HASHES: Final = 1 << TILE_HEIGHT
TILE_BYTES: Final = TILE_HASHES * HASH_BYTES


class Tile(msgspec.Struct, frozen=True):
    """A row of `log_tiles`: up to 256 concatenated hashes, each over 256**level leaves."""

    level: int
    index: int
    hashes: bytes


class TileReader:
    """Reads the hashes of complete subtrees from the tiles, each tile once.

    Args:
        connection: A connection in a read transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[tuple[int, int], bytes] = {}

    def subtree(self, *, level: int, index: int) -> bytes:
        """The hash of the complete subtree over the 2**level leaves from leaf index * 2**level on.

        Raises:
            LedgerIntegrityError: The tile is missing, or too short.
        """
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile, first = divmod(index << height, TILE_HASHES)
        hashes = self.tile(level=tile_level, index=tile)
        subtree = hashes[first * HASH_BYTES : (first + (1 << height)) * HASH_BYTES]
        if len(subtree) != HASH_BYTES << height:
            raise LedgerIntegrityError(f"第{tile_level}层第{tile}块记录指纹缺失。{VERIFY}")
        return merkle.complete_root(subtree)

    def tile(self, *, level: int, index: int) -> bytes:
        """The hashes of a tile; empty if there is no such tile.

        Raises:
            LedgerIntegrityError: Somebody altered the table, so that it holds something else.
        """
        hashes = self._read.get((level, index))
        if hashes is None:
            query = select(log_tiles.c.hashes).where(log_tiles.c.level == level, log_tiles.c.index == index)
            hashes = self._connection.scalar(query) or b""
            if type(hashes) is not bytes:
                raise LedgerIntegrityError(f"第{level}层第{index}块记录指纹不是字节。{VERIFY}")
            self._read[level, index] = hashes
        return hashes


def grown(reader: TileReader, *, size: int, leaves: bytes) -> Iterator[Tile]:
    """The tiles that change when leaves are added.

    Args:
        reader: Reads the tiles so far.
        size: The number of leaves so far.
        leaves: The concatenated hashes of the leaves to add.

    Raises:
        LedgerIntegrityError: The number of hashes in a tile at the right edge does not match the size.
    """
    level, added = 0, leaves
    while added:
        first, kept = divmod(size, TILE_HASHES)
        before = reader.tile(level=level, index=first) if kept else b""
        if len(before) != kept * HASH_BYTES:
            raise LedgerIntegrityError(f"第{level}层第{first}块记录指纹不是{kept}个。{VERIFY}")
        hashes = before + added
        tiles = [hashes[at : at + TILE_BYTES] for at in range(0, len(hashes), TILE_BYTES)]
        yield from (Tile(level, index, tile) for index, tile in enumerate(tiles, first))
        added = b"".join([merkle.complete_root(tile) for tile in tiles if len(tile) == TILE_BYTES])
        level, size = level + 1, first


def sealed_size(connection: Connection) -> int:
    """The number of events in the tiles.

    Raises:
        LedgerIntegrityError: The table does not hold it.
    """
    return read_number(connection, log_seal.c.size)


def store(connection: Connection, tiles: Sequence[Tile], *, before: int, size: int) -> bool:
    """Store the tiles that changed between two sizes; False if another process has stored them already."""
    moved = update(log_seal).where(log_seal.c.size == before).values(size=size)
    if connection.execute(moved).rowcount != 1:
        return False
    edges = {tile.level: tile.index for tile in reversed(tiles)}
    for level, index in edges.items():  # The first changed tile of a level may have grown from a stored one.
        connection.execute(delete(log_tiles).where(log_tiles.c.level == level, log_tiles.c.index == index))
    connection.execute(insert(log_tiles), [msgspec.structs.asdict(tile) for tile in tiles])
    return True


class _Roots:
    """A cache of the most recently read roots; the root of a given size never changes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_size: OrderedDict[int, bytes] = OrderedDict()

    def find(self, size: int) -> bytes | None:
        with self._lock:
            if size in self._by_size:
                self._by_size.move_to_end(size)
            return self._by_size.get(size)

    def keep(self, size: int, root: bytes) -> None:
        with self._lock:
            self._by_size[size] = root
            if len(self._by_size) > ROOTS_KEPT:
                self._by_size.popitem(last=False)


_ROOTS: WeakKeyDictionary[Engine, _Roots] = WeakKeyDictionary()


def root_at(connection: Connection, size: int) -> bytes | None:
    """The root of the Merkle tree over the first `size` events; None until all of them are sealed.

    Raises:
        LedgerIntegrityError: A tile that it needs is missing, or too short.
    """
    roots = _ROOTS.setdefault(connection.engine, _Roots())
    root = roots.find(size)
    if root is None and size <= sealed_size(connection):
        root = merkle.root(TileReader(connection), size)
        roots.keep(size, root)
    return root
