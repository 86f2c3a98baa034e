"""Computes the root of the log's tree leaf by leaf, with a few hashes in memory and no stored hash."""

from app.transparency.merkle import EMPTY_ROOT, node_hash


class RunningRoot:
    """The Merkle tree over the leaves so far, by RFC 9162, section 2.1.

    Attributes:
        size: The number of leaves so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []  # The roots of the complete subtrees, the largest first.

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        self.size += 1
        merges = self.size
        while merges & 1 == 0:
            leaf = node_hash(left=self._complete.pop(), right=leaf)
            merges >>= 1
        self._complete.append(leaf)

    def root(self) -> bytes:
        """The root over the leaves so far."""
        if not self._complete:
            return EMPTY_ROOT
        *larger, root = self._complete
        for node in reversed(larger):
            root = node_hash(left=node, right=root)
        return root
