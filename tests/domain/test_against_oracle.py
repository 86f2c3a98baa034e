"""Random half-years against an independent working of the article, and what must hold in all of them."""

import itertools
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.assessment.account import EntitlementAccount
from domain.events import EntitlementAssessed, Event, Outcome, Return
from domain.returns import AnnualReturns
from tests.builders import WANYUAN, Enterprise
from tests.domain.histories import PERIODS, Filing, Operation, StandingReturns, random_history, random_return
from tests.examples import examples
from tests.oracle import PERIODS_OF_WINDOW, OraclePeriod, entitlements

HISTORIES_PER_SEED = examples(400)

quick = settings(max_examples=examples(250), derandomize=True, deadline=None, database=None)
histories = st.randoms(use_true_random=False).map(random_history)


def after(history: list[Operation]) -> Enterprise:
    enterprise = Enterprise()
    for operation in history:
        if isinstance(operation, Filing):
            enterprise.file(operation.draft)
        else:
            enterprise.withdraw(operation.form, operation.period)
    return enterprise


def as_the_oracle_says(outcome: Outcome, period: str) -> OraclePeriod:
    shared = OraclePeriod.__dataclass_fields__.keys() - {"period", "bound_by"}
    fields = {name: getattr(outcome, name) for name in shared}
    return OraclePeriod(period=period, bound_by=outcome.capped_by, **fields)


def assert_agrees_with_the_oracle(history: list[Operation]) -> None:
    enterprise, standing = after(history), StandingReturns()
    for operation in history:
        standing.follow(operation)
    for window in PERIODS_OF_WINDOW:
        expected = entitlements(standing.for_the_oracle(), window)
        found = {
            period: as_the_oracle_says(outcome, period)
            for period, outcome in enterprise.outcomes(window).items()
        }
        assert found == expected
        changes = recorded_changes(enterprise.account_events[window])
        assert sum(changes) == sum(entitlement.assessed_fen for entitlement in expected.values())
        assert sum(changes) == enterprise.accounts[window].assessed_fen


def recorded_changes(events: list[EntitlementAssessed]) -> list[int]:
    """The change of the total by each event, in fen."""
    amounts: dict[str, int] = {}
    changes = []
    for event in events:
        after_fen = 0 if event.outcome is None else event.outcome.assessed_fen
        changes.append(after_fen - amounts.get(event.period, 0))
        amounts[event.period] = after_fen
    return changes


@pytest.mark.parametrize("seed", range(10))
def test_seeded_half_years_agree_with_the_oracle(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    for _ in range(HISTORIES_PER_SEED):
        assert_agrees_with_the_oracle(random_history(random))


@quick
@given(histories)
def test_any_half_year_agrees_with_the_oracle(history: list[Operation]) -> None:
    assert_agrees_with_the_oracle(history)


def test_the_random_half_years_reach_every_outcome() -> None:
    random = Random(0)  # noqa: S311 - repeatable on purpose
    met = set()
    for _ in range(400):
        enterprise = after(random_history(random))
        for window in PERIODS_OF_WINDOW:
            for outcome in enterprise.outcomes(window).values():
                met |= {outcome.status, outcome.stage, outcome.measure, *outcome.capped_by}
                met |= set(outcome.open_readings)
                if 0 < outcome.open_fen < outcome.assessed_fen:
                    met.add("partly open")
    assert met == {
        *("eligible", "undetermined", "not-eligible", "final", "preliminary"),
        *("retail-growth", "catering-increment", None),
        *("month-ceiling", "half-year-ceiling"),
        *("step-amount", "catering-tail", "january-february", "undetermined-base"),
        "partly open",
    }


@quick
@given(st.randoms(use_true_random=False))
def test_no_order_of_filing_changes_the_entitlements(random: Random) -> None:
    places = random.sample(PERIODS, random.randint(2, 8))
    drafts = {(draft.form, draft.period): draft for draft in (random_return(random, at) for at in places)}
    in_order, shuffled = list(drafts.values()), list(drafts.values())
    random.shuffle(shuffled)
    one, other = Enterprise(), Enterprise()
    one.file(*in_order)
    other.file(*shuffled)
    for window in PERIODS_OF_WINDOW:
        assert one.outcomes(window) == other.outcomes(window)


@quick
@given(histories)
def test_the_ceilings_hold_after_every_single_event(history: list[Operation]) -> None:
    for events in after(history).account_events.values():
        assert all(total <= 200 * WANYUAN for total in itertools.accumulate(recorded_changes(events)))
        for event in events:
            assert event.outcome is None or event.outcome.selected_fen <= 50 * WANYUAN


@quick
@given(histories)
def test_filing_a_standing_return_again_records_nothing(history: list[Operation]) -> None:
    enterprise = after(history)
    standing = [standing_return.registered for standing_return in enterprise.returns.standing.values()]
    for registered in standing:
        again = Return(**{name: getattr(registered, name) for name in Return.__struct_fields__})
        assert enterprise.file(again) == [None]
    assert enterprise.reassess() == []


@quick
@given(histories)
def test_replaying_the_events_gives_the_same_aggregates(history: list[Operation]) -> None:
    enterprise = after(history)
    replayed = AnnualReturns(enterprise.returns.stream, enterprise.return_events)
    assert replayed.standing == enterprise.returns.standing
    assert replayed.version == enterprise.returns.version == len(enterprise.return_events)
    for window, account in enterprise.accounts.items():
        again = EntitlementAccount(account.window, enterprise.account_events[window])
        assert again.assessed == account.assessed
        assert again.version == account.version == len(enterprise.account_events[window])
        assert again.reassess(enterprise.policy, [replayed]) == []


@quick
@given(histories)
def test_every_event_survives_being_stored_as_json(history: list[Operation]) -> None:
    enterprise = after(history)
    events: list[Event] = [*enterprise.return_events]
    for of_window in enterprise.account_events.values():
        events += of_window
    for event in events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event


@quick
@given(histories)
def test_each_event_names_the_returns_that_it_used(history: list[Operation]) -> None:
    enterprise = after(history)
    recorded = dict(enumerate(enterprise.return_events, 1))
    for events in enterprise.account_events.values():
        for event in events:
            for used in event.records:
                named = recorded[used.version]
                assert isinstance(named, Return)
                assert (used.stream, named.period) == (enterprise.returns.stream, event.period)
