"""The parts of a policy document: amounts and rates with their source, clauses, readings."""

from collections.abc import Set as AbstractSet
from typing import Literal

import msgspec

from domain.money import FEN_PER_YUAN

ReadingStatus = Literal["text", "open", "confirmed"]


Path = tuple[str | int, ...]
"""The place of a part in its document: `("measures", 0, "reward")`."""


class DocumentProblem(msgspec.Struct, frozen=True):
    """A problem of a document: its place, and what is wrong there."""

    path: Path
    message: str


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the document; msgspec refuses a key that is not in the vocabulary."""


class Basis(Part, frozen=True, kw_only=True):
    """The source of a number or a rule: a clause (`cite`), a reading, or both.

    Attributes:
        cite: The id of a clause.
        reading: The id of a reading.
    """

    cite: str | None = None
    reading: str | None = None


class Amount(Basis, frozen=True, kw_only=True):
    """An amount of money in whole yuan."""

    yuan: int

    @property
    def fen(self) -> int:
        """The amount in fen."""
        return self.yuan * FEN_PER_YUAN


class Rate(Basis, frozen=True, kw_only=True):
    """A rate in basis points: 800 is 8%."""

    basis_points: int


class Clause(Part, frozen=True, kw_only=True):
    """A clause of the text, word for word; `place` is its name for a reader: `第14条`."""

    id: str
    place: str
    text: str


class Decision(Part, frozen=True, kw_only=True):
    """Who decided an open reading, in which document, on which day (`2024-06-30`)."""

    by: str
    document: str
    date: str


class Reading(Part, frozen=True, kw_only=True):
    """A recorded answer to a question that the text leaves open (适用口径).

    Attributes:
        name: The name of the reading in a sentence; older documents have none.
        quote: The words of the text that leave the question open, for sentences that quote them.
    """

    id: str
    name: str | None = None
    quote: str | None = None
    question: str
    answer: str
    status: ReadingStatus
    decision: Decision | None = None

    @property
    def label(self) -> str:
        """The name of the reading in a sentence: its question if it has no name."""
        return self.name or self.question


def resting_on(open_readings: AbstractSet[str], *bases: Basis) -> Basis:
    """The basis that a step names: the first with an open reading, else the first that names a reading.

    If no basis names a reading, it is the first of all.
    """
    fallback = bases[0]
    for basis in bases:
        if basis.reading in open_readings:
            return basis
        if fallback.reading is None:
            fallback = basis
    return bases[0] if fallback.reading is None else fallback


def undisputed(open_readings: AbstractSet[str], amount_fen: int, basis: Basis) -> int:
    """The amount, or 0 if its basis names an open reading."""
    return 0 if basis.reading in open_readings else amount_fen
