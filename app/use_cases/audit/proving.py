"""What an auditor can verify without trusting the operator: the tree at a size, and proofs about it."""

import msgspec
from sqlalchemy import Connection

from app.ledger.corruption import VERIFY, row_problem, shown
from app.ledger.ledger import Ledger
from app.ledger.lines import Line, canonical, read_lines
from app.transparency import merkle
from app.transparency.tiles import TileReader, root_at, sealed_size
from app.use_cases.reading.as_of import PositionAheadError
from domain.errors import LedgerIntegrityError


class NotSealedError(Exception):
    """The requested events are in the log, but not sealed yet.

    Args:
        sealed: The number of sealed events.
    """

    def __init__(self, sealed: int) -> None:
        super().__init__(f"the log is sealed up to position {sealed}")
        self.sealed = sealed


class Tree(msgspec.Struct, frozen=True):
    """The Merkle tree over the first `size` events: its root, 32 bytes."""

    size: int
    root: bytes


class Inclusion(msgspec.Struct, frozen=True):
    """The proof that an event is in a tree.

    Attributes:
        position: The position of the event; the index of its leaf counts from 0 and is one less.
        leaf: The canonical line of the event.
        leaf_hash: The hash of that line (RFC 9162, section 2.1.1).
        proof: The audit path (section 2.1.3), from the leaf up.
        tree: The tree.
    """

    position: int
    leaf: str
    leaf_hash: bytes
    proof: list[bytes]
    tree: Tree

    @property
    def uscc(self) -> str | None:
        """The enterprise whose figures the event holds; None if it is not a return."""
        kind, _, name = msgspec.json.decode(self.leaf, type=_Leaf).stream.partition("/")
        return name.partition("/")[0] if kind == "returns" else None


class _Leaf(msgspec.Struct):
    stream: str


class Consistency(msgspec.Struct, frozen=True):
    """The proof that one tree is a prefix of another, so that none of its events was altered since.

    `proof` is the consistency proof of RFC 9162, section 2.1.4.
    """

    first: Tree
    second: Tree
    proof: list[bytes]


def tree_at(ledger: Ledger, connection: Connection, size: int | None) -> Tree:
    """The tree at a size; None means all sealed events.

    Raises:
        PositionAheadError: The log has fewer events.
        NotSealedError: The log has that many events, but not all of them are sealed.
        LedgerIntegrityError: The tree contradicts itself.
    """
    requested = sealed_size(connection) if size is None else size
    root = root_at(connection, requested)
    if root is not None:
        return Tree(requested, root)
    head = ledger.head(connection)
    if requested > head:
        raise PositionAheadError(head)
    raise NotSealedError(sealed_size(connection))


def prove_inclusion(ledger: Ledger, connection: Connection, *, position: int, size: int | None) -> Inclusion:
    """The proof that the event at a position is in the tree at a size; None means all sealed events.

    Raises:
        PositionAheadError: The log has fewer events, or the tree of this size ends before the position.
        NotSealedError: The log has that many events, but not all of them are sealed.
        LedgerIntegrityError: The event is not the one that was sealed, or the tree contradicts itself.
    """
    tree = tree_at(ledger, connection, size)
    if position > tree.size:
        last = ledger.head(connection) if size is None else tree.size
        raise NotSealedError(tree.size) if position <= last else PositionAheadError(last)
    lines = read_lines(connection, after=position - 1, until=position, limit=1)
    if not lines:
        raise LedgerIntegrityError(f"台账缺少序号{position}的记录。{VERIFY}")
    return prove_line(TileReader(connection), lines[0], tree)


def prove_line(reader: TileReader, line: Line, tree: Tree) -> Inclusion:
    """The proof that a line is in a tree; the tree must include its position.

    Raises:
        LedgerIntegrityError: The line is not the one that was sealed, or the tree contradicts itself.
    """
    problem = row_problem(line)
    if problem is not None:
        raise LedgerIntegrityError(f"序号{shown(line.position)}的记录已被改动：{problem}。{VERIFY}")
    data = canonical(line)
    leaf_hash, index = merkle.leaf_hash(data), line.position - 1
    if reader.subtree(level=0, index=index) != leaf_hash:
        raise LedgerIntegrityError(f"序号{line.position}的记录在封存后被改动。{VERIFY}")
    try:
        leaf = data.decode()
    except UnicodeDecodeError as error:
        raise LedgerIntegrityError(f"序号{line.position}的记录不是UTF-8编码的文字。{VERIFY}") from error
    proof = merkle.inclusion_proof(reader, index=index, size=tree.size)
    return Inclusion(line.position, leaf, leaf_hash, proof, tree)


def prove_consistency(ledger: Ledger, connection: Connection, *, first: int, second: int) -> Consistency:
    """The proof that the tree at one size is a prefix of the tree at another size, which is not smaller.

    Raises:
        PositionAheadError: The log has fewer events.
        NotSealedError: The log has that many events, but not all of them are sealed.
        LedgerIntegrityError: The tree contradicts itself.
    """
    later = tree_at(ledger, connection, second)
    earlier = tree_at(ledger, connection, first)
    proof = merkle.consistency_proof(TileReader(connection), first=first, second=second)
    return Consistency(earlier, later, proof)
