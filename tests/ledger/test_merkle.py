"""The Merkle tree against the published values of Certificate Transparency, and against `pymerkle`."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from app.transparency.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verifies_consistency,
    verifies_inclusion,
)
from tests.ledger.trees import InMemory

# The test data of google/certificate-transparency, in_memory_merkle_tree_test.py and merkle_tree_test.cc.
LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LEAVES_2_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
LEAVES_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
LEAVES_6_7 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
LEAVES_4_7 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
INCLUSION = {
    (0, 1): [],
    (0, 8): [LEAF_1, LEAVES_2_3, LEAVES_4_7],
    (5, 8): [LEAF_4, LEAVES_6_7, ROOTS[4]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], LEAVES_2_3, LEAF_4],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [LEAF_1, LEAVES_2_3, LEAVES_4_7],
    (6, 8): [LEAVES_4_5, LEAVES_6_7, ROOTS[4]],
    (2, 5): [LEAVES_2_3, LEAF_4],
}


PUBLISHED = InMemory([bytes.fromhex(leaf) for leaf in LEAVES])


def hexadecimal(proof: list[bytes]) -> list[str]:
    return [node.hex() for node in proof]


@pytest.mark.parametrize("size", range(9))
def test_the_root_of_a_size_is_the_published_one(size: int) -> None:
    assert root(PUBLISHED, size).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_an_inclusion_proof_is_the_published_one(index: int, size: int) -> None:
    assert hexadecimal(inclusion_proof(PUBLISHED, index=index, size=size)) == INCLUSION[index, size]


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_a_consistency_proof_is_the_published_one(first: int, second: int) -> None:
    assert hexadecimal(consistency_proof(PUBLISHED, first=first, second=second)) == CONSISTENCY[first, second]


def test_the_empty_tree_is_a_prefix_of_every_tree_and_no_other_root_is() -> None:
    assert consistency_proof(PUBLISHED, first=0, second=8) == []
    known: dict[str, Any] = {"second": 8, "second_root": bytes.fromhex(ROOTS[8])}
    assert verifies_consistency([], first=0, first_root=EMPTY_ROOT, **known)
    assert not verifies_consistency([], first=0, first_root=bytes(32), **known)
    assert not verifies_consistency([EMPTY_ROOT], first=0, first_root=EMPTY_ROOT, **known)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (8, 8), (-1, 8)])
def test_a_leaf_outside_the_tree_has_no_proof_and_none_verifies(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(PUBLISHED, index=index, size=size)
    leaf = PUBLISHED.hashes[0]
    assert not verifies_inclusion([], leaf=leaf, index=index, size=size, expected_root=leaf)


def test_a_larger_tree_is_not_a_prefix_of_a_smaller_one() -> None:
    with pytest.raises(ValueError, match="not a prefix"):
        consistency_proof(PUBLISHED, first=8, second=7)
    given_roots = {"first_root": bytes.fromhex(ROOTS[8]), "second_root": bytes.fromhex(ROOTS[7])}
    assert not verifies_consistency([], first=8, second=7, **given_roots)


def leaves_of(size: int) -> list[bytes]:
    return [f"leaf {n}".encode() for n in range(size)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_roots_and_proofs_of_any_size_are_those_of_pymerkle(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    ours = InMemory(leaves_of(size))
    theirs = InmemoryTree(algorithm="sha256")
    for leaf in leaves_of(size):
        theirs.append_entry(leaf)
    assert root(ours, size) == theirs.get_root(size)
    base, *path = theirs.prove_inclusion(index + 1, size).path
    assert base == ours.hashes[index]
    assert inclusion_proof(ours, index=index, size=size) == path
    assert verifies_consistency(
        consistency_proof(ours, first=first, second=size),
        first=first,
        second=size,
        first_root=theirs.get_root(first),
        second_root=theirs.get_root(size),
    )


def altered(data: st.DataObject, proof: list[bytes]) -> list[bytes]:
    """The proof with one bit changed, one hash less, or one more."""
    how = data.draw(st.sampled_from(["bit", "less", "more"] if proof else ["more"]))
    place = data.draw(st.integers(0, max(len(proof) - 1, 0)))
    if how == "more":
        return [*proof[:place], data.draw(st.binary(min_size=32, max_size=32)), *proof[place:]]
    if how == "less":
        return [*proof[:place], *proof[place + 1 :]]
    bit = data.draw(st.integers(0, HASH_BYTES * 8 - 1))
    changed = bytearray(proof[place])
    changed[bit // 8] ^= 1 << bit % 8
    return [*proof[:place], bytes(changed), *proof[place + 1 :]]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_proof_verifies_for_its_leaf_and_tree_alone(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    tree = InMemory(leaves_of(size))
    proof = inclusion_proof(tree, index=index, size=size)
    true: dict[str, Any] = {
        "leaf": tree.hashes[index],
        "index": index,
        "size": size,
        "expected_root": root(tree, size),
    }
    assert verifies_inclusion(proof, **true)
    assert not verifies_inclusion(altered(data, proof), **true)
    assert not verifies_inclusion(proof, **true | {"leaf": leaf_hash(b"another")})
    assert not verifies_inclusion(proof, **true | {"expected_root": leaf_hash(b"another")})
    other = data.draw(st.integers(0, size - 1))
    assert verifies_inclusion(proof, **true | {"index": other}) == (other == index)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_consistency_proof_verifies_for_its_trees_alone(data: st.DataObject) -> None:
    second = data.draw(st.integers(1, 70))
    first = data.draw(st.integers(1, second))
    tree = InMemory(leaves_of(second))
    proof = consistency_proof(tree, first=first, second=second)
    true: dict[str, Any] = {
        "first": first,
        "second": second,
        "first_root": root(tree, first),
        "second_root": root(tree, second),
    }
    assert verifies_consistency(proof, **true)
    assert not verifies_consistency(altered(data, proof), **true)
    assert not verifies_consistency(proof, **true | {"first_root": leaf_hash(b"another")})
    assert not verifies_consistency(proof, **true | {"second_root": leaf_hash(b"another")})


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 4095, 4096, 4097])
def test_a_root_or_a_proof_reads_no_more_than_two_subtrees_for_each_level(size: int) -> None:
    tree = InMemory(leaves_of(size))
    most = 2 * size.bit_length()
    for index in {0, size // 3, size - 1}:
        tree.reads = 0
        inclusion_proof(tree, index=index, size=size)
        assert tree.reads <= most
        tree.reads = 0
        consistency_proof(tree, first=index + 1, second=size)
        assert tree.reads <= most
    tree.reads = 0
    root(tree, size)
    assert tree.reads <= size.bit_length()
