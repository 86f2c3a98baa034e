"""What is found in data of any size, in bounded memory."""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class First(Generic[T]):
    """The first of what is found, and the number of all.

    Args:
        most: The number that is kept.

    Attributes:
        kept: The first ones.
        total: How many there are, those that are kept included.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept: list[T] = []
        self.total = 0

    @property
    def more(self) -> int:
        """How many there are besides those that are kept."""
        return self.total - len(self.kept)

    def extend(self, found: Iterable[T], *, more: int = 0) -> None:
        """Add what is found, and count so many more that are given no longer."""
        for each in found:
            self.total += 1
            if len(self.kept) < self._most:
                self.kept.append(each)
        self.total += more
