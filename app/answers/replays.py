"""The answers about replays."""

from typing import Any, Final

import msgspec
from pydantic import Field

from app.answers import models
from app.answers.models import Model
from app.answers.presenters import outcome_fields
from app.answers.times import rfc_3339
from app.ledger.replay_runs import Run, State
from app.use_cases.audit.replaying import ReplayResult
from domain.assessment.replay import Kind, Mismatch, Side
from domain.events import PolicyRef

_REPORT: Final = msgspec.json.Decoder(ReplayResult)


class Assessment(Model):
    """An assessment on one side of a mismatch; the amounts are null where it closes the period."""

    policy: models.PolicyRef
    outcome: dict[str, Any] | None = Field(description="As the event has it.")
    steps: list[models.Step] = Field(
        description="What follows by the policy and the returns that the assessment names, whichever side it "
        "is of: the log holds no steps."
    )


class ReplayMismatch(Model):
    """A place where what was recorded does not follow."""

    kind: Kind
    stream: str
    period: str | None
    position: int | None = Field(description="Of the recorded event; null where nothing was recorded.")
    transaction_end: int | None = Field(description="Of the transaction that decided.")
    recorded: Assessment | None
    derived: Assessment | None
    detail: str | None


class RowDifference(Model):
    """A row of a read model that is not what follows from the log; the columns that differ."""

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    derived: dict[str, Any] | None


class UnassessedPublication(Model):
    """A version that was published or withdrawn, and of which something is left to be assessed."""

    policy: str
    version: int
    done: int
    total: int


class ReplayReport(Model):
    """What a replay found."""

    is_clean: bool
    first: int
    last: int
    projected: int | None = Field(description="Where the rows of the read models were compared.")
    unassessed: list[UnassessedPublication] = Field(
        description="Publications whose assessment is not complete; what is left of it is not compared."
    )
    events: int
    assessments: int
    mismatch_count: int
    mismatches: list[ReplayMismatch] = Field(description="At most 2000 of them, by position.")
    rows: dict[str, int] = Field(description="Rows that were compared, by table.")
    row_difference_count: int
    row_differences: list[RowDifference] = Field(description="At most 2000 of them.")
    uncompared: int = Field(description="Slices of enterprises whose rows could not be compared.")


class Replay(Model):
    """A replay that was asked for."""

    id: str
    state: State
    asked_by: str
    asked_at: str
    first: int
    last: int | None
    done: int = Field(description="Events that are replayed.")
    total: int = Field(description="Of how many; 0 as long as that is not known.")
    problem: str | None
    report: ReplayReport | None


def replay(run: Run) -> Replay:
    """A replay, with its report when it is done."""
    return Replay(
        id=run.id,
        state=run.state,
        asked_by=run.asked_by,
        asked_at=rfc_3339(run.asked_at_us),
        first=run.first,
        last=run.last,
        done=run.done,
        total=run.total,
        problem=run.problem,
        report=None if run.report is None else report(_REPORT.decode(run.report)),
    )


def report(found: ReplayResult) -> ReplayReport:
    """A report."""
    counted = found.found
    return ReplayReport(
        is_clean=found.is_clean,
        first=found.first,
        last=found.last,
        projected=found.projected,
        unassessed=[
            UnassessedPublication(
                policy=each.policy, version=each.version, done=each.done_before_end, total=each.total
            )
            for each in found.unassessed
        ],
        events=counted.events,
        assessments=counted.assessments,
        mismatch_count=counted.mismatch_count,
        mismatches=[_mismatch(each) for each in counted.mismatches],
        rows=counted.rows,
        row_difference_count=counted.row_difference_count,
        row_differences=[RowDifference(**msgspec.structs.asdict(each)) for each in counted.row_differences],
        uncompared=counted.uncompared,
    )


def _mismatch(mismatch: Mismatch) -> ReplayMismatch:
    return ReplayMismatch(
        kind=mismatch.kind,
        stream=mismatch.stream,
        period=mismatch.period,
        position=mismatch.position,
        transaction_end=mismatch.transaction_end,
        recorded=_side(mismatch.recorded),
        derived=_side(mismatch.derived),
        detail=mismatch.detail,
    )


def _side(side: Side | None) -> Assessment | None:
    if side is None:
        return None
    return Assessment(
        policy=_ref(side.assessed.policy),
        outcome=None if side.assessed.outcome is None else outcome_fields(side.assessed.outcome),
        steps=[
            models.Step(
                n=n,
                rule=each.step.rule,
                measure=each.step.measure,
                cite=each.step.cite,
                reading=each.step.reading,
                inputs=each.step.inputs,
                output=each.step.output,
                met=each.step.met,
                shortfall_fen=each.step.shortfall_fen,
                figures_withheld=False,
                sentence=each.sentence,
            )
            for n, each in enumerate(side.steps, 1)
        ],
    )


def _ref(ref: PolicyRef) -> models.PolicyRef:
    return models.PolicyRef(**msgspec.structs.asdict(ref))
