"""Earlier versions of event types, so that old logs can always be read, as events of today's types."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from domain.events import (
    EVENT_TYPES,
    EntitlementAssessed,
    MeasureOutcome,
    Outcome,
    PolicyRef,
    RecordRef,
    Stage,
    Status,
)


class FormRef(msgspec.Struct, frozen=True, gc=False):
    """The return of a form that an assessment used: the version of the year's stream that recorded it."""

    form: str
    version: int


class FirstOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a period was assessed to, while there were two limits: of a month and of a half-year."""

    stage: Stage
    status: Status
    measure: str | None
    measures: tuple[MeasureOutcome, ...]
    rule_fen: int
    selected_fen: int
    assessed_fen: int
    open_fen: int
    bound_by: tuple[str, ...]
    open_readings: tuple[str, ...]


class FirstEntitlementAssessed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A period of a half-year account was assessed, from the returns of one year."""

    period: str
    policy: PolicyRef
    returns: tuple[FormRef, ...]
    outcome: FirstOutcome | None


class Upcast(NamedTuple):
    """The conversion of an earlier version of a type.

    Attributes:
        earlier: The earlier version.
        apply: Converts the name of the stream and an event of this version into the topic and the event of
            the next version.
    """

    earlier: type[Any]
    apply: Callable[[str, Any], tuple[str, Any]]


def _entitlement_assessed(stream: str, event: FirstEntitlementAssessed) -> tuple[str, EntitlementAssessed]:
    """Name the records by the stream of the period's year, which follows from the account's stream."""
    parts = stream.split("/")
    uscc = parts[2] if len(parts) == 4 else ""  # noqa: PLR2004 - entitlement/{policy}/{uscc}/{window}
    returns = f"returns/{uscc}/{event.period[:4]}"
    before = event.outcome
    outcome = None
    if before is not None:
        outcome = Outcome(
            stage=before.stage,
            status=before.status,
            measure=before.measure,
            measures=before.measures,
            rule_fen=before.rule_fen,
            selected_fen=before.selected_fen,
            assessed_fen=before.assessed_fen,
            open_fen=before.open_fen,
            capped_by=before.bound_by,
            open_readings=before.open_readings,
        )
    records = tuple([RecordRef(returns, used.version) for used in event.returns])
    now = EntitlementAssessed(period=event.period, policy=event.policy, records=records, outcome=outcome)
    return "EntitlementAssessed.2", now


UPCASTS: Final[Mapping[str, Upcast]] = {
    "EntitlementAssessed": Upcast(FirstEntitlementAssessed, _entitlement_assessed),
}
"""The conversions by old topic; a changed type is stored under a new topic (`ReturnFiled.2`)."""

STORED_TYPES: Final[Mapping[str, type[Any]]] = {
    **{topic: upcast.earlier for topic, upcast in UPCASTS.items()},
    **EVENT_TYPES,
}
"""Every type that a log may contain, by topic."""
