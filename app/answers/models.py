"""The answers of the API, whose names and shapes its clients rely on; amounts are integers in fen."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.runtime.limits import PROBLEMS_MOST_LISTED

Status = Literal["eligible", "undetermined", "not-eligible"]
Stage = Literal["final", "preliminary"]


class Model(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(frozen=True)


class Checkpoint(Model):
    """The log's Merkle tree (RFC 9162) over its first `size` events, which an auditor keeps to compare."""

    size: int = Field(examples=[3])
    root: str = Field(description="SHA-256 in base64.")


class AsOf(Model):
    """The moment of an answer: the end of a transaction."""

    position: int = Field(examples=[3])
    recorded_at: str | None = Field(
        description="Null before the first event.", examples=["2024-04-10T08:00:00Z"]
    )
    checkpoint: Checkpoint | None = Field(
        description="Of the log up to this position; null until it is sealed up to there."
    )
    day_in_progress: bool = Field(
        description="The request names a day that has not ended in Beijing: the answer is as of now."
    )


class RowWarning(Model):
    """A warning that a clerk should check; the row is recorded nevertheless."""

    row: int
    code: str = Field(examples=["base-differs"])
    message: str


class PreviewedChange(Model):
    """The change of one period's amount that a filing would cause."""

    uscc: str
    period: str
    before_fen: int | None
    after_fen: int | None


class Filing(Model):
    """The result of a filing or a withdrawal."""

    batch_id: str
    position: int = Field(
        description="The position of the last event recorded, or the head of the log if none was."
    )
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int = Field(description="Periods assessed differently, first assessments included.")
    warnings: list[RowWarning] = Field(max_length=PROBLEMS_MOST_LISTED)
    warnings_total: int = Field(description="The number of all of them, listed or not.")


class FilingPreview(Filing):
    """The result that a filing would have; nothing was recorded."""

    preview: list[PreviewedChange]


class ReturnVersion(Model):
    """A version of a return: a registration or a withdrawal."""

    form: str
    period: str
    type: Literal["ReturnFiled", "ReturnRevised", "ReturnWithdrawn"]
    version: int
    stage: Stage | None
    in_database: bool | None
    name: str | None
    region_code: str | None
    industry_code: str | None
    current_fen: int | None
    prior_year_fen: int | None
    figures: dict[str, Any] | None
    source: dict[str, Any] | None
    reported_at: str | None
    reason: str | None
    origin: str | None
    document: str | None
    uscc_override: str | None
    actor: str
    recorded_at: str
    position: int


class ReturnHistory(Model):
    """A form and period with all its versions, oldest first."""

    form: str
    period: str
    standing: bool = Field(description="False if the last version is a withdrawal.")
    versions: list[ReturnVersion]


class EnterpriseReturns(Model):
    """The returns of an enterprise and year."""

    uscc: str
    year: int
    returns: list[ReturnHistory]
    as_of: AsOf


class RedFlagEvidence(ReturnVersion):
    """A version of a return that a question is about."""

    uscc: str


class RedFlagGroup(Model):
    """The counts behind a question about many returns."""

    measure: str | None = Field(description="The measure of the threshold; null for corrections.")
    threshold: Literal["growth", "increment"] | None
    actor: str | None = Field(description="The actor of the corrections; null for a threshold.")
    counted: int = Field(description="Returns just over the threshold, or corrections by the actor.")
    total: int = Field(description="Returns just over or under the threshold, or corrections by all actors.")
    share_bp: int
    expected_bp: int = Field(description="Half; for corrections, the actor's share of first filings.")


class RedFlag(Model):
    """A question to examine, never a verdict."""

    flag: str = Field(examples=["base-earns"])
    uscc: str | None = Field(description="Null if the question is about many returns.")
    name: str | None
    region_code: str | None
    period: str | None = Field(description="Null if the question is about the whole window.")
    form: str | None
    column: Literal["current", "prior_year"] | None = Field(
        description="The column of the two figures; `current` for a late correction of both. "
        "Null if neither was corrected."
    )
    stated_fen: int | None = Field(description="The registered figure.")
    compared_fen: int | None = Field(description="The figure that it is compared with.")
    assessed_fen: int | None = Field(
        description="The account's amount; null if the question is about no award."
    )
    compared_assessed_fen: int | None = Field(
        description="The account's amount with the compared figure in this return."
    )
    together_assessed_fen: int | None = Field(
        description="The account's amount with the compared figures in every return of this flag: under a "
        "limit, two returns may earn together what neither earns alone."
    )
    group: RedFlagGroup | None
    evidence: list[RedFlagEvidence]
    sentence: str = Field(description="The question, in Chinese.")


class RedFlagThresholds(Model):
    """The thresholds from which red flags are raised."""

    december_times: int
    december_months_least: int
    step_parts: int
    growth_band_bp: int
    cluster_deviations: int
    cluster_least: int
    corrections_least: int
    corrections_rate_bp: int
    listed_most: int


class RedFlagPage(Model):
    """A page of questions about single enterprises, by code."""

    items: list[RedFlag]
    next_cursor: str | None = Field(
        description="Null on the last page. Any page may be shorter than limit, even empty."
    )
    thresholds: RedFlagThresholds
    as_of: AsOf


class RedFlagGroups(Model):
    """The questions about many returns together."""

    items: list[RedFlag]
    thresholds: RedFlagThresholds
    as_of: AsOf


class PolicyRef(Model):
    """A published version of a policy."""

    id: str = Field(examples=["yingkou-2024-14"])
    version: int
    sha256: str


class MeasureOutcome(Model):
    """The result of one measure before all limits."""

    measure: str
    status: Status
    rule_fen: int


class Period(Model):
    """The assessment of a period."""

    period: str = Field(examples=["2024-03"])
    stage: Stage
    status: Status
    measure: str | None = Field(description="The winning measure; null unless eligible.")
    measures: list[MeasureOutcome]
    rule_fen: int = Field(description="The amount of the winning measure before all limits.")
    selected_fen: int = Field(
        description="The amount after the limit of the period and the choice of the measure."
    )
    assessed_fen: int = Field(description="The amount after the longer limits (测算金额).")
    open_fen: int = Field(description="The part that depends on open readings.")
    bound_by: list[str] = Field(
        description="The limits that reduced the amount, in the order in which they apply.",
        examples=[["month-ceiling"]],
    )
    open_readings: list[str]
    position: int


class LimitUse(Model):
    """A limit in one of its windows."""

    id: str = Field(examples=["half-year-ceiling"])
    per: Literal["month", "quarter", "half-year", "year", "policy"]
    window: str = Field(examples=["2024H1"])
    ceiling_fen: int
    used_fen: int


class Entitlement(Model):
    """An account."""

    uscc: str
    name: str | None
    region_code: str | None
    policy: PolicyRef | None
    window: str = Field(
        description="The window of the account: a quarter, half-year, year, or several years of a policy.",
        examples=["2024H1"],
    )
    ceiling_fen: int | None = Field(
        description="The limit of the whole account; null if the policy has no limit of that length."
    )
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    headroom_fen: int | None = Field(description="The unused part of `ceiling_fen`; null without it.")
    limits: list[LimitUse] = Field(
        description="Every limit with each of its windows in the account, the smallest first."
    )
    periods: list[Period]
    disputed: list[int] = Field(
        description="Positions of the events that contradict the account, which shows what was recorded last."
    )
    as_of: AsOf


class Step(Model):
    """A step of an assessment, in the order of computation."""

    n: int
    rule: str = Field(examples=["growth-over"])
    measure: str | None
    cite: str | None = Field(description="The clause.")
    reading: str | None
    inputs: dict[str, int | str | bool | None] | None
    output: int | None
    met: bool
    shortfall_fen: int | None
    figures_withheld: bool
    sentence: str


class ExplainedPeriod(Period):
    """A period with its steps, which every request derives again."""

    uscc: str
    window: str
    policy: PolicyRef
    figures_withheld: bool
    steps: list[Step]
    disputed: list[int] = Field(
        description="As in the account; there are no steps if no version gives the amounts."
    )
    as_of: AsOf


class ListedEntitlement(Model):
    """An account in the list; `periods` is a count."""

    uscc: str
    name: str
    region_code: str
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    headroom_fen: int | None
    periods: int
    disputed: list[int] = Field(description="As in the account; a disputed account is in no sum.")


class AssessmentUnderWay(Model):
    """The progress of the assessment after a publication; amounts may still be of an earlier version."""

    version: int
    done: int | None = Field(
        description="The number of annual returns assessed so far; null for a past moment."
    )
    total: int


class EntitlementList(Model):
    """A page of accounts, with the totals of the whole list."""

    items: list[ListedEntitlement]
    next_cursor: str | None = Field(
        description="Null on the last page. Any page may be shorter than limit, even empty."
    )
    total: int | None
    assessed_fen: int | None
    disputed: int = Field(
        description="The number of accounts of the window that the log contradicts; they are in no total."
    )
    assessment: AssessmentUnderWay | None
    as_of: AsOf


class SummaryGroup(Model):
    """A group of the summary."""

    key: str
    enterprises: int
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    capped: dict[str, int] = Field(
        description="The number of periods that each limit of the policy reduced, by its id.",
        examples=[{"month-ceiling": 2, "half-year-ceiling": 1}],
    )
    month_ceiling: int | None = Field(description="As in `capped`; null if the policy has no such limit.")
    half_year_ceiling: int | None = Field(description="As in `capped`; null if the policy has no such limit.")


class Summary(Model):
    """The sums of a window by group."""

    groups: list[SummaryGroup]
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    disputed: int = Field(
        description="The number of accounts of the window that the log contradicts; they are in no sum."
    )
    assessment: AssessmentUnderWay | None
    as_of: AsOf


class LoggedEvent(Model):
    """An event of the log."""

    position: int
    stream: str
    version: int
    type: str
    recorded_at: str
    actor: str
    data: dict[str, Any]


class EventPage(Model):
    """Events in the order of the log."""

    items: list[LoggedEvent]
    next_after: int
    as_of: AsOf


class AssessmentProgress(Model):
    """The number of annual returns filed before a publication, and of those already assessed by it."""

    done: int
    total: int


class PolicyWithdrawal(Model):
    """The withdrawal of a policy, which pays for nothing afterwards, with the reason."""

    position: int
    recorded_at: str
    actor: str
    reason: str
    document: str


class PolicySummary(Model):
    """A policy and its newest version."""

    id: str
    title: str
    version: int
    sha256: str
    first_window: str
    last_window: str
    withdrawn: PolicyWithdrawal | None = Field(description="Null while the newest version is in force.")


class PolicyList(Model):
    """All policies."""

    items: list[PolicySummary]
    as_of: AsOf


class PolicyVersionSummary(Model):
    """A published version."""

    version: int
    sha256: str
    published_at: str
    actor: str
    position: int


class PolicyDetail(PolicySummary):
    """A policy and its versions, oldest first."""

    versions: list[PolicyVersionSummary]
    as_of: AsOf


class PolicyVersion(PolicyVersionSummary):
    """A published version with its document."""

    id: str
    title: str
    document: dict[str, Any]
    text: str = Field(description="The YAML as it was submitted.")
    assessment: AssessmentProgress = Field(
        description="The progress now, whatever the moment of the request."
    )
    as_of: AsOf


class LostPeriod(Model):
    """A period that is no longer covered, with the amount now assessed for it."""

    period: str
    enterprises: int
    assessed_fen: int


class Disagreement(Model):
    """An event that contradicts the read models, which leave its account out of every sum."""

    position: int
    stream: str
    type: str
    uscc: str | None = Field(description="Null if the event belongs to no enterprise.")
    window: str | None
    policy: str | None = Field(description="Null if every account of the window depends on the event.")
    period: str | None
    reason: str


class DisagreementPage(Model):
    """A page of events that contradict the read models, in the order of the log."""

    items: list[Disagreement]
    total: int
    next_after: int
    as_of: AsOf


class PublicationPreview(Model):
    """The changes that a publication would cause; nothing was recorded."""

    id: str
    version: int
    sha256: str
    entitlements_changed: int
    before_fen: int
    after_fen: int
    lost: list[LostPeriod] = Field(
        description="Periods that it would no longer cover; publishing it then needs drop=true."
    )


class Problem(Model):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    problems: list[dict[str, Any]] | None = Field(default=None, max_length=PROBLEMS_MOST_LISTED)
    problems_total: int | None = Field(default=None, description="The number of all of them, listed or not.")
