"""Recorded events stay readable for ever, and keep their meaning."""

import json
from collections import Counter, defaultdict
from itertools import groupby
from typing import Any

import jsonschema
import pytest

from app.ledger import publications
from app.ledger.earlier_events import STORED_TYPES
from app.ledger.ledger import Ledger
from app.ledger.mapper import EventMapper, NewEvent
from app.ledger.publications import Publication
from app.ledger.schemas import schema_text
from app.runtime.database import write_transaction
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.policies.publishing import assess_published
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import rebuild
from domain.assessment.account import EntitlementAccount
from domain.events import (
    EVENT_TYPES,
    EntitlementAssessed,
    Event,
    PolicyAssessed,
    PolicyPublished,
    PolicyRef,
    PolicyWithdrawn,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
)
from domain.periods import Window
from domain.policy.policy import Policy, policy_from_log
from domain.returns import AnnualReturns
from tests.domain.histories import oracle_return
from tests.golden.golden import (
    EXPECTED,
    GOLDEN_LOG,
    GOLDEN_OF_LEDGER,
    GOLDEN_OF_POLICIES,
    GOLDEN_OF_WINDOWS,
    GoldenEvent,
    read_golden,
    restore,
)
from tests.golden.make import write
from tests.golden.schemas import SCHEMAS
from tests.ledger.history import as_json, log, read_model_rows
from tests.office import Office
from tests.oracle import entitlements

GOLDEN = read_golden()
OF_LEDGER = read_golden(GOLDEN_OF_LEDGER)
OF_POLICIES = read_golden(GOLDEN_OF_POLICIES)
OF_WINDOWS = read_golden(GOLDEN_OF_WINDOWS)
WHOLE = [*GOLDEN, *OF_LEDGER, *OF_POLICIES]
EVERY = [*WHOLE, *OF_WINDOWS]
ACCOUNTS = json.loads(EXPECTED.read_text(encoding="utf-8"))


@pytest.fixture
def restored(ledger: Ledger) -> Ledger:
    """A ledger with the golden log, without its read models."""
    restore(ledger, GOLDEN)
    return ledger


def test_the_golden_log_has_every_type_of_event_and_two_versions_of_a_policy() -> None:
    assert {event.topic for event in EVERY} == STORED_TYPES.keys()
    assert Counter(event.topic for event in GOLDEN)["PolicyPublished"] == 2


def test_the_golden_log_is_never_written_over() -> None:
    before = GOLDEN_LOG.read_bytes()
    with pytest.raises(FileExistsError):
        write(GOLDEN_LOG)
    assert GOLDEN_LOG.read_bytes() == before


@pytest.mark.parametrize(
    "golden",
    [event for event in EVERY if event.topic in EVENT_TYPES],
    ids=lambda event: f"{event.position}-{event.topic}",
)
def test_a_golden_event_is_read_and_written_back_to_the_same_bytes(golden: GoldenEvent) -> None:
    mapper = EventMapper()
    event = mapper.decode(golden.topic, bytes(golden.state), golden.stream)
    stored = mapper.encode(NewEvent(golden.stream, golden.version, event))
    assert (stored.topic, stored.state) == (golden.topic, bytes(golden.state))


@pytest.mark.parametrize(
    "golden",
    [event for event in WHOLE if event.topic == "EntitlementAssessed"],
    ids=lambda event: str(event.position),
)
def test_an_assessment_of_earlier_days_says_the_same_in_the_words_of_today(golden: GoldenEvent) -> None:
    event = EventMapper().decode(golden.topic, bytes(golden.state), golden.stream)
    assert isinstance(event, EntitlementAssessed)
    found, stored = as_json(event), json.loads(bytes(golden.state))
    uscc = golden.stream.split("/")[2]
    assert found.pop("records") == [
        {"stream": f"returns/{uscc}/2024", "version": used["version"]} for used in stored.pop("returns")
    ]
    if stored["outcome"] is not None:
        stored["outcome"]["capped_by"] = stored["outcome"].pop("bound_by")
    assert found == stored


@pytest.mark.parametrize("golden", EVERY, ids=lambda event: f"{event.position}-{event.topic}")
def test_a_golden_event_is_of_the_schema_that_is_published_for_its_type(golden: GoldenEvent) -> None:
    schema = json.loads((SCHEMAS / f"{golden.topic}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(bytes(golden.state)))


@pytest.mark.parametrize("topic", STORED_TYPES)
def test_the_published_schema_of_a_type_is_that_of_the_code(topic: str) -> None:
    written = (SCHEMAS / f"{topic}.json").read_text(encoding="utf-8")
    assert written == schema_text(topic), "write it again: python -m tests.golden.schemas"


def test_there_is_a_schema_for_each_type_of_event_and_no_other() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == STORED_TYPES.keys()


def test_a_state_with_an_amount_of_another_type_is_not_of_its_schema() -> None:
    schema = json.loads((SCHEMAS / "ReturnFiled.json").read_text(encoding="utf-8"))
    state = json.loads(bytes(next(event.state for event in GOLDEN if event.topic == "ReturnFiled")))
    state["figures"]["retail_sales"]["current_fen"] = "150000"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(state)


def test_the_restored_log_is_read_as_it_was(restored: Ledger) -> None:
    assert [
        (entry.position, entry.stream, entry.version, entry.type, entry.recorded_at_us, entry.transaction_end)
        for entry in log(restored)
    ] == [
        (
            event.position,
            event.stream,
            event.version,
            event.topic,
            event.recorded_at_us,
            event.transaction_end,
        )
        for event in GOLDEN
    ]


def test_the_aggregates_replay_to_the_accounts_worked_out_by_hand(restored: Ledger) -> None:
    streams = _streams(log(restored))
    for expected in ACCOUNTS:
        name = f"entitlement/yingkou-2024-14/{expected['uscc']}/{expected['window']}"
        account = EntitlementAccount(Window.parse(expected["window"]), streams.get(name, ()))
        assert account.assessed_fen == expected["assessed_fen"], expected["why"]
        assert sorted(account.assessed) == [period["period"] for period in expected["periods"]]
        for period in expected["periods"]:
            outcome = account.assessed[period["period"]].outcome
            found = as_json(outcome)
            found["bound_by"] = found.pop("capped_by")
            assert {name: found[name] for name in period if name != "period"} == {
                name: value for name, value in period.items() if name != "period"
            }, expected["why"]


def test_the_standing_returns_give_by_the_article_what_the_first_version_assessed(
    restored: Ledger,
) -> None:
    entries = log(restored)
    second = max(entry.position for entry in entries if entry.type == "PolicyPublished")
    streams = _streams(entry for entry in entries if entry.position < second)
    for expected in ACCOUNTS:
        window = expected["window"]
        filed = f"returns/{expected['uscc']}/2024"
        returns = AnnualReturns(filed, streams.get(filed, ()))
        name = f"entitlement/yingkou-2024-14/{expected['uscc']}/{window}"
        account = EntitlementAccount(Window.parse(window), streams.get(name, ()))
        by_article = entitlements(
            [oracle_return(registered) for registered, _ in returns.standing.values()], window
        )
        assert account.assessed.keys() == by_article.keys()
        for period, entitlement in by_article.items():
            outcome = account.assessed[period].outcome
            assert outcome is not None
            assert (outcome.status, outcome.rule_fen, outcome.assessed_fen, outcome.open_fen) == (
                entitlement.status,
                entitlement.rule_fen,
                entitlement.assessed_fen,
                entitlement.open_fen,
            )


def _streams(entries: Any) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for entry in entries:
        found[entry.stream].append(entry.event)
    return found


def test_the_golden_log_replays_without_a_mismatch(restored: Ledger) -> None:
    project_all(restored)
    report = replay(restored, ReplayRange())
    assert report.found.mismatches == []
    assert report.found.row_differences == []
    assert report.found.events == len(GOLDEN)
    assert report.found.assessments == sum(event.topic == "EntitlementAssessed" for event in GOLDEN)


@pytest.mark.parametrize(
    "golden", [[*GOLDEN, *OF_LEDGER], WHOLE, EVERY], ids=["ledger", "policies", "windows"]
)
def test_events_of_the_ledger_and_of_policies_are_projected_rebuilt_and_replayed_too(
    ledger: Ledger, golden: list[GoldenEvent]
) -> None:
    restore(ledger, golden)
    project_all(ledger)
    projected = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == projected
    report = replay(ledger, ReplayRange())
    assert report.is_clean
    assert report.found.events == len(golden)


def test_what_a_version_dropped_is_assessed_to_nothing_by_it_and_the_rest_by_the_repeal() -> None:
    mapper = EventMapper()
    decoded = [
        (event.stream, mapper.decode(event.topic, bytes(event.state), event.stream)) for event in OF_POLICIES
    ]
    events = [event for _, event in decoded]
    published, repealed = (
        next(at for at, event in enumerate(events) if isinstance(event, kind))
        for kind in (PolicyPublished, PolicyWithdrawn)
    )
    publication = events[published]
    assert isinstance(publication, PolicyPublished)
    dropped = publication.dropped
    assert dropped is not None
    assert dropped.periods == tuple(f"2024-{month:02d}" for month in range(7, 13))
    closed = [
        [
            (stream.rsplit("/", 1)[1], event.period, event.policy.version)
            for stream, event in decoded[begin:end]
            if isinstance(event, EntitlementAssessed) and event.outcome is None
        ]
        for begin, end in ((published, repealed), (repealed, None))
    ]
    assert closed[0] == [("2024H2", "2024-07", 3)]  # C alone had filed for the second half-year.
    open_periods = sorted(
        period["period"]
        for account in ACCOUNTS
        for period in account["periods"]
        if account["window"] == "2024H1"
    )
    assert sorted(period for _, period, _ in closed[1]) == open_periods
    assert {(window, version) for window, _, version in closed[1]} == {("2024H1", 3)}
    assessed = [event for event in events if isinstance(event, PolicyAssessed)]
    assert [(event.policy, event.version) for event in assessed] == [("yingkou-2024-14", 3)] * 2


def test_every_decision_of_the_golden_log_is_decided_the_same_today(restored: Ledger) -> None:
    streams: dict[str, list[Event]] = defaultdict(list)
    policy: Policy | None = None
    redecided = 0
    for _, group in groupby(log(restored), key=lambda entry: entry.transaction_end):
        transaction = list(group)
        decided: dict[str, list[Event]] = defaultdict(list)
        for entry in transaction:
            match entry.event:
                case EntitlementAssessed():
                    decided[entry.stream].append(entry.event)
                case PolicyPublished() as event:
                    ref = PolicyRef(event.policy, event.version, event.sha256)
                    policy = policy_from_log(ref, event.document)
                case ReturnFiled() | ReturnRevised() | ReturnWithdrawn() as event:
                    streams[entry.stream].append(event)
        for stream, events in decided.items():
            assert policy is not None
            _, _, uscc, window = stream.split("/")
            account = EntitlementAccount(Window.parse(window), streams[stream])
            filed = f"returns/{uscc}/{window[:4]}"
            returns = AnnualReturns(filed, streams[filed])
            assert account.reassess(policy, [returns]) == events
            streams[stream] += events
            redecided += len(events)
    assert redecided == sum(event.topic == "EntitlementAssessed" for event in GOLDEN)


def assess_newest(ledger: Ledger) -> None:
    """Assess by the newest version, as the first start of this software on an old ledger does."""
    newest = next(event for event in reversed(GOLDEN) if event.topic == "PolicyPublished")
    publication = Publication(
        policy="yingkou-2024-14", version=2, position=newest.position, after_stream="", done=0, total=5
    )
    with write_transaction(ledger.engine) as connection:
        publications.begin(connection, publication)
    assess_published(ledger)
    (added,) = log(ledger)[len(GOLDEN) :]
    assert added.event == PolicyAssessed(policy="yingkou-2024-14", version=2)


@pytest.mark.parametrize("expected", ACCOUNTS, ids=lambda account: f"{account['uscc']}-{account['window']}")
def test_the_golden_log_is_answered_as_worked_out_by_hand(office: Office, expected: dict[str, Any]) -> None:
    restore(office.ledger, GOLDEN)
    project_all(office.ledger)
    assess_newest(office.ledger)
    answer = office.entitlement(expected["uscc"], expected["window"])
    for name in ("assessed_fen", "open_fen", "preliminary_fen"):
        assert answer[name] == expected[name], expected["why"]
    assert answer["ceiling_fen"] == 120_000_000
    assert answer["headroom_fen"] == 120_000_000 - expected["assessed_fen"]
    assert len(answer["periods"]) == len(expected["periods"])
    for found, period in zip(answer["periods"], expected["periods"], strict=True):
        assert {name: found[name] for name in period} == period, expected["why"]
