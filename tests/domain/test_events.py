"""The names of events and streams: they are stored, so they stay."""

from typing import get_args

import msgspec
import pytest

from domain.events import (
    EVENT_TYPES,
    ClockAccepted,
    EntitlementAssessed,
    Event,
    Figure,
    LogEntry,
    LogSealed,
    PolicyAssessed,
    PolicyPublished,
    PolicyWithdrawn,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    Source,
    account_stream,
    policy_stream,
    returns_stream,
)
from tests.builders import SHIPPED_TEXT, Enterprise, loaded, policy_of, trade


def test_every_type_of_event_has_its_own_name() -> None:
    assert {
        "ReturnFiled": ReturnFiled,
        "ReturnRevised": ReturnRevised,
        "ReturnWithdrawn": ReturnWithdrawn,
        "EntitlementAssessed.2": EntitlementAssessed,
        "PolicyPublished": PolicyPublished,
        "PolicyWithdrawn": PolicyWithdrawn,
        "PolicyAssessed": PolicyAssessed,
        "LogSealed": LogSealed,
        "ClockAccepted": ClockAccepted,
    } == EVENT_TYPES
    assert set(EVENT_TYPES.values()) == set(get_args(Event))


def test_streams_are_named_by_what_they_hold() -> None:
    uscc = "91210802MA0010002C"
    assert returns_stream(uscc, 2024) == "returns/91210802MA0010002C/2024"
    assert account_stream("yingkou-2024-14", uscc, "2024H1") == (
        "entitlement/yingkou-2024-14/91210802MA0010002C/2024H1"
    )
    assert policy_stream("yingkou-2024-14") == "policy/yingkou-2024-14"


@pytest.mark.parametrize(
    "event",
    [
        *Enterprise().file(
            trade(
                110_000,
                None,
                figures={"retail_sales": Figure(1, None, 2, None), "sales": Figure(0, 0, None, -3)},
                source=Source("3月.xlsx", "ab" * 32, "批发", 12),
                reported_at="2024-04-10T08:00:00Z",
                origin="enforcement",
                document="号",
                uscc_override="早期代码",
            )
        ),
        ReturnWithdrawn(form="S204-1", period="2024-01~02", reason="误", origin="returned", document="号"),
        PolicyPublished(
            policy="yingkou-2024-14",
            version=1,
            sha256=policy_of().ref.sha256,
            text=SHIPPED_TEXT,
            document=loaded(SHIPPED_TEXT).document,
        ),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_with_every_field_survives_being_stored(event: Event) -> None:
    stored = msgspec.json.encode(event)
    assert msgspec.json.decode(stored, type=type(event)) == event


def test_a_missing_figure_is_stored_as_nothing_and_a_zero_as_zero() -> None:
    assert msgspec.json.encode(Figure(current_fen=0)) == b'{"current_fen":0}'
    assert msgspec.json.decode(b"{}", type=Figure).current_fen is None


def test_an_entry_of_the_log_holds_its_event_with_its_place() -> None:
    event = ReturnWithdrawn(form="E204-1", period="2024-03", reason="误")
    entry = LogEntry(
        7, "returns/x/2024", 2, "ReturnWithdrawn", event, b"{}", 1_712_736_000_000_000, "key", "b", 8
    )
    assert (entry.position, entry.transaction_end, entry.type) == (7, 8, type(entry.event).__name__)
