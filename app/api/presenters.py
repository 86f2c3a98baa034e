"""What was read, in the shapes of the contract."""

import msgspec

from app.api import models
from app.api.times import rfc_3339
from app.use_cases.explaining import Account, ExplainedPeriod, ExplainedStep, PeriodAccount
from domain.explanation import STATISTICAL_RULES
from projections.queries.moments import Moment


def as_of(moment: Moment) -> models.AsOf:
    """The moment of an answer."""
    recorded_at = None if moment.recorded_at_us is None else rfc_3339(moment.recorded_at_us)
    return models.AsOf(position=moment.position, recorded_at=recorded_at)


def entitlement(account: Account) -> models.Entitlement:
    """A half-year account."""
    ref = account.policy
    return models.Entitlement(
        uscc=account.uscc,
        name=account.name,
        region_code=account.region_code,
        policy=None if ref is None else models.PolicyRef(**msgspec.structs.asdict(ref)),
        window=account.window,
        ceiling_fen=account.ceiling_fen,
        assessed_fen=account.assessed_fen,
        open_fen=account.open_fen,
        preliminary_fen=account.preliminary_fen,
        headroom_fen=account.headroom_fen,
        periods=[_period(each) for each in account.periods],
        as_of=as_of(account.as_of),
    )


def _period_fields(period: PeriodAccount) -> dict[str, object]:
    outcome = period.outcome
    return {
        **msgspec.structs.asdict(outcome),
        "period": period.period,
        "position": period.position,
        "measures": [
            models.MeasureOutcome(measure=each.measure, status=each.status, rule_fen=each.rule_fen)
            for each in outcome.measures
        ],
    }


def _period(period: PeriodAccount) -> models.Period:
    return models.Period.model_validate(_period_fields(period))


def explained_period(explained: ExplainedPeriod, *, withheld: bool) -> models.ExplainedPeriod:
    """A period with its steps; single-unit statistics are withheld from who may not see them."""
    account = explained.account
    return models.ExplainedPeriod.model_validate(
        {
            **_period_fields(explained.period),
            "uscc": account.uscc,
            "window": account.window,
            "policy": models.PolicyRef(**msgspec.structs.asdict(explained.policy)),
            "figures_withheld": withheld,
            "steps": [_step(n, each, withheld=withheld) for n, each in enumerate(explained.steps, 1)],
            "as_of": as_of(account.as_of),
        }
    )


def _step(n: int, explained: ExplainedStep, *, withheld: bool) -> models.Step:
    step = explained.step
    hidden = withheld and step.rule in STATISTICAL_RULES
    return models.Step(
        n=n,
        rule=step.rule,
        measure=step.measure,
        cite=step.cite,
        reading=step.reading,
        inputs=None if hidden else step.inputs,
        output=None if hidden else step.output,
        met=step.met,
        shortfall_fen=None if hidden else step.shortfall_fen,
        figures_withheld=withheld,
        sentence=explained.sentence,
    )
