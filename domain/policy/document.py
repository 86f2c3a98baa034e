"""A policy document as data: a closed vocabulary, in which every number says where it comes from.

The order in which a document is applied is fixed, whatever the order in the text:
eligibility → base → conditions → reward → monthly limits → choice → longer limits, smallest window first.
"""

import hashlib
from typing import Any, Literal

import msgspec

from domain.money import FEN_PER_YUAN
from domain.structs import prepared

ReadingStatus = Literal["text", "open", "confirmed"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the document; a key that is not in the vocabulary is refused."""


class Basis(_Part, frozen=True, kw_only=True):
    """Where something rests: on a clause (`cite`), on a reading, or on both.

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


class Clause(_Part, frozen=True, kw_only=True):
    """A clause of the text, word for word. `place` names it for a reader: `第14条`."""

    id: str
    place: str
    text: str


class Decision(_Part, frozen=True, kw_only=True):
    """Who decided an open reading, in which document, on which day (`2024-06-30`)."""

    by: str
    document: str
    date: str


class Reading(_Part, frozen=True, kw_only=True):
    """A recorded answer to a question that the text leaves to be answered (适用口径).

    Attributes:
        name: What it is called in a sentence; documents of earlier days have none.
    """

    id: str
    name: str | None = None
    question: str
    answer: str
    status: ReadingStatus
    decision: Decision | None = None

    @property
    def label(self) -> str:
        """How a sentence names it: by its name, or by its question where it has none."""
        return self.name or self.question


class InDatabase(Basis, frozen=True, kw_only=True):
    """The enterprise is in the survey-unit database in the period."""


class Industries(Basis, frozen=True, kw_only=True):
    """The industry code of the period begins with one of `prefixes`."""

    prefixes: tuple[str, ...]


class Eligibility(_Part, frozen=True, kw_only=True):
    """Which returns a measure looks at."""

    in_database: InDatabase
    industries: Industries


class GrowthOver(Basis, frozen=True, kw_only=True, tag_field="kind", tag="growth-over"):
    """Growth on the comparable base is strictly more than `rate`, compared without division."""

    rate: Rate


Condition = GrowthOver
"""The conditions of the vocabulary; a further one makes this a union."""


class PerWholeStep(Basis, frozen=True, kw_only=True, tag_field="kind", tag="per-whole-step"):
    """`award` for each whole `step` of the increment. The basis is that of counting whole steps."""

    step: Amount
    award: Amount


class Band(Basis, frozen=True, kw_only=True):
    """`award` where the increment is in the half-open band [`at_least`, `below`)."""

    at_least: Amount
    below: Amount
    award: Amount


class Tail(Basis, frozen=True, kw_only=True):
    """From `at_least` up: `first`, and `award` for each whole `step` of what exceeds `beyond`."""

    at_least: Amount
    first: Amount
    beyond: Amount
    step: Amount
    award: Amount


class BandsWithTail(_Part, frozen=True, kw_only=True, tag_field="kind", tag="bands-with-tail"):
    """Bands that follow each other without a gap, and a tail above the last."""

    bands: tuple[Band, ...]
    tail: Tail


Reward = PerWholeStep | BandsWithTail


class Measure(_Part, frozen=True, kw_only=True):
    """One award of the policy: which figure, of whom, on which conditions, how much.

    Attributes:
        base: The basis of calling a missing, zero or negative prior-year figure undetermined.
        decrease: The basis of giving nothing for a negative increment.
    """

    id: str
    name: str
    form: str
    item: str
    eligibility: Eligibility
    base: Basis
    decrease: Basis
    conditions: tuple[Condition, ...]
    reward: Reward


class Limit(_Part, frozen=True, kw_only=True):
    """A ceiling for each enterprise over all measures, in a month or in a half-year."""

    per: Literal["month", "half-year"]
    ceiling: Amount

    @property
    def id(self) -> str:
        """The name of the ceiling in `bound_by`: `month-ceiling` or `half-year-ceiling`."""
        return f"{self.per}-ceiling"


class Choice(Basis, frozen=True, kw_only=True):
    """Several measures met: the highest, never the sum."""

    kind: Literal["highest"]


class CombinedPeriod(_Part, frozen=True, kw_only=True):
    """A period of several months that is assessed as one: the reading it rests on."""

    reading: str


class Coverage(_Part, frozen=True, kw_only=True):
    """The first and the last period that the policy covers."""

    first: str
    last: str


@prepared
class PolicyDocument(_Part, frozen=True, kw_only=True):
    """A policy, whole.

    Attributes:
        policy: Its id, the same for all versions.
        title: Its name; `document_number` its 文号; `article` the article, as a reader cites it.
    """

    policy: str
    title: str
    document_number: str
    article: str
    issuer: str
    issued_on: str
    responsible: str
    level: Literal["municipal", "provincial", "national"]
    covers: Coverage
    clauses: tuple[Clause, ...]
    readings: tuple[Reading, ...]
    combined_period: CombinedPeriod
    measures: tuple[Measure, ...]
    limits: tuple[Limit, ...]
    choice: Choice


def canonical_form(document: dict[str, Any]) -> bytes:
    """The bytes that identify a document: JSON in UTF-8, keys sorted, no white space, no float."""
    return msgspec.json.encode(document, order="sorted")


def fingerprint(document: dict[str, Any]) -> str:
    """The SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical_form(document)).hexdigest()
