"""The worked values of article 14, in 千元 as on the forms and in 万元 as in the policy."""

import pytest

from domain.events import Return
from tests.builders import WANYUAN, Enterprise, catering, outcome_of, trade

ELIGIBLE, UNDETERMINED, NOT_ELIGIBLE = "eligible", "undetermined", "not-eligible"

WORKED_VALUES = [
    pytest.param(trade(108_000, 100_000), NOT_ELIGIBLE, 0, 0, 0, id="trade-exactly-8-percent"),
    pytest.param(trade(108_001, 100_000), NOT_ELIGIBLE, 0, 0, 0, id="trade-over-8-percent-no-whole-step"),
    pytest.param(trade(110_000, 100_000), ELIGIBLE, 5, 5, 5, id="trade-one-step"),
    pytest.param(trade(119_999, 100_000), ELIGIBLE, 5, 5, 5, id="trade-just-under-two-steps"),
    pytest.param(trade(1_070_000, 1_000_000), NOT_ELIGIBLE, 0, 0, 0, id="trade-7-percent-although-7-steps"),
    pytest.param(trade(200_000, 100_000), ELIGIBLE, 50, 50, 50, id="trade-ten-steps"),
    pytest.param(trade(250_000, 100_000), ELIGIBLE, 75, 50, 50, id="trade-fifteen-steps-month-ceiling"),
    pytest.param(trade(110_000, None), UNDETERMINED, 0, 0, 0, id="trade-base-missing"),
    pytest.param(trade(110_000, 0), UNDETERMINED, 0, 0, 0, id="trade-base-zero"),
    pytest.param(trade(110_000, -1), UNDETERMINED, 0, 0, 0, id="trade-base-negative"),
    pytest.param(catering(2_999, 2_000), NOT_ELIGIBLE, 0, 0, 0, id="catering-increment-999"),
    pytest.param(catering(3_000, 2_000), ELIGIBLE, 2, 2, 0, id="catering-band-begins-firm"),
    pytest.param(catering(3_999, 2_000), ELIGIBLE, 2, 2, 0, id="catering-band-ends-firm"),
    pytest.param(catering(4_000, 2_000), ELIGIBLE, 4, 4, 2, id="catering-tail-begins"),
    pytest.param(catering(28_000, 2_000), ELIGIBLE, 52, 50, 48, id="catering-month-ceiling"),
    pytest.param(catering(1_500, None), UNDETERMINED, 0, 0, 0, id="catering-base-missing"),
    pytest.param(catering(1_500, 0), UNDETERMINED, 0, 0, 0, id="catering-base-zero"),
    pytest.param(catering(1_500, -1), UNDETERMINED, 0, 0, 0, id="catering-base-negative"),
]


@pytest.mark.parametrize(("registered", "status", "rule", "assessed", "open_part"), WORKED_VALUES)
def test_worked_value(registered: Return, status: str, rule: int, assessed: int, open_part: int) -> None:
    outcome = outcome_of(registered)
    assert outcome.status == status
    assert outcome.rule_fen == rule * WANYUAN
    assert (outcome.selected_fen, outcome.assessed_fen) == (assessed * WANYUAN, assessed * WANYUAN)
    assert outcome.open_fen == open_part * WANYUAN
    assert outcome.capped_by == (("month-ceiling",) if rule > assessed else ())


def test_five_months_at_the_month_ceiling_stop_at_the_half_year_ceiling() -> None:
    enterprise = Enterprise()
    for period in ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06"):
        enterprise.file(trade(200_000, 100_000, period=period))
    assert list(enterprise.amounts().values()) == [50, 50, 50, 50, 0]
    assert enterprise.accounts["2024H1"].assessed_fen == 200 * WANYUAN
    assert enterprise.outcomes()["2024-06"].capped_by == ("half-year-ceiling",)


def test_an_industry_outside_the_form_earns_nothing() -> None:
    assert outcome_of(trade(200_000, 100_000, industry_code="6210")).status == NOT_ELIGIBLE
    assert outcome_of(catering(4_000, 2_000, industry_code="5211")).status == NOT_ELIGIBLE


def test_an_enterprise_outside_the_database_earns_nothing_even_without_a_base() -> None:
    outcome = outcome_of(trade(200_000, None, in_database=False))
    assert (outcome.status, outcome.open_readings) == (NOT_ELIGIBLE, ())


def test_a_return_without_a_current_figure_is_undetermined() -> None:
    registered = trade(0, 100_000, figures={"retail_sales": trade(0, None).figures["retail_sales"]})
    assert outcome_of(registered).status == UNDETERMINED


def test_of_two_undetermined_and_failed_measures_the_undetermined_one_speaks() -> None:
    outcome = outcome_of(trade(107_000, 100_000), catering(4_000, None))
    assert outcome.status == UNDETERMINED
    assert outcome.open_readings == ("undetermined-base",)
    assert [(award.measure, award.status) for award in outcome.measures] == [
        ("retail-growth", NOT_ELIGIBLE),
        ("catering-increment", UNDETERMINED),
    ]


def test_the_highest_measure_is_taken_never_the_sum() -> None:
    outcome = outcome_of(trade(130_000, 100_000), catering(7_000, 2_000))
    assert (outcome.measure, outcome.assessed_fen) == ("retail-growth", 15 * WANYUAN)


def test_a_tie_goes_to_the_order_of_the_text() -> None:
    outcome = outcome_of(catering(7_000, 2_000), trade(120_000, 100_000))
    assert (outcome.measure, outcome.assessed_fen) == ("retail-growth", 10 * WANYUAN)


def test_of_two_measures_over_the_month_ceiling_the_higher_before_it_is_taken() -> None:
    outcome = outcome_of(trade(210_000, 100_000), catering(32_000, 2_000))
    assert (outcome.measure, outcome.rule_fen, outcome.assessed_fen) == (
        "catering-increment",
        60 * WANYUAN,
        50 * WANYUAN,
    )


def test_one_preliminary_return_makes_the_period_preliminary() -> None:
    assert outcome_of(trade(110_000, 100_000, stage="preliminary"), catering(2_000, 2_000)).stage == (
        "preliminary"
    )
    assert outcome_of(trade(110_000, 100_000), catering(2_000, 2_000)).stage == "final"
