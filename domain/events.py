"""What the log holds: the types of events, and the entry that carries one of them.

An event once written is read for ever: its fields are only added to, with defaults; anything else is a new
version of the type with an upcast. `docs/events/` holds the schema of each, the golden log its examples.
Amounts are integers in fen.
"""

from typing import Any, Final, Literal

import msgspec

Stage = Literal["final", "preliminary"]
Origin = Literal["enterprise", "returned", "enforcement"]
Status = Literal["eligible", "undetermined", "not-eligible"]


class Figure(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One item of a form, in fen; None is not reported, which is not 0."""

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
        period: As the contract writes it.
        in_database: Whether the enterprise is in the survey-unit database in this period.
        figures: By item of the form.
        reported_at: When the source says that the figure was reported, RFC 3339.
        reason: Why a final return was changed.
        origin: Whose correction it is.
        document: The number of the document that orders or supports it.
        uscc_override: Why the code is registered although its check characters fail.
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
        """Whether a filing of this over the other would change nothing: provenance does not count."""
        return (
            self.figures == other.figures
            and self.stage == other.stage
            and self.in_database == other.in_database
            and self.name == other.name
            and self.region_code == other.region_code
            and self.industry_code == other.industry_code
        )


class ReturnFiled(Return, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return was registered (数据登记) where none stood."""


class ReturnRevised(Return, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A return was registered in place of one that stood (更正登记)."""


class ReturnWithdrawn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A wrong registration was withdrawn (撤销登记); what it said stays in the log."""

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
    """A record that an assessment used: its stream, and its version in it."""

    stream: str
    version: int


class MeasureOutcome(msgspec.Struct, frozen=True, gc=False):
    """What one measure, on its form, gives before any ceiling."""

    measure: str
    form: str
    status: Status
    rule_fen: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a period was assessed to.

    Attributes:
        measure: The winning measure; None unless one gives more than 0 before any limit.
        measures: What each measure gives.
        rule_fen: What the winning measure gives before any limit.
        selected_fen: After the limit of the period and the choice.
        assessed_fen: After the longer limits (测算金额).
        open_fen: What of it rests on open readings.
        capped_by: The ids of the limits that cut, in the order in which they apply.
        open_readings: The ids of the open readings that it rests on.
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
    """A period of an account was assessed differently than before.

    Attributes:
        period: Of any length, as the contract writes windows.
        policy: The document that it was assessed by.
        records: The records that it used; empty where none stands any more.
        outcome: None where no return stands any more that the policy counts in this account.
    """

    period: str
    policy: PolicyRef
    records: tuple[RecordRef, ...]
    outcome: Outcome | None


class DroppedCoverage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Periods that the version before covered and a new one does not, and why.

    Attributes:
        periods: Those that are dropped, as the contract writes them.
        reason: Why they are dropped.
        document: The number of the document that orders it.
    """

    periods: tuple[str, ...]
    reason: str
    document: str


class PolicyPublished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A policy document was published; the log alone is enough to assess by it.

    Attributes:
        policy: Its id.
        version: From 1: how many versions of the policy were published, this one included.
        sha256: Of the canonical form of `document`.
        text: The YAML as it was submitted, comments included.
        document: The same as data.
        dropped: What it no longer covers; None where it covers all that the version before covered.
    """

    policy: str
    version: int
    sha256: str
    text: str
    document: dict[str, Any]
    dropped: DroppedCoverage | None = None


class PolicyWithdrawn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A policy was repealed, or its publication was a mistake: it pays for nothing any more.

    Attributes:
        policy: Its id.
        version: The version that was in force.
        reason: Why.
        document: The number of the document that orders it.
    """

    policy: str
    version: int
    reason: str
    document: str


class PolicyAssessed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything filed before a publication, or before a withdrawal, is assessed by it.

    None follows on one before which nothing was filed.

    Attributes:
        policy: The id of the policy.
        version: The version that was published or withdrawn.
    """

    policy: str
    version: int


class UnreadableEvent(msgspec.Struct, frozen=True, gc=False):
    """Stands in the place of an event whose content is not of its type; never stored.

    Attributes:
        reason: In Chinese.
    """

    reason: str


class LogSealed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The log was sealed: for the first time, under another key, or to twice the size since.

    Attributes:
        size: How many events there were before this one; all of them were sealed.
        root: Of the Merkle tree over them (RFC 9162), in base64.
        verifier_key: The operator's key that checkpoints are verified by; None where there was none.
    """

    size: int
    root: str
    verifier_key: str | None


class ClockAccepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Somebody vouched for a clock that was far ahead of the last record.

    Attributes:
        accepted: The time that the clock told, RFC 3339.
        last_recorded: That of the last record before, RFC 3339; None of an empty log.
        reason: Why the time is right.
    """

    accepted: str
    last_recorded: str | None
    reason: str


LedgerEvent = LogSealed | ClockAccepted
"""What is recorded of the ledger itself: no return, account or policy follows from it."""

LEDGER_STREAM: Final = "ledger"
"""The one stream of these."""

EnterpriseEvent = ReturnFiled | ReturnRevised | ReturnWithdrawn | EntitlementAssessed
"""The events of the streams of an enterprise."""

PolicyEvent = PolicyPublished | PolicyWithdrawn | PolicyAssessed
"""The events of a policy's stream."""

Event = EnterpriseEvent | PolicyEvent | LedgerEvent

AnyEvent = Event | UnreadableEvent
"""What stands in a log: an event, or what cannot be read as one."""

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
"""The types by the stable topic under which they are stored; a type is shown by its own name."""


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """An event in its place in the one log of the ledger.

    Attributes:
        position: From 1, without gaps.
        stream: The aggregate that it belongs to.
        version: Its place in the stream, from 1.
        type: The name of its type, whichever version of it was stored.
        state: The event as JSON, in the newest version of its type.
        recorded_at_us: Microseconds since 1970-01-01T00:00:00Z; never earlier than the entry before.
        actor: The name of the key, or of the command, that recorded it.
        batch_id: Shared by all that one command recorded together.
        transaction_end: The position of the last event of its transaction.
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
