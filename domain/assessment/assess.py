"""The assessment of one period: a pure function of the policy, the returns and the amounts used before.

All numbers are integers: amounts in fen, rates in basis points, growth compared by cross-multiplication.
"""

from collections.abc import Mapping
from typing import NamedTuple

from domain.events import MeasureOutcome, Outcome, Return, Stage, Status
from domain.periods import Period
from domain.policy.document import Measure
from domain.policy.parts import Basis
from domain.policy.policy import LimitWindow, Policy
from domain.policy.steps import Step, StepValue, Way


class Assessment(NamedTuple):
    """The outcome of a period and the steps that led to it."""

    outcome: Outcome
    steps: list[Step]


class _Verdict(NamedTuple):
    """The award of one measure: `rule_fen` before ceilings, `undisputed_fen` of it on no open reading."""

    status: Status
    rule_fen: int
    undisputed_fen: int
    steps: list[Step]


def assess(
    policy: Policy, period: Period, returns: Mapping[str, Return], used_fen: Mapping[LimitWindow, int]
) -> Assessment:
    """Assess one period, in the fixed order of `domain.policy.document`.

    Args:
        policy: A policy that covers the period.
        period: The period.
        returns: The standing returns of the period by form, at least one.
        used_fen: The amounts that earlier periods have used of longer limits.
    """
    judged = [
        (measure, returns[measure.form], _judge(policy, measure, returns[measure.form]))
        for measure in policy.document.measures
        if measure.form in returns
    ]
    eligible = [(measure, verdict) for measure, _, verdict in judged if verdict.status == "eligible"]
    steps = _combined_period_steps(policy, period)
    for _, _, verdict in judged:
        steps += verdict.steps
    measures = tuple(MeasureOutcome(m.id, m.form, v.status, v.rule_fen) for m, _, v in judged)
    stage: Stage = "preliminary" if any(r.stage == "preliminary" for _, r, _ in judged) else "final"
    if eligible:
        outcome, more = _award(policy, period, eligible, used_fen, stage, measures)
        steps += more
    else:
        outcome = _no_award(policy, period, [verdict for _, _, verdict in judged], stage, measures)
    if stage == "preliminary":
        steps.append(_preliminary_step(outcome))
    return Assessment(outcome, steps)


def _judge(policy: Policy, measure: Measure, registered: Return) -> _Verdict:
    steps: list[Step] = []
    if not _is_eligible(measure, registered, steps):
        return _Verdict("not-eligible", 0, 0, steps)
    figure = registered.figures[measure.item]
    current, prior = figure.current_fen, figure.prior_year_fen
    if current is None or prior is None or prior <= 0:
        inputs: dict[str, StepValue] = {"current_fen": current, "prior_year_fen": prior}
        steps.append(_step("base", measure, measure.base, inputs, None, met=False))
        return _Verdict("undetermined", 0, 0, steps)
    for condition in measure.conditions:
        way, shortfall_fen = condition.judge(
            current_fen=current, prior_fen=prior, open_readings=policy.open_readings
        )
        steps.append(_measured(measure, way, None, shortfall_fen))
        if shortfall_fen is not None:
            return _Verdict("not-eligible", 0, 0, steps)
    on_open = _any_open(policy, steps)
    way, rule_fen, undisputed_fen, shortfall_fen = measure.reward.give(
        current - prior, decrease=measure.decrease, open_readings=policy.open_readings
    )
    steps.append(_measured(measure, way, rule_fen, shortfall_fen))
    limit = policy.period_limit
    if limit is not None and rule_fen > limit.ceiling.fen:
        ceiling = limit.ceiling
        inputs = {"amount_fen": rule_fen, "ceiling_fen": ceiling.fen}
        steps.append(_step(limit.id, measure, ceiling, inputs, ceiling.fen, met=False, has_figures=False))
        on_open = on_open or ceiling.reading in policy.open_readings
    return _Verdict(
        "eligible" if rule_fen > 0 else "not-eligible", rule_fen, 0 if on_open else undisputed_fen, steps
    )


def _measured(measure: Measure, way: Way, output: int | None, shortfall_fen: int | None) -> Step:
    """The step of a condition or a reward, which is met if nothing is missing."""
    met = shortfall_fen is None
    return _step(way.rule, measure, way.basis, way.inputs, output, met=met, shortfall_fen=shortfall_fen)


def _is_eligible(measure: Measure, registered: Return, steps: list[Step]) -> bool:
    eligibility = measure.eligibility
    steps.append(
        _step(
            "in-database",
            measure,
            eligibility.in_database,
            {"in_database": registered.in_database},
            None,
            met=registered.in_database,
            has_figures=False,
        )
    )
    if not registered.in_database:
        return False
    fits = registered.industry_code.startswith(eligibility.industries.prefixes)
    inputs: dict[str, StepValue] = {"industry_code": registered.industry_code}
    steps.append(
        _step("industry", measure, eligibility.industries, inputs, None, met=fits, has_figures=False)
    )
    return fits


def _award(  # noqa: PLR0913, PLR0917 - the fields of the outcome that do not follow from the others
    policy: Policy,
    period: Period,
    eligible: list[tuple[Measure, _Verdict]],
    used_fen: Mapping[LimitWindow, int],
    stage: Stage,
    measures: tuple[MeasureOutcome, ...],
) -> tuple[Outcome, list[Step]]:
    """Choose the highest of the awards, then apply the longer limits, the smallest window first."""
    winner, verdict = max(
        eligible, key=lambda award: (_within_period(policy, award[1].rule_fen), award[1].rule_fen)
    )
    selected_fen = _within_period(policy, verdict.rule_fen)
    steps = _choice_steps(policy, eligible, winner, selected_fen)
    capped_by = []
    if policy.period_limit is not None and selected_fen < verdict.rule_fen:
        capped_by.append(policy.period_limit.id)
    assessed_fen = selected_fen
    for within in policy.limits_of(period):
        limit_used_fen = used_fen.get(within, 0)
        left_fen = max(within.ceiling_fen - limit_used_fen, 0)
        if assessed_fen > left_fen:
            limit = within.limit
            inputs: dict[str, StepValue] = {
                "used_fen": limit_used_fen,
                "amount_fen": assessed_fen,
                "ceiling_fen": limit.ceiling.fen,
            }
            assessed_fen = left_fen
            steps.append(
                _step(limit.id, None, limit.ceiling, inputs, assessed_fen, met=False, has_figures=False)
            )
            capped_by.append(limit.id)
    rests_on = policy.open_readings.intersection([step.reading for step in (*verdict.steps, *steps)])
    period_reading = _open_period_reading(policy, period)
    all_open = period_reading or _any_open(policy, steps)
    open_fen = assessed_fen if all_open else max(assessed_fen - verdict.undisputed_fen, 0)
    outcome = Outcome(
        stage=stage,
        status="eligible",
        measure=winner.id,
        measures=measures,
        rule_fen=verdict.rule_fen,
        selected_fen=selected_fen,
        assessed_fen=assessed_fen,
        open_fen=open_fen,
        capped_by=tuple(capped_by),
        open_readings=tuple(sorted(rests_on | period_reading)),
    )
    return outcome, steps


def _within_period(policy: Policy, rule_fen: int) -> int:
    """The amount, or the limit of the period if that is lower."""
    limit = policy.period_limit
    return rule_fen if limit is None else min(rule_fen, limit.ceiling.fen)


def _choice_steps(
    policy: Policy, eligible: list[tuple[Measure, _Verdict]], winner: Measure, selected_fen: int
) -> list[Step]:
    if len(eligible) == 1:
        return []
    amounts = [_within_period(policy, verdict.rule_fen) for _, verdict in eligible]
    before_ceiling = [verdict.rule_fen for _, verdict in eligible]
    inputs: dict[str, StepValue] = {
        measure.id: amount for (measure, _), amount in zip(eligible, amounts, strict=True)
    }
    inputs["chosen"] = winner.id
    if amounts.count(selected_fen) == 1:
        inputs["decided_by"] = "amount"
    elif before_ceiling.count(max(before_ceiling)) == 1:
        inputs["decided_by"] = "amount-before-ceiling"
    else:
        inputs["decided_by"] = "order-of-text"
    choice = policy.document.choice
    return [_step("highest", None, choice, inputs, selected_fen, met=True, has_figures=False)]


def _no_award(
    policy: Policy,
    period: Period,
    verdicts: list[_Verdict],
    stage: Stage,
    measures: tuple[MeasureOutcome, ...],
) -> Outcome:
    decided_by = policy.open_readings & {verdict.steps[-1].reading for verdict in verdicts}
    undetermined = any(verdict.status == "undetermined" for verdict in verdicts)
    return Outcome(
        stage=stage,
        status="undetermined" if undetermined else "not-eligible",
        measure=None,
        measures=measures,
        rule_fen=0,
        selected_fen=0,
        assessed_fen=0,
        open_fen=0,
        capped_by=(),
        open_readings=tuple(sorted(decided_by | _open_period_reading(policy, period))),
    )


def _open_period_reading(policy: Policy, period: Period) -> frozenset[str]:
    if period.first_month == period.last_month:
        return frozenset()
    return policy.open_readings & {policy.document.combined_period.reading}


def _combined_period_steps(policy: Policy, period: Period) -> list[Step]:
    if period.first_month == period.last_month:
        return []
    reading = policy.document.combined_period.reading
    inputs: dict[str, StepValue] = {"period": str(period)}
    return [Step("combined-period", None, None, reading, inputs, None, met=True, has_figures=False)]


def _preliminary_step(outcome: Outcome) -> Step:
    output = outcome.assessed_fen
    return Step("preliminary", None, None, "preliminary", {}, output, met=True, has_figures=False)


def _any_open(policy: Policy, steps: list[Step]) -> bool:
    """Whether a step rests on an open reading."""
    return not policy.open_readings.isdisjoint([step.reading for step in steps])


def _step(  # noqa: PLR0913 - the fields of a step, with the basis in one
    rule: str,
    measure: Measure | None,
    basis: Basis,
    inputs: dict[str, StepValue],
    output: int | None,
    *,
    met: bool,
    shortfall_fen: int | None = None,
    has_figures: bool = True,
) -> Step:
    measure_id = None if measure is None else measure.id
    return Step(rule, measure_id, basis.cite, basis.reading, inputs, output, met, shortfall_fen, has_figures)
