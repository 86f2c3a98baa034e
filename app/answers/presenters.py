"""Converts what the use cases return into the models of the API's answers."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from app.answers import models
from app.runtime.times import rfc_3339
from app.use_cases.reading.as_of import AsOf, Progress
from app.use_cases.reading.explaining import Account, ExplainedPeriod, ExplainedStep, PeriodAccount
from domain.events import AnyEvent, LogEntry, Outcome, Return, ReturnWithdrawn, UnreadableEvent
from domain.red_flags.kinds import THRESHOLDS, RedFlag
from domain.returns import ReturnVersion, required_figure
from projections.queries.totals import Group


def as_of(moment: AsOf) -> models.AsOf:
    """Present the moment of an answer."""
    recorded_at = None if moment.recorded_at_us is None else rfc_3339(moment.recorded_at_us)
    root = moment.root_text
    checkpoint = None if root is None else models.Checkpoint(size=moment.position, root=root)
    return models.AsOf(
        position=moment.position,
        recorded_at=recorded_at,
        checkpoint=checkpoint,
        day_in_progress=moment.day_in_progress,
    )


def entitlement(account: Account) -> models.Entitlement:
    """Present an account."""
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
        limits=[models.LimitUse(**msgspec.structs.asdict(limit)) for limit in account.limits],
        periods=[_period(period) for period in account.periods],
        disputed=account.disputed,
        as_of=as_of(account.as_of),
    )


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """Convert the outcome of a period to JSON, where the field `capped_by` is called `bound_by`."""
    fields: dict[str, Any] = msgspec.to_builtins(outcome)
    fields["bound_by"] = fields.pop("capped_by")
    return fields


def _period_fields(period: PeriodAccount) -> dict[str, object]:
    outcome = period.outcome
    return {
        **outcome_fields(outcome),
        "period": period.period,
        "position": period.position,
        "measures": [
            models.MeasureOutcome(measure=result.measure, status=result.status, rule_fen=result.rule_fen)
            for result in outcome.measures
        ],
    }


def _period(period: PeriodAccount) -> models.Period:
    return models.Period.model_validate(_period_fields(period))


def explained_period(explained: ExplainedPeriod, *, withheld: bool) -> models.ExplainedPeriod:
    """Present a period with its steps, with or without single-unit statistics."""
    account = explained.account
    return models.ExplainedPeriod.model_validate(
        {
            **_period_fields(explained.period),
            "uscc": account.uscc,
            "window": account.window,
            "policy": models.PolicyRef(**msgspec.structs.asdict(explained.policy)),
            "figures_withheld": withheld,
            "steps": [_step(n, step, withheld=withheld) for n, step in enumerate(explained.steps, 1)],
            "disputed": account.disputed,
            "as_of": as_of(account.as_of),
        }
    )


def _step(n: int, explained: ExplainedStep, *, withheld: bool) -> models.Step:
    step = explained.step
    hidden = withheld and step.has_figures
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


def assessment(progress: Progress | None) -> models.AssessmentUnderWay | None:
    """Present the assessment under way; None if there is none."""
    return None if progress is None else models.AssessmentUnderWay(**msgspec.structs.asdict(progress))


def summary(
    groups: Sequence[Group], moment: AsOf, *, disputed: int, progress: Progress | None
) -> models.Summary:
    """Present the sums of a window by group."""
    return models.Summary(
        groups=[_summary_group(group) for group in groups],
        assessed_fen=sum(group.assessed_fen for group in groups),
        open_fen=sum(group.open_fen for group in groups),
        preliminary_fen=sum(group.preliminary_fen for group in groups),
        disputed=disputed,
        assessment=assessment(progress),
        as_of=as_of(moment),
    )


def _summary_group(group: Group) -> models.SummaryGroup:
    capped = group.capped
    return models.SummaryGroup(
        **msgspec.structs.asdict(group),
        month_ceiling=capped.get("month-ceiling"),
        half_year_ceiling=capped.get("half-year-ceiling"),
    )


def event_page(entries: Iterable[LogEntry], moment: AsOf, *, after: int) -> models.EventPage:
    """Present a page of events, in the order of the log."""
    items = [
        models.LoggedEvent(
            position=entry.position,
            stream=entry.stream,
            version=entry.version,
            type=entry.type,
            recorded_at=rfc_3339(entry.recorded_at_us),
            actor=entry.actor,
            data=_data(entry.event),
        )
        for entry in entries
    ]
    next_after = items[-1].position if items else after
    return models.EventPage(items=items, next_after=next_after, as_of=as_of(moment))


def _data(event: AnyEvent) -> dict[str, Any]:
    """The content of an event, or the reason why it is unreadable."""
    if isinstance(event, UnreadableEvent):
        return {"unreadable": event.reason}
    data: dict[str, Any] = msgspec.to_builtins(event)
    return data


def enterprise_returns(
    versions: Iterable[ReturnVersion], moment: AsOf, *, uscc: str, year: int
) -> models.EnterpriseReturns:
    """Present the returns of an enterprise and year.

    Args:
        versions: The versions, ordered by period, form and time.
        moment: The moment of the answer.
        uscc: The enterprise.
        year: The year.
    """
    histories = []
    for (period, form), group in groupby(versions, key=lambda version: (version.period, version.form)):
        shown = [return_version(version) for version in group]
        standing = shown[-1].type != "ReturnWithdrawn"
        histories.append(models.ReturnHistory(form=form, period=period, standing=standing, versions=shown))
    return models.EnterpriseReturns(uscc=uscc, year=year, returns=histories, as_of=as_of(moment))


def return_version(version: ReturnVersion) -> models.ReturnVersion:
    """Present a version of a return."""
    event = version.event
    common: dict[str, Any] = {
        "form": version.form,
        "period": version.period,
        "type": version.type,
        "version": version.version,
        "reason": event.reason,
        "origin": event.origin,
        "document": event.document,
        "actor": version.actor,
        "recorded_at": rfc_3339(version.recorded_at_us),
        "position": version.position,
    }
    if isinstance(event, ReturnWithdrawn):
        nothing: dict[str, Any] = dict.fromkeys(models.ReturnVersion.model_fields.keys() - common.keys())
        return models.ReturnVersion(**common, **nothing)
    return models.ReturnVersion(**common, **_registered(event))


def _registered(event: Return) -> dict[str, Any]:
    required = required_figure(event)
    return {
        "stage": event.stage,
        "in_database": event.in_database,
        "name": event.name,
        "region_code": event.region_code,
        "industry_code": event.industry_code,
        "current_fen": required.current_fen,
        "prior_year_fen": required.prior_year_fen,
        "figures": {
            item: {name: getattr(figure, name) for name in figure.__struct_fields__}
            for item, figure in event.figures.items()
        },
        "source": None if event.source is None else msgspec.to_builtins(event.source),
        "reported_at": event.reported_at,
        "uscc_override": event.uscc_override,
    }


def red_flag(flag: RedFlag) -> models.RedFlag:
    """Present a red flag with its evidence."""
    evidence = [
        models.RedFlagEvidence(uscc=version.uscc, **return_version(version).model_dump())
        for version in flag.evidence
    ]
    fields = {name: getattr(flag, name) for name in flag.__struct_fields__}
    group = None if flag.group is None else models.RedFlagGroup(**msgspec.structs.asdict(flag.group))
    return models.RedFlag(**{**fields, "group": group, "evidence": evidence})


def thresholds() -> models.RedFlagThresholds:
    """Present the thresholds from which the red flags are raised."""
    return models.RedFlagThresholds(**msgspec.structs.asdict(THRESHOLDS))
