"""The root of the log's tree while its leaves come, in a few hashes of memory: it trusts no stored one."""

from app.transparency.merkle import EMPTY_ROOT, node_hash


class RunningRoot:
    """The Merkle tree over the leaves so far, by RFC 9162, section 2.1.

    Attributes:
        size: How many leaves there are.
    """

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []  # The roots of the complete subtrees, the largest first.

    def append(self, leaf: bytes) -> None:
        """Take the hash of the next leaf."""
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
        for each in reversed(larger):
            root = node_hash(left=each, right=root)
        return root
