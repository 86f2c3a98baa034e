"""The sentences of an assessment: the words of the glossary, and the figures that they withhold."""

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from domain.assessment.explanation import SENTENCES
from domain.assessment.withholding import STATISTICAL_RULES
from domain.events import Return, Source
from domain.money import qianyuan_text, wanyuan_text, yuan_text
from domain.policy.document import LIMIT_LENGTHS
from domain.policy.shapes.phrases import WITHHELD, percent_text, rate_text
from tests.builders import (
    SHIPPED_TEXT,
    WANYUAN,
    catering,
    decided,
    edited,
    policy_of,
    sentences_of,
    steps_of,
    text_with_limits,
    trade,
    with_figure,
)
from tests.examples import examples

GATE_BP = 800

properties = settings(max_examples=examples(100), derandomize=True, deadline=None, database=None)


def test_the_model_sentence_of_a_growth_that_is_too_low() -> None:
    assert sentences_of(trade(107_900, 100_000))["growth-over"] == (
        "示例商贸公司2024年3月零售额10790万元，上年同期10000万元，同比增长7.9%，不高于8%，不符合增速条件；"
        "零售额须高于10800万元，尚差10万元。（政策第14条）"
    )


def test_the_model_sentence_of_whole_steps() -> None:
    assert sentences_of(trade(123_456, 100_000))["whole-steps"] == (
        "零售额同比增量2345.6万元，每满1000万元按5万元测算，计10万元；"
        "余345.6万元不足1000万元，不予计算（奖励标准尚待明确，暂按政策上限5万元测算）。（政策第14条）"
    )


def test_a_threshold_and_a_gap_are_in_one_unit() -> None:
    assert sentences_of(trade(10_727, 10_888))["growth-over"] == (
        "示例商贸公司2024年3月零售额1072.7万元，上年同期1088.8万元，同比下降1.48%，不高于8%，不符合增速条件；"
        "零售额须高于1175.904万元，尚差103.204万元。（政策第14条）"
    )


def test_one_whole_step_and_a_rest() -> None:
    sentences = sentences_of(trade(41_000, 30_000))
    assert "同比增长36.67%，高于8%" in sentences["growth-over"]
    assert sentences["whole-steps"] == (
        "零售额同比增量1100万元，每满1000万元按5万元测算，计5万元；余100万元不足1000万元，不予计算"
        "（奖励标准尚待明确，暂按政策上限5万元测算）。（政策第14条）"
    )


def test_the_model_sentence_of_the_half_year_ceiling() -> None:
    sentences = sentences_of(trade(200_000, 100_000, period="2024-06"), used_fen=180 * WANYUAN)
    assert sentences["half-year-ceiling"] == (
        "2024年上半年此前各期已测算180万元，本期50万元，合计超过半年累计上限200万元；"
        "本期按剩余额度20万元计，核减30万元。（政策第14条）"
    )


def test_membership_in_the_database_says_where_it_is_known_from() -> None:
    assert sentences_of(trade(110_000, 100_000))["in-database"] == (
        "示例商贸公司2024年3月在站前区限额以上批发和零售业调查单位库内（据登记数据），列入测算范围。（政策第14条）"
    )
    registered = catering(
        4_000, 2_000, in_database=False, source=Source(name="名录2024-03.xlsx"), period="2024-01~02"
    )
    assert sentences_of(registered)["in-database"] == (
        "示例商贸公司2024年1—2月不在限额以上住宿和餐饮业调查单位库内（据名录2024-03.xlsx），"
        "该期不予奖励；此前在库月份的测算结果不受影响。（政策第14条）"
    )
    assert "（据登记数据）" in sentences_of(trade(1, 1, source=Source(row=3)))["in-database"]


def test_the_industry_is_said_whether_it_fits_or_not() -> None:
    expected = "行业代码5211，属于批发和零售业。（政策第14条）"
    assert sentences_of(trade(110_000, 100_000))["industry"] == expected
    assert sentences_of(catering(4_000, 2_000, industry_code="7211"))["industry"] == (
        "行业代码7211，不属于住宿和餐饮业，该期按S204-1表不予奖励。（政策第14条）"
    )


def test_a_growth_that_passes() -> None:
    assert sentences_of(trade(110_000, 100_000))["growth-over"] == (
        "示例商贸公司2024年3月零售额11000万元，上年同期10000万元，同比增长10%，高于8%，符合增速条件。（政策第14条）"
    )


def test_exactly_eight_percent_is_said_to_be_exactly_that() -> None:
    assert sentences_of(trade(108_000, 100_000))["growth-over"] == (
        "示例商贸公司2024年3月零售额10800万元，上年同期10000万元，同比增速恰为8%，不高于8%，不符合增速条件；"
        "零售额须高于10800万元，现恰等于该数。（政策第14条）"
    )


def test_a_fall_is_called_a_fall() -> None:
    sentence = sentences_of(trade(90_000, 100_000))["growth-over"]
    assert "同比下降10%，不高于8%" in sentence
    assert "尚差1800万元。" in sentence


def test_a_threshold_between_two_fen_is_the_highest_amount_that_does_not_pass() -> None:
    """8% over 1.01 yuan are 1.0908 yuan: 1.10 passes, 1.09 does not, and is 7.92% only."""
    base = trade(0, 1)
    assert (
        "零售额须高于0.000109万元，现恰等于该数" in sentences_of(with_figure(base, 109, 101))["growth-over"]
    )
    assert "同比增长7.92%" in sentences_of(with_figure(base, 109, 101))["growth-over"]
    assert "高于8%，符合增速条件" in sentences_of(with_figure(base, 110, 101))["growth-over"]


def test_a_growth_that_passes_with_too_small_an_increment() -> None:
    assert sentences_of(trade(109_000, 100_000))["no-whole-step"] == (
        "零售额同比增长9%，高于8%；但同比增量900万元，不足1000万元，尚差100万元，该期不予奖励。（政策第14条）"
    )
    almost = with_figure(trade(0, 0), 10_999_999_999, 10_000_000_000)
    assert "尚差0.000001万元" in sentences_of(almost)["no-whole-step"]


def test_too_small_an_increment_where_growth_is_no_condition() -> None:
    start = SHIPPED_TEXT.index("    conditions:\n")
    end = SHIPPED_TEXT.index("    reward:\n", start)
    policy = policy_of(SHIPPED_TEXT[:start] + "    conditions: []\n" + SHIPPED_TEXT[end:])
    assert sentences_of(trade(105_000, 100_000), policy=policy)["no-whole-step"] == (
        "零售额同比增量500万元，不足1000万元，尚差500万元，该期不予奖励。（政策第14条）"
    )
    assert "同比增量无法计算" in sentences_of(trade(105_000, None), policy=policy)["base"]


def test_an_increment_of_nothing_but_whole_steps_has_no_rest() -> None:
    expected = "每满1000万元按5万元测算，计5万元（奖励标准尚待明确，"
    assert expected in sentences_of(trade(110_000, 100_000))["whole-steps"]


def test_a_decided_step_amount_names_its_decision_and_quotes_no_other_bound() -> None:
    text = edited(decided("step-amount", "每个1000万元4万元。"), ("{yuan: 50000, cite", "{yuan: 40000, cite"))
    assert sentences_of(trade(123_456, 100_000), policy=policy_of(text))["whole-steps"] == (
        "零售额同比增量2345.6万元，每满1000万元按4万元测算，计8万元；"
        "余345.6万元不足1000万元，不予计算（依据营商发〔2024〕1号）。（政策第14条）"
    )


def test_a_step_amount_of_the_text_itself_rests_on_the_text() -> None:
    text = edited(
        SHIPPED_TEXT,
        ('award: {yuan: 50000, cite: "14.1", reading: step-amount}', 'award: {yuan: 50000, cite: "14.1"}'),
    )
    sentence = sentences_of(trade(110_000, 100_000), policy=policy_of(text))["whole-steps"]
    assert sentence.endswith("计5万元（依据原文）。（政策第14条）")
    text = edited(text, ("reading: whole-steps\n      step", "step"))
    sentence = sentences_of(trade(110_000, 100_000), policy=policy_of(text))["whole-steps"]
    assert sentence.endswith("计5万元（依据原文）。（政策第14条）")


def test_the_band_of_catering() -> None:
    assert sentences_of(catering(3_500, 2_000))["band"] == (
        "餐费收入同比增量150万元，在100万元（含）至200万元（不含）之间，计2万元。（政策第14条）"
    )


def test_too_small_an_increment_of_catering() -> None:
    assert sentences_of(catering(2_999, 2_000))["below-bands"] == (
        "餐费收入同比增量99.9万元，不足100万元，尚差0.1万元，该期不予奖励。（政策第14条）"
    )


def test_the_open_tail_of_catering() -> None:
    assert sentences_of(catering(5_300, 2_000))["tail"] == (
        "餐费收入同比增量330万元，达到200万元。政策仅规定“每达100万元再给予一定额度奖励”，未写明额度；"
        "首个100万元计2万元，其后每满100万元暂按2万元测算，计6万元，其中4万元依据待明确口径。"
        "额度书面明确前，该部分不得作为公示和拨付依据。（适用口径：餐饮超出部分的额度，待明确）"
    )


def test_the_decided_tail_of_catering() -> None:
    policy = policy_of(decided("catering-tail", "每满100万元2万元。"))
    assert sentences_of(catering(5_300, 2_000), policy=policy)["tail"] == (
        "餐费收入同比增量330万元，达到200万元。首个100万元计2万元，其后每满100万元按2万元测算，计6万元"
        "（依据营商发〔2024〕1号）。（政策第14条）"
    )


def test_a_tail_that_rests_on_a_clause_alone_rests_on_the_text() -> None:
    text = SHIPPED_TEXT.replace(", reading: catering-tail}", "}").replace(
        "        reading: catering-tail\n", ""
    )
    text = edited(text, (", reading: catering-band}", "}"))
    sentence = sentences_of(catering(5_300, 2_000), policy=policy_of(text))["tail"]
    assert sentence.endswith("测算，计6万元（依据原文）。（政策第14条）")


def test_the_month_ceiling() -> None:
    assert sentences_of(trade(250_000, 100_000))["month-ceiling"] == (
        "本期测算75万元，超过每家企业月度上限50万元，按50万元计，核减25万元。（政策第14条）"
    )


@pytest.mark.parametrize(
    ("returns", "sentence"),
    [
        (
            (trade(130_000, 100_000), catering(7_000, 2_000)),
            (
                "零售增长奖励15万元，餐饮增量奖励10万元。取金额最高的一项，按零售增长奖励计15万元，"
                "其余不计。（政策第14条）"
            ),
        ),
        (
            (trade(120_000, 100_000), catering(7_000, 2_000)),
            (
                "零售增长奖励10万元，餐饮增量奖励10万元。取金额最高的一项，按零售增长奖励计10万元，"
                "其余不计。（政策第14条；金额相同时按条款先后取零售增长奖励）"
            ),
        ),
        (
            (trade(210_000, 100_000), catering(32_000, 2_000)),
            (
                "零售增长奖励50万元，餐饮增量奖励50万元。取金额最高的一项，按餐饮增量奖励计50万元，"
                "其余不计。（政策第14条；金额相同时取月度上限前较高的餐饮增量奖励）"
            ),
        ),
    ],
    ids=["higher", "tie", "tie-at-the-month-ceiling"],
)
def test_the_choice_of_the_highest(returns: tuple[Return, ...], sentence: str) -> None:
    assert sentences_of(*returns)["highest"] == f"本期同时符合2项奖励条件：{sentence}"


@pytest.mark.parametrize(("prior_year", "state"), [(None, "未填"), (0, "为零"), (-5, "为负")])
def test_a_base_that_cannot_be_used_says_what_is_missing(prior_year: int | None, state: str) -> None:
    assert sentences_of(trade(110_000, prior_year))["base"] == (
        f"2024年3月零售额11000万元，上年同期数{state}，增速无法计算，暂不能确定是否符合条件，暂计0元。"
        "补充上年同期数并说明来源后重新测算。（适用口径：上年同期数缺失）"
    )
    assert sentences_of(catering(1_500, prior_year))["base"] == (
        f"2024年3月餐费收入150万元，上年同期数{state}，同比增量无法计算，暂不能确定是否符合条件，暂计0元。"
        "补充上年同期数并说明来源后重新测算。（适用口径：上年同期数缺失）"
    )


def test_a_missing_current_figure_is_what_is_missing() -> None:
    assert sentences_of(with_figure(trade(0, 0), None, 10_000_000_000))["base"] == (
        "2024年3月零售额未填，上年同期数10000万元，增速无法计算，暂不能确定是否符合条件，暂计0元。"
        "补充本期数并说明来源后重新测算。（适用口径：上年同期数缺失）"
    )


def test_a_base_that_rests_on_a_clause_names_the_clause() -> None:
    text = edited(
        SHIPPED_TEXT,
        ('base: {cite: "14.1", reading: undetermined-base}', 'base: {cite: "14.1"}'),
    )
    assert sentences_of(trade(110_000, None), policy=policy_of(text))["base"].endswith(
        "重新测算。（政策第14条）"
    )


def test_january_and_february_are_said_to_be_one_period() -> None:
    registered = trade(110_000, 100_000, period="2024-01~02")
    assert sentences_of(registered)["combined-period"] == (
        "国家统计制度1、2月份数据合并调查，政策所称“各月度”在1—2月暂按一期测算：一次增速判断、一次计算增量、"
        "适用一个月度上限50万元。（适用口径：1—2月合并测算，待明确）"
    )
    policy = policy_of(decided("january-february", "按一期测算。"))
    assert sentences_of(registered, policy=policy)["combined-period"] == (
        "国家统计制度1、2月份数据合并调查，政策所称“各月度”在1—2月按一期测算：一次增速判断、一次计算增量、"
        "适用一个月度上限50万元。（适用口径：1—2月合并测算）"
    )


def test_a_reading_without_a_quote_is_explained_without_one() -> None:
    text = edited(
        SHIPPED_TEXT,
        ("    quote: 各月度\n", ""),
        ("    quote: 每达100万元再给予一定额度奖励\n", ""),
    )
    policy = policy_of(text)
    assert sentences_of(trade(110_000, 100_000, period="2024-01~02"), policy=policy)[
        "combined-period"
    ].startswith("国家统计制度1、2月份数据合并调查，1—2月暂按一期测算：一次增速判断、")
    assert sentences_of(catering(5_300, 2_000), policy=policy)["tail"].startswith(
        "餐费收入同比增量330万元，达到200万元。首个100万元计2万元，其后每满100万元暂按2万元测算，计6万元，其中4万元"
    )


def test_an_open_reading_of_another_part_of_whole_steps_is_named() -> None:
    text = decided("step-amount", "每个1000万元5万元。")
    start = text.index("  - id: whole-steps\n")
    text = text[:start] + text[start:].replace("status: text", "status: open", 1)
    assert sentences_of(trade(110_000, 100_000), policy=policy_of(text))["whole-steps"] == (
        "零售额同比增量1000万元，每满1000万元按5万元测算，计5万元（适用口径：满1000万元的个数，待明确）。"
        "（政策第14条）"
    )


def test_a_reading_without_a_name_is_named_by_its_question() -> None:
    """As in every document that was published before readings had names."""
    names = re.compile(r"(  - id: [a-z-]+\n)    name: .*\n(    (?:question|quote):)")
    policy = policy_of(names.sub(r"\1\2", SHIPPED_TEXT))
    assert {reading.name for reading in policy.document.readings} == {None}
    assert sentences_of(catering(5_300, 2_000), policy=policy)["tail"].endswith(
        "（适用口径：餐饮收入增量达到200万元以上，“一定额度”是多少？，待明确）"
    )


def test_a_preliminary_figure_is_said_to_be_one() -> None:
    registered = trade(110_000, 100_000, stage="preliminary")
    assert sentences_of(registered)["preliminary"] == (
        "本期数据为初报数，测算金额5万元仅供参考，审定后重新测算；"
        "计入测算金额合计，另列其中初报数；不得列入拟奖励名单。"
    )
    registered = trade(110_000, 100_000, stage="preliminary", reported_at="2024-04-10T08:00:00+08:00")
    assert (
        "本期数据为初报数（2024-04-10T08:00:00+08:00导出），测算金额5万元"
        in (sentences_of(registered)["preliminary"])
    )


def test_every_rule_that_an_assessment_names_has_a_sentence() -> None:
    preliminary = {"stage": "preliminary", "period": "2024-01~02"}
    named = set()
    for returns in (
        (trade(250_000, 100_000, **preliminary), catering(28_000, 2_000, period="2024-01~02")),
        (trade(109_000, 100_000), catering(3_500, 2_000)),
        (trade(109_000, None), catering(2_500, 2_000)),
    ):
        named |= {step.rule for step in steps_of(*returns, used_fen=180 * WANYUAN)}
    longer = [(per, 2_000_000 - 1) for per in LIMIT_LENGTHS if per != "month"]
    for limit in longer:
        policy = policy_of(text_with_limits(limit))
        steps = steps_of(trade(250_000, 100_000), policy=policy, used_fen=180 * WANYUAN)
        named |= {step.rule for step in steps}
    assert named == set(SENTENCES)
    assert set(SENTENCES) > STATISTICAL_RULES


# What a reader without access to single-unit statistics sees.

fen = st.integers(min_value=1, max_value=10**13)


@pytest.mark.parametrize(
    ("registered", "rule", "sentence"),
    [
        (
            trade(123_456, 100_000),
            "growth-over",
            f"示例商贸公司2024年3月零售额{WITHHELD}，上年同期{WITHHELD}，同比增速高于8%，符合增速条件。（政策第14条）",
        ),
        (
            trade(107_900, 100_000),
            "growth-over",
            (
                f"示例商贸公司2024年3月零售额{WITHHELD}，上年同期{WITHHELD}，同比增速不高于8%，不符合增速条件。"
                "（政策第14条）"
            ),
        ),
        (
            trade(109_000, 100_000),
            "no-whole-step",
            f"零售额同比增速高于8%；但同比增量{WITHHELD}，不足1000万元，该期不予奖励。（政策第14条）",
        ),
        (
            trade(123_456, 100_000),
            "whole-steps",
            (
                f"零售额同比增量{WITHHELD}，每满1000万元按5万元测算，计10万元"
                "（奖励标准尚待明确，暂按政策上限5万元测算）。（政策第14条）"
            ),
        ),
        (
            catering(3_567, 2_000),
            "band",
            f"餐费收入同比增量{WITHHELD}，在100万元（含）至200万元（不含）之间，计2万元。（政策第14条）",
        ),
        (
            catering(2_567, 2_000),
            "below-bands",
            f"餐费收入同比增量{WITHHELD}，不足100万元，该期不予奖励。（政策第14条）",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
def test_a_withheld_sentence_keeps_its_conclusion(registered: Return, rule: str, sentence: str) -> None:
    assert sentences_of(registered, withheld=True)[rule] == sentence


def numbers_in(sentence: str) -> set[str]:
    return set(re.findall(r"[0-9]+(?:\.[0-9]+)?", sentence))


def telling_numbers(current_fen: int, prior_year_fen: int) -> set[str]:
    """The numbers from which a figure follows, in every unit: the figures, increment, gaps, rests, growth."""
    increment = current_fen - prior_year_fen
    amounts = {current_fen, prior_year_fen, increment, prior_year_fen * 108 // 100}
    amounts.add(prior_year_fen * 108 // 100 - current_fen)
    for step in (1_000_000_000, 100_000_000):
        amounts |= {step - increment, increment % step}
    texts = {
        show(abs(amount_fen)) for amount_fen in amounts for show in (wanyuan_text, yuan_text, qianyuan_text)
    }
    return texts | {percent_text(current_fen=current_fen, prior_year_fen=prior_year_fen, over_bp=GATE_BP)}


def without_figures(sentences: dict[str, str]) -> set[str]:
    return {number for sentence in sentences.values() for number in numbers_in(sentence)}


@properties
@given(st.booleans(), fen, fen)
def test_a_withheld_sentence_has_no_figure_growth_or_gap(
    is_trade: bool,  # noqa: FBT001 - drawn
    current_fen: int,
    prior_year_fen: int,
) -> None:
    registered = with_figure((trade if is_trade else catering)(0, 0), current_fen, prior_year_fen)
    withheld = without_figures(sentences_of(registered, withheld=True))
    assert sentences_of(registered) != sentences_of(registered, withheld=True)
    shown_anyway = withheld & telling_numbers(current_fen, prior_year_fen)
    others = with_figure(registered, current_fen * 3 + 7, prior_year_fen * 3 + 7)
    assert shown_anyway <= without_figures(sentences_of(others, withheld=True)) | awards_of(registered)


def awards_of(registered: Return) -> set[str]:
    """The numbers of the verdict itself, which are not withheld: the number of steps, and their amount."""
    numbers: set[str] = set()
    for step in steps_of(registered):
        numbers |= {wanyuan_text(step.output or 0), str(step.inputs.get("steps", 0))}
        if step.rule == "month-ceiling":
            numbers.add(wanyuan_text(75 * WANYUAN))
    return numbers


@properties
@given(st.integers(0, 30), st.integers(0, 999_999_999), st.integers(0, 999_999_999), fen, fen)
def test_withheld_sentences_of_trade_tell_no_more_than_the_verdict(
    steps: int, rest: int, other_rest: int, base: int, other_base: int
) -> None:
    """Two enterprises with different figures and the same verdict get the same sentences."""
    assume(steps or (rest and other_rest))
    first = _growing(steps, rest, base)
    second = _growing(steps, other_rest, other_base)
    assert sentences_of(first, withheld=True) == sentences_of(second, withheld=True)


def _growing(steps: int, rest: int, base: int) -> Return:
    increment = steps * 1_000_000_000 + rest
    prior_year = min(base, (increment * 100 - 1) // 8 or 1)
    assume(increment * 100 > prior_year * 8)
    return with_figure(trade(0, 0), prior_year + increment, prior_year)


@properties
@given(st.integers(0, 40), st.integers(0, 99_999_999), st.integers(0, 99_999_999), fen, fen)
def test_withheld_sentences_of_catering_tell_no_more_than_the_verdict(
    steps: int, rest: int, other_rest: int, base: int, other_base: int
) -> None:
    first = with_figure(catering(0, 0), base + steps * 100_000_000 + rest, base)
    second = with_figure(catering(0, 0), other_base + steps * 100_000_000 + other_rest, other_base)
    assert sentences_of(first, withheld=True) == sentences_of(second, withheld=True)


@properties
@given(fen, fen, fen, fen)
def test_withheld_sentences_of_a_low_growth_are_all_the_same(
    base: int, less: int, other_base: int, other_less: int
) -> None:
    first = with_figure(trade(0, 0), base * 108 // 100 - less, base)
    second = with_figure(trade(0, 0), other_base * 108 // 100 - other_less, other_base)
    assert sentences_of(first, withheld=True) == sentences_of(second, withheld=True)


@properties
@given(st.integers(min_value=-(10**12), max_value=10**13))
def test_a_withheld_sentence_without_a_base_tells_nothing_of_the_current_figure(current_fen: int) -> None:
    for base in (trade(0, 0), catering(0, 0)):
        withheld = sentences_of(with_figure(base, current_fen, None), withheld=True)
        assert withheld == sentences_of(with_figure(base, 1, None), withheld=True)
        assert WITHHELD in withheld["base"]
        assert "暂不能确定是否符合条件，暂计0元" in withheld["base"]


# How growth and differences are shown.


@pytest.mark.parametrize(
    ("current", "prior_year", "shown"),
    [
        (108_000, 100_000, "8"),
        (1_080_004, 1_000_000, "8.0004"),
        (1_079_999, 1_000_000, "7.9999"),
        (107_900, 100_000, "7.9"),
        (123_456, 100_000, "23.46"),
        (4_100, 3_000, "36.67"),
        (800_100, 800_000, "0.01"),
        (100_125, 100_000, "0.13"),
        (99_875, 100_000, "-0.13"),
        (99_876, 100_000, "-0.12"),
        (1_080_049, 1_000_000, "8.005"),
        (1_080_051, 1_000_000, "8.01"),
        (200_000, 100_000, "100"),
        (100_000, 100_000, "0"),
        (100_001, 100_000, "0.001"),
        (99_999, 100_000, "-0.001"),
        (90_000, 100_000, "-10"),
        (-50_000, 100_000, "-150"),
        (10**17 - 1, 1, "9999999999999999800"),
        (9_007_200_125_474_099, 8_340_000_000_000_000, "8.000002"),
    ],
)
def test_growth_is_shown_with_two_decimals_unless_they_would_mislead(
    current: int, prior_year: int, shown: str
) -> None:
    assert percent_text(current_fen=current, prior_year_fen=prior_year, over_bp=GATE_BP) == shown


near_the_gate = st.builds(
    lambda prior_year, nudge: (prior_year * 108 // 100 + nudge, prior_year),
    st.integers(1, 10**17 - 1),
    st.integers(-3, 3),
)
anywhere = st.tuples(st.integers(-(10**17) + 1, 10**17 - 1), st.integers(1, 10**17 - 1))


@properties
@given(near_the_gate | anywhere)
@example((108, 100))
@example((1_080_004, 1_000_000))
@example((1_079_999, 1_000_000))
def test_growth_as_shown_never_contradicts_the_conclusion(figures: tuple[int, int]) -> None:
    current, prior_year = figures
    text = percent_text(current_fen=current, prior_year_fen=prior_year, over_bp=GATE_BP)
    shown, exact = Fraction(Decimal(text)), Fraction((current - prior_year) * 100, prior_year)
    assert (shown > 8) == (exact > 8)
    assert (shown == 8) == (exact == 8)
    assert (shown > 0) == (exact > 0)
    assert (shown == 0) == (exact == 0)
    assert abs(exact - shown) <= Fraction(1, 200)


def test_a_gate_of_nothing_is_passed_by_the_smallest_growth_as_shown() -> None:
    assert percent_text(current_fen=10**9 + 1, prior_year_fen=10**9, over_bp=0) == "0.0000001"


@pytest.mark.parametrize(
    ("rate_bp", "shown"),
    [(800, "8%"), (0, "0%"), (1_000, "10%"), (850, "8.5%"), (805, "8.05%"), (5, "0.05%")],
)
def test_a_rate_is_shown_in_percent(rate_bp: int, shown: str) -> None:
    assert rate_text(rate_bp) == shown
