"""The steps of an assessment, and the answers of conditions and rewards that become steps."""

from typing import NamedTuple

import msgspec

from domain.policy.parts import Basis

StepValue = int | str | bool | None


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step of an assessment, in the order of computation.

    Attributes:
        rule: The rule that was applied: a key of `domain.assessment.explanation.SENTENCES`.
        measure: The measure that the step belongs to, or None for the period as a whole.
        cite: The id of the clause that the step rests on.
        reading: The id of the reading that the step rests on.
        inputs: The numbers that the rule was applied to; amounts in fen.
        output: The amount in fen after this step, or None if the step only decides.
        met: Whether the condition is met; for a ceiling: whether the amount stays under it.
        shortfall_fen: The amount missing to meet the condition; for a growth gate, to reach the value that
            the figure must exceed.
        has_figures: Whether the step carries single-unit statistics, which `domain.assessment.withholding`
            keeps from a reader without the right to them. The default is that it does.
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
    """How a condition or a reward came to its answer: the rule, the numbers, and the basis."""

    rule: str
    inputs: dict[str, StepValue]
    basis: Basis


class ConditionAnswer(NamedTuple):
    """The answer of a condition.

    Attributes:
        way: How the condition came to it.
        shortfall_fen: The amount missing to reach the value that the figure must exceed; None if the
            condition is met.
    """

    way: Way
    shortfall_fen: int | None


class RewardAnswer(NamedTuple):
    """The answer of a reward, in fen.

    Attributes:
        way: How the reward came to it.
        rule_fen: The amount before any ceiling.
        undisputed_fen: The part of the amount that rests on no open reading.
        shortfall_fen: The increment missing for the smallest award; None if there is an award.
    """

    way: Way
    rule_fen: int
    undisputed_fen: int
    shortfall_fen: int | None = None
