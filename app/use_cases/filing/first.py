"""Collects items from data of any size in bounded memory."""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class First(Generic[T]):
    """Keeps the first items and counts all of them.

    Args:
        most: The number of items to keep.

    Attributes:
        kept: The first items.
        total: The number of all items, including the kept ones.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept: list[T] = []
        self.total = 0

    @property
    def more(self) -> int:
        """The number of items that were not kept."""
        return self.total - len(self.kept)

    def extend(self, found: Iterable[T], *, more: int = 0) -> None:
        """Add items, and count `more` items that are no longer available."""
        for item in found:
            self.total += 1
            if len(self.kept) < self._most:
                self.kept.append(item)
        self.total += more
