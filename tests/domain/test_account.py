"""The account: which events it records, and which it refuses to read."""

import msgspec
import pytest

from domain.assessment.account import EntitlementAccount
from domain.errors import LedgerIntegrityError
from domain.events import (
    EntitlementAssessed,
    MeasureOutcome,
    Outcome,
    PolicyPublished,
    PolicyRef,
    RecordRef,
    ReturnWithdrawn,
    returns_stream,
)
from domain.periods import Window
from tests.builders import SHIPPED_TEXT, USCC, WANYUAN, Enterprise, edited, policy_of, trade

H1 = Window.parse("2024H1")
STREAM = returns_stream(USCC, 2024)
MONTHS = ("2024-03", "2024-04", "2024-05", "2024-06")
ELIGIBLE = Outcome(
    stage="final",
    status="eligible",
    measure="retail-growth",
    measures=(MeasureOutcome("retail-growth", "E204-1", "eligible", 50 * WANYUAN),),
    rule_fen=50 * WANYUAN,
    selected_fen=50 * WANYUAN,
    assessed_fen=50 * WANYUAN,
    open_fen=50 * WANYUAN,
    capped_by=(),
    open_readings=("step-amount",),
)


def assessed(period: str, outcome: Outcome | None = ELIGIBLE) -> EntitlementAssessed:
    return EntitlementAssessed(
        period=period, policy=policy_of().ref, records=(RecordRef(STREAM, 1),), outcome=outcome
    )


def test_a_change_records_only_the_periods_that_come_out_differently() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(110_000, 100_000, period=period) for period in MONTHS))
    enterprise.returns.file(trade(120_000, 100_000, period="2024-04", reason="企业改报"))
    (event,) = enterprise.reassess()
    assert event.period == "2024-04"
    assert event.policy == policy_of().ref
    assert event.records == (RecordRef(STREAM, 5),)
    assert event.outcome is not None
    assert event.outcome.assessed_fen == 10 * WANYUAN


def test_another_figure_with_the_same_outcome_records_no_assessment() -> None:
    enterprise = Enterprise()
    enterprise.file(trade(110_000, 100_000))
    enterprise.returns.file(trade(110_001, 100_000, reason="企业改报"))
    assert enterprise.reassess() == []


def test_periods_that_lose_are_recorded_before_periods_that_gain() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in ("2024-01~02", *MONTHS)))
    enterprise.returns.file(trade(107_000, 100_000, period="2024-03", reason="企业改报"))
    assert [event.period for event in enterprise.reassess()] == ["2024-03", "2024-06"]


def test_an_earlier_month_filed_late_takes_from_the_later_ones_first() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in MONTHS))
    enterprise.returns.file(trade(160_000, 100_000, period="2024-01~02"))
    assert [event.period for event in enterprise.reassess()] == ["2024-06", "2024-01~02"]
    assert enterprise.amounts() == {
        "2024-01~02": 30,
        "2024-03": 50,
        "2024-04": 50,
        "2024-05": 50,
        "2024-06": 20,
    }


def test_a_withdrawn_return_leaves_the_period_without_an_outcome() -> None:
    enterprise = Enterprise()
    enterprise.file(trade(110_000, 100_000))
    enterprise.withdraw("E204-1", "2024-03")
    closed = enterprise.account_events["2024H1"][-1]
    assert (closed.period, closed.records, closed.outcome) == ("2024-03", (), None)
    assert enterprise.outcomes() == {}
    assert enterprise.accounts["2024H1"].assessed_fen == 0


def test_a_withdrawal_gives_its_room_to_a_month_that_the_ceiling_cut() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in ("2024-01~02", *MONTHS)))
    enterprise.withdraw("E204-1", "2024-04")
    assert enterprise.amounts() == {"2024-01~02": 50, "2024-03": 50, "2024-05": 50, "2024-06": 50}


def test_the_two_half_years_are_counted_apart() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in (*MONTHS, "2024-07")))
    assert enterprise.accounts["2024H1"].assessed_fen == 200 * WANYUAN
    assert enterprise.accounts["2024H2"].assessed_fen == 50 * WANYUAN


def test_a_year_that_the_policy_does_not_cover_is_not_assessed() -> None:
    enterprise = Enterprise(year=2025)
    enterprise.file(trade(200_000, 100_000, period="2025-03"))
    assert enterprise.outcomes("2025H1") == {}


def test_a_new_version_of_the_policy_records_what_it_changes() -> None:
    enterprise = Enterprise()
    enterprise.file(trade(200_000, 100_000), trade(107_000, 100_000, period="2024-04"))
    text = edited(SHIPPED_TEXT, ('{yuan: 50000, cite: "14.1"', '{yuan: 40000, cite: "14.1"'))
    enterprise.policy = policy_of(text, version=2)
    (event,) = enterprise.reassess()
    assert event.policy == PolicyRef("yingkou-2024-14", 2, enterprise.policy.ref.sha256)
    assert enterprise.amounts() == {"2024-03": 40, "2024-04": 0}
    assert enterprise.reassess() == []


def test_a_lower_ceiling_of_a_new_version_holds_for_what_was_assessed_before() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in MONTHS))
    text = edited(SHIPPED_TEXT, ('{yuan: 2000000, cite: "14.5"}', '{yuan: 700000, cite: "14.5"}'))
    enterprise.policy = policy_of(text, version=2)
    enterprise.reassess()
    assert list(enterprise.amounts().values()) == [50, 20, 0, 0]


def test_a_period_that_a_new_version_no_longer_covers_is_closed_and_leaves_its_room() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in ("2024-01~02", *MONTHS)))
    text = edited(SHIPPED_TEXT, ('first: "2024-01~02"', 'first: "2024-04"'))
    enterprise.policy = policy_of(text, version=2)
    enterprise.reassess()
    assert enterprise.amounts() == {"2024-04": 50, "2024-05": 50, "2024-06": 50}
    assert enterprise.accounts["2024H1"].assessed_fen == 150 * WANYUAN


def test_an_account_refuses_the_event_of_another_stream() -> None:
    withdrawn = ReturnWithdrawn(form="E204-1", period="2024-03", reason="登记有误")
    with pytest.raises(LedgerIntegrityError, match="撤销登记不是测算记录"):
        EntitlementAccount(H1, [withdrawn])


def test_an_account_refuses_to_close_what_was_never_assessed() -> None:
    with pytest.raises(LedgerIntegrityError, match="2024-03没有测算，不能终止"):
        EntitlementAccount(H1, [assessed("2024-03", None)])
    with pytest.raises(LedgerIntegrityError, match="2024-03没有测算"):
        EntitlementAccount(H1, [assessed("2024-03"), assessed("2024-03", None), assessed("2024-03", None)])


@pytest.mark.parametrize(
    "altered",
    [
        {"open_fen": -1},
        {"open_fen": 50 * WANYUAN + 1},
        {"assessed_fen": 50 * WANYUAN + 1},
        {"assessed_fen": 40 * WANYUAN, "open_fen": 0},
        {"selected_fen": 50 * WANYUAN + 1},
        {"rule_fen": 60 * WANYUAN},
        {"rule_fen": 0},
        {"status": "not-eligible"},
        {"status": "undetermined"},
        {"measure": None},
        {"capped_by": ("month-ceiling",)},
        {"capped_by": ("half-year-ceiling",)},
    ],
    ids=str,
)
def test_an_account_refuses_amounts_that_contradict_each_other(altered: dict[str, object]) -> None:
    EntitlementAccount(H1, [assessed("2024-03")])
    outcome = msgspec.structs.replace(ELIGIBLE, **altered)
    with pytest.raises(LedgerIntegrityError, match="2024-03：各项金额互相矛盾"):
        EntitlementAccount(H1, [assessed("2024-03", outcome)])


def test_an_account_whose_months_together_pass_the_half_year_ceiling_is_refused() -> None:
    events = [assessed(period) for period in ("2024-01~02", *MONTHS)]
    account = EntitlementAccount(H1, events)
    with pytest.raises(LedgerIntegrityError, match="2024H1：合计250万元，超过半年累计上限"):
        account.reassess(policy_of(), [])


def test_an_account_with_a_month_over_its_ceiling_is_refused() -> None:
    over = dict.fromkeys(("rule_fen", "selected_fen", "assessed_fen"), 51 * WANYUAN)
    account = EntitlementAccount(
        H1, [assessed("2024-03"), assessed("2024-04", msgspec.structs.replace(ELIGIBLE, **over))]
    )
    with pytest.raises(LedgerIntegrityError, match="2024-04：超过月度上限"):
        account.reassess(policy_of(), [])


def test_a_published_policy_is_no_event_of_an_account() -> None:
    published = PolicyPublished(policy="p", version=1, sha256="", text="", document={})
    with pytest.raises(LedgerIntegrityError, match="发布政策文件不是测算记录"):
        EntitlementAccount(H1).apply(published)
