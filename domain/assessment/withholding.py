"""The assessment as a reader without the right to single-unit statistics sees it.

It depends on amounts and verdicts only. A verdict is the status of a period or of a measure, or `met` of a
step. Each step that carries figures is replaced by one that is built from the policy, the verdict and the
measure's amount before ceilings: enterprises that differ only in their figures get the same steps.
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
"""The question of a measure that each rule with figures answers; other steps with figures are an error."""

STATISTICAL_RULES: Final = frozenset(_QUESTIONS)
"""The rules whose inputs are single-unit statistics."""


class _StepVerdict(NamedTuple):
    """All that the replacement takes from a step with figures.

    Attributes:
        measure: The measure that the step belongs to.
        question: The question of the measure that the step answers.
        condition: The index of the condition, if the question is a condition.
        met: Whether the answer is yes.
        rule_fen: The amount of the measure before ceilings.
    """

    measure: Measure
    question: _Question
    condition: int
    met: bool
    rule_fen: int


def without_figures(returns: Mapping[str, Return]) -> dict[str, Return]:
    """The returns without their figures."""
    return {form: msgspec.structs.replace(registered, figures={}) for form, registered in returns.items()}


def withhold(policy: Policy, assessment: Assessment) -> Assessment:
    """The assessment for a reader without the right to single-unit statistics.

    Args:
        policy: The version that assessed the period.
        assessment: The assessment with its figures.
    """
    gives = {award.measure: award.rule_fen for award in assessment.outcome.measures}
    conditions: Counter[str] = Counter()
    steps = []
    for step in assessment.steps:
        if step.has_figures:
            measure, question = policy.measure(step.measure or ""), _QUESTIONS[step.rule]
            verdict = _StepVerdict(measure, question, conditions[measure.id], step.met, gives[measure.id])
            conditions[measure.id] += question == "condition"
            steps.append(_withheld_step(policy, verdict))
        else:
            steps.append(step)
    return Assessment(withheld_outcome(policy, assessment.outcome), steps)


def withheld_outcome(policy: Policy, outcome: Outcome) -> Outcome:
    """The outcome with every open reading that an outcome of the same amounts and verdicts may rest on.

    The recorded readings may reveal figures: two bands may give the same award, and a measure that gives
    nothing rests on another reading if the increment is negative.
    """
    measures = {measure.id: measure for measure in policy.document.measures}
    alike: set[str | None] = set()
    for award in outcome.measures:
        decides = award.measure == outcome.measure or (
            outcome.measure is None and award.status == "not-eligible"
        )
        if decides and award.measure in measures:
            bases = _bases_alike(policy, measures[award.measure], award.rule_fen)
            alike.update(basis.reading for basis in bases)
    open_readings = policy.open_readings.intersection(alike).union(outcome.open_readings)
    return msgspec.structs.replace(outcome, open_readings=tuple(sorted(open_readings)))


def _withheld_step(policy: Policy, verdict: _StepVerdict) -> Step:
    measure = verdict.measure
    output = None
    if verdict.question == "base":
        way = Way("base", {}, measure.base)
    elif verdict.question == "condition":
        way = measure.conditions[verdict.condition].way_alike(policy.open_readings)
    else:
        output = verdict.rule_fen
        way = _way_alike(policy, measure, output) if verdict.met else _way_to_nothing(policy, measure)
    return Step(way.rule, measure.id, way.basis.cite, way.basis.reading, way.inputs, output, verdict.met)


def _bases_alike(policy: Policy, measure: Measure, rule_fen: int) -> Iterator[Basis]:
    """The bases that the amount may rest on, over all increments."""
    for way in measure.reward.ways_to(rule_fen, policy.open_readings):
        yield way.basis
    if rule_fen == 0:
        yield measure.reward.nothing_basis(policy.open_readings)
        yield measure.decrease


def _way_alike(policy: Policy, measure: Measure, rule_fen: int) -> Way:
    """The way to an amount; of several ways, it says only that the increment reaches the lowest one."""
    first, *others = measure.reward.ways_to(rule_fen, policy.open_readings)
    if not others:
        return first
    bases = (way.basis for way in (first, *others))
    basis = next((basis for basis in bases if basis.reading in policy.open_readings), first.basis)
    return Way(BAND, {"at_least_fen": first.inputs["at_least_fen"]}, basis)


def _way_to_nothing(policy: Policy, measure: Measure) -> Way:
    """The way to no award, the same for a negative increment and for one that is too small."""
    bases = (measure.reward.nothing_basis(policy.open_readings), measure.decrease)
    basis = next((basis for basis in bases if basis.reading in policy.open_readings), bases[0])
    return measure.reward.way_to_nothing(basis)
