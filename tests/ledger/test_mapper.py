"""Events as they are stored: JSON under a short stable name, readable for ever."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.earlier_events import Upcast
from app.ledger.mapper import EventMapper, NewEvent, UndecodableEventError
from domain.events import (
    EVENT_TYPES,
    ClockAccepted,
    DroppedCoverage,
    EntitlementAssessed,
    Event,
    Figure,
    LogSealed,
    MeasureOutcome,
    Outcome,
    PolicyAssessed,
    PolicyPublished,
    PolicyRef,
    PolicyWithdrawn,
    RecordRef,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    Source,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
AMOUNT = st.integers(-(10**17) + 1, 10**17 - 1)
FIGURE = st.builds(
    Figure,
    current_fen=st.none() | AMOUNT,
    prior_year_fen=st.none() | AMOUNT,
    current_ytd_fen=st.none() | AMOUNT,
    prior_year_ytd_fen=st.none() | AMOUNT,
)
SOURCE = st.builds(
    Source,
    name=st.none() | TEXT,
    sha256=st.none() | TEXT,
    sheet=st.none() | TEXT,
    row=st.none() | st.integers(1, 2**31 - 1),
)
RETURN = {
    "form": st.sampled_from(["E204-1", "S204-1"]),
    "period": TEXT,
    "name": TEXT,
    "region_code": TEXT,
    "industry_code": TEXT,
    "in_database": st.booleans(),
    "stage": st.sampled_from(["final", "preliminary"]),
    "figures": st.dictionaries(TEXT, FIGURE, max_size=4),
    "source": st.none() | SOURCE,
    "reported_at": st.none() | TEXT,
    "reason": st.none() | TEXT,
    "origin": st.none() | st.sampled_from(["enterprise", "returned", "enforcement"]),
    "document": st.none() | TEXT,
    "uscc_override": st.none() | TEXT,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
STATUS = st.sampled_from(["eligible", "undetermined", "not-eligible"])
OUTCOME = st.builds(
    Outcome,
    stage=st.sampled_from(["final", "preliminary"]),
    status=STATUS,
    measure=st.none() | TEXT,
    measures=st.lists(st.builds(MeasureOutcome, TEXT, TEXT, STATUS, AMOUNT), max_size=2).map(tuple),
    rule_fen=AMOUNT,
    selected_fen=AMOUNT,
    assessed_fen=AMOUNT,
    open_fen=AMOUNT,
    capped_by=st.lists(TEXT, max_size=2).map(tuple),
    open_readings=st.lists(TEXT, max_size=2).map(tuple),
)
DROPPED = st.builds(
    DroppedCoverage, periods=st.lists(TEXT, max_size=2).map(tuple), reason=TEXT, document=TEXT
)
EXAMPLES: dict[str, st.SearchStrategy[Event]] = {
    "ReturnFiled": st.builds(ReturnFiled, **RETURN),
    "ReturnRevised": st.builds(ReturnRevised, **RETURN),
    "ReturnWithdrawn": st.builds(
        ReturnWithdrawn,
        form=TEXT,
        period=TEXT,
        reason=TEXT,
        origin=RETURN["origin"],
        document=st.none() | TEXT,
    ),
    "EntitlementAssessed.2": st.builds(
        EntitlementAssessed,
        period=TEXT,
        policy=st.builds(PolicyRef, TEXT, st.integers(1, 2**31), TEXT),
        records=st.lists(st.builds(RecordRef, TEXT, st.integers(1, 2**31)), max_size=2).map(tuple),
        outcome=st.none() | OUTCOME,
    ),
    "PolicyPublished": st.builds(
        PolicyPublished,
        policy=TEXT,
        version=st.integers(1, 2**31),
        sha256=TEXT,
        text=TEXT,
        document=st.dictionaries(TEXT, JSON, max_size=3),
        dropped=st.none() | DROPPED,
    ),
    "PolicyWithdrawn": st.builds(
        PolicyWithdrawn, policy=TEXT, version=st.integers(1, 2**31), reason=TEXT, document=TEXT
    ),
    "PolicyAssessed": st.builds(PolicyAssessed, policy=TEXT, version=st.integers(1, 2**31)),
    "LogSealed": st.builds(
        LogSealed, size=st.integers(1, 2**63 - 1), root=TEXT, verifier_key=st.none() | TEXT
    ),
    "ClockAccepted": st.builds(ClockAccepted, accepted=TEXT, last_recorded=st.none() | TEXT, reason=TEXT),
}


def test_every_type_of_event_has_an_example_here() -> None:
    assert EXAMPLES.keys() == EVENT_TYPES.keys()


@pytest.mark.parametrize("topic", EVENT_TYPES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_an_event_is_read_as_it_was_written_under_its_stable_name(topic: str, data: st.DataObject) -> None:
    mapper = EventMapper()
    written = NewEvent("stream/1", 7, data.draw(EXAMPLES[topic]))
    stored = mapper.encode(written)
    assert (stored.stream, stored.version, stored.topic) == ("stream/1", 7, topic)
    read = mapper.decode(stored.topic, stored.state, stored.stream)
    assert read == written.event
    assert type(read) is EVENT_TYPES[topic]
    assert mapper.encode(written._replace(event=read)) == stored


def test_a_figure_that_was_not_reported_is_not_stored_and_not_zero() -> None:
    assert msgspec.json.encode(Figure(current_fen=0)) == b'{"current_fen":0}'
    assert msgspec.json.decode(b'{"current_fen":0}', type=Figure) == Figure(0, None, None, None)


def test_an_unknown_topic_is_an_error_that_names_it() -> None:
    with pytest.raises(UndecodableEventError, match="ReturnShredded"):
        EventMapper().decode("ReturnShredded", b"{}", "s")


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b'{"form":1,"period":"2024-03","reason":"x"}',
        b"\xff",
        b'{"form":"\xff","period":"2024-03","reason":"x"}',
        b'{"form":"E204-1","period":"2024-03","reason":"x","more":' + b"[" * 100_000,
    ],
    ids=lambda state: state[:56].decode(errors="replace"),
)
def test_a_state_that_is_not_of_its_type_is_an_error(state: bytes) -> None:
    with pytest.raises(UndecodableEventError, match="ReturnWithdrawn"):
        EventMapper().decode("ReturnWithdrawn", state, "s")


def test_an_amount_that_is_no_integer_is_an_error() -> None:
    state = (
        b'{"form":"E204-1","period":"2024-03","name":"n","region_code":"210802","industry_code":"5211",'
        b'"in_database":true,"stage":"final","figures":{"retail_sales":{"current_fen":%s}}}'
    )
    assert isinstance(EventMapper().decode("ReturnFiled", state % b"100", "s"), ReturnFiled)
    with pytest.raises(UndecodableEventError):
        EventMapper().decode("ReturnFiled", state % b"100.5", "s")


class ReturnWithdrawnTwo(msgspec.Struct, frozen=True, kw_only=True):
    """A later version of the type, with another name for the document's number, and the orderer."""

    form: str
    period: str
    reason: str
    document_number: str | None
    ordered_by: str


class ReturnWithdrawnThree(msgspec.Struct, frozen=True, kw_only=True):
    """A still later one, with the reason in two parts."""

    form: str
    period: str
    reason_code: str
    reason_text: str
    document_number: str | None
    ordered_by: str


def _to_two(stream: str, old: ReturnWithdrawn) -> tuple[str, ReturnWithdrawnTwo]:
    return "ReturnWithdrawn.2", ReturnWithdrawnTwo(
        form=old.form,
        period=old.period,
        reason=f"{stream}：{old.reason}",
        document_number=old.document,
        ordered_by=old.origin or "unknown",
    )


def _to_three(_: str, old: ReturnWithdrawnTwo) -> tuple[str, ReturnWithdrawnThree]:
    return "ReturnWithdrawn.3", ReturnWithdrawnThree(
        form=old.form,
        period=old.period,
        reason_code="other",
        reason_text=old.reason,
        document_number=old.document_number,
        ordered_by=old.ordered_by,
    )


def test_an_old_state_is_read_as_the_newest_version_through_every_upcast_in_between() -> None:
    upcasts = {
        "ReturnWithdrawn": Upcast(ReturnWithdrawn, _to_two),
        "ReturnWithdrawn.2": Upcast(ReturnWithdrawnTwo, _to_three),
    }
    types = {
        **{topic: kind for topic, kind in EVENT_TYPES.items() if topic != "ReturnWithdrawn"},
        "ReturnWithdrawn.3": ReturnWithdrawnThree,
    }
    oldest = EventMapper().encode(
        NewEvent("s", 1, ReturnWithdrawn(form="E204-1", period="2024-03", reason="重复", document="7号"))
    )
    second = EventMapper(types={"ReturnWithdrawn.2": ReturnWithdrawnTwo}).encode(
        NewEvent(
            "s",
            2,
            ReturnWithdrawnTwo(  # type: ignore[arg-type]
                form="E204-1", period="2024-04", reason="错报", document_number=None, ordered_by="enterprise"
            ),
        )
    )
    newest = EventMapper(types, upcasts)
    read: list[Any] = [newest.decode(event.topic, event.state, event.stream) for event in (oldest, second)]
    assert read == [
        ReturnWithdrawnThree(
            form="E204-1",
            period="2024-03",
            reason_code="other",
            reason_text="s：重复",
            document_number="7号",
            ordered_by="unknown",
        ),
        ReturnWithdrawnThree(
            form="E204-1",
            period="2024-04",
            reason_code="other",
            reason_text="错报",
            document_number=None,
            ordered_by="enterprise",
        ),
    ]
    again = newest.encode(NewEvent("s", 3, read[0]))
    assert again.topic == "ReturnWithdrawn.3"
    assert newest.decode(again.topic, again.state, again.stream) == read[0]


def test_an_upcast_that_leads_to_no_known_type_is_an_error() -> None:
    mapper = EventMapper({}, {"ReturnWithdrawn": Upcast(ReturnWithdrawn, _to_two)})
    with pytest.raises(UndecodableEventError, match="ReturnWithdrawn"):
        mapper.decode("ReturnWithdrawn", b'{"form":"E204-1","period":"2024-03","reason":"x"}', "s")


def test_a_field_added_later_with_a_default_reads_old_states_and_old_readers_pass_over_it() -> None:
    class WithdrawnWithSeal(ReturnWithdrawn, frozen=True, kw_only=True):
        seal: str = "none"

    old = b'{"form":"E204-1","period":"2024-03","reason":"x"}'
    widened = EventMapper({"ReturnWithdrawn": WithdrawnWithSeal})
    event: Any = widened.decode("ReturnWithdrawn", old, "s")
    assert event.seal == "none"
    new = old[:-1] + b',"seal":"red"}'
    assert EventMapper().decode("ReturnWithdrawn", new, "s") == EventMapper().decode(
        "ReturnWithdrawn", old, "s"
    )
