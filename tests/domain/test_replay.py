"""A replay of an enterprise finds every record that does not follow from its facts, and nothing else."""

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.assessment.replay import AccountKey, Mismatch, PolicyInForce, Publications, Replay
from domain.events import (
    EnterpriseEvent,
    EntitlementAssessed,
    Event,
    LogEntry,
    Outcome,
    PolicyAssessed,
    PolicyEvent,
    PolicyPublished,
    Return,
    ReturnFiled,
    account_stream,
    returns_stream,
)
from domain.periods import Window, period_of
from domain.policy.policy import Policy
from tests.builders import SHIPPED_TEXT, USCC, Enterprise, edited, policy_of, trade
from tests.domain.histories import Filing, random_history

POLICY = "yingkou-2024-14"
LOWER_TEXT = edited(SHIPPED_TEXT, ("award: {yuan: 50000,", "award: {yuan: 40000,"))
VERSIONS = [policy_of(), policy_of(LOWER_TEXT, 2)]
NARROWER = policy_of(edited(SHIPPED_TEXT, ('first: "2024-01~02"', 'first: "2024-07"')), 2)


def publication(policy: Policy) -> PolicyPublished:
    """The event that published a version."""
    ref, document = policy.ref, msgspec.to_builtins(policy.document)
    return PolicyPublished(policy=ref.id, version=ref.version, sha256=ref.sha256, text="", document=document)


class Chronicle:
    """An enterprise, and the log of its records."""

    def __init__(self) -> None:
        self.enterprise = Enterprise(VERSIONS[0])
        self.entries: list[LogEntry] = []
        self.published: list[tuple[int, PolicyEvent]] = []
        self.position = 0
        self._versions: dict[str, int] = {}

    def publish(self, policy: Policy) -> None:
        """Publish a version, and assess nothing yet."""
        self.position += 1
        self.published.append((self.position, publication(policy)))
        self.enterprise.policy = policy

    def assess(self) -> None:
        """Assess everything filed before the last publication."""
        self._record([], self._reassessed())

    def end_assessment(self, policy: Policy) -> None:
        """Record that everything filed before is assessed."""
        self.position += 1
        ended = PolicyAssessed(policy=policy.ref.id, version=policy.ref.version)
        self.published.append((self.position, ended))

    def file_alone(self, draft: Return) -> None:
        """Register a return, and do not record the assessments that follow."""
        filed = self.enterprise.returns.file(draft)
        assert isinstance(filed, ReturnFiled)
        self._record([filed], [])

    def do(self, operation: Any) -> None:
        """Register or withdraw a return, and record the assessments that follow in the same transaction."""
        before = len(self.enterprise.return_events)
        known = {window: len(events) for window, events in self.enterprise.account_events.items()}
        if isinstance(operation, Filing):
            self.enterprise.file(operation.draft)
        else:
            self.enterprise.withdraw(operation.form, operation.period)
        assessed = [
            (window, event)
            for window, events in self.enterprise.account_events.items()
            for event in events[known[window] :]
        ]
        self._record(self.enterprise.return_events[before:], assessed if self.published else [])

    def _reassessed(self) -> list[tuple[str, EntitlementAssessed]]:
        known = {window: len(events) for window, events in self.enterprise.account_events.items()}
        self.enterprise.reassess()
        return [
            (window, event)
            for window, events in self.enterprise.account_events.items()
            for event in events[known[window] :]
        ]

    def _record(self, facts: Sequence[Event], assessed: Sequence[tuple[str, EntitlementAssessed]]) -> None:
        named = [
            *((returns_stream(USCC, 2024), fact) for fact in facts),
            *((account_stream(POLICY, USCC, window), event) for window, event in assessed),
        ]
        end = self.position + len(named)
        for stream, event in named:
            self.position += 1
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            kind = type(event).__name__
            self.entries.append(
                LogEntry(
                    self.position, stream, version, kind, event, b"{}", self.position, "actor", "batch", end
                )
            )

    def replay(self, first: int = 1) -> Replay:
        """Replay the entries, to the end."""
        replay = Replay(Publications(self.published), first)
        replay.play(self.entries)
        replay.finish(self.position)
        return replay

    def alter(self, index: int, event: Event) -> None:
        """Replace an event by another one."""
        entry = self.entries[index]
        self.entries[index] = msgspec.structs.replace(entry, event=event, type=type(event).__name__)


def played(seed: int) -> Chronicle:
    """A random year, with another version of the policy published in its middle."""
    chronicle, random = Chronicle(), Random(seed)  # noqa: S311 - nothing is secret here
    history = random_history(random)
    chronicle.publish(VERSIONS[0])
    for operation in history[: len(history) // 2]:
        chronicle.do(operation)
    chronicle.publish(VERSIONS[1])
    chronicle.assess()
    for operation in history[len(history) // 2 :]:
        chronicle.do(operation)
    return chronicle


def two_months() -> Chronicle:
    """One step in March, two in April."""
    chronicle = Chronicle()
    chronicle.publish(VERSIONS[0])
    chronicle.do(Filing(trade(110_000, 100_000)))
    chronicle.do(Filing(trade(120_000, 100_000, period="2024-04")))
    return chronicle


def lowered(entry: LogEntry) -> EntitlementAssessed:
    """The assessment with one fen less."""
    assessed = entry.event
    assert isinstance(assessed, EntitlementAssessed)
    assert isinstance(assessed.outcome, Outcome)
    outcome = assessed.outcome
    less = msgspec.structs.replace(
        outcome,
        assessed_fen=outcome.assessed_fen - 1,
        open_fen=min(outcome.open_fen, outcome.assessed_fen - 1),
    )
    return msgspec.structs.replace(assessed, outcome=less)


def only(replay: Replay) -> Mismatch:
    (mismatch,) = replay.mismatches
    return mismatch


@given(st.integers(0, 10**9))
def test_whatever_was_filed_a_replay_compares_each_assessment_and_finds_nothing(seed: int) -> None:
    chronicle = played(seed)
    replay = chronicle.replay()
    assert replay.mismatches == []
    assert replay.compared == sum(isinstance(entry.event, EntitlementAssessed) for entry in chronicle.entries)


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_one_altered_amount_is_one_mismatch_at_its_position(seed: int, which: int) -> None:
    chronicle = played(seed)
    assessed = [
        index
        for index, entry in enumerate(chronicle.entries)
        if isinstance(entry.event, EntitlementAssessed)
        and entry.event.outcome is not None
        and entry.event.outcome.assessed_fen
    ]
    if not assessed:
        return
    index = assessed[which % len(assessed)]
    chronicle.alter(index, lowered(chronicle.entries[index]))
    mismatch = only(chronicle.replay())
    assert (mismatch.kind, mismatch.position) == ("differs", chronicle.entries[index].position)


def shows_assessment(entry: LogEntry, left_out: LogEntry) -> bool:
    """Whether an entry shows that its transaction assessed the account: a record of it, or of its window.

    An assessment of another window in the same transaction does not show it: publications have such ones.
    """
    assert isinstance(left_out.event, EntitlementAssessed)
    if entry.transaction_end != left_out.transaction_end:
        return False
    if isinstance(entry.event, EntitlementAssessed):
        return entry.stream == left_out.stream
    assert isinstance(entry.event, EnterpriseEvent)
    _, _, _, window = left_out.stream.split("/")
    return Window.parse(window).holds(period_of(entry.event.period))


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_one_assessment_that_is_left_out_is_one_mismatch_in_its_transaction(seed: int, which: int) -> None:
    chronicle = played(seed)
    assessed = [entry for entry in chronicle.entries if isinstance(entry.event, EntitlementAssessed)]
    if not assessed:
        return
    left_out = assessed[which % len(assessed)]
    chronicle.entries.remove(left_out)
    if not any(shows_assessment(entry, left_out) for entry in chronicle.entries):
        return
    mismatch = only(chronicle.replay())
    assert (mismatch.kind, mismatch.position) == ("not-recorded", None)
    assert mismatch.transaction_end == left_out.transaction_end
    assert mismatch.derived is not None
    assert mismatch.derived.assessed == left_out.event


def test_each_side_has_the_steps_of_what_it_names_with_the_amounts_before_it() -> None:
    chronicle = two_months()
    chronicle.alter(1, lowered(chronicle.entries[1]))
    chronicle.alter(3, lowered(chronicle.entries[3]))
    march, april = chronicle.replay().mismatches
    assert [(march.period, march.position), (april.period, april.position)] == [
        ("2024-03", 3),
        ("2024-04", 5),
    ]
    assert march.stream == f"entitlement/{POLICY}/{USCC}/2024H1"
    for mismatch in (march, april):
        assert mismatch.recorded is not None
        assert mismatch.derived is not None
        rules = [replayed.step.rule for replayed in mismatch.derived.steps]
        assert rules == [replayed.step.rule for replayed in mismatch.recorded.steps]
        assert "whole-steps" in rules
        assert all(replayed.sentence.endswith(("。", "）")) for replayed in mismatch.derived.steps)


def test_an_assessment_by_a_version_that_was_never_published_has_no_steps() -> None:
    chronicle = two_months()
    entry = chronicle.entries[1]
    assert isinstance(entry.event, EntitlementAssessed)
    chronicle.alter(1, msgspec.structs.replace(entry.event, policy=policy_of(LOWER_TEXT, 9).ref))
    mismatch = only(chronicle.replay())
    assert mismatch.recorded is not None
    assert mismatch.recorded.steps == []
    assert mismatch.derived is not None
    assert mismatch.derived.steps != []


def test_an_assessment_without_a_policy_in_force_does_not_follow() -> None:
    chronicle = two_months()
    chronicle.published = []
    assert [mismatch.kind for mismatch in chronicle.replay().mismatches] == ["not-derived", "not-derived"]


def test_what_was_decided_before_the_first_position_is_derived_and_not_compared() -> None:
    chronicle = two_months()
    chronicle.alter(1, lowered(chronicle.entries[1]))
    replay = chronicle.replay(first=4)
    assert (replay.mismatches, replay.compared) == ([], 1)


def test_assessments_missing_since_a_publication_are_found_at_the_end() -> None:
    chronicle = two_months()
    chronicle.publish(VERSIONS[1])
    found = chronicle.replay().mismatches
    # The period that loses most comes first, as it would be recorded.
    assert [(mismatch.kind, mismatch.period, mismatch.position) for mismatch in found] == [
        ("not-recorded", "2024-04", None),
        ("not-recorded", "2024-03", None),
    ]
    chronicle.assess()
    assert chronicle.replay().mismatches == []


def test_a_fact_that_cannot_follow_ends_the_replay_of_its_year() -> None:
    chronicle = two_months()
    again = chronicle.entries[2].event
    assert isinstance(again, ReturnFiled)
    chronicle.alter(2, msgspec.structs.replace(again, period="2024-03"))
    replay = chronicle.replay()
    mismatch = only(replay)
    assert (mismatch.kind, mismatch.position, mismatch.period) == ("facts-contradict", 4, "2024-03")
    assert replay.compared == 1


def test_an_event_of_a_policy_among_the_facts_contradicts_them() -> None:
    chronicle = two_months()
    chronicle.alter(2, PolicyPublished(policy=POLICY, version=1, sha256="", text="", document={}))
    mismatch = only(chronicle.replay())
    assert (mismatch.kind, mismatch.period) == ("facts-contradict", None)


def test_a_year_that_is_left_out_is_not_replayed() -> None:
    chronicle = two_months()
    chronicle.alter(1, lowered(chronicle.entries[1]))
    replay = Replay(Publications(chronicle.published))
    replay.leave_out(returns_stream(USCC, 2024))
    replay.play(chronicle.entries)
    replay.finish(chronicle.position)
    assert (replay.mismatches, replay.compared) == ([], 0)


@pytest.mark.parametrize(("before", "versions"), [(1, []), (2, [1]), (3, [1]), (4, [2])])
def test_in_force_is_what_was_published_before_a_position(before: int, versions: list[int]) -> None:
    publications = Publications([(1, publication(VERSIONS[0])), (3, publication(VERSIONS[1]))])
    found = publications.in_force(POLICY, before=before)
    assert ([] if found is None else [found.policy.ref.version]) == versions
    touched = publications.touched_by("2024-03", before=before)
    assert touched == [AccountKey(POLICY, Window.parse("2024H1")) for _ in versions]
    assert publications.touched_by("2025-03", before=before) == []


def test_what_a_narrower_version_dropped_is_derived_to_nothing() -> None:
    chronicle = two_months()
    chronicle.publish(NARROWER)
    dropped = chronicle.replay().mismatches  # The period that loses most comes first.
    assert [(mismatch.kind, mismatch.period) for mismatch in dropped] == [
        ("not-recorded", "2024-04"),
        ("not-recorded", "2024-03"),
    ]
    for mismatch in dropped:
        assert mismatch.derived is not None
        assert (mismatch.derived.assessed.outcome, mismatch.derived.steps) == (None, [])
    chronicle.assess()
    assert chronicle.replay().mismatches == []


def test_what_is_filed_in_a_dropped_half_year_may_wait_for_the_assessment_and_is_due_after_it() -> None:
    """The replay of a ledger that published a version that covers less, without any assessment after it."""
    waiting = two_months()
    waiting.publish(NARROWER)
    waiting.file_alone(trade(130_000, 100_000, period="2024-05"))
    waiting.assess()
    waiting.end_assessment(NARROWER)
    assert waiting.replay().mismatches == []

    ended = two_months()
    ended.publish(NARROWER)
    ended.end_assessment(NARROWER)
    ended.file_alone(trade(130_000, 100_000, period="2024-05"))
    assert [(mismatch.kind, mismatch.period) for mismatch in ended.replay().mismatches] == [
        ("not-recorded", "2024-04"),
        ("not-recorded", "2024-03"),
    ]


def in_force(publications: Publications, *, before: int) -> PolicyInForce:
    found = publications.in_force(POLICY, before=before)
    assert found is not None
    return found


def test_an_assessment_of_a_version_that_is_not_the_newest_contradicts_the_policies() -> None:
    ended = PolicyAssessed(policy=POLICY, version=2)
    publications = Publications([(1, publication(VERSIONS[0])), (2, ended)])
    ((position, reason),) = publications.contradictions
    assert (position, "版本2不是当时的最新版本" in reason) == (2, True)
    assert not in_force(publications, before=3).is_assessed


def test_what_was_in_force_is_assessed_from_the_event_on_that_says_so() -> None:
    ended = PolicyAssessed(policy=POLICY, version=1)
    publications = Publications([(1, publication(VERSIONS[0])), (4, ended)])
    said = [in_force(publications, before=before).is_assessed for before in (4, 5)]
    assert said == [False, True]


def test_a_damaged_first_publication_leaves_nothing_in_force() -> None:
    damaged = msgspec.structs.replace(publication(VERSIONS[0]), sha256="0" * 64)
    publications = Publications([(1, damaged)])
    assert [position for position, _ in publications.contradictions] == [1]
    assert publications.in_force(POLICY, before=2) is None
