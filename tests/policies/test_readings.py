"""Deciding a reading changes the amounts, and the open part of them."""

import pytest

from domain.events import Return
from domain.policy.steps import Step
from tests.builders import (
    SHIPPED_TEXT,
    WANYUAN,
    Enterprise,
    catering,
    decided,
    edited,
    outcome_of,
    policy_of,
    steps_of,
    trade,
)


def opened(reading: str, text: str = SHIPPED_TEXT) -> str:
    """The text with a reading of the text made an open one."""
    start = text.index(f"  - id: {reading}\n")
    end = text.index("    status: text\n", start)
    return text[:end] + "    status: open\n" + text[end + len("    status: text\n") :]


def step_of(rule: str, steps: list[Step]) -> Step:
    (found,) = (step for step in steps if step.rule == rule)
    return found


def test_a_step_amount_decided_at_40000_yuan_is_paid_and_nothing_of_it_is_open() -> None:
    text = edited(decided("step-amount", "每个1000万元4万元。"), ("{yuan: 50000, cite", "{yuan: 40000, cite"))
    outcome = outcome_of(trade(130_000, 100_000), policy=policy_of(text))
    assert (outcome.rule_fen, outcome.assessed_fen) == (12 * WANYUAN, 12 * WANYUAN)
    assert (outcome.open_fen, outcome.open_readings) == (0, ())
    fifteen = outcome_of(trade(250_000, 100_000), policy=policy_of(text))
    assert (fifteen.rule_fen, fifteen.assessed_fen, fifteen.open_fen) == (60 * WANYUAN, 50 * WANYUAN, 0)
    assert outcome_of(trade(108_000, 100_000), policy=policy_of(text)).status == "not-eligible"


def test_a_step_amount_decided_at_the_bound_changes_no_amount_but_what_is_open() -> None:
    policy = policy_of(decided("step-amount", "每个1000万元5万元。"))
    before, after = outcome_of(trade(130_000, 100_000)), outcome_of(trade(130_000, 100_000), policy=policy)
    assert before.assessed_fen == after.assessed_fen == 15 * WANYUAN
    assert (before.open_fen, after.open_fen) == (15 * WANYUAN, 0)


def test_a_decided_tail_of_catering_is_firm() -> None:
    policy = policy_of(decided("catering-tail", "每满100万元2万元。"))
    for current, assessed in ((4_000, 4), (5_300, 6), (28_000, 50)):
        outcome = outcome_of(catering(current, 2_000), policy=policy)
        assert (outcome.assessed_fen, outcome.open_fen) == (assessed * WANYUAN, 0)
        assert outcome.open_readings == ()


def test_a_tail_decided_at_another_amount_pays_that() -> None:
    text = edited(
        decided("catering-tail", "每满100万元1万元。"),
        (
            'award: {yuan: 20000, cite: "14.2", reading: catering-tail}',
            'award: {yuan: 10000, cite: "14.2", reading: catering-tail}',
        ),
    )
    outcome = outcome_of(catering(5_300, 2_000), policy=policy_of(text))
    assert (outcome.assessed_fen, outcome.open_fen) == (4 * WANYUAN, 0)


def test_a_decided_first_period_is_open_only_where_its_measure_is() -> None:
    policy = policy_of(decided("january-february", "按一期测算。"))
    band = outcome_of(catering(3_500, 2_000, period="2024-01~02"), policy=policy)
    tail = outcome_of(catering(4_000, 2_000, period="2024-01~02"), policy=policy)
    retail = outcome_of(trade(110_000, 100_000, period="2024-01~02"), policy=policy)
    assert (band.open_fen, band.open_readings) == (0, ())
    assert (tail.open_fen, tail.open_readings) == (2 * WANYUAN, ("catering-tail",))
    assert (retail.open_fen, retail.open_readings) == (5 * WANYUAN, ("step-amount",))


def test_an_open_first_period_is_open_whole_and_names_all_it_rests_on() -> None:
    outcome = outcome_of(catering(4_000, 2_000, period="2024-01~02"))
    assert (outcome.assessed_fen, outcome.open_fen) == (4 * WANYUAN, 4 * WANYUAN)
    assert outcome.open_readings == ("catering-tail", "january-february")
    nothing = outcome_of(trade(100_000, 100_000, period="2024-01~02"))
    assert (nothing.open_fen, nothing.open_readings) == (0, ("january-february",))


def test_a_decided_treatment_of_missing_bases_is_named_no_more() -> None:
    assert outcome_of(trade(110_000, None)).open_readings == ("undetermined-base",)
    policy = policy_of(decided("undetermined-base", "不予测算。"))
    outcome = outcome_of(trade(110_000, None), policy=policy)
    assert (outcome.status, outcome.open_readings) == ("undetermined", ())


def test_the_half_year_ceiling_leaves_the_firm_part_last() -> None:
    """Of 4万元, 2万元 are undisputed: with 3万元 left by the ceiling 1万元 is open, with 1万元 nothing."""
    for used, assessed, open_part in ((197, 3, 1), (199, 1, 0), (200, 0, 0)):
        enterprise = Enterprise(
            policy_of(
                edited(
                    SHIPPED_TEXT,
                    (
                        '{yuan: 2000000, cite: "14.5"}',
                        f'{{yuan: {2_000_000 - used * 10_000 + 500_000}, cite: "14.5"}}',
                    ),
                )
            )
        )
        enterprise.file(trade(200_000, 100_000), catering(4_000, 2_000, period="2024-04"))
        outcome = enterprise.outcomes()["2024-04"]
        assert (outcome.assessed_fen, outcome.open_fen) == (assessed * WANYUAN, open_part * WANYUAN)


@pytest.mark.parametrize(
    ("reading", "registered", "rule"),
    [
        ("months", trade(110_000, 100_000), "in-database"),
        ("industry", trade(110_000, 100_000), "industry"),
        ("growth-exact", trade(110_000, 100_000), "growth-over"),
        ("whole-steps", trade(110_000, 100_000), "whole-steps"),
        ("months", catering(4_000, 2_000), "in-database"),
        ("catering-band", catering(3_500, 2_000), "band"),
        ("catering-band", catering(4_000, 2_000), "tail"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_open_reading_makes_open_all_that_rests_on_it_and_is_named(
    reading: str, registered: Return, rule: str
) -> None:
    text = decided("step-amount", "每个1000万元5万元。", decided("catering-tail", "每满100万元2万元。"))
    decided_all = outcome_of(registered, policy=policy_of(text))
    assert (decided_all.open_fen, decided_all.open_readings) == (0, ())
    policy = policy_of(opened(reading, text))
    outcome = outcome_of(registered, policy=policy)
    assert outcome.open_fen == outcome.assessed_fen == decided_all.assessed_fen > 0
    assert outcome.open_readings == (reading,)
    assert step_of(rule, steps_of(registered, policy=policy)).reading == reading


@pytest.mark.parametrize(
    ("old", "new", "registered", "rule"),
    [
        (
            'rate: {basis_points: 800, cite: "14.1"}',
            "rate: {basis_points: 800, reading: order}",
            trade(110_000, 100_000),
            "growth-over",
        ),
        (
            'step: {yuan: 10000000, cite: "14.1"}',
            "step: {yuan: 10000000, reading: order}",
            trade(110_000, 100_000),
            "whole-steps",
        ),
        (
            'below: {yuan: 2000000, cite: "14.2"}',
            "below: {yuan: 2000000, reading: order}",
            catering(3_500, 2_000),
            "band",
        ),
        (
            'at_least: {yuan: 2000000, cite: "14.2"}',
            "at_least: {yuan: 2000000, reading: order}",
            catering(4_000, 2_000),
            "tail",
        ),
        (
            'ceiling: {yuan: 500000, cite: "14.3"}',
            "ceiling: {yuan: 500000, reading: order}",
            trade(250_000, 100_000),
            "month-ceiling",
        ),
    ],
    ids=["rate", "step", "band", "tail", "month-ceiling"],
)
def test_a_number_that_rests_on_an_open_reading_makes_open_what_it_decides(
    old: str, new: str, registered: Return, rule: str
) -> None:
    text = decided("step-amount", "每个1000万元5万元。", decided("catering-tail", "每满100万元2万元。"))
    policy = policy_of(opened("order", edited(text, (old, new))))
    outcome = outcome_of(registered, policy=policy)
    assert outcome.open_fen == outcome.assessed_fen > 0
    assert outcome.open_readings == ("order",)
    assert step_of(rule, steps_of(registered, policy=policy)).reading == "order"


def test_an_open_half_year_ceiling_makes_open_only_what_it_cut() -> None:
    text = edited(
        decided("step-amount", "每个1000万元5万元。"),
        ('{yuan: 2000000, cite: "14.5"}', "{yuan: 700000, reading: order}"),
    )
    enterprise = Enterprise(policy_of(opened("order", text)))
    enterprise.file(trade(200_000, 100_000), trade(200_000, 100_000, period="2024-04"))
    march, april = enterprise.outcomes().values()
    assert (march.assessed_fen, march.open_fen, march.open_readings) == (50 * WANYUAN, 0, ())
    assert (april.assessed_fen, april.open_fen, april.open_readings) == (
        20 * WANYUAN,
        20 * WANYUAN,
        ("order",),
    )


def test_an_open_choice_makes_open_only_what_was_chosen_between() -> None:
    text = decided("step-amount", "每个1000万元5万元。")
    policy = policy_of(opened("highest", text))
    alone = outcome_of(trade(130_000, 100_000), policy=policy)
    both = outcome_of(trade(130_000, 100_000), catering(7_000, 2_000), policy=policy)
    assert (alone.open_fen, alone.open_readings) == (0, ())
    assert (both.open_fen, both.open_readings) == (15 * WANYUAN, ("highest",))


def test_what_fails_rests_on_the_reading_that_decided_it() -> None:
    policy = policy_of(opened("negative", opened("growth-exact")))
    low = outcome_of(trade(107_000, 100_000), catering(1_000, 2_000), policy=policy)
    assert low.open_readings == ("growth-exact", "negative")
    steps = steps_of(trade(107_000, 100_000), catering(1_000, 2_000), policy=policy)
    assert step_of("below-bands", steps).reading == "negative"
    assert step_of("growth-over", steps).reading == "growth-exact"


def test_without_a_growth_gate_the_whole_steps_alone_decide() -> None:
    start = SHIPPED_TEXT.index("    conditions:\n")
    end = SHIPPED_TEXT.index("    reward:\n", start)
    policy = policy_of(SHIPPED_TEXT[:start] + "    conditions: []\n" + SHIPPED_TEXT[end:])
    assert outcome_of(trade(1_070_000, 1_000_000), policy=policy).rule_fen == 35 * WANYUAN
    for current, reading in ((105_000, "whole-steps"), (90_000, "negative")):
        (step,) = steps_of(trade(current, 100_000), policy=policy)[2:]
        assert (step.rule, step.reading) == ("no-whole-step", reading)


def test_the_steps_of_an_assessment_are_in_the_order_of_computation() -> None:
    returns = (
        trade(250_000, 100_000, period="2024-01~02", stage="preliminary"),
        catering(28_000, 2_000, period="2024-01~02"),
    )
    steps = steps_of(*returns, used_fen=180 * WANYUAN)
    assert [(step.rule, step.measure) for step in steps] == [
        ("combined-period", None),
        ("in-database", "retail-growth"),
        ("industry", "retail-growth"),
        ("growth-over", "retail-growth"),
        ("whole-steps", "retail-growth"),
        ("month-ceiling", "retail-growth"),
        ("in-database", "catering-increment"),
        ("industry", "catering-increment"),
        ("tail", "catering-increment"),
        ("month-ceiling", "catering-increment"),
        ("highest", None),
        ("half-year-ceiling", None),
        ("preliminary", None),
    ]
    amounts = {(step.rule, step.measure): step.output for step in steps if step.output is not None}
    assert amounts == {
        ("whole-steps", "retail-growth"): 75 * WANYUAN,
        ("month-ceiling", "retail-growth"): 50 * WANYUAN,
        ("tail", "catering-increment"): 52 * WANYUAN,
        ("month-ceiling", "catering-increment"): 50 * WANYUAN,
        ("highest", None): 50 * WANYUAN,
        ("half-year-ceiling", None): 20 * WANYUAN,
        ("preliminary", None): 20 * WANYUAN,
    }


def test_a_ceiling_that_is_only_just_reached_has_cut_nothing() -> None:
    rules = [step.rule for step in steps_of(trade(200_000, 100_000), used_fen=150 * WANYUAN)]
    assert rules == ["in-database", "industry", "growth-over", "whole-steps"]
    a_fen_over = [step.rule for step in steps_of(trade(200_000, 100_000), used_fen=150 * WANYUAN + 1)]
    assert a_fen_over == [*rules, "half-year-ceiling"]


@pytest.mark.parametrize(
    ("registered", "rule", "shortfall"),
    [
        (trade(107_900, 100_000), "growth-over", 10 * WANYUAN),
        (trade(108_000, 100_000), "growth-over", 0),
        (trade(108_001, 100_000), "no-whole-step", 1_999 * WANYUAN // 10),
        (catering(2_999, 2_000), "below-bands", WANYUAN // 10),
        (catering(1_000, 2_000), "below-bands", 200 * WANYUAN),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unmet_condition_says_what_is_missing(registered: Return, rule: str, shortfall: int) -> None:
    step = step_of(rule, steps_of(registered))
    assert not step.met
    assert step.shortfall_fen == shortfall


def test_a_step_names_its_clause() -> None:
    assert step_of("whole-steps", steps_of(trade(110_000, 100_000))).cite == "14.1"
    assert step_of("band", steps_of(catering(3_500, 2_000))).cite == "14.2"
    assert step_of("month-ceiling", steps_of(trade(250_000, 100_000))).cite == "14.3"
