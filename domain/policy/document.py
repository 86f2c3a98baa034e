"""A policy document as data: a closed vocabulary, in which every number names its source.

An assessment applies a document in a fixed order, whatever the order in the text:
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
    """The returns that a measure applies to."""

    in_database: InDatabase
    industries: Industries


Condition = GrowthOver
"""The conditions of the vocabulary; with another one this becomes a union."""

Reward = PerWholeStep | BandsWithTail
"""The rewards of the vocabulary; each has a file in `domain.policy.shapes`."""

CONDITION_RULES: Final = (growth_over.RULE,)
REWARD_RULES: Final = (*per_whole_step.RULES, *bands_with_tail.RULES)
"""The rules of the steps of conditions and of rewards."""


class Measure(Part, frozen=True, kw_only=True):
    """One award of the policy: its figure, the returns it applies to, its conditions and its reward.

    Attributes:
        base: The basis for the status undetermined if the prior-year figure is missing, zero or negative.
        decrease: The basis for awarding nothing for a negative increment.
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
"""The window of a limit, the smallest first; `policy` is all years of the policy's periods."""

LIMIT_LENGTHS: Final[tuple[LimitPer, ...]] = get_args(LimitPer)


class Limit(Part, frozen=True, kw_only=True):
    """A ceiling for each enterprise over all measures, in each window of one length."""

    per: LimitPer
    ceiling: Amount

    @property
    def id(self) -> str:
        """The name of the limit in `bound_by`: `month-ceiling`, `half-year-ceiling`."""
        return f"{self.per}-ceiling"


class Choice(Basis, frozen=True, kw_only=True):
    """If several measures give an award, the highest counts, never the sum."""

    kind: Literal["highest"]


class CombinedPeriod(Part, frozen=True, kw_only=True):
    """The reading that assesses a period of several months as one period."""

    reading: str


class Coverage(Part, frozen=True, kw_only=True):
    """The first and the last period that the policy covers."""

    first: str
    last: str


@prepared
class PolicyDocument(Part, frozen=True, kw_only=True):
    """A whole policy document.

    Attributes:
        policy: The id of the policy, the same for all versions.
        title: The name of the policy.
        document_number: The number of the document (文号).
        article: The article, as a reader cites it.
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
