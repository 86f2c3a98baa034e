"""The assessment of one period by a policy: a pure function of the document, the returns and what is used.

Integers only: amounts in fen, rates in basis points, growth compared by cross-multiplication.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from domain.events import MeasureOutcome, Outcome, Return, Stage, Status
from domain.periods import Period
from domain.policy.document import Band, BandsWithTail, Basis, GrowthOver, Measure, PerWholeStep, Reward, Tail
from domain.policy.policy import Policy

BP_PER_WHOLE = 10_000

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


class Assessment(NamedTuple):
    """The outcome of a period and the steps that led to it."""

    outcome: Outcome
    steps: list[Step]


class _Verdict(NamedTuple):
    """What one measure gives: `rule_fen` before ceilings, of it `undisputed_fen` on no open reading."""

    status: Status
    rule_fen: int
    undisputed_fen: int
    steps: list[Step]


def assess(policy: Policy, period: Period, returns: Mapping[str, Return], used_fen: int) -> Assessment:
    """Assess one period (article 14 of the policy; the fixed order of `domain.policy.document`).

    Args:
        policy: A policy that covers the period.
        period: The period.
        returns: The standing returns of the period by form, at least one.
        used_fen: What the earlier periods of the same half-year were assessed to, together.
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
        if not _grows_over(policy, measure, condition, current=current, prior=prior, steps=steps):
            return _Verdict("not-eligible", 0, 0, steps)
    on_open = _any_open(policy, steps)
    if isinstance(measure.reward, PerWholeStep):
        rule_fen, undisputed_fen = _per_whole_step(policy, measure, measure.reward, current - prior, steps)
    else:
        rule_fen, undisputed_fen = _bands_with_tail(policy, measure, measure.reward, current - prior, steps)
    ceiling = policy.month_limit.ceiling
    if rule_fen > ceiling.fen:
        inputs = {"amount_fen": rule_fen, "ceiling_fen": ceiling.fen}
        steps.append(
            _step(policy.month_limit.id, measure, ceiling, inputs, ceiling.fen, met=False, has_figures=False)
        )
        on_open = on_open or ceiling.reading in policy.open_readings
    return _Verdict(
        "eligible" if rule_fen > 0 else "not-eligible", rule_fen, 0 if on_open else undisputed_fen, steps
    )


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


def _grows_over(  # noqa: PLR0913 - both figures, and where the step goes
    policy: Policy, measure: Measure, condition: GrowthOver, *, current: int, prior: int, steps: list[Step]
) -> bool:
    """Strictly over the rate: 增速高于8% means current/prior > 1.08, without a division."""
    rate_bp = condition.rate.basis_points
    threshold = prior * (BP_PER_WHOLE + rate_bp)
    met = current * BP_PER_WHOLE > threshold
    inputs: dict[str, StepValue] = {"current_fen": current, "prior_year_fen": prior, "over_bp": rate_bp}
    shortfall = None if met else threshold // BP_PER_WHOLE - current
    basis = condition_basis(policy, condition)
    steps.append(_step("growth-over", measure, basis, inputs, None, met=met, shortfall_fen=shortfall))
    return met


def _per_whole_step(
    policy: Policy, measure: Measure, reward: PerWholeStep, increment: int, steps: list[Step]
) -> tuple[int, int]:
    """每达1000万元: so much for each whole step, the rest of the increment counts nothing."""
    step_fen, award = reward.step.fen, reward.award
    count = max(increment, 0) // step_fen
    rule_fen = count * award.fen
    inputs: dict[str, StepValue] = {"increment_fen": increment, "step_fen": step_fen, "steps": count}
    if count == 0:
        basis = measure.decrease if increment < 0 else nothing_basis(policy, reward)
        steps.append(
            _step("no-whole-step", measure, basis, inputs, 0, met=False, shortfall_fen=step_fen - increment)
        )
        return 0, 0
    inputs["award_fen"] = award.fen
    basis = whole_steps_basis(policy, reward)
    steps.append(_step("whole-steps", measure, basis, inputs, rule_fen, met=True))
    return rule_fen, _firm(policy, rule_fen, basis)


def _bands_with_tail(
    policy: Policy, measure: Measure, reward: BandsWithTail, increment: int, steps: list[Step]
) -> tuple[int, int]:
    """100万元—200万元(不含): half-open bands; from the last one's end up, the tail."""
    tail = reward.tail
    if increment >= tail.at_least.fen:
        count = (increment - tail.beyond.fen) // tail.step.fen
        rule_fen = tail.first.fen + count * tail.award.fen
        inputs: dict[str, StepValue] = {
            "increment_fen": increment,
            "at_least_fen": tail.at_least.fen,
            "first_fen": tail.first.fen,
            "beyond_fen": tail.beyond.fen,
            "step_fen": tail.step.fen,
            "steps": count,
            "award_fen": tail.award.fen,
        }
        basis = tail_basis(policy, tail)
        steps.append(_step("tail", measure, basis, inputs, rule_fen, met=True))
        firm_first = _firm(policy, tail.first.fen, _resting_on(policy, tail.first, tail.at_least))
        return rule_fen, max(firm_first, _firm(policy, rule_fen, basis))
    for band in reward.bands:
        if band.at_least.fen <= increment < band.below.fen:
            inputs = {
                "increment_fen": increment,
                "at_least_fen": band.at_least.fen,
                "below_fen": band.below.fen,
            }
            basis = band_basis(policy, band)
            steps.append(_step("band", measure, basis, inputs, band.award.fen, met=True))
            return band.award.fen, _firm(policy, band.award.fen, basis)
    first = reward.bands[0]
    inputs = {"increment_fen": increment, "at_least_fen": first.at_least.fen}
    basis = measure.decrease if increment < 0 else nothing_basis(policy, reward)
    shortfall = first.at_least.fen - increment
    steps.append(_step("below-bands", measure, basis, inputs, 0, met=False, shortfall_fen=shortfall))
    return 0, 0


def _award(  # noqa: PLR0913, PLR0917 - the fields of the outcome that do not follow from the others
    policy: Policy,
    period: Period,
    eligible: list[tuple[Measure, _Verdict]],
    used_fen: int,
    stage: Stage,
    measures: tuple[MeasureOutcome, ...],
) -> tuple[Outcome, list[Step]]:
    """取金额最高值， then 每半年累计不超过200万元."""
    month_fen = policy.month_limit.ceiling.fen
    winner, verdict = max(eligible, key=lambda each: (min(each[1].rule_fen, month_fen), each[1].rule_fen))
    selected_fen = min(verdict.rule_fen, month_fen)
    steps = _choice_steps(policy, eligible, winner, selected_fen)
    ceiling = policy.half_year_limit.ceiling
    assessed_fen = min(selected_fen, max(ceiling.fen - used_fen, 0))
    if assessed_fen < selected_fen:
        inputs: dict[str, StepValue] = {
            "used_fen": used_fen,
            "amount_fen": selected_fen,
            "ceiling_fen": ceiling.fen,
        }
        steps.append(
            _step(
                policy.half_year_limit.id, None, ceiling, inputs, assessed_fen, met=False, has_figures=False
            )
        )
    rests_on = policy.open_readings.intersection([step.reading for step in (*verdict.steps, *steps)])
    period_reading = _open_period_reading(policy, period)
    all_open = period_reading or _any_open(policy, steps)
    open_fen = assessed_fen if all_open else max(assessed_fen - verdict.undisputed_fen, 0)
    bound_by = []
    if selected_fen < verdict.rule_fen:
        bound_by.append(policy.month_limit.id)
    if assessed_fen < selected_fen:
        bound_by.append(policy.half_year_limit.id)
    outcome = Outcome(
        stage=stage,
        status="eligible",
        measure=winner.id,
        measures=measures,
        rule_fen=verdict.rule_fen,
        selected_fen=selected_fen,
        assessed_fen=assessed_fen,
        open_fen=open_fen,
        bound_by=tuple(bound_by),
        open_readings=tuple(sorted(rests_on | period_reading)),
    )
    return outcome, steps


def _choice_steps(
    policy: Policy, eligible: list[tuple[Measure, _Verdict]], winner: Measure, selected_fen: int
) -> list[Step]:
    if len(eligible) == 1:
        return []
    month_fen = policy.month_limit.ceiling.fen
    amounts = [min(verdict.rule_fen, month_fen) for _, verdict in eligible]
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
        bound_by=(),
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


def _firm(policy: Policy, amount_fen: int, basis: Basis) -> int:
    """The amount, or 0 where what it is said to rest on is an open reading."""
    return 0 if basis.reading in policy.open_readings else amount_fen


def condition_basis(policy: Policy, condition: GrowthOver) -> Basis:
    """What a condition rests on."""
    return _resting_on(policy, condition, condition.rate)


def whole_steps_basis(policy: Policy, reward: PerWholeStep) -> Basis:
    """What the award of whole steps rests on."""
    return _resting_on(policy, reward.award, reward, reward.step)


def band_basis(policy: Policy, band: Band) -> Basis:
    """What the award of a band rests on."""
    return _resting_on(policy, band, band.award, band.at_least, band.below)


def tail_basis(policy: Policy, tail: Tail) -> Basis:
    """What the award of the tail rests on."""
    return _resting_on(policy, tail, tail.award, tail.beyond, tail.step, tail.first, tail.at_least)


def nothing_basis(policy: Policy, reward: Reward) -> Basis:
    """What it rests on that an increment is not enough; for a negative one it is the measure's `decrease`."""
    if isinstance(reward, PerWholeStep):
        return _resting_on(policy, reward, reward.step)
    return _resting_on(policy, reward.bands[0], reward.bands[0].at_least)


def _resting_on(policy: Policy, *bases: Basis) -> Basis:
    """What a step is said to rest on: what is open of its bases, else the first that names a reading."""
    fallback = bases[0]
    for basis in bases:
        if basis.reading in policy.open_readings:
            return basis
        if fallback.reading is None:
            fallback = basis
    return bases[0] if fallback.reading is None else fallback


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
