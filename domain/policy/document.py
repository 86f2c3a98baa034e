"""A policy document as data: a closed vocabulary, in which every number says where it comes from.

The order in which a document is applied is fixed, whatever the order in the text:
eligibility → base → conditions → reward → monthly limits → choice → longer limits, smallest window first.
"""

import hashlib
from typing import Any, Final, Literal, get_args

import msgspec

from domain.policy.parts import Amount, Basis, Clause, Part, Reading
from domain.policy.shapes import bands_with_tail, growth_over, per_whole_step
from domain.policy.shapes.bands_with_tail import BandsWithTail
from domain.policy.shapes.growth_over import GrowthOver
from domain.policy.shapes.per_whole_step import PerWholeStep
from domain.structs import prepared


class InDatabase(Basis, frozen=True, kw_only=True):
    """The enterprise is in the survey-unit database in the period."""


class Industries(Basis, frozen=True, kw_only=True):
    """The industry code of the period begins with one of `prefixes`."""

    prefixes: tuple[str, ...]


class Eligibility(Part, frozen=True, kw_only=True):
    """Which returns a measure looks at."""

    in_database: InDatabase
    industries: Industries


Condition = GrowthOver
"""The conditions of the vocabulary; a further one makes this a union."""

Reward = PerWholeStep | BandsWithTail
"""The rewards of the vocabulary, a file each in `domain.policy.shapes`."""

CONDITION_RULES: Final = (growth_over.RULE,)
REWARD_RULES: Final = (*per_whole_step.RULES, *bands_with_tail.RULES)
"""The rules that the steps of conditions and rewards are about."""


class Measure(Part, frozen=True, kw_only=True):
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


LimitPer = Literal["month", "quarter", "half-year", "year", "policy"]
"""The window of a limit, the smallest first; `policy` is all years that the policy is about."""

LIMIT_LENGTHS: Final[tuple[LimitPer, ...]] = get_args(LimitPer)


class Limit(Part, frozen=True, kw_only=True):
    """A ceiling for each enterprise over all measures, in each window of a length."""

    per: LimitPer
    ceiling: Amount

    @property
    def id(self) -> str:
        """The name of the limit in `bound_by`: `month-ceiling`, `half-year-ceiling`."""
        return f"{self.per}-ceiling"


class Choice(Basis, frozen=True, kw_only=True):
    """Several measures met: the highest, never the sum."""

    kind: Literal["highest"]


class CombinedPeriod(Part, frozen=True, kw_only=True):
    """A period of several months that is assessed as one: the reading it rests on."""

    reading: str


class Coverage(Part, frozen=True, kw_only=True):
    """The first and the last period that the policy covers."""

    first: str
    last: str


@prepared
class PolicyDocument(Part, frozen=True, kw_only=True):
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
