"""The history of a policy: only the newest version is in force, for all periods that any version covered."""

from collections.abc import Sequence

import msgspec
import pytest

from domain.assessment.account import EntitlementAccount
from domain.errors import LedgerIntegrityError
from domain.events import (
    AnyEvent,
    LogSealed,
    PolicyAssessed,
    PolicyPublished,
    PolicyWithdrawn,
    UnreadableEvent,
)
from domain.periods import Period, Window, is_window, periods_between
from domain.policy.document import fingerprint
from domain.policy.policy import Policy, PolicyHistory
from domain.returns import AnnualReturns
from tests.builders import SHIPPED_TEXT, edited, loaded

POLICY = "yingkou-2024-14"
H1, H2 = Window.parse("2024H1"), Window.parse("2024H2")
MARCH, JULY = Period(2024, 3, 3), Period(2024, 7, 7)


def published(version: int, first: str = "2024-01~02", last: str = "2024-12") -> PolicyPublished:
    """A version that covers the periods from the first to the last."""
    text = edited(
        SHIPPED_TEXT, ('first: "2024-01~02"', f'first: "{first}"'), ('last: "2024-12"', f'last: "{last}"')
    )
    document = loaded(text).document
    return PolicyPublished(
        policy=POLICY, version=version, sha256=fingerprint(document), text=text, document=document
    )


def withdrawn(version: int) -> PolicyWithdrawn:
    return PolicyWithdrawn(policy=POLICY, version=version, reason="政策废止", document="营商发〔2025〕5号")


def assessed(version: int) -> PolicyAssessed:
    return PolicyAssessed(policy=POLICY, version=version)


def assesses(policy: Policy, window: Window) -> bool:
    """Whether facts of the window touch its account."""
    return all(window in policy.touched_by(period) for period in window.periods)


def in_force(*events: AnyEvent) -> Policy:
    policy = PolicyHistory(events).in_force
    assert policy is not None
    return policy


def test_before_its_first_version_nothing_is_in_force_and_nothing_is_to_be_assessed() -> None:
    history = PolicyHistory()
    assert (history.version, history.versions, history.in_force, history.is_assessed) == (0, 0, None, True)


def test_versions_count_publications_and_the_stream_counts_every_event() -> None:
    history = PolicyHistory([published(1), assessed(1), withdrawn(1), assessed(1), published(2)])
    assert (history.version, history.versions) == (5, 2)
    assert history.in_force is not None
    assert history.in_force.ref.version == 2


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([published(1)], False),
        ([published(1), assessed(1)], True),
        ([published(1), assessed(1), published(2)], False),
        ([published(1), published(2), assessed(2)], True),
        ([published(1), assessed(1), withdrawn(1)], False),
        ([published(1), withdrawn(1), assessed(1)], True),
    ],
)
def test_a_publication_and_a_withdrawal_are_to_be_assessed_until_the_log_says_that_it_is_done(
    events: Sequence[AnyEvent], *, expected: bool
) -> None:
    assert PolicyHistory(events).is_assessed is expected


def test_a_narrower_version_pays_for_what_it_covers_and_assesses_all_that_any_version_covered() -> None:
    policy = in_force(published(1), published(2, first="2024-07"))
    assert (policy.covers_period(MARCH), policy.covers_period(JULY)) == (False, True)
    assert (policy.has_account(H1), policy.has_account(H2)) == (False, True)
    assert (assesses(policy, H1), assesses(policy, H2)) == (True, True)
    assert [str(period) for period in policy.covered()] == [f"2024-{month:02d}" for month in range(7, 13)]


def test_the_years_in_which_a_version_assesses_are_those_of_every_version() -> None:
    policy = in_force(published(1), published(2, first="2025-07", last="2026-03"))
    assert policy.years == {2024, 2025, 2026}
    assert not assesses(policy, Window.parse("2025H1"))


def test_a_withdrawn_policy_pays_for_nothing_and_still_assesses_what_it_covered() -> None:
    policy = in_force(published(1), withdrawn(1))
    assert policy.is_withdrawn
    assert policy.covered() == []
    assert not policy.covers_period(MARCH)
    assert not policy.has_account(H1)
    assert assesses(policy, H1)
    assert policy.years == {2024}


def test_a_version_after_a_withdrawal_pays_again_and_reaches_what_was_covered_before_it() -> None:
    policy = in_force(published(1, last="2024-06"), withdrawn(1), published(2, first="2024-07"))
    assert not policy.is_withdrawn
    assert policy.covers_period(JULY)
    assert assesses(policy, H1)


@pytest.mark.parametrize(
    ("before", "event", "reason"),
    [
        ([], withdrawn(1), "撤销政策文件所指的yingkou-2024-14版本1不是当时的最新版本"),
        ([], assessed(1), "政策测算完毕所指的yingkou-2024-14版本1不是当时的最新版本"),
        ([published(1), published(2)], withdrawn(1), "版本1不是当时的最新版本"),
        ([published(1)], assessed(2), "版本2不是当时的最新版本"),
        (
            [published(1)],
            UnreadableEvent("内容不是PolicyPublished类型的记录"),
            "内容不是PolicyPublished类型的记录",
        ),
        ([], LogSealed(size=1, root="", verifier_key=None), "封存台账不是政策的记录"),
        ([], msgspec.structs.replace(published(1), sha256="0" * 64), "版本1的内容已被改动"),
    ],
)
def test_an_event_that_cannot_follow_contradicts_the_log(
    before: Sequence[AnyEvent], event: AnyEvent, reason: str
) -> None:
    history = PolicyHistory(before)
    with pytest.raises(LedgerIntegrityError, match=reason):
        history.apply(event)


def test_a_measure_that_a_version_does_not_have_is_named_by_its_id() -> None:
    policy = in_force(published(1))
    assert policy.measure_name("retail-growth") == policy.measure("retail-growth").name
    assert policy.measure_name("another") == "another"


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (Period(2024, 11, 11), Period(2025, 3, 3), ["2024-11", "2024-12", "2025-01~02", "2025-03"]),
        (MARCH, MARCH, ["2024-03"]),
        (JULY, MARCH, []),
    ],
)
def test_the_periods_between_two_are_those_of_the_survey_both_included(
    first: Period, last: Period, expected: list[str]
) -> None:
    assert [str(period) for period in periods_between(first, last)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("2024H1", "2024", "2024Q4", "2024-03", "2024-01~02", "2024~2026")),
        *(
            (text, False)
            for text in ("2024H3", "2024Q5", "2024-01", "2024~2024", "", "2024H1 ", "2024-04~06")
        ),
    ],
)
def test_a_window_is_named_as_the_api_writes_it(text: str, *, expected: bool) -> None:
    assert is_window(text) is expected


def test_an_event_that_cannot_be_read_contradicts_returns_and_accounts_too() -> None:
    unreadable = UnreadableEvent("序号2的内容不是ReturnFiled类型的记录")
    for aggregate in (AnnualReturns("returns/x/2024"), EntitlementAccount(H1)):
        with pytest.raises(LedgerIntegrityError, match=unreadable.reason):
            aggregate.apply(unreadable)
