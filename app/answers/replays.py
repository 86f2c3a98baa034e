"""The answers about replays."""

from typing import Any, Final

import msgspec
from pydantic import Field

from app.answers import models
from app.answers.models import Model
from app.answers.presenters import outcome_fields
from app.ledger.replay_runs import Run, State
from app.runtime.times import rfc_3339
from app.use_cases.audit.replaying import ReplayResult
from domain.assessment.replay import Kind, Mismatch, Side
from domain.events import PolicyRef

_REPORT: Final = msgspec.json.Decoder(ReplayResult)


class Assessment(Model):
    """An assessment on one side of a mismatch; `outcome` is null if it ends the assessment of the period."""

    policy: models.PolicyRef
    outcome: dict[str, Any] | None = Field(description="The outcome in the event.")
    steps: list[models.Step] = Field(
        description="The steps that follow from the policy and the returns that the assessment names. On "
        "both sides they are derived, since the log contains no steps."
    )


class ReplayMismatch(Model):
    """A place where the recorded event does not follow from the earlier ones."""

    kind: Kind
    stream: str
    period: str | None
    position: int | None = Field(description="Of the recorded event; null if none was recorded.")
    transaction_end: int | None = Field(description="The end of the transaction that made the decision.")
    recorded: Assessment | None
    derived: Assessment | None
    detail: str | None


class RowDifference(Model):
    """A row of a read model that differs from the row that follows from the log: the differing columns."""

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    derived: dict[str, Any] | None


class UnassessedPublication(Model):
    """A version that was published or withdrawn, and whose assessment is not complete."""

    policy: str
    version: int
    done: int
    total: int


class ReplayReport(Model):
    """The result of a replay."""

    is_clean: bool
    first: int
    last: int
    projected: int | None = Field(
        description="The position as of which the rows of the read models were compared."
    )
    unassessed: list[UnassessedPublication] = Field(
        description="Publications whose assessment is not complete; the missing part is not compared."
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
    """A requested replay."""

    id: str
    state: State
    asked_by: str
    asked_at: str
    first: int
    last: int | None
    done: int = Field(description="The number of events replayed.")
    total: int = Field(description="The number of events to replay; 0 while it is unknown.")
    problem: str | None
    report: ReplayReport | None


def replay(run: Run) -> Replay:
    """Present a replay, with its report once it is done."""
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
    """Present the result of a replay."""
    counted = found.found
    return ReplayReport(
        is_clean=found.is_clean,
        first=found.first,
        last=found.last,
        projected=found.projected,
        unassessed=[
            UnassessedPublication(
                policy=publication.policy,
                version=publication.version,
                done=publication.done_before_end,
                total=publication.total,
            )
            for publication in found.unassessed
        ],
        events=counted.events,
        assessments=counted.assessments,
        mismatch_count=counted.mismatch_count,
        mismatches=[_mismatch(mismatch) for mismatch in counted.mismatches],
        rows=counted.rows,
        row_difference_count=counted.row_difference_count,
        row_differences=[RowDifference(**msgspec.structs.asdict(row)) for row in counted.row_differences],
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
                rule=explained.step.rule,
                measure=explained.step.measure,
                cite=explained.step.cite,
                reading=explained.step.reading,
                inputs=explained.step.inputs,
                output=explained.step.output,
                met=explained.step.met,
                shortfall_fen=explained.step.shortfall_fen,
                figures_withheld=False,
                sentence=explained.sentence,
            )
            for n, explained in enumerate(side.steps, 1)
        ],
    )


def _ref(ref: PolicyRef) -> models.PolicyRef:
    return models.PolicyRef(**msgspec.structs.asdict(ref))
