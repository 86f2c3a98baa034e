"""The steps of an assessment, and what a shape of the vocabulary says of one."""

from typing import NamedTuple

import msgspec

from domain.policy.parts import Basis

StepValue = int | str | bool | None


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step of an assessment, in the order of computation.

    Attributes:
        rule: What was asked: a key of `domain.assessment.explanation.SENTENCES`.
        measure: The measure that it belongs to, or None for the period as a whole.
        cite: The id of the clause that it rests on.
        reading: The id of the reading that it rests on.
        inputs: What it was asked of; amounts in fen.
        output: What came out: an amount in fen after this step, or None where the step only decides.
        met: Whether the condition is met; of a ceiling: whether the amount stays under it.
        shortfall_fen: What is missing to meet it; of a growth gate: to reach what must be passed.
        has_figures: Whether it carries single-unit statistics, which `domain.assessment.withholding` keeps
            from a reader without the right to them. A step does unless it says that it does not.
    """

    rule: str
    measure: str | None
    cite: str | None
    reading: str | None
    inputs: dict[str, StepValue]
    output: int | None
    met: bool
    shortfall_fen: int | None = None
    has_figures: bool = True


class Way(NamedTuple):
    """How a shape comes to its answer: the rule, the numbers that it was asked of, what it rests on."""

    rule: str
    inputs: dict[str, StepValue]
    basis: Basis


class Judged(NamedTuple):
    """Whether a condition is met.

    Attributes:
        way: How that is found.
        shortfall_fen: What is missing to reach what must be passed; None where it is met.
    """

    way: Way
    shortfall_fen: int | None


class Awarded(NamedTuple):
    """What a reward gives, in fen.

    Attributes:
        way: How it comes to it.
        rule_fen: The amount before any ceiling.
        undisputed_fen: What of it rests on no open reading.
        shortfall_fen: What is missing for the least award; None where there is one.
    """

    way: Way
    rule_fen: int
    undisputed_fen: int
    shortfall_fen: int | None = None
