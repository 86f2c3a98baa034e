"""A Merkle tree in memory, for tests of proofs."""

from collections.abc import Sequence

from app.transparency.merkle import complete_root, leaf_hash


class InMemory:
    """The subtrees over leaves in memory; counts the hashes that are read."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.hashes = [leaf_hash(leaf) for leaf in leaves]
        self.reads = 0

    def subtree(self, *, level: int, index: int) -> bytes:
        self.reads += 1
        leaves = self.hashes[index << level : (index + 1) << level]
        assert len(leaves) == 1 << level, "a subtree that is not complete was read"
        return complete_root(b"".join(leaves))
