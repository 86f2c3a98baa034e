"""The Merkle tree of the log: roots and proofs by RFC 9162, section 2.1, with SHA-256.

A proof reads the hashes of complete subtrees and computes the few others from them: it takes O(log n) reads.
Leaves are counted from 0, as in the RFC: the event at position 1 is leaf 0.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
"""The root of a tree without leaves."""

_sha256 = hashlib.sha256


class SubtreeHashes(Protocol):
    """The stored hashes that proofs are computed from."""

    def subtree(self, *, level: int, index: int) -> bytes:
        """The hash of the complete subtree over the 2**level leaves from leaf index * 2**level on."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf (section 2.1.1)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(*, left: bytes, right: bytes) -> bytes:
    """The hash of a node (section 2.1.1)."""
    return _sha256(b"\x01" + left + right).digest()


def complete_root(hashes: bytes) -> bytes:
    """The root over concatenated hashes, whose number is a power of two."""
    while len(hashes) > HASH_BYTES:
        pairs = range(0, len(hashes), 2 * HASH_BYTES)
        hashes = b"".join([_sha256(b"\x01" + hashes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return hashes


def root(hashes: SubtreeHashes, size: int) -> bytes:
    """The root of the tree over the first `size` leaves (section 2.1.1)."""
    return EMPTY_ROOT if size == 0 else _range_root(hashes, 0, size)


def _range_root(hashes: SubtreeHashes, start: int, end: int) -> bytes:
    """The root over the leaves from `start` up to `end`, a range into which a tree is split."""
    count = end - start
    if count.bit_count() == 1:
        level = count.bit_length() - 1
        return hashes.subtree(level=level, index=start >> level)
    middle = _middle(start, end)
    return node_hash(left=_range_root(hashes, start, middle), right=_range_root(hashes, middle, end))


def _middle(start: int, end: int) -> int:
    """Where a range is split: after the largest power of two that is smaller than its number of leaves."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def inclusion_proof(hashes: SubtreeHashes, *, index: int, size: int) -> list[bytes]:
    """The proof that a leaf is in the tree over the first `size` leaves (section 2.1.3.1).

    Raises:
        ValueError: The tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            proof.append(_range_root(hashes, middle, end))
            end = middle
        else:
            proof.append(_range_root(hashes, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(hashes: SubtreeHashes, *, first: int, second: int) -> list[bytes]:
    """The proof that the tree over `first` leaves is a prefix of the one over `second` (section 2.1.4.1).

    The RFC leaves out the empty tree. Here it is a prefix of every tree, and its proof is empty.

    Raises:
        ValueError: The first tree is larger than the second.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {first} leaves is not a prefix of a tree of {second}")
    if first == 0:
        return []
    proof = []
    start, end = 0, second
    while first != end:
        middle = _middle(start, end)
        if first <= middle:
            proof.append(_range_root(hashes, middle, end))
            end = middle
        else:
            proof.append(_range_root(hashes, start, middle))
            start = middle
    if start > 0:  # Otherwise the subtree is the first tree itself, whose root the verifier knows.
        proof.append(_range_root(hashes, start, end))
    return proof[::-1]


def verifies_inclusion(
    proof: Sequence[bytes], *, leaf: bytes, index: int, size: int, expected_root: bytes
) -> bool:
    """Whether a proof shows that the leaf with this hash is in the tree with this root (section 2.1.3.2)."""
    if not 0 <= index < size or any(len(node) != HASH_BYTES for node in proof):
        return False
    fn, sn, computed = index, size - 1, leaf
    for node in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            computed = node_hash(left=node, right=computed)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            computed = node_hash(left=computed, right=node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and computed == expected_root


def verifies_consistency(
    proof: Sequence[bytes], *, first: int, second: int, first_root: bytes, second_root: bytes
) -> bool:
    """Whether a proof shows that the first tree is a prefix of the second (section 2.1.4.2)."""
    if not 0 <= first <= second or any(len(node) != HASH_BYTES for node in proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    path = [first_root, *proof] if first.bit_count() == 1 else list(proof)
    return bool(path) and _consistent(path, first, second) == (first_root, second_root)


def _consistent(path: Sequence[bytes], first: int, second: int) -> tuple[bytes, bytes] | None:
    """Both roots as computed from a path; None if the length of the path does not match the sizes."""
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    of_first = of_second = path[0]
    for node in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            of_first = node_hash(left=node, right=of_first)
            of_second = node_hash(left=node, right=of_second)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            of_second = node_hash(left=of_second, right=node)
        fn, sn = fn >> 1, sn >> 1
    return (of_first, of_second) if sn == 0 else None
