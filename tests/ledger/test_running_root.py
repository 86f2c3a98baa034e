"""The running root equals the root of the whole tree at every size."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.transparency import merkle
from app.transparency.merkle import leaf_hash
from app.transparency.running_root import RunningRoot
from tests.ledger.trees import InMemory


@settings(max_examples=25, deadline=None, derandomize=True)
@given(leaves=st.lists(st.binary(max_size=8), max_size=70))
def test_the_root_while_leaves_come_is_the_root_over_those_so_far(leaves: list[bytes]) -> None:
    running = RunningRoot()
    tree = InMemory(leaves)
    assert running.root() == merkle.root(tree, 0)
    for size, leaf in enumerate(leaves, 1):
        running.append(leaf_hash(leaf))
        assert running.size == size
        assert running.root() == merkle.root(tree, size)
