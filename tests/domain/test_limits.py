"""Limits of any number, in windows of any length: accounts, amounts, cuts, and their sentences."""

from collections.abc import Sequence
from fractions import Fraction
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.assessment.account import EntitlementAccount
from domain.errors import LedgerIntegrityError
from domain.events import Outcome, PolicyRef, Return
from domain.periods import Period, Window, period_of
from domain.policy.document import LIMIT_LENGTHS
from domain.policy.policy import Policy
from tests.builders import (
    WANYUAN,
    Enterprise,
    edited,
    policy_of,
    sentences_of,
    text_with_limits,
    trade,
)
from tests.domain.histories import Filing, oracle_return, random_history
from tests.examples import examples
from tests.oracle import OracleReturn, find

MONTHS = ("2024-01~02", *(f"2024-{month:02d}" for month in range(3, 13)))
WINDOWS_OF = {
    "quarter": (MONTHS[:2], MONTHS[2:5], MONTHS[5:8], MONTHS[8:]),
    "half-year": (MONTHS[:5], MONTHS[5:]),
    "year": (MONTHS,),
    "policy": (MONTHS,),
}
"""The periods that each longer limit adds up."""

FEN_PER_YUAN = 100
Limits = Sequence[tuple[str, int]]

some_limits = st.lists(
    st.tuples(st.sampled_from(LIMIT_LENGTHS), st.sampled_from((10_000, 50_000, 130_000, 500_000, 1_250_001))),
    max_size=5,
    unique_by=lambda limit: limit[0],
)


def by_hand(returns: Sequence[Return], limits: Limits) -> dict[str, tuple[int, list[str]]]:
    """The amount of each period in fen, and the limits that cut it, applied as on paper."""
    ceilings = {per: Fraction(yuan) for per, yuan in limits}
    by_period: dict[str, list[OracleReturn]] = {}
    for standing in returns:
        by_period.setdefault(standing.period, []).append(oracle_return(standing))
    assessed: dict[str, Fraction] = {}
    found = {}
    for period in MONTHS:
        if period not in by_period:
            continue
        amounts = [find(standing).rule_yuan for standing in by_period[period]]
        most = ceilings.get("month")
        cut = [] if most is None or max(amounts) <= most else ["month-ceiling"]
        amount = max(amounts) if most is None else min(max(amounts), most)
        for per, windows in WINDOWS_OF.items():
            if per not in ceilings:
                continue
            (window,) = (periods for periods in windows if period in periods)
            left = ceilings[per] - sum(assessed.get(earlier, Fraction(0)) for earlier in window)
            if amount > left:
                amount = left
                cut.append(f"{per}-ceiling")
        assessed[period] = amount
        found[period] = (int(amount * FEN_PER_YUAN), cut)
    return found


def every_outcome(enterprise: Enterprise) -> dict[str, Outcome]:
    return {
        period: outcome
        for window in enterprise.accounts
        for period, outcome in enterprise.outcomes(window).items()
    }


@settings(max_examples=examples(150), derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False), some_limits)
def test_any_history_under_any_limits_is_as_worked_out_by_hand(random: Random, limits: Limits) -> None:
    enterprise = Enterprise(policy_of(text_with_limits(*limits)))
    for operation in random_history(random):
        if isinstance(operation, Filing):
            enterprise.file(operation.draft)
        else:
            enterprise.withdraw(operation.form, operation.period)
    standing = [standing_return.registered for standing_return in enterprise.returns.standing.values()]
    found = every_outcome(enterprise)
    assert {
        period: (outcome.assessed_fen, list(outcome.capped_by)) for period, outcome in found.items()
    } == by_hand(standing, limits)


@settings(max_examples=examples(60), derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False), some_limits)
def test_the_limits_hold_after_every_event_of_every_account(random: Random, limits: Limits) -> None:
    policy = policy_of(text_with_limits(*limits))
    enterprise = Enterprise(policy)
    for operation in random_history(random):
        if isinstance(operation, Filing):
            enterprise.file(operation.draft)
    for window, events in enterprise.account_events.items():
        account = EntitlementAccount(Window.parse(window))
        for event in events:
            account.apply(event)
            for limit in policy.limits_in(account.window):
                amounts = [
                    event.outcome.assessed_fen
                    for period, event in account.assessed.items()
                    if event.outcome is not None and limit.window.holds(period_of(period))
                ]
                assert sum(amounts) <= limit.limit.ceiling.fen


@pytest.mark.parametrize(
    ("limits", "accounts"),
    [
        ([("month", 500_000), ("quarter", 900_000)], ["2024Q1", "2024Q2", "2024Q3", "2024Q4"]),
        ([("month", 500_000), ("half-year", 2_000_000)], ["2024H1", "2024H2"]),
        ([("year", 3_000_000), ("quarter", 900_000), ("month", 500_000)], ["2024"]),
        ([("month", 500_000)], ["2024"]),
        ([], ["2024"]),
        ([("policy", 3_000_000)], ["2024"]),
    ],
    ids=str,
)
def test_an_account_is_the_smallest_window_that_holds_every_limit(
    limits: Limits, accounts: list[str]
) -> None:
    policy = policy_of(text_with_limits(*limits))
    assert [str(window) for window in policy.own.windows] == accounts
    assert [limit.per for limit in policy.limits] == [
        per for per in LIMIT_LENGTHS if per in {limit_per for limit_per, _ in limits}
    ]


def over_years(*limits: tuple[str, int], last: str = "2025-06") -> Policy:
    return policy_of(edited(text_with_limits(*limits), ('last: "2024-12"', f'last: "{last}"')))


def test_a_limit_of_the_whole_policy_makes_accounts_of_several_years() -> None:
    policy = over_years(("month", 500_000), ("policy", 1_200_000))
    assert [str(window) for window in policy.own.windows] == ["2024~2025"]
    assert policy.years == {2024, 2025}
    earlier, later = Enterprise(policy, year=2024), Enterprise(policy, year=2025)
    earlier.file(*(trade(200_000, 100_000, period=period) for period in ("2024-11", "2024-12")))
    later.file(trade(200_000, 100_000, period="2025-01~02"))
    account = EntitlementAccount(Window.parse("2024~2025"))
    account.reassess(policy, [earlier.returns, later.returns])
    amounts = {
        period: event.outcome.assessed_fen for period, event in account.assessed.items() if event.outcome
    }
    assert amounts == {"2024-11": 50 * WANYUAN, "2024-12": 50 * WANYUAN, "2025-01~02": 20 * WANYUAN}
    used = {record.stream for record in account.assessed["2025-01~02"].records}
    assert used == {later.returns.stream}


def test_without_a_limit_longer_than_a_period_the_accounts_of_several_years_are_years() -> None:
    assert [str(window) for window in over_years(("month", 500_000)).own.windows] == ["2024", "2025"]


def test_a_window_that_the_coverage_begins_within_has_an_account() -> None:
    text = edited(text_with_limits(("quarter", 900_000)), ('first: "2024-01~02"', 'first: "2024-06"'))
    policy = policy_of(text)
    assert [str(window) for window in policy.own.windows] == ["2024Q2", "2024Q3", "2024Q4"]
    assert not policy.has_account(Window.parse("2024Q1"))
    assert not policy.has_account(Window.parse("2024H1"))
    assert policy.touched_by(Period.parse("2024-03")) == ()


def test_limits_are_listed_with_each_of_their_windows_the_smallest_first() -> None:
    policy = policy_of(text_with_limits(("half-year", 2_000_000), ("month", 500_000), ("quarter", 900_000)))
    limits = [(each.limit.id, str(each.window)) for each in policy.limits_in(Window.parse("2024H1"))]
    assert limits == [
        *(("month-ceiling", period) for period in MONTHS[:5]),
        *(("quarter-ceiling", quarter) for quarter in ("2024Q1", "2024Q2")),
        ("half-year-ceiling", "2024H1"),
    ]
    longest = policy.account_limit(Window.parse("2024H1"))
    assert longest is not None
    assert longest.id == "half-year-ceiling"
    assert policy_of(text_with_limits(("month", 500_000))).account_limit(Window.parse("2024")) is None


def as_next_version(before: Policy, text: str) -> Policy:
    after = policy_of(text, version=before.ref.version + 1)
    return Policy(after.ref, after.document, earlier=before.reach)


def test_another_length_of_account_ends_the_old_ones_and_opens_its_own() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in MONTHS[:6]))
    assert enterprise.amounts("2024H1") == {**dict.fromkeys(MONTHS[:4], 50), MONTHS[4]: 0}
    enterprise.policy = as_next_version(
        enterprise.policy, text_with_limits(("month", 500_000), ("quarter", 900_000))
    )
    events = enterprise.reassess()
    assert enterprise.amounts("2024H1") == enterprise.amounts("2024H2") == {}
    assert enterprise.amounts("2024Q1") == {"2024-01~02": 50, "2024-03": 40}
    assert enterprise.amounts("2024Q2") == {"2024-04": 50, "2024-05": 40, "2024-06": 0}
    assert enterprise.amounts("2024Q3") == {"2024-07": 50}
    assert sum(event.outcome is None for event in events) == 6
    assert enterprise.reassess() == []


def test_facts_touch_every_account_between_which_amounts_move() -> None:
    before = policy_of()
    after = as_next_version(before, text_with_limits(("quarter", 900_000)))
    touched = [str(window) for window in after.touched_by(Period.parse("2024-05"))]
    assert sorted(touched) == ["2024H1", "2024Q1", "2024Q2"]
    again = as_next_version(after, text_with_limits(("year", 900_000)))
    every = ["2024", "2024H1", "2024H2", "2024Q1", "2024Q2", "2024Q3", "2024Q4"]
    assert sorted(map(str, again.touched_by(Period.parse("2024-05")))) == every
    assert sorted(map(str, again.touched_in(2024))) == every
    assert again.touched_in(2025) == ()


@pytest.mark.parametrize(
    ("limit", "window", "name", "left", "cut"),
    [
        (("quarter", 1_000_000), "2024年第一季度", "季度累计上限100万元", 20, 30),
        (("year", 900_000), "2024年", "年度累计上限90万元", 10, 40),
        (("policy", 800_000), "2024年", "政策期内累计上限80万元", 0, 50),
    ],
)
def test_a_cut_names_the_limit_and_its_window(
    limit: tuple[str, int], window: str, name: str, left: int, cut: int
) -> None:
    policy = policy_of(text_with_limits(("month", 500_000), limit))
    sentences = sentences_of(trade(200_000, 100_000), policy=policy, used_fen=80 * WANYUAN)
    assert sentences[f"{limit[0]}-ceiling"] == (
        f"{window}此前各期已测算80万元，本期50万元，合计超过{name}；"
        f"本期按剩余额度{left}万元计，核减{cut}万元。（政策第14条）"
    )


def test_a_policy_without_a_limit_of_the_month_says_nothing_of_one() -> None:
    policy = policy_of(text_with_limits(("year", 900_000)))
    sentences = sentences_of(trade(200_000, 100_000, period="2024-01~02"), policy=policy)
    assert "月度上限" not in "".join(sentences.values())
    assert "一次增速判断、一次计算增量。" in sentences["combined-period"]


def test_several_limits_cut_one_after_the_other() -> None:
    policy = policy_of(text_with_limits(("month", 500_000), ("quarter", 900_000), ("year", 1_300_000)))
    enterprise = Enterprise(policy)
    enterprise.file(*(trade(260_000, 100_000, period=period) for period in MONTHS[:4]))
    outcomes = enterprise.outcomes("2024")
    cut = [(outcomes[period].assessed_fen // WANYUAN, *outcomes[period].capped_by) for period in MONTHS[:4]]
    assert cut == [
        (50, "month-ceiling"),
        (40, "month-ceiling", "quarter-ceiling"),
        (40, "month-ceiling", "year-ceiling"),
        (0, "month-ceiling", "year-ceiling"),
    ]


def test_an_account_that_passes_a_limit_of_its_policy_is_refused() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in MONTHS[:2]))
    events = [
        msgspec.structs.replace(event, policy=PolicyRef("yingkou-2024-14", 1, policy_of(text).ref.sha256))
        for text in (text_with_limits(("quarter", 900_000)),)
        for event in enterprise.account_events["2024H1"]
    ]
    policy = policy_of(text_with_limits(("quarter", 900_000)))
    account = EntitlementAccount(Window.parse("2024Q1"), events)
    with pytest.raises(LedgerIntegrityError, match="2024Q1：合计100万元，超过季度累计上限"):
        account.reassess(policy, [enterprise.returns])


def test_a_period_outside_of_the_window_is_no_event_of_the_account() -> None:
    enterprise = Enterprise()
    enterprise.file(trade(200_000, 100_000, period="2024-05"))
    (event,) = enterprise.account_events["2024H1"]
    with pytest.raises(LedgerIntegrityError, match="2024Q1的测算中没有2024-05这一期"):
        EntitlementAccount(Window.parse("2024Q1"), [event])
    unheard_of = msgspec.structs.replace(event, period="2024-02")
    with pytest.raises(LedgerIntegrityError, match="2024H1的测算中没有2024-02这一期"):
        EntitlementAccount(Window.parse("2024H1"), [unheard_of])
