"""The answers of the API. Names and shapes are fixed by the contract; amounts are integers in fen."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.runtime.limits import PROBLEMS_MOST_LISTED

Status = Literal["eligible", "undetermined", "not-eligible"]
Stage = Literal["final", "preliminary"]


class Model(BaseModel):
    """What all answers share."""

    model_config = ConfigDict(frozen=True)


class Checkpoint(Model):
    """The log's Merkle tree (RFC 9162) over its first `size` events: what an auditor keeps to compare."""

    size: int = Field(examples=[3])
    root: str = Field(description="SHA-256 in base64.")


class AsOf(Model):
    """The end of the transaction that an answer stands at."""

    position: int = Field(examples=[3])
    recorded_at: str | None = Field(
        description="None before the first event.", examples=["2024-04-10T08:00:00Z"]
    )
    checkpoint: Checkpoint | None = Field(
        description="Of the log up to this position; None while it is not sealed so far."
    )
    day_in_progress: bool = Field(
        description="A day was asked for that has not ended in Beijing: it is answered as of now."
    )


class RowWarning(Model):
    """What a clerk should verify; the row is recorded all the same."""

    row: int
    code: str = Field(examples=["base-differs"])
    message: str


class PreviewedChange(Model):
    """What a filing would change in one period."""

    uscc: str
    period: str
    before_fen: int | None
    after_fen: int | None


class Filing(Model):
    """What was recorded."""

    batch_id: str
    position: int = Field(description="The last event recorded, or the head if none was.")
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int = Field(description="Periods assessed differently, first assessments included.")
    warnings: list[RowWarning] = Field(max_length=PROBLEMS_MOST_LISTED)
    warnings_total: int = Field(description="How many there are, listed or not.")


class FilingPreview(Filing):
    """What a filing would record; nothing was."""

    preview: list[PreviewedChange]


class ReturnVersion(Model):
    """A version of a return: what was registered, or that it was withdrawn."""

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
    standing: bool = Field(description="False where the last version is a withdrawal.")
    versions: list[ReturnVersion]


class EnterpriseReturns(Model):
    """The returns of an enterprise and year."""

    uscc: str
    year: int
    returns: list[ReturnHistory]
    as_of: AsOf


class RedFlagEvidence(ReturnVersion):
    """A version that a question is asked of."""

    uscc: str


class RedFlagGroup(Model):
    """The counts behind a question about many returns."""

    measure: str | None = Field(description="Whose threshold it is; None of corrections.")
    threshold: Literal["growth", "increment"] | None
    actor: str | None = Field(description="Who corrected; None of a threshold.")
    counted: int = Field(description="Just over the threshold, or the corrections of the actor.")
    total: int = Field(description="Just over and just under it, or the corrections of all.")
    share_bp: int
    expected_bp: int = Field(description="Half; of corrections, the actor's share of the first filings.")


class RedFlag(Model):
    """A question to look into, never a verdict."""

    flag: str = Field(examples=["base-earns"])
    uscc: str | None = Field(description="None where the question is about many returns.")
    name: str | None
    region_code: str | None
    period: str | None = Field(description="None where the question is about the whole window.")
    form: str | None
    column: Literal["current", "prior_year"] | None = Field(
        description="Where the two figures stand; of a late correction of both, current. "
        "None where neither was corrected."
    )
    stated_fen: int | None = Field(description="The figure as it stands.")
    compared_fen: int | None = Field(description="What it is compared with.")
    assessed_fen: int | None = Field(description="The account as it stands; None if no award is asked of.")
    compared_assessed_fen: int | None = Field(description="The account with this one return as compared.")
    together_assessed_fen: int | None = Field(
        description="The account with every return that this flag is about as compared: under a limit "
        "two may earn together what neither earns alone."
    )
    group: RedFlagGroup | None
    evidence: list[RedFlagEvidence]
    sentence: str = Field(description="The question, in Chinese.")


class RedFlagThresholds(Model):
    """From where on something stands out."""

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
    """A page of questions about one enterprise each, by code."""

    items: list[RedFlag]
    next_cursor: str | None = Field(
        description="None after the last page. A page may be shorter than limit, even empty, before it."
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
    """What one measure gives before any ceiling."""

    measure: str
    status: Status
    rule_fen: int


class Period(Model):
    """A period as assessed."""

    period: str = Field(examples=["2024-03"])
    stage: Stage
    status: Status
    measure: str | None = Field(description="The winning measure; None unless eligible.")
    measures: list[MeasureOutcome]
    rule_fen: int = Field(description="The winning measure before ceilings.")
    selected_fen: int = Field(description="After the limit of the period and the choice.")
    assessed_fen: int = Field(description="After the longer limits (测算金额).")
    open_fen: int = Field(description="The part that rests on open readings.")
    bound_by: list[str] = Field(
        description="The limits that cut, in the order in which they apply.", examples=[["month-ceiling"]]
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
        description="What it covers: a quarter, a half-year, a year, or several years of a policy.",
        examples=["2024H1"],
    )
    ceiling_fen: int | None = Field(
        description="The limit of the whole account; None where the policy has none that is as long."
    )
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    headroom_fen: int | None = Field(description="What is left under it; None without it.")
    limits: list[LimitUse] = Field(
        description="Every limit with each of its windows in the account, the smallest first."
    )
    periods: list[Period]
    disputed: list[int] = Field(
        description="Positions of the events that contradict the account; it shows what was last recorded."
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
    """A period with its steps, derived again when it is read."""

    uscc: str
    window: str
    policy: PolicyRef
    figures_withheld: bool
    steps: list[Step]
    disputed: list[int] = Field(description="As of the account; where no amount follows, there are no steps.")
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
    disputed: list[int] = Field(description="As of the account; a disputed one is in no sum.")


class AssessmentUnderWay(Model):
    """What was filed before a publication is being assessed: amounts may be of this version or one before."""

    version: int
    done: int | None = Field(description="Annual returns assessed so far; not kept of a past moment.")
    total: int


class EntitlementList(Model):
    """A page of accounts. The totals are over the whole list."""

    items: list[ListedEntitlement]
    next_cursor: str | None = Field(
        description="None after the last page. A page may be shorter than limit, even empty, before it."
    )
    total: int | None
    assessed_fen: int | None
    disputed: int = Field(description="Accounts of the window that the log contradicts: in no total.")
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
        description="How many periods each limit of the policy cut, by its id.",
        examples=[{"month-ceiling": 2, "half-year-ceiling": 1}],
    )
    month_ceiling: int | None = Field(description="As in `capped`; None where the policy has no such limit.")
    half_year_ceiling: int | None = Field(
        description="As in `capped`; None where the policy has no such limit."
    )


class Summary(Model):
    """The sums of a window by group."""

    groups: list[SummaryGroup]
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    disputed: int = Field(description="Accounts of the window that the log contradicts: in no sum.")
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
    """How many annual returns filed before a publication are assessed by it."""

    done: int
    total: int


class PolicyWithdrawal(Model):
    """That a policy pays for nothing any more, and why."""

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
    withdrawn: PolicyWithdrawal | None = Field(description="None while the newest version is in force.")


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
    assessment: AssessmentProgress = Field(description="As it is now, whatever moment is asked for.")
    as_of: AsOf


class LostPeriod(Model):
    """A period that is no longer covered, and what is assessed for it now."""

    period: str
    enterprises: int
    assessed_fen: int


class Disagreement(Model):
    """An event that the read models cannot follow; what they show of its account is in no sum."""

    position: int
    stream: str
    type: str
    uscc: str | None = Field(description="None where the event belongs to no enterprise.")
    window: str | None
    policy: str | None = Field(description="None where every account of the window rests on the event.")
    period: str | None
    reason: str


class DisagreementPage(Model):
    """What the log says and the read models cannot follow, in the order of the log."""

    items: list[Disagreement]
    total: int
    next_after: int
    as_of: AsOf


class PublicationPreview(Model):
    """What a publication would change; nothing was recorded."""

    id: str
    version: int
    sha256: str
    entitlements_changed: int
    before_fen: int
    after_fen: int
    lost: list[LostPeriod] = Field(
        description="Periods that it would no longer cover: published only with drop=true."
    )


class Problem(Model):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    problems: list[dict[str, Any]] | None = Field(default=None, max_length=PROBLEMS_MOST_LISTED)
    problems_total: int | None = Field(default=None, description="How many there are, listed or not.")
