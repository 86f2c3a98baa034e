"""The red flags of one enterprise by hand: each question, and the nearest case without it."""

from collections.abc import Mapping
from itertools import combinations
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import Figure, Return
from domain.periods import year_before
from domain.red_flags.kinds import RedFlag
from domain.returns import required_figure
from tests.builders import QIANYUAN, WANYUAN, catering, trade, with_figure
from tests.domain.dossier import WITHOUT_POLICY, Dossier, scope_of, with_cumulative
from tests.domain.histories import Filing, Operation, StandingReturns, random_history
from tests.examples import examples
from tests.oracle import PERIODS_OF_WINDOW, entitlements

JULY = "2024-07-01T00:00:00+08:00"
JUST_BEFORE_JULY = "2024-06-30T23:59:59.999999+08:00"
FORM = "E204-1"


def revised(current: int, prior_year: int | None, **changes: object) -> Return:
    """A return of March that may replace another."""
    return trade(current, prior_year, **{"reason": "企业改报", **changes})


def figures(flag: RedFlag) -> tuple[int | None, int | None]:
    """The stated figure and the compared one, in 千元."""
    stated, compared = (
        None if fen is None else fen // QIANYUAN for fen in (flag.stated_fen, flag.compared_fen)
    )
    return stated, compared


def amounts(flag: RedFlag) -> tuple[int, int]:
    """The assessed amounts of the half-year with the stated figure and with the compared one, in 万元."""
    assert flag.assessed_fen is not None
    assert flag.compared_assessed_fen is not None
    return flag.assessed_fen // WANYUAN, flag.compared_assessed_fen // WANYUAN


def together(flag: RedFlag) -> int:
    """The assessed amount of the half-year with the compared figures in all returns, in 万元."""
    assert flag.together_assessed_fen is not None
    return flag.together_assessed_fen // WANYUAN


def positions(flag: RedFlag) -> list[int]:
    return [version.position for version in flag.evidence]


def test_an_ordinary_half_year_raises_no_question() -> None:
    dossier = Dossier()
    dossier.file(trade(90_000, 80_000, period="2023-03"), trade(110_000, 90_000), catering(5_000, 2_000))
    assert dossier.flags() == []


def test_a_base_that_another_version_changes_is_asked_about() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000), revised(110_000, 90_000))
    (flag,) = dossier.flags("base-changed")
    assert (flag.column, figures(flag), positions(flag)) == ("prior_year", (90_000, 100_000), [1, 2])
    assert (flag.uscc, flag.period, flag.form, flag.assessed_fen) == (dossier.uscc, "2024-03", FORM, None)
    assert flag.sentence == (
        "示例商贸公司2024年3月零售额首次登记的上年同期数为10000万元，其后有更正，最后登记的为9000万元，"
        "请核实更正上年同期数的依据。"
    )


@pytest.mark.parametrize(
    ("first", "last", "change"),
    [
        (None, 56_400, "首次登记时上年同期数未填，其后有更正，最后登记的为5640万元，"),
        (60_000, None, "上年同期数原为6000万元，更正后未填，"),
    ],
)
def test_a_base_that_is_not_filled_in_is_said_to_be_so(
    first: int | None, last: int | None, change: str
) -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, first), revised(110_000, last))
    (flag,) = dossier.flags("base-changed")
    assert flag.sentence == f"示例商贸公司2024年3月零售额{change}请核实更正上年同期数的依据。"


def test_a_revision_that_leaves_the_base_is_no_question_about_it() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000), revised(120_000, 100_000))
    assert dossier.flags("base-changed", "base-earns") == []


def test_a_base_changed_and_changed_back_is_asked_about_with_both_changes() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000), revised(110_000, None), revised(110_000, 100_000))
    (flag,) = dossier.flags("base-changed")
    assert (figures(flag), positions(flag)) == ((100_000, 100_000), [1, 2, 3])


def test_another_base_after_a_withdrawal_is_a_changed_base() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.withdraw(FORM, "2024-03")
    assert dossier.flags("base-changed") == []
    dossier.file(trade(110_000, 99_000))
    (flag,) = dossier.flags("base-changed")
    assert (figures(flag), positions(flag)) == ((99_000, 100_000), [1, 3])


def test_a_base_unlike_the_ledgers_own_figure_is_asked_about_with_both_returns() -> None:
    dossier = Dossier()
    dossier.file(trade(90_000, 80_000, period="2023-03"), trade(110_000, 100_000))
    (flag,) = dossier.flags("base-differs")
    assert (flag.column, figures(flag), positions(flag)) == ("prior_year", (100_000, 90_000), [2, 1])
    assert flag.sentence == (
        "示例商贸公司2024年3月零售额上年同期数10000万元，与台账中2023年3月本期数9000万元相差1000万元；"
        "2024年上半年测算金额按所报数为5万元，按台账中的数为10万元，请核实两数不同的原因。"
    )


@pytest.mark.parametrize(
    ("current", "base", "ledger", "either"),
    [
        (150_000, 100_000, 115_000, (25, 15)),
        (110_000, 100_000, 102_000, (5, 0)),  # 7.8% over the ledger's base
        (110_000, 100_000, 0, (5, 0)),  # Over zero, growth is undefined.
        (107_000, 100_000, 90_000, (0, 5)),
        (250_000, 100_000, 120_000, (50, 50)),  # the month's ceiling hides the difference
    ],
)
def test_a_base_unlike_the_ledgers_own_figure_is_shown_with_the_amount_under_either(
    current: int, base: int, ledger: int, either: tuple[int, int]
) -> None:
    dossier = Dossier()
    dossier.file(trade(ledger, 80_000, period="2023-03"), trade(current, base))
    (flag,) = dossier.flags("base-differs")
    assert (figures(flag), amounts(flag), together(flag)) == ((base, ledger), either, either[1])


def test_differing_bases_do_not_hide_each_other_behind_the_half_year_ceiling() -> None:
    dossier = Dossier()
    for period in ("05", "06"):
        dossier.file(trade(250_000, 80_000, period=f"2023-{period}"))
    dossier.file(*three_full_months(), *(lowered(f"2024-{period}")[1] for period in ("05", "06")))
    of_may, of_june = dossier.flags("base-differs")
    assert [(amounts(flag), together(flag)) for flag in (of_may, of_june)] == [((200, 200), 150)] * 2
    phrase = "按所报数为200万元，仅此处按台账中的数为200万元，期间内2处均按台账中的数为150万元"
    assert phrase in of_may.sentence


def test_without_a_policy_a_differing_base_is_shown_without_an_amount() -> None:
    dossier = Dossier()
    dossier.file(trade(115_000, 80_000, period="2023-03"), trade(150_000, 100_000))
    (flag,) = dossier.flags("base-differs", scope=WITHOUT_POLICY)
    assert (flag.assessed_fen, flag.compared_assessed_fen, flag.together_assessed_fen) == (None, None, None)
    assert "测算金额" not in flag.sentence


@pytest.mark.parametrize("prior_year", [90_000, None])
def test_a_base_like_the_ledgers_own_figure_or_none_is_no_question(prior_year: int | None) -> None:
    dossier = Dossier()
    dossier.file(trade(90_000, 80_000, period="2023-03"), trade(110_000, prior_year))
    assert dossier.flags("base-differs") == []


def test_only_a_standing_return_is_compared_with_the_base() -> None:
    dossier = Dossier()
    dossier.file(trade(90_000, 80_000, period="2023-03"), trade(110_000, 100_000))
    dossier.withdraw(FORM, "2023-03")
    assert dossier.flags("base-differs") == []


@pytest.mark.parametrize(
    ("first", "now", "more_than"),
    [
        (102_000, 100_000, 0),  # 7.8% became 10%
        (None, 100_000, 0),
        (0, 100_000, 0),
        (-5, 100_000, 0),
        (100_001, 100_000, 0),  # 9,999 became a whole step
    ],
)
def test_a_base_lowered_or_filled_in_that_earns_is_asked_about(
    first: int | None, now: int, more_than: int
) -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, first), revised(110_000, now))
    (flag,) = dossier.flags("base-earns")
    assert (figures(flag), amounts(flag), positions(flag)) == ((now, first), (5, more_than), [1, 2])


@pytest.mark.parametrize(
    ("first", "now"),
    [
        (100_000, 99_999),  # one step before and after
        (100_000, 102_000),  # raised
        (100_000, None),
        (120_000, 110_001),  # lowered, and still no growth
    ],
)
def test_a_base_changed_without_earning_is_no_question_about_the_award(first: int, now: int | None) -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, first), revised(110_000, now))
    assert dossier.flags("base-earns") == []
    assert len(dossier.flags("base-changed")) == 1


def test_under_a_half_year_that_is_full_a_lowered_base_earns_nothing() -> None:
    dossier = Dossier()
    full = [
        trade(200_000, 100_000, period=period) for period in ("2024-01~02", "2024-03", "2024-04", "2024-05")
    ]
    dossier.file(
        *full, trade(110_000, 102_000, period="2024-06"), revised(110_000, 100_000, period="2024-06")
    )
    assert dossier.flags("base-earns") == []


def test_the_question_about_the_award_names_both_amounts() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, None), revised(110_000, 100_000))
    assert dossier.flags("base-earns")[0].sentence == (
        "示例商贸公司2024年3月零售额上年同期数原未填，现补填10000万元；2024年上半年测算金额按现数为5万元，"
        "按原未填时为0万元，请核实更正上年同期数的依据。"
    )


def three_full_months() -> list[Return]:
    """January to April, 50万元 for each period: one more fills the half-year."""
    return [trade(250_000, 100_000, period=period) for period in ("2024-01~02", "2024-03", "2024-04")]


def lowered(period: str, first: int | None = 250_000) -> tuple[Return, Return]:
    """A return that earns nothing, and its revision with a base over which it earns 50万元."""
    return trade(250_000, first, period=period), revised(250_000, 100_000, period=period)


def test_bases_lowered_together_do_not_hide_each_other_behind_the_half_year_ceiling() -> None:
    dossier = Dossier()
    may, june = lowered("2024-05"), lowered("2024-06", None)
    dossier.file(*three_full_months(), may[0], june[0], may[1], june[1])
    of_may, of_june = dossier.flags("base-earns")
    assert [(flag.period, positions(flag)) for flag in (of_may, of_june)] == [
        ("2024-05", [4, 6]),
        ("2024-06", [5, 7]),
    ]
    # Either base put back alone changes nothing; both were worth 50万元.
    assert [(amounts(flag), together(flag)) for flag in (of_may, of_june)] == [((200, 200), 150)] * 2
    assert of_may.sentence == (
        "示例商贸公司2024年5月零售额首次登记的上年同期数为25000万元，现为10000万元；"
        "2024年上半年测算金额按现数为200万元，仅此处按首次登记的数为200万元，"
        "期间内2处均按首次登记的数为150万元，请核实更正上年同期数的依据。"
    )


def test_bases_of_both_forms_lowered_together_do_not_hide_behind_the_higher_award() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 110_000), catering(5_000, 5_000))
    dossier.file(revised(110_000, 100_000), catering(5_000, 2_500, reason="企业改报"))
    found = dossier.flags("base-earns")
    # 5万元 for the one and 4万元 for the other; only the higher counts.
    assert [(flag.form, amounts(flag), together(flag)) for flag in found] == [
        ("E204-1", (5, 4), 0),
        ("S204-1", (5, 5), 0),
    ]


def test_a_raised_base_does_not_hide_lowered_ones() -> None:
    dossier = Dossier()
    full = [trade(250_000, 100_000, period=f"2024-{month:02d}") for month in (7, 8, 9, 12)]
    october, november = lowered("2024-10"), lowered("2024-11")
    dossier.file(*full, october[0], november[0], october[1], november[1])
    dossier.file(revised(250_000, 250_000, period="2024-12"))
    found = dossier.flags("base-earns", scope=scope_of("2024H2"))
    assert [(flag.period, amounts(flag), together(flag)) for flag in found] == [
        ("2024-10", (200, 200), 150),
        ("2024-11", (200, 200), 150),
    ]


def test_a_lowered_base_that_adds_nothing_to_others_is_not_listed_with_them() -> None:
    dossier = Dossier()
    may, june = lowered("2024-05"), lowered("2024-06")
    dossier.file(*three_full_months(), may[0], june[0], may[1], june[1])
    dossier.file(catering(999, 500, period="2024-03"))
    dossier.file(catering(999, 400, period="2024-03", reason="企业改报"))
    assert [flag.period for flag in dossier.flags("base-earns")] == ["2024-05", "2024-06"]
    assert len(dossier.flags("base-changed")) == 3


def test_the_actor_who_lowered_the_base_is_shown_though_another_corrected_the_return_since() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 108_000))
    dossier.file(revised(110_000, 104_000), revised(110_000, 100_000), by="统计乙")
    dossier.file(revised(110_000, 100_000, name="示例商贸有限公司"), by="统计丙")
    (flag,) = dossier.flags("base-earns")
    assert [(version.position, version.actor) for version in flag.evidence] == [
        (1, "统计甲"),
        (2, "统计乙"),
        (3, "统计乙"),
        (4, "统计丙"),
    ]


def test_of_a_withdrawn_return_or_without_a_policy_no_award_is_asked_about() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, None), revised(110_000, 100_000))
    assert dossier.flags("base-earns", scope=WITHOUT_POLICY) == []
    dossier.withdraw(FORM, "2024-03")
    assert dossier.flags("base-earns") == []


def winter() -> Return:
    """January and February, 200,000 千元 in both years."""
    return with_cumulative(trade(200_000, 200_000, period="2024-01~02"), 200_000, 200_000)


def test_a_month_unlike_the_cumulative_figures_is_asked_about_with_both_amounts() -> None:
    dossier = Dossier()
    dossier.file(winter(), with_cumulative(trade(110_000, 100_000), 309_999, 300_000))
    (flag,) = dossier.flags("balance-differs")
    assert (flag.column, figures(flag)) == ("current", (110_000, 109_999))
    assert (amounts(flag), positions(flag)) == ((5, 0), [1, 2])
    assert flag.sentence == (
        "示例商贸公司2024年3月零售额本期数11000万元，按累计数推算为10999.9万元，相差0.1万元；"
        "2024年上半年测算金额按所报数为5万元，按推算数为0万元，请核实以何数为准，是否含前期调整。"
    )


def test_the_columns_of_both_years_are_balanced_each_by_itself() -> None:
    dossier = Dossier()
    dossier.file(winter(), with_cumulative(trade(110_000, 100_000), 330_000, 303_000))
    current, prior_year = dossier.flags("balance-differs")
    assert (current.column, figures(current), amounts(current)) == ("current", (110_000, 130_000), (5, 15))
    assert (prior_year.column, figures(prior_year)) == ("prior_year", (100_000, 103_000))
    assert amounts(prior_year) == (5, 0)
    assert (together(current), together(prior_year)) == (10, 10)  # 130,000 over 103,000


def test_what_balances_or_is_not_reported_is_no_question() -> None:
    dossier = Dossier()
    dossier.file(winter(), with_cumulative(trade(110_000, 100_000), 310_000, None))
    dossier.file(with_cumulative(trade(110_000, None, period="2024-04"), 420_000, 400_000))
    dossier.file(trade(110_000, 100_000, period="2024-05"), trade(1, 1, period="2024-06"))
    assert dossier.flags("balance-differs") == []


def test_the_first_period_of_a_year_balances_with_itself() -> None:
    dossier = Dossier()
    dossier.file(with_cumulative(trade(200_000, 100_000, period="2024-01~02"), 200_001, 100_000))
    (flag,) = dossier.flags("balance-differs")
    assert (figures(flag), positions(flag)) == ((200_000, 200_001), [1])


def test_a_month_without_its_cumulative_figure_does_not_keep_the_next_from_being_balanced() -> None:
    dossier = Dossier()
    dossier.file(winter(), trade(110_000, 100_000))
    dossier.file(with_cumulative(trade(120_000, 100_000, period="2024-04"), 420_000, 400_000))
    (flag,) = dossier.flags("balance-differs")
    assert (flag.column, figures(flag), positions(flag)) == ("current", (120_000, 110_000), [1, 2, 3])
    assert (amounts(flag), together(flag)) == ((15, 10), 10)


def test_over_a_month_that_reports_neither_figure_nothing_can_be_balanced() -> None:
    dossier = Dossier()
    dossier.file(winter(), trade(110_000, None))
    dossier.file(with_cumulative(trade(120_000, 100_000, period="2024-04"), 430_000, 999_999))
    assert dossier.flags("balance-differs") == []


def test_a_year_without_cumulative_figures_is_the_sum_of_its_months() -> None:
    dossier = Dossier()
    dossier.file(trade(200_000, 200_000, period="2024-01~02"))
    dossier.file(with_cumulative(trade(110_000, None), 310_001, 300_000))
    (flag,) = dossier.flags("balance-differs")
    assert (flag.column, figures(flag), positions(flag)) == ("current", (110_000, 110_001), [1, 2])


def test_months_that_do_not_balance_do_not_hide_each_other_behind_the_ceiling() -> None:
    dossier = Dossier()
    cumulative = 250_000
    for registered in three_full_months():
        dossier.file(with_cumulative(registered, cumulative, None))
        cumulative += 250_000
    for month, total in (("2024-05", 850_000), ("2024-06", 950_000)):  # 100,000 a month by these.
        dossier.file(with_cumulative(trade(250_000, 100_000, period=month), total, None))
    found = dossier.flags("balance-differs")
    assert [(figures(flag), amounts(flag), together(flag)) for flag in found] == [
        ((250_000, 100_000), (200, 200), 150)
    ] * 2
    assert "仅此处按推算数为200万元，期间内2处均按推算数为150万元" in found[0].sentence


def test_without_the_month_before_nothing_can_be_balanced() -> None:
    dossier = Dossier()
    dossier.file(winter(), with_cumulative(trade(110_000, 100_000, period="2024-04"), 1, 1))
    dossier.withdraw(FORM, "2024-01~02")
    dossier.file(with_cumulative(trade(110_000, 100_000), 1, 1))
    dossier.withdraw(FORM, "2024-03")
    assert dossier.flags("balance-differs") == []


def test_without_a_policy_a_month_is_balanced_and_no_amount_is_shown() -> None:
    dossier = Dossier()
    dossier.file(winter(), with_cumulative(trade(110_000, 100_000), 309_999, 300_000))
    (flag,) = dossier.flags("balance-differs", scope=WITHOUT_POLICY)
    assert (flag.assessed_fen, flag.compared_assessed_fen) == (None, None)
    assert flag.sentence == (
        "示例商贸公司2024年3月零售额本期数11000万元，按累计数推算为10999.9万元，相差0.1万元，"
        "请核实以何数为准，是否含前期调整。"
    )


def half_a_year() -> list[Return]:
    """Six months of 100,000 千元 on average."""
    months = ("2024-03", "2024-04", "2024-05", "2024-06")
    return [
        trade(200_000, 200_000, period="2024-01~02"),
        *(trade(100_000, 100_000, period=period) for period in months),
    ]


def test_a_december_of_twice_the_mean_month_is_asked_about() -> None:
    dossier = Dossier()
    dossier.file(*half_a_year(), trade(200_000, 100_000, period="2024-12"))
    (flag,) = dossier.flags("december-jump", scope=scope_of("2024H2"))
    assert (flag.column, figures(flag), positions(flag)) == (
        "current",
        (200_000, 100_000),
        [6, 1, 2, 3, 4, 5],
    )
    assert flag.sentence == (
        "示例商贸公司2024年12月零售额20000万元，当年此前6个月月均约10000万元，12月约为其2.0倍，"
        "请核实是否含前期调整。"
    )


def test_a_december_just_under_twice_the_mean_is_no_question() -> None:
    dossier = Dossier()
    dossier.file(*half_a_year(), trade(199_999, 100_000, period="2024-12"))
    assert dossier.flags("december-jump", scope=scope_of("2024H2")) == []


def test_five_months_make_no_mean_and_the_other_form_is_another_business() -> None:
    dossier = Dossier()
    dossier.file(*half_a_year(), trade(900_000, 100_000, period="2024-12"), catering(9, 9, period="2024-11"))
    dossier.withdraw(FORM, "2024-06")
    assert dossier.flags("december-jump", scope=scope_of("2024H2")) == []


def test_a_spike_in_november_is_no_question_about_december() -> None:
    dossier = Dossier()
    dossier.file(*half_a_year(), trade(900_000, 100_000, period="2024-11"))
    assert dossier.flags("december-jump", scope=scope_of("2024H2")) == []


def test_a_negative_december_is_asked_about_without_a_mean_too() -> None:
    dossier = Dossier()
    dossier.file(trade(-1, 100_000, period="2024-12"))
    (flag,) = dossier.flags("december-jump", scope=scope_of("2024H2"))
    assert (figures(flag), positions(flag)) == ((-1, None), [1])
    assert flag.sentence == "示例商贸公司2024年12月零售额为负数（-0.1万元），请核实是否含前期冲减。"
    dossier.file(*half_a_year())
    (flag,) = dossier.flags("december-jump", scope=scope_of("2024H2"))
    assert "当年此前6个月月均约10000万元" in flag.sentence


@pytest.mark.parametrize(("month", "total", "mean"), [(0, "0", 0), (-100_000, "-50000", -83_334)])
def test_a_december_that_rises_from_nothing_is_asked_about_without_a_multiple(
    month: int, total: str, mean: int
) -> None:
    dossier = Dossier()
    dossier.file(*(trade(month, 1, period=earlier.period) for earlier in half_a_year()))
    dossier.file(trade(5, 1, period="2024-12"))
    (flag,) = dossier.flags("december-jump", scope=scope_of("2024H2"))
    assert (figures(flag), positions(flag)) == ((5, mean), [6, 1, 2, 3, 4, 5])
    assert flag.sentence == (
        f"示例商贸公司2024年12月零售额0.5万元，当年此前6个月合计{total}万元，请核实是否含前期调整。"
    )


def test_a_december_of_zero_after_months_of_zero_is_no_question() -> None:
    dossier = Dossier()
    dossier.file(*(trade(0, 1, period=earlier.period) for earlier in half_a_year()))
    dossier.file(trade(0, 1, period="2024-12"))
    assert dossier.flags("december-jump", scope=scope_of("2024H2")) == []


def test_a_december_after_fewer_months_of_nothing_is_a_new_entrants() -> None:
    dossier = Dossier()
    dossier.file(trade(0, None, period="2024-11"), trade(900_000, None, period="2024-12"))
    assert dossier.flags("december-jump", scope=scope_of("2024H2")) == []


def test_a_withdrawn_december_is_no_question() -> None:
    dossier = Dossier()
    dossier.file(trade(-1, 100_000, period="2024-12"))
    dossier.withdraw(FORM, "2024-12")
    assert dossier.flags("december-jump", scope=scope_of("2024H2")) == []


def test_a_correction_after_the_half_year_is_asked_about_with_both_amounts() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.file(revised(120_000, 100_000), at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert (flag.column, figures(flag)) == ("current", (120_000, 110_000))
    assert (amounts(flag), positions(flag)) == ((10, 5), [1, 2])
    assert flag.sentence == (
        "示例商贸公司2024年3月零售额的登记数据在2024年上半年结束后更正或撤销1次，本期数由11000万元更正为12000万元；"
        "2024年上半年测算金额按现数为10万元，按更正前的数为5万元，"
        "请核实更正的依据和时间。"
    )


def test_late_corrections_do_not_hide_each_other_behind_the_half_year_ceiling() -> None:
    dossier = Dossier()
    may, june = lowered("2024-05"), lowered("2024-06")
    dossier.file(*three_full_months(), may[0], june[0])
    dossier.file(may[1], june[1], at=JULY)
    found = dossier.flags("late-correction")
    assert [(flag.period, amounts(flag), together(flag)) for flag in found] == [
        ("2024-05", (200, 200), 150),
        ("2024-06", (200, 200), 150),
    ]
    assert found[0].sentence == (
        "示例商贸公司2024年5月零售额的登记数据在2024年上半年结束后更正或撤销1次，上年同期数由25000万元更正为10000万元；"
        "2024年上半年测算金额按现数为200万元，仅此处按更正前的数为200万元，"
        "期间内2处均按更正前的数为150万元，请核实更正的依据和时间。"
    )


@pytest.mark.parametrize(
    ("correction", "column", "expected", "change"),
    [
        (
            revised(110_000, None),
            "prior_year",
            (None, 100_000),
            "上年同期数原为10000万元，更正后未填；",
        ),
        (
            revised(120_000, 90_000),
            "current",
            (120_000, 110_000),
            "本期数由11000万元更正为12000万元，上年同期数由10000万元更正为9000万元；",
        ),
        (
            revised(110_000, 100_000, in_database=False, region_code="210803", name="示例公司"),
            None,
            (None, None),
            "当月在库由是更正为否，处理地由站前区更正为西市区，企业名称由示例商贸公司更正为示例公司；",
        ),
        (
            with_cumulative(revised(110_000, 100_000, industry_code="5111"), 310_000, None),
            None,
            (None, None),
            "1—本月累计原未填，现补填31000万元，行业代码由5211更正为5111；",
        ),
    ],
)
def test_the_sentence_of_a_late_correction_names_its_changes(
    correction: Return, column: str | None, expected: tuple[int | None, int | None], change: str
) -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.file(correction, at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert (flag.column, figures(flag)) == (column, expected)
    assert f"更正或撤销1次，{change}" in flag.sentence


def test_the_sentence_of_a_late_correction_names_another_item() -> None:
    dossier = Dossier()
    figure = required_figure(trade(110_000, 100_000))
    dossier.file(trade(110_000, 100_000))
    both = {"retail_sales": figure, "sales": Figure(current_fen=200_000 * QIANYUAN)}
    dossier.file(revised(110_000, 100_000, figures=both), at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert "更正或撤销1次，商品销售额本期数原未填，现补填20000万元；" in flag.sentence


def test_the_sentence_says_that_late_corrections_undo_each_other() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.file(revised(120_000, 100_000), revised(110_000, 100_000), at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert (flag.column, positions(flag)) == (None, [1, 2, 3])
    assert "更正或撤销2次，现登记的数据与更正前相同；" in flag.sentence


def test_a_correction_in_the_last_moment_of_the_half_year_is_in_time() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.file(revised(120_000, 100_000), at=JUST_BEFORE_JULY)
    assert dossier.flags("late-correction") == []


def test_a_first_filing_after_the_half_year_corrects_nothing() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000, period="2024-06"), at=JULY)
    assert dossier.flags("late-correction") == []


def test_to_replace_a_preliminary_figure_is_no_correction() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000, stage="preliminary"))
    dossier.file(trade(120_000, 100_000), at=JULY)
    assert dossier.flags("late-correction") == []
    dossier.file(revised(130_000, 100_000), at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert (figures(flag), positions(flag)) == ((130_000, 120_000), [2, 3])


def test_another_preliminary_figure_or_its_withdrawal_is_a_correction() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000, stage="preliminary"))
    dossier.file(trade(120_000, 100_000, stage="preliminary"), at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert (figures(flag), amounts(flag), positions(flag)) == ((120_000, 110_000), (10, 5), [1, 2])
    dossier.withdraw(FORM, "2024-03", at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert (figures(flag), amounts(flag), positions(flag)) == ((None, 110_000), (0, 5), [1, 2, 3])


def test_a_preliminary_figure_in_place_of_a_withdrawn_one_is_shown_with_its_stage() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.withdraw(FORM, "2024-03", at=JULY)
    dossier.file(trade(110_000, 100_000, stage="preliminary"), at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert "更正或撤销2次，阶段由审定数更正为初报数；" in flag.sentence


def test_a_withdrawal_after_the_half_year_takes_the_return_out_of_the_amount() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000), catering(5_000, 2_000, period="2024-04"))
    dossier.withdraw(FORM, "2024-03", at=JULY)
    (flag,) = dossier.flags("late-correction")
    assert (figures(flag), amounts(flag), positions(flag)) == ((None, 110_000), (6, 11), [1, 3])
    assert "此前登记的本期数为11000万元，上年同期数为10000万元，现无登记；" in flag.sentence


def test_a_return_filed_again_after_the_half_year_is_compared_with_no_return() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.withdraw(FORM, "2024-03")
    dossier.file(trade(110_000, 100_000), at=JULY)
    (flag,) = dossier.flags("late-correction", scope=scope_of())
    assert (figures(flag), amounts(flag), positions(flag)) == ((110_000, None), (5, 0), [2, 3])


def test_several_late_corrections_of_a_return_are_one_question() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000))
    dossier.file(revised(120_000, 100_000), revised(130_000, 100_000), at=JULY)
    (flag,) = dossier.flags("late-correction", scope=WITHOUT_POLICY)
    assert (figures(flag), positions(flag), flag.assessed_fen) == ((130_000, 110_000), [1, 2, 3], None)
    assert "更正或撤销2次" in flag.sentence


def test_only_returns_of_the_half_year_are_asked_about() -> None:
    dossier = Dossier()
    dossier.file(trade(110_000, 100_000), revised(110_000, 90_000))
    assert dossier.flags(scope=scope_of("2024H2")) == []


def test_the_questions_of_a_flag_come_by_period_and_form() -> None:
    dossier = Dossier()
    for period in ("2024-04", "2024-01~02"):
        for draft in (catering, trade):
            first, then = (
                draft(9_000, 5_000, period=period),
                draft(9_000, 4_000, period=period, reason="改报"),
            )
            dossier.file(first, then)
    found = [(flag.period, flag.form) for flag in dossier.flags("base-changed")]
    assert found == [
        ("2024-01~02", "E204-1"),
        ("2024-01~02", "S204-1"),
        ("2024-04", "E204-1"),
        ("2024-04", "S204-1"),
    ]


@settings(max_examples=examples(150), derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False))
def test_a_base_earns_where_an_independent_working_of_the_article_says_so(random: Random) -> None:
    questions_as_by_the_oracle(random_history(random))


TRADE_BASES = st.sampled_from([None, 0, 100_000, 150_000, 200_000, 235_000, 250_000])
CATERING_BASES = st.sampled_from([None, -5, 2_000, 10_000, 20_000, 30_000])


@settings(max_examples=examples(100), derandomize=True, deadline=None, database=None)
@given(
    st.lists(st.tuples(TRADE_BASES, TRADE_BASES), min_size=5, max_size=5),
    st.lists(st.tuples(CATERING_BASES, CATERING_BASES), min_size=2, max_size=2),
)
def test_bases_that_hide_each_other_earn_where_the_independent_working_says_so(
    of_trade: list[tuple[int | None, int | None]], of_catering: list[tuple[int | None, int | None]]
) -> None:
    """Five periods that fill the half-year together, two of them with either form."""
    periods = PERIODS_OF_WINDOW["2024H1"]
    drafts = [
        draft(current, base, period=period, reason="企业改报")
        for draft, current, bases in ((trade, 250_000, of_trade), (catering, 30_000, of_catering))
        for period, first_and_then in zip(periods, bases, strict=False)
        for base in first_and_then
    ]
    questions_as_by_the_oracle([Filing(draft) for draft in drafts])


def questions_as_by_the_oracle(history: list[Operation]) -> None:
    """A base earns if it gives more for any choice of the other changed bases at their first values."""
    dossier, standing = Dossier(), StandingReturns()
    first: dict[tuple[str, str], Return] = {}
    for operation in history:
        standing.follow(operation)
        if isinstance(operation, Filing):
            dossier.file(operation.draft)
            first.setdefault((operation.draft.form, operation.draft.period), operation.draft)
        else:
            dossier.withdraw(operation.form, operation.period)
    for window, periods in PERIODS_OF_WINDOW.items():
        with_first = {
            key: with_figure(standing_return, required_figure(standing_return).current_fen, base_fen)
            for key, standing_return in standing.by_place.items()
            if (base_fen := required_figure(first[key]).prior_year_fen)
            != required_figure(standing_return).prior_year_fen
            and key[1] in periods
        }
        fen = {
            frozenset(back): total_fen(standing, window, {key: with_first[key] for key in back})
            for size in range(len(with_first) + 1)
            for back in combinations(with_first, size)
        }
        earning = {key for back in fen for key in with_first.keys() - back if fen[back] > fen[back | {key}]}
        flags = dossier.flags("base-earns", scope=scope_of(window))
        found = {
            (flag.form, flag.period): (
                flag.assessed_fen,
                flag.compared_assessed_fen,
                flag.together_assessed_fen,
            )
            for flag in flags
        }
        assert found == {
            key: (fen[frozenset()], fen[frozenset([key])], fen[frozenset(earning)]) for key in earning
        }


@settings(max_examples=examples(100), derandomize=True, deadline=None, database=None)
@given(st.randoms(use_true_random=False))
def test_a_differing_base_has_the_amounts_of_an_independent_calculation(random: Random) -> None:
    dossier, standing = Dossier(), StandingReturns()
    ledger_fen: dict[tuple[str, str], int] = {}
    for operation in random_history(random):
        standing.follow(operation)
        if isinstance(operation, Filing):
            dossier.file(operation.draft)
        else:
            dossier.withdraw(operation.form, operation.period)
    for (form, period), standing_return in standing.by_place.items():
        base_fen = required_figure(standing_return).prior_year_fen
        if random.randint(1, 3) > 1:
            own_fen = random.choice((base_fen or 0, 0, 1_000_000_000, 11_500_000_000))
            year_ago = msgspec.structs.replace(standing_return, period=year_before(period), reason=None)
            dossier.file(with_figure(year_ago, own_fen, 1))
            if base_fen not in {None, own_fen}:
                ledger_fen[form, period] = own_fen
    for window, periods in PERIODS_OF_WINDOW.items():
        in_place = {
            key: with_figure(standing_return, required_figure(standing_return).current_fen, ledger_fen[key])
            for key, standing_return in standing.by_place.items()
            if key in ledger_fen and key[1] in periods
        }
        found = {
            (flag.form, flag.period): (
                flag.assessed_fen,
                flag.compared_assessed_fen,
                flag.together_assessed_fen,
            )
            for flag in dossier.flags("base-differs", scope=scope_of(window))
        }
        standing_fen, together_fen = (total_fen(standing, window, compared) for compared in ({}, in_place))
        assert found == {
            key: (standing_fen, total_fen(standing, window, {key: compared}), together_fen)
            for key, compared in in_place.items()
        }


def total_fen(standing: StandingReturns, window: str, in_place: Mapping[tuple[str, str], Return]) -> int:
    """The oracle's amount for a half-year in which some returns are replaced."""
    other = StandingReturns()
    other.by_place = {**standing.by_place, **in_place}
    return sum(
        entitlement.assessed_fen for entitlement in entitlements(other.for_the_oracle(), window).values()
    )
