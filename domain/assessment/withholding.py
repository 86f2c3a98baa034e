"""What a reader without the right to single-unit statistics sees: a function of amounts and verdicts alone.

A verdict is the status of a period or of a measure, or `met` of a step. A step that carries figures is
replaced by one that is built from the policy, the verdict and what the measure gives before ceilings:
enterprises that differ only in their figures get the same steps.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from domain.assessment.assess import (
    Assessment,
    Step,
    StepValue,
    band_basis,
    condition_basis,
    nothing_basis,
    tail_basis,
    whole_steps_basis,
)
from domain.events import Outcome, Return
from domain.policy.document import BandsWithTail, Basis, Measure, PerWholeStep, Tail
from domain.policy.policy import Policy

_Question = Literal["base", "condition", "reward"]

_QUESTIONS: Final[Mapping[str, _Question]] = {
    "base": "base",
    "growth-over": "condition",
    "whole-steps": "reward",
    "no-whole-step": "reward",
    "band": "reward",
    "tail": "reward",
    "below-bands": "reward",
}
"""The question of the measure that each rule with figures answers; a rule that is missing is not shown."""

STATISTICAL_RULES: Final = frozenset(_QUESTIONS)
"""The rules whose inputs are single-unit statistics."""


class _Verdict(NamedTuple):
    """All that is taken from a step that carries figures.

    Attributes:
        measure: The measure that the step belongs to.
        question: Which question of the measure it answers.
        condition: The index of the condition, where it answers one.
        met: Whether the question is answered with yes.
        rule_fen: What the measure gives before ceilings.
    """

    measure: Measure
    question: _Question
    condition: int
    met: bool
    rule_fen: int


class _Way(NamedTuple):
    """How a measure comes to an amount: the rule, the numbers of the document, what it rests on."""

    rule: str
    inputs: dict[str, StepValue]
    basis: Basis


def without_figures(returns: Mapping[str, Return]) -> dict[str, Return]:
    """The returns with everything but their figures."""
    return {form: msgspec.structs.replace(each, figures={}) for form, each in returns.items()}


def withhold(policy: Policy, assessment: Assessment) -> Assessment:
    """The assessment for a reader without the right to single-unit statistics.

    Args:
        policy: The version that it was assessed by.
        assessment: The assessment with its figures.
    """
    gives = {each.measure: each.rule_fen for each in assessment.outcome.measures}
    conditions: Counter[str] = Counter()
    steps = []
    for step in assessment.steps:
        if step.has_figures:
            measure, question = policy.measure(step.measure or ""), _QUESTIONS[step.rule]
            told = _Verdict(measure, question, conditions[measure.id], step.met, gives[measure.id])
            conditions[measure.id] += question == "condition"
            steps.append(_withheld_step(policy, told))
        else:
            steps.append(step)
    return Assessment(withheld_outcome(policy, assessment.outcome), steps)


def withheld_outcome(policy: Policy, outcome: Outcome) -> Outcome:
    """The outcome with every open reading on which one of the same amounts and verdicts may rest.

    The recorded ones may follow from the figures: two bands may give one award, and a measure that gives
    nothing rests on another reading where the increment is negative.
    """
    measures = {each.id: each for each in policy.document.measures}
    alike: set[str | None] = set()
    for each in outcome.measures:
        decides = each.measure == outcome.measure or (
            outcome.measure is None and each.status == "not-eligible"
        )
        if decides and each.measure in measures:
            bases = _bases_alike(policy, measures[each.measure], each.rule_fen)
            alike.update(basis.reading for basis in bases)
    open_readings = policy.open_readings.intersection(alike).union(outcome.open_readings)
    return msgspec.structs.replace(outcome, open_readings=tuple(sorted(open_readings)))


def _withheld_step(policy: Policy, told: _Verdict) -> Step:
    measure = told.measure
    output = None
    if told.question == "base":
        way = _Way("base", {}, measure.base)
    elif told.question == "condition":
        condition = measure.conditions[told.condition]
        inputs: dict[str, StepValue] = {"over_bp": condition.rate.basis_points}
        way = _Way("growth-over", inputs, condition_basis(policy, condition))
    else:
        output = told.rule_fen
        way = _way_alike(policy, measure, output) if told.met else _way_to_nothing(policy, measure)
    return Step(way.rule, measure.id, way.basis.cite, way.basis.reading, way.inputs, output, told.met)


def _bases_alike(policy: Policy, measure: Measure, rule_fen: int) -> Iterator[Basis]:
    """What the amount may rest on, whatever the increment."""
    for way in _ways_to(policy, measure, rule_fen):
        yield way.basis
    if rule_fen == 0:
        yield nothing_basis(policy, measure.reward)
        yield measure.decrease


def _ways_to(policy: Policy, measure: Measure, rule_fen: int) -> Iterator[_Way]:
    """How an increment that is large enough may give this amount, from the lowest increment up."""
    reward = measure.reward
    if isinstance(reward, PerWholeStep):
        inputs: dict[str, StepValue] = {"step_fen": reward.step.fen, "award_fen": reward.award.fen}
        if reward.award.fen:
            inputs["steps"] = rule_fen // reward.award.fen
        if (rule_fen > 0) == (reward.award.fen > 0):
            yield _Way("whole-steps", inputs, whole_steps_basis(policy, reward))
        return
    for band in reward.bands:
        if band.award.fen == rule_fen:
            inputs = {"at_least_fen": band.at_least.fen, "below_fen": band.below.fen}
            yield _Way("band", inputs, band_basis(policy, band))
    if _gives(reward.tail, rule_fen):
        yield _tail(policy, reward)


def _gives(tail: Tail, rule_fen: int) -> bool:
    """Whether the tail gives this amount for some increment."""
    if tail.award.fen == 0:
        return rule_fen == tail.first.fen
    count, rest = divmod(rule_fen - tail.first.fen, tail.award.fen)
    return rest == 0 and count >= (tail.at_least.fen - tail.beyond.fen) // tail.step.fen


def _tail(policy: Policy, reward: BandsWithTail) -> _Way:
    tail = reward.tail
    inputs: dict[str, StepValue] = {
        "at_least_fen": tail.at_least.fen,
        "first_fen": tail.first.fen,
        "beyond_fen": tail.beyond.fen,
        "step_fen": tail.step.fen,
        "award_fen": tail.award.fen,
    }
    return _Way("tail", inputs, tail_basis(policy, tail))


def _way_alike(policy: Policy, measure: Measure, rule_fen: int) -> _Way:
    """The way to an amount; where there are several, only that the increment reaches the lowest of them."""
    first, *others = _ways_to(policy, measure, rule_fen)
    if not others:
        return first
    bases = (way.basis for way in (first, *others))
    basis = next((each for each in bases if each.reading in policy.open_readings), first.basis)
    return _Way("band", {"at_least_fen": first.inputs["at_least_fen"]}, basis)


def _way_to_nothing(policy: Policy, measure: Measure) -> _Way:
    """An increment that is too small, negative or not."""
    reward = measure.reward
    bases = (nothing_basis(policy, reward), measure.decrease)
    basis = next((each for each in bases if each.reading in policy.open_readings), bases[0])
    if isinstance(reward, PerWholeStep):
        return _Way("no-whole-step", {"step_fen": reward.step.fen}, basis)
    return _Way("below-bands", {"at_least_fen": reward.bands[0].at_least.fen}, basis)
