"""What a reader without the right to single-unit statistics sees: a function of amounts and verdicts alone.

A verdict is the status of a period or of a measure, or `met` of a step. A step that carries figures is
replaced by one that is built from the policy, the verdict and what the measure gives before ceilings:
enterprises that differ only in their figures get the same steps.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from domain.assessment.assess import Assessment
from domain.events import Outcome, Return
from domain.policy.document import CONDITION_RULES, REWARD_RULES, Measure
from domain.policy.parts import Basis
from domain.policy.policy import Policy
from domain.policy.shapes.bands_with_tail import BAND
from domain.policy.steps import Step, Way

_Question = Literal["base", "condition", "reward"]

_QUESTIONS: Final[Mapping[str, _Question]] = {
    "base": "base",
    **dict.fromkeys(CONDITION_RULES, "condition"),
    **dict.fromkeys(REWARD_RULES, "reward"),
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
        way = Way("base", {}, measure.base)
    elif told.question == "condition":
        way = measure.conditions[told.condition].way_alike(policy.open_readings)
    else:
        output = told.rule_fen
        way = _way_alike(policy, measure, output) if told.met else _way_to_nothing(policy, measure)
    return Step(way.rule, measure.id, way.basis.cite, way.basis.reading, way.inputs, output, told.met)


def _bases_alike(policy: Policy, measure: Measure, rule_fen: int) -> Iterator[Basis]:
    """What the amount may rest on, whatever the increment."""
    for way in measure.reward.ways_to(rule_fen, policy.open_readings):
        yield way.basis
    if rule_fen == 0:
        yield measure.reward.nothing_basis(policy.open_readings)
        yield measure.decrease


def _way_alike(policy: Policy, measure: Measure, rule_fen: int) -> Way:
    """The way to an amount; where there are several, only that the increment reaches the lowest of them."""
    first, *others = measure.reward.ways_to(rule_fen, policy.open_readings)
    if not others:
        return first
    bases = (way.basis for way in (first, *others))
    basis = next((each for each in bases if each.reading in policy.open_readings), first.basis)
    return Way(BAND, {"at_least_fen": first.inputs["at_least_fen"]}, basis)


def _way_to_nothing(policy: Policy, measure: Measure) -> Way:
    """An increment that is too small, negative or not."""
    bases = (measure.reward.nothing_basis(policy.open_readings), measure.decrease)
    basis = next((each for each in bases if each.reading in policy.open_readings), bases[0])
    return measure.reward.way_to_nothing(basis)
