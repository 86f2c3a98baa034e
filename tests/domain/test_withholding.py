"""A reader without the right to single-unit statistics sees a function of amounts and verdicts alone."""

from collections import defaultdict
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.assessment.assess import Assessment, assess
from domain.assessment.explanation import Subject, sentence
from domain.assessment.withholding import STATISTICAL_RULES, withheld_outcome, withhold, without_figures
from domain.events import Figure, Return
from domain.periods import period_of
from domain.policy.policy import Policy
from domain.policy.shapes.phrases import WITHHELD
from domain.policy.steps import Step
from tests.builders import QIANYUAN, SHIPPED_TEXT, WANYUAN, catering, edited, policy_of, sentences_of, trade
from tests.examples import examples

properties = settings(max_examples=examples(100), derandomize=True, deadline=None, database=None)

OPEN_NEGATIVE = edited(
    SHIPPED_TEXT,
    (
        "answer: 该月计0元，不结转到其他月份。\n    status: text",
        "answer: 该月计0元，不结转到其他月份。\n    status: open",
    ),
)
ANOTHER_CLAUSE = edited(
    SHIPPED_TEXT,
    ('decrease: {cite: "14.1", reading: negative}', 'decrease: {cite: "15"}'),
    ('decrease: {cite: "14.2", reading: negative}', 'decrease: {cite: "15"}'),
    ("\nreadings:\n", '  - id: "15"\n    place: 第15条\n    text: 增量为负的不予奖励。\n\nreadings:\n'),
)
NO_AWARD = edited(
    SHIPPED_TEXT,
    ('award: {yuan: 50000, cite: "14.1", reading: step-amount}', 'award: {yuan: 0, cite: "14.1"}'),
    ('award: {yuan: 20000, cite: "14.2", reading: catering-tail}', 'award: {yuan: 0, cite: "14.2"}'),
)
TWO_BANDS_OF_ONE_AWARD = edited(
    SHIPPED_TEXT,
    (
        '          below: {yuan: 2000000, cite: "14.2"}\n          award: {yuan: 20000, cite: "14.2"}\n',
        (
            '          below: {yuan: 1500000, cite: "14.2"}\n          award: {yuan: 20000, cite: "14.2"}\n'
            '        - cite: "14.2"\n          reading: step-amount\n'
            '          at_least: {yuan: 1500000, cite: "14.2"}\n'
            '          below: {yuan: 2000000, cite: "14.2"}\n          award: {yuan: 20000, cite: "14.2"}\n'
        ),
    ),
)
TAIL_LIKE_BAND = edited(
    SHIPPED_TEXT,
    (
        'beyond: {yuan: 1000000, cite: "14.2", reading: catering-tail}',
        'beyond: {yuan: 2000000, cite: "14.2", reading: catering-tail}',
    ),
)
NO_CONDITION = edited(
    SHIPPED_TEXT,
    (
        """    conditions:
      - kind: growth-over
        cite: "14.1"
        reading: growth-exact
        rate: {basis_points: 800, cite: "14.1"}
""",
        "    conditions: []\n",
    ),
)
TWO_CONDITIONS = edited(
    SHIPPED_TEXT,
    (
        '        rate: {basis_points: 800, cite: "14.1"}\n',
        (
            '        rate: {basis_points: 800, cite: "14.1"}\n'
            "      - kind: growth-over\n        reading: stacking\n"
            '        rate: {basis_points: 1600, cite: "14.1"}\n'
        ),
    ),
)
POLICIES: Final = {
    "the shipped policy": SHIPPED_TEXT,
    "an open reading of a negative increment": OPEN_NEGATIVE,
    "a decrease of another clause": ANOTHER_CLAUSE,
    "steps that earn nothing": NO_AWARD,
    "two bands of one award": TWO_BANDS_OF_ONE_AWARD,
    "a tail that begins with the award of the band": TAIL_LIKE_BAND,
    "no condition": NO_CONDITION,
    "two conditions": TWO_CONDITIONS,
}


def assessed(policy: Policy, *returns: Return, used_fen: int = 0) -> Assessment:
    period, by_form = period_of(returns[0].period), {registered.form: registered for registered in returns}
    return assess(policy, period, by_form, dict.fromkeys(policy.limits_of(period), used_fen))


def verdicts_and_amounts(assessment: Assessment) -> object:
    """Everything that may differ for a reader without the right to figures."""
    outcome = assessment.outcome
    return (
        outcome.status,
        outcome.measure,
        tuple((award.measure, award.status, award.rule_fen) for award in outcome.measures),
        (outcome.rule_fen, outcome.selected_fen, outcome.assessed_fen, outcome.open_fen),
        tuple((step.measure, step.met) for step in assessment.steps),
    )


def seen(policy: Policy, assessment: Assessment, *returns: Return) -> list[object]:
    """Everything that a reader without the right to figures sees of a period."""
    withheld = withhold(policy, assessment)
    subject = Subject(
        policy,
        period_of(returns[0].period),
        without_figures({registered.form: registered for registered in returns}),
    )
    return [withheld.outcome, *(shown(step, subject) for step in withheld.steps)]


def shown(step: Step, subject: Subject) -> object:
    """A step as in an answer: without its inputs and amounts if it carries figures."""
    numbers = None if step.has_figures else (step.inputs, step.output, step.shortfall_fen)
    return (step.rule, step.measure, step.cite, step.reading, numbers, step.met, sentence(step, subject))


def explained_in_full(policy: Policy, assessment: Assessment, *returns: Return) -> list[str]:
    subject = Subject(
        policy, period_of(returns[0].period), {registered.form: registered for registered in returns}
    )
    return [sentence(step, subject) for step in assessment.steps]


NOT_A_BASE: Final = (None, 0, -1, -100_000)
"""Prior-year figures that nothing is compared with."""

PAIRS: Final[dict[str, tuple[str, list[Return], list[Return]]]] = {
    "a growth of 7.9% and of -50%": (SHIPPED_TEXT, [trade(107_900, 100_000)], [trade(50_000, 100_000)]),
    "a growth of exactly 8% and of 0%": (SHIPPED_TEXT, [trade(108_000, 100_000)], [trade(3, 3)]),
    "increments of 8,001 and 9,000": (SHIPPED_TEXT, [trade(108_001, 100_000)], [trade(109_000, 100_000)]),
    "whole steps with another rest": (SHIPPED_TEXT, [trade(120_000, 100_000)], [trade(79_999, 50_001)]),
    "catering increments of -5 and 999": (SHIPPED_TEXT, [catering(1_995, 2_000)], [catering(2_999, 2_000)]),
    "two places in the band": (SHIPPED_TEXT, [catering(3_000, 2_000)], [catering(2_000, 1)]),
    "two places in the tail": (SHIPPED_TEXT, [catering(4_000, 2_000)], [catering(2_999_999, 2_997_000)]),
    "both forms, of which neither gives anything": (
        SHIPPED_TEXT,
        [trade(110_000, None), catering(1_995, 2_000)],
        [trade(5, -3), catering(2_500, 2_000)],
    ),
    "a decrease whose reading is open": (OPEN_NEGATIVE, [catering(1_995, 2_000)], [catering(2_999, 2_000)]),
    "a decrease of another clause": (ANOTHER_CLAUSE, [catering(1_995, 2_000)], [catering(2_999, 2_000)]),
    "a decrease without a condition": (NO_CONDITION, [trade(99_000, 100_000)], [trade(109_000, 100_000)]),
    "whole steps that earn nothing": (NO_AWARD, [trade(110_000, 100_000)], [trade(250_000, 100_000)]),
    "a tail that earns no more": (NO_AWARD, [catering(4_000, 2_000)], [catering(28_000, 2_000)]),
    "two bands of one award, one of them on an open reading": (
        TWO_BANDS_OF_ONE_AWARD,
        [catering(3_100, 2_000, period="2024-01~02")],
        [catering(3_600, 2_000, period="2024-01~02")],
    ),
    "a tail that begins with the award of the band": (
        TAIL_LIKE_BAND,
        [catering(3_100, 2_000, period="2024-01~02")],
        [catering(4_100, 2_000, period="2024-01~02")],
    ),
}
"""Enterprises with different figures, the same amounts and the same verdicts."""


@pytest.mark.parametrize(("text", "first", "second"), list(PAIRS.values()), ids=list(PAIRS))
def test_enterprises_of_the_same_verdicts_and_amounts_read_the_same(
    text: str, first: list[Return], second: list[Return]
) -> None:
    policy = policy_of(text)
    one, other = assessed(policy, *first), assessed(policy, *second)
    assert verdicts_and_amounts(one) == verdicts_and_amounts(other)
    assert explained_in_full(policy, one, *first) != explained_in_full(policy, other, *second)
    assert seen(policy, one, *first) == seen(policy, other, *second)


@pytest.mark.parametrize("registered", [trade(0, 0), catering(0, 0)], ids=["trade", "catering"])
def test_a_base_that_cannot_serve_reads_the_same_whether_it_is_missing_zero_or_negative(
    registered: Return,
) -> None:
    policy = policy_of()
    read = []
    for prior in NOT_A_BASE:
        for current in (-7, 0, 1_500, 110_000):
            figure = Figure(
                current_fen=current * QIANYUAN, prior_year_fen=None if prior is None else prior * QIANYUAN
            )
            filed = with_figures(registered, figure)
            read.append(seen(policy, assessed(policy, filed), filed))
    assert all(shown_parts == read[0] for shown_parts in read)
    assert "上年同期数不能作为基数" in str(read[0])


@pytest.mark.parametrize(
    ("registered", "rule", "text"),
    [
        (
            trade(110_000, 0),
            "base",
            (
                f"2024年3月零售额{WITHHELD}，上年同期数不能作为基数，增速无法计算，暂不能确定是否符合条件，暂计0元。"
                "补充上年同期数并说明来源后重新测算。（适用口径：上年同期数缺失）"
            ),
        ),
        (
            catering(28_000, 2_000),
            "tail",
            (
                f"餐费收入同比增量{WITHHELD}，达到200万元。政策仅规定“每达100万元再给予一定额度奖励”，未写明额度；"
                "首个100万元计2万元，其后每满100万元暂按2万元测算，计52万元，其中50万元依据待明确口径。"
                "额度书面明确前，该部分不得作为公示和拨付依据。（适用口径：餐饮超出部分的额度，待明确）"
            ),
        ),
    ],
    ids=["base", "tail"],
)
def test_a_withheld_step_keeps_its_conclusion(registered: Return, rule: str, text: str) -> None:
    assert sentences_of(registered, withheld=True)[rule] == text


def test_of_several_ways_to_an_award_only_the_lowest_threshold_is_shown() -> None:
    policy = policy_of(TAIL_LIKE_BAND)
    withheld = [
        withhold(policy, assessed(policy, catering(current, 2_000))).steps[-1] for current in (3_000, 4_000)
    ]
    assert withheld[0] == withheld[1]
    assert (withheld[0].rule, withheld[0].reading, withheld[0].inputs) == (
        "band",
        "catering-tail",
        {"at_least_fen": 100 * WANYUAN},
    )
    registered = catering(4_000, 2_000)
    text = sentences_of(registered, policy=policy, withheld=True)["band"]
    assert text == f"餐费收入同比增量{WITHHELD}，达到100万元，计2万元。（政策第14条）"


def test_steps_that_earn_nothing_are_not_counted() -> None:
    text = sentences_of(trade(250_000, 100_000), policy=policy_of(NO_AWARD), withheld=True)["whole-steps"]
    assert f"零售额同比增量{WITHHELD}，每满1000万元按0万元测算，计0万元" in text


# Any figures.

thousands = st.integers(min_value=-(10**6), max_value=10**7)
near_thresholds = st.integers(-9, 180).map(lambda drawn: drawn // 3 * 1_000 + drawn % 3 - 1)
increments = st.one_of(near_thresholds, st.integers(-3, 9_999))
priors = st.one_of(st.sampled_from([*NOT_A_BASE, 1, 2_000, 12_500, 100_000]), thousands)


@st.composite
def figures(draw: st.DrawFn) -> list[Figure]:
    """A few prior-year figures, each with a few increments, often near a threshold of the policy."""
    added = draw(st.lists(increments, min_size=3, max_size=5))
    return [
        Figure(
            current_fen=((prior or 0) + increment) * QIANYUAN,
            prior_year_fen=None if prior is None else prior * QIANYUAN,
            current_ytd_fen=increment * QIANYUAN,
        )
        for prior in draw(st.lists(priors, min_size=3, max_size=4))
        for increment in added
    ]


@st.composite
def enterprises(draw: st.DrawFn) -> list[list[Return]]:
    """Enterprises that differ only in the figures of one form or of both."""
    usual: dict[str, Any] = {
        "period": draw(st.sampled_from(["2024-01~02", "2024-03"])),
        "stage": draw(st.sampled_from(["final", "preliminary"])),
    }
    forms = draw(st.sampled_from([(trade,), (catering,), (trade, catering)]))
    drawn = draw(figures())
    return [
        [
            with_figures(form(0, 0, **usual), figure)
            for form, figure in zip(forms, (first, second), strict=False)
        ]
        for first, second in zip(drawn, reversed(drawn), strict=True)
    ]


policies = st.sampled_from([policy_of(text) for text in POLICIES.values()])


@properties
@given(policies, enterprises(), st.sampled_from([0, 160 * WANYUAN, 199 * WANYUAN, 200 * WANYUAN]))
def test_what_is_seen_is_a_function_of_verdicts_and_amounts(
    policy: Policy, drawn: list[list[Return]], used_fen: int
) -> None:
    groups: dict[object, list[object]] = defaultdict(list)
    for returns in drawn:
        assessment = assessed(policy, *returns, used_fen=used_fen)
        groups[verdicts_and_amounts(assessment)].append(seen(policy, assessment, *returns))
    for group in groups.values():
        assert all(steps == group[0] for steps in group)


def with_figures(registered: Return, figure: Figure) -> Return:
    """The return with a figure of its required item, and figures of items without an award."""
    (item,) = registered.figures
    others = {"E204-1": "sales", "S204-1": "turnover"}
    return msgspec.structs.replace(registered, figures={item: figure, others[registered.form]: figure})


@properties
@given(policies, enterprises())
def test_verdicts_and_amounts_themselves_are_not_withheld(policy: Policy, drawn: list[list[Return]]) -> None:
    for returns in drawn:
        assessment = assessed(policy, *returns)
        withheld = withhold(policy, assessment)
        assert verdicts_and_amounts(withheld) == verdicts_and_amounts(assessment)
        assert set(withheld.outcome.open_readings) >= set(assessment.outcome.open_readings)
        for step in assessment.steps:
            assert step.has_figures == (step.rule in STATISTICAL_RULES)


@properties
@given(policies, enterprises())
def test_statements_about_an_increment_are_true(policy: Policy, drawn: list[list[Return]]) -> None:
    for returns in drawn:
        assessment = assessed(policy, *returns)
        for step, full in zip(withhold(policy, assessment).steps, assessment.steps, strict=True):
            if step.met and "at_least_fen" in step.inputs:
                increment = full.inputs["increment_fen"]
                below = step.inputs.get("below_fen", 10**18)
                assert int(step.inputs["at_least_fen"] or 0) <= int(increment or 0) < int(below or 0)
            if "steps" in step.inputs:
                assert step.inputs["steps"] == full.inputs["steps"]


@properties
@given(enterprises())
def test_by_the_shipped_policy_nothing_but_the_reading_of_a_decrease_is_another_one(
    drawn: list[list[Return]],
) -> None:
    policy = policy_of()
    for returns in drawn:
        assessment = assessed(policy, *returns)
        withheld = withhold(policy, assessment)
        assert withheld.outcome == assessment.outcome
        for step, full in zip(withheld.steps, assessment.steps, strict=True):
            assert (step.rule, step.cite) == (full.rule, full.cite)
            assert full.reading in {step.reading, "negative"}


def test_a_step_carries_figures_unless_it_says_that_it_does_not() -> None:
    step = Step("new", "retail-growth", "14.1", None, {"current_fen": 1}, None, met=True)
    assessment = assessed(policy_of(), trade(110_000, 100_000))
    assert step.has_figures
    with pytest.raises(KeyError, match="new"):
        withhold(policy_of(), assessment._replace(steps=[step]))


def test_open_readings_of_a_measure_that_the_policy_has_no_longer_stay() -> None:
    policy = policy_of()
    outcome = assessed(policy, catering(4_000, 2_000)).outcome
    renamed = policy_of(SHIPPED_TEXT.replace("id: catering-increment", "id: catering-growth"))
    assert withheld_outcome(renamed, outcome) == outcome
