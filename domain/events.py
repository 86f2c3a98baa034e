"""The content of the log: the types of events, and the entry that carries an event.

A recorded event stays readable for ever: a type may only get further fields, with defaults; any other change
needs a new version of the type with an upcast. `docs/events/` holds the schema of each type, the golden log
has examples. Amounts are integers in fen.
"""

from typing import Any, Final, Literal

import msgspec

Stage = Literal["final", "preliminary"]
Origin = Literal["enterprise", "returned", "enforcement"]
Status = Literal["eligible", "undetermined", "not-eligible"]


class Figure(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One item of a form, in fen; None means not reported, which is not 0."""

    current_fen: int | None = None
    prior_year_fen: int | None = None
    current_ytd_fen: int | None = None
    prior_year_ytd_fen: int | None = None


class Source(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a return came from: the file, its SHA-256 in hexadecimal, the sheet and its row."""

    name: str | None = None
    sha256: str | None = None
    sheet: str | None = None
    row: int | None = None


class Return(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return as registered: one enterprise, period and form.

    Attributes:
        form: `E204-1` or `S204-1`.
        period: As the API writes it: `2024-03`, `2024-01~02`.
        in_database: Whether the enterprise is in the survey-unit database in this period.
        figures: The figures by item of the form.
        reported_at: The time at which the figure was reported according to the source, RFC 3339.
        reason: Why a final return was changed.
        origin: Where the correction comes from.
        document: The number of the document that orders or supports the correction.
        uscc_override: Why the code is registered although its check characters are wrong.
    """

    form: str
    period: str
    name: str
    region_code: str
    industry_code: str
    in_database: bool
    stage: Stage
    figures: dict[str, Figure]
    source: Source | None = None
    reported_at: str | None = None
    reason: str | None = None
    origin: Origin | None = None
    document: str | None = None
    uscc_override: str | None = None

    def says_the_same_as(self, other: "Return") -> bool:
        """Whether filing this return over the other one would change nothing, apart from the provenance."""
        return (
            self.figures == other.figures
            and self.stage == other.stage
            and self.in_database == other.in_database
            and self.name == other.name
            and self.region_code == other.region_code
            and self.industry_code == other.industry_code
        )


class ReturnFiled(Return, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return was registered (数据登记) where there was no standing return."""


class ReturnRevised(Return, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return was registered in place of the standing one (更正登记)."""


class ReturnWithdrawn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A wrong registration was withdrawn (撤销登记); its content stays in the log."""

    form: str
    period: str
    reason: str
    origin: Origin | None = None
    document: str | None = None


class PolicyRef(msgspec.Struct, frozen=True, gc=False):
    """A published policy document: its id, its version from 1, the SHA-256 of its canonical form."""

    id: str
    version: int
    sha256: str


class RecordRef(msgspec.Struct, frozen=True, gc=False):
    """A record that an assessment used: its stream, and its version in the stream."""

    stream: str
    version: int


class MeasureOutcome(msgspec.Struct, frozen=True, gc=False):
    """The award of one measure on its form, before any ceiling."""

    measure: str
    form: str
    status: Status
    rule_fen: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The assessed amounts of a period, and what they rest on.

    Attributes:
        measure: The winning measure; None unless one gives more than 0 before any limit.
        measures: The award of each measure.
        rule_fen: The award of the winning measure before any limit.
        selected_fen: The amount after the limit of the period and the choice.
        assessed_fen: The amount after the longer limits (测算金额).
        open_fen: The part of the assessed amount that rests on open readings.
        capped_by: The ids of the limits that cut the amount, in the order in which they apply.
        open_readings: The ids of the open readings that the outcome rests on.
    """

    stage: Stage
    status: Status
    measure: str | None
    measures: tuple[MeasureOutcome, ...]
    rule_fen: int
    selected_fen: int
    assessed_fen: int
    open_fen: int
    capped_by: tuple[str, ...]
    open_readings: tuple[str, ...]


class EntitlementAssessed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The assessment of a period of an account changed.

    Attributes:
        period: A period of any length, as the API writes windows.
        policy: The document that the assessment applied.
        records: The records that the assessment used; empty if no standing return is left.
        outcome: None if no standing return is left that the policy counts in this account.
    """

    period: str
    policy: PolicyRef
    records: tuple[RecordRef, ...]
    outcome: Outcome | None


class DroppedCoverage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Periods that the version before covered and a new one does not, and why.

    Attributes:
        periods: The dropped periods, as the API writes them.
        reason: Why they are dropped.
        document: The number of the document that orders it.
    """

    periods: tuple[str, ...]
    reason: str
    document: str


class PolicyPublished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A policy document was published; assessments by it need nothing but the log.

    Attributes:
        policy: The id of the policy.
        version: From 1: the number of published versions of the policy, this one included.
        sha256: The SHA-256 of the canonical form of `document`.
        text: The YAML as it was submitted, comments included.
        document: The content of `text` as data.
        dropped: The periods that are no longer covered; None if the version covers all periods of the one
            before.
    """

    policy: str
    version: int
    sha256: str
    text: str
    document: dict[str, Any]
    dropped: DroppedCoverage | None = None


class PolicyWithdrawn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A policy was repealed, or its publication was a mistake: it no longer pays for any period.

    Attributes:
        policy: The id of the policy.
        version: The version that was in force.
        reason: Why it was withdrawn.
        document: The number of the document that orders the withdrawal.
    """

    policy: str
    version: int
    reason: str
    document: str


class PolicyAssessed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything filed before a publication, or before a withdrawal, has been assessed by it.

    If nothing was filed before, the log has no such event.

    Attributes:
        policy: The id of the policy.
        version: The version that was published or withdrawn.
    """

    policy: str
    version: int


class UnreadableEvent(msgspec.Struct, frozen=True, gc=False):
    """Replaces an event whose content does not fit its type; it is never stored.

    Attributes:
        reason: Why the event cannot be read, in Chinese.
    """

    reason: str


class LogSealed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The log was sealed: for the first time, under another key, or at twice the size of the last such event.

    Attributes:
        size: The number of events before this one, all of which were sealed.
        root: The root of the Merkle tree over them (RFC 9162), in base64.
        verifier_key: The operator's public key, which verifies checkpoints; None without a key.
    """

    size: int
    root: str
    verifier_key: str | None


class ClockAccepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An operator vouched for a clock that was far ahead of the last record.

    Attributes:
        accepted: The time of the clock, RFC 3339.
        last_recorded: The time of the last record before, RFC 3339; None in an empty log.
        reason: Why the time is right.
    """

    accepted: str
    last_recorded: str | None
    reason: str


LedgerEvent = LogSealed | ClockAccepted
"""The events about the ledger itself: no return, account or policy follows from them."""

LEDGER_STREAM: Final = "ledger"
"""The stream of the events about the ledger itself."""

ReturnEvent = ReturnFiled | ReturnRevised | ReturnWithdrawn
"""The events of the streams of returns."""

EnterpriseEvent = ReturnEvent | EntitlementAssessed
"""The events of the streams of an enterprise."""

PolicyEvent = PolicyPublished | PolicyWithdrawn | PolicyAssessed
"""The events of a policy's stream."""

Event = EnterpriseEvent | PolicyEvent | LedgerEvent

AnyEvent = Event | UnreadableEvent
"""The content of an entry of the log: an event, or the placeholder of an unreadable one."""

EVENT_TYPES: dict[str, type[Event]] = {
    "ReturnFiled": ReturnFiled,
    "ReturnRevised": ReturnRevised,
    "ReturnWithdrawn": ReturnWithdrawn,
    "EntitlementAssessed.2": EntitlementAssessed,
    "PolicyPublished": PolicyPublished,
    "PolicyWithdrawn": PolicyWithdrawn,
    "PolicyAssessed": PolicyAssessed,
    "LogSealed": LogSealed,
    "ClockAccepted": ClockAccepted,
}
"""The types by the stable topic under which events are stored; output shows the type by its own name."""


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """An event at its position in the log of the ledger.

    Attributes:
        position: The position in the log, from 1, without gaps.
        stream: The stream of the aggregate that the event belongs to.
        version: The place of the event in the stream, from 1.
        type: The name of the event's type, whichever version of it was stored.
        state: The event as JSON, in the newest version of its type.
        recorded_at_us: Microseconds since 1970-01-01T00:00:00Z; never earlier than the entry before.
        actor: The name of the key, or of the command, that recorded the event.
        batch_id: The id that all events recorded by one command share.
        transaction_end: The position of the last event of the transaction.
    """

    position: int
    stream: str
    version: int
    type: str
    event: AnyEvent
    state: bytes
    recorded_at_us: int
    actor: str
    batch_id: str
    transaction_end: int


def returns_stream(uscc: str, year: int) -> str:
    """The stream of an enterprise's returns of one year."""
    return f"returns/{uscc}/{year}"


def account_stream(policy: str, uscc: str, window: str) -> str:
    """The stream of an enterprise's account of a window under one policy."""
    return f"entitlement/{policy}/{uscc}/{window}"


def policy_stream(policy: str) -> str:
    """The stream of a policy: its versions, their assessments, its withdrawals."""
    return f"policy/{policy}"
