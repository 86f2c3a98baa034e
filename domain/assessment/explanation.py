"""The steps of an assessment in the sentences of the glossary (section 4), in Chinese.

Each sentence stands by itself: the facts, the comparison, the conclusion, the clause. A step of which
`domain.assessment.withholding` has withheld the figures has none to tell: a note stands in their place, the
conclusion stays; growth and gaps, from which figures follow, are left out.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from domain.assessment.assess import Step
from domain.events import Return
from domain.forms import FORMS, Form
from domain.money import wanyuan_text
from domain.periods import Period
from domain.policy.policy import Measure, PerWholeStep, Policy, Reading
from domain.regions import region_name

WITHHELD = "（数据已按统计资料保密要求隐去）"

SHOWN_DECIMALS = 2
"""Decimals of a growth in percent; more where it would look like the gate."""


class Subject(NamedTuple):
    """What the sentences are about."""

    policy: Policy
    period: Period
    returns: Mapping[str, Return]


def sentence(step: Step, subject: Subject) -> str:
    """The sentence of a step."""
    return SENTENCES[step.rule](step, subject)


def _measure(step: Step, subject: Subject) -> Measure:
    return subject.policy.measure(step.measure or "")


def _form(step: Step, subject: Subject) -> Form:
    return FORMS[_measure(step, subject).form]


def _item(step: Step, subject: Subject) -> str:
    return _form(step, subject).items[_measure(step, subject).item]


def _number(step: Step, name: str) -> int:
    return cast("int", step.inputs[name])


def _wanyuan(step: Step, name: str) -> str:
    return f"{wanyuan_text(_number(step, name))}万元"


def _figure(step: Step, name: str) -> str:
    if name not in step.inputs:
        return WITHHELD
    return "未填" if step.inputs[name] is None else _wanyuan(step, name)


def _cite(step: Step, subject: Subject) -> str:
    return f"（政策{subject.policy.place(step.cite)}）"


def _reading_or_cite(step: Step, subject: Subject) -> str:
    if step.reading is None:
        return _cite(step, subject)
    return f"（适用口径：{subject.policy.reading_label(step.reading)}）"


def _reading_and_state(reading: Reading) -> str:
    """The reading that a sentence rests on, and that it is not decided yet."""
    state = "，待明确" if reading.status == "open" else ""
    return f"（适用口径：{reading.label}{state}）"


def percent_text(*, current_fen: int, prior_year_fen: int, over_bp: int) -> str:
    """Growth in percent, rounded half up to two decimals; with more where two would look like the gate.

    Exactly 8% is `8`; 8.0004% is `8.0004`, not `8`. Nor does a small change look like none.
    """
    numerator, denominator = (current_fen - prior_year_fen) * 100, prior_year_fen
    decimals = SHOWN_DECIMALS
    scaled = _rounded(numerator * 10**decimals, denominator)
    while scaled * denominator != numerator * 10**decimals and scaled * 100 in {0, over_bp * 10**decimals}:
        decimals += 1
        scaled = _rounded(numerator * 10**decimals, denominator)
    whole, fraction = divmod(abs(scaled), 10**decimals)
    digits = str(fraction).zfill(decimals).rstrip("0")
    text = f"{whole}.{digits}" if digits else str(whole)
    return f"-{text}" if scaled < 0 else text


def _rounded(numerator: int, denominator: int) -> int:
    """A quotient rounded half away from zero, as spreadsheets do it."""
    whole = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -whole if numerator < 0 else whole


def rate_text(rate_bp: int) -> str:
    """A rate in percent: 800 basis points are `8%`."""
    whole, fraction = divmod(rate_bp, 100)
    return f"{whole}.{fraction:02d}".rstrip("0").rstrip(".") + "%"


def _in_database(step: Step, subject: Subject) -> str:
    form = _form(step, subject)
    registered = subject.returns[form.code]
    source = registered.source
    given = f"据{source.name}" if source is not None and source.name else "据登记数据"
    head = f"{registered.name}{subject.period.chinese}"
    if step.met:
        place = region_name(registered.region_code)
        return (
            f"{head}在{place}限额以上{form.trade}调查单位库内（{given}），列入测算范围。"
            f"{_cite(step, subject)}"
        )
    return (
        f"{head}不在限额以上{form.trade}调查单位库内（{given}），该期不予奖励；"
        f"此前在库月份的测算结果不受影响。{_cite(step, subject)}"
    )


def _industry(step: Step, subject: Subject) -> str:
    form = _form(step, subject)
    code = step.inputs["industry_code"]
    if step.met:
        return f"行业代码{code}，属于{form.trade}。{_cite(step, subject)}"
    return f"行业代码{code}，不属于{form.trade}，该期按{form.code}表不予奖励。{_cite(step, subject)}"


def _base(step: Step, subject: Subject) -> str:
    missing = "本期数" if step.inputs.get("current_fen", WITHHELD) is None else "上年同期数"
    needs_growth = bool(_measure(step, subject).conditions)
    consequence = "增速无法计算" if needs_growth else "同比增量无法计算"
    return (
        f"{subject.period.chinese}{_item(step, subject)}{_figure(step, 'current_fen')}，"
        f"上年同期数{_base_state(step)}，{consequence}，暂不能确定是否符合条件，暂计0元。"
        f"补充{missing}并说明来源后重新测算。{_reading_or_cite(step, subject)}"
    )


def _base_state(step: Step) -> str:
    if "prior_year_fen" not in step.inputs:
        return "不能作为基数"
    if step.inputs["prior_year_fen"] is None:
        return "未填"
    prior = _number(step, "prior_year_fen")
    if prior > 0:
        return _figure(step, "prior_year_fen")
    return "为零" if prior == 0 else "为负"


def _growth_over(step: Step, subject: Subject) -> str:
    over_bp = _number(step, "over_bp")
    item, gate = _item(step, subject), rate_text(over_bp)
    facts = (
        f"{subject.returns[_form(step, subject).code].name}{subject.period.chinese}"
        f"{item}{_figure(step, 'current_fen')}，"
        f"上年同期{_figure(step, 'prior_year_fen')}，"
    )
    verdict = f"高于{gate}，符合增速条件" if step.met else f"不高于{gate}，不符合增速条件"
    if "current_fen" not in step.inputs:
        return f"{facts}同比增速{verdict}。{_cite(step, subject)}"
    current, prior = _number(step, "current_fen"), _number(step, "prior_year_fen")
    percent = percent_text(current_fen=current, prior_year_fen=prior, over_bp=over_bp)
    growth = f"同比{_change_text(percent)}，"
    if step.met:
        return f"{facts}{growth}{verdict}。{_cite(step, subject)}"
    shortfall = step.shortfall_fen or 0
    state = f"尚差{wanyuan_text(shortfall)}万元" if shortfall else "现恰等于该数"
    if f"{percent}%" == gate:
        growth = f"同比增速恰为{gate}，"
    threshold = wanyuan_text(current + shortfall)
    return f"{facts}{growth}{verdict}；{item}须高于{threshold}万元，{state}。{_cite(step, subject)}"


def _change_text(percent: str) -> str:
    return f"下降{percent[1:]}%" if percent.startswith("-") else f"增长{percent}%"


def _whole_steps(step: Step, subject: Subject) -> str:
    size, award = _wanyuan(step, "step_fen"), _wanyuan(step, "award_fen")
    return (
        f"{_item(step, subject)}同比增量{_figure(step, 'increment_fen')}，每满{size}按{award}测算，"
        f"计{wanyuan_text(step.output or 0)}万元{_remainder(step, size)}"
        f"（{_award_state(step, subject)}）。{_cite(step, subject)}"
    )


def _remainder(step: Step, size: str) -> str:
    if "increment_fen" not in step.inputs:
        return ""
    rest = _number(step, "increment_fen") - _number(step, "steps") * _number(step, "step_fen")
    return f"；余{wanyuan_text(rest)}万元不足{size}，不予计算" if rest else ""


def _award_state(step: Step, subject: Subject) -> str:
    """What the award of a whole step rests on: an open reading, a decision, or the text."""
    if step.reading not in subject.policy.open_readings:
        return _decided_by(step, subject)
    reward = _measure(step, subject).reward
    if isinstance(reward, PerWholeStep) and step.reading == reward.award.reading:
        return f"奖励标准尚待明确，暂按政策上限{_wanyuan(step, 'award_fen')}测算"
    return f"适用口径：{subject.policy.reading_label(step.reading)}，待明确"


def _decided_by(step: Step, subject: Subject) -> str:
    decision = None if step.reading is None else subject.policy.reading(step.reading).decision
    return "依据原文" if decision is None else f"依据{decision.document}"


def _no_whole_step(step: Step, subject: Subject) -> str:
    size = _wanyuan(step, "step_fen")
    increment = f"同比增量{_figure(step, 'increment_fen')}"
    facts = f"{_item(step, subject)}{_growth_passed(step, subject)}{increment}"
    return f"{facts}，不足{size}{_gap(step)}，该期不予奖励。{_cite(step, subject)}"


def _gap(step: Step) -> str:
    return "" if step.shortfall_fen is None else f"，尚差{wanyuan_text(step.shortfall_fen)}万元"


def _growth_passed(step: Step, subject: Subject) -> str:
    """The growth that met the gate of the measure, before the increment that is not enough."""
    measure = _measure(step, subject)
    if not measure.conditions:
        return ""
    over_bp = measure.conditions[0].rate.basis_points
    if "increment_fen" not in step.inputs:
        return f"同比增速高于{rate_text(over_bp)}；但"
    figure = subject.returns[measure.form].figures[measure.item]
    percent = percent_text(
        current_fen=figure.current_fen or 0, prior_year_fen=figure.prior_year_fen or 0, over_bp=over_bp
    )
    return f"同比{_change_text(percent)}，高于{rate_text(over_bp)}；但"


def _band(step: Step, subject: Subject) -> str:
    return (
        f"{_item(step, subject)}同比增量{_figure(step, 'increment_fen')}，{_band_place(step)}，"
        f"计{wanyuan_text(step.output or 0)}万元。{_cite(step, subject)}"
    )


def _band_place(step: Step) -> str:
    start = _wanyuan(step, "at_least_fen")
    if "below_fen" not in step.inputs:
        return f"达到{start}"
    return f"在{start}（含）至{_wanyuan(step, 'below_fen')}（不含）之间"


def _tail(step: Step, subject: Subject) -> str:
    head = (
        f"{_item(step, subject)}同比增量{_figure(step, 'increment_fen')}，"
        f"达到{_wanyuan(step, 'at_least_fen')}。"
    )
    size, award = _wanyuan(step, "step_fen"), _wanyuan(step, "award_fen")
    is_open = step.reading in subject.policy.open_readings
    output = step.output or 0
    how = (
        f"首个{_wanyuan(step, 'beyond_fen')}计{_wanyuan(step, 'first_fen')}，"
        f"其后每满{size}{'暂' if is_open else ''}按{award}测算，计{wanyuan_text(output)}万元"
    )
    if not is_open:
        return f"{head}{how}（{_decided_by(step, subject)}）。{_cite(step, subject)}"
    open_amount = wanyuan_text(output - _number(step, "first_fen"))
    return (
        f"{head}政策仅规定“每达{size}再给予一定额度奖励”，未写明额度；{how}，"
        f"其中{open_amount}万元依据待明确口径。额度书面明确前，该部分不得作为公示和拨付依据。"
        f"{_reading_and_state(subject.policy.reading(step.reading or ''))}"
    )


def _below_bands(step: Step, subject: Subject) -> str:
    return (
        f"{_item(step, subject)}同比增量{_figure(step, 'increment_fen')}，"
        f"不足{_wanyuan(step, 'at_least_fen')}{_gap(step)}，该期不予奖励。{_cite(step, subject)}"
    )


def _month_ceiling(step: Step, subject: Subject) -> str:
    ceiling = _wanyuan(step, "ceiling_fen")
    cut = wanyuan_text(_number(step, "amount_fen") - _number(step, "ceiling_fen"))
    return (
        f"本期测算{_wanyuan(step, 'amount_fen')}，"
        f"超过每家企业月度上限{ceiling}，按{ceiling}计，核减{cut}万元。{_cite(step, subject)}"
    )


def _highest(step: Step, subject: Subject) -> str:
    met = [each for each in subject.policy.document.measures if each.id in step.inputs]
    listed = "，".join(f"{each.name}{_wanyuan(step, each.id)}" for each in met)
    chosen = subject.policy.measure(str(step.inputs["chosen"])).name
    tie = {
        "amount": "",
        "amount-before-ceiling": f"；金额相同时取月度上限前较高的{chosen}",
        "order-of-text": f"；金额相同时按条款先后取{chosen}",
    }[str(step.inputs["decided_by"])]
    return (
        f"本期同时符合{len(met)}项奖励条件：{listed}。取金额最高的一项，"
        f"按{chosen}计{wanyuan_text(step.output or 0)}万元，其余不计。"
        f"（政策{subject.policy.place(step.cite)}{tie}）"
    )


def _half_year_ceiling(step: Step, subject: Subject) -> str:
    assessed = step.output or 0
    return (
        f"{subject.period.window.chinese}此前各期已测算{_wanyuan(step, 'used_fen')}，"
        f"本期{_wanyuan(step, 'amount_fen')}，合计超过半年累计上限{_wanyuan(step, 'ceiling_fen')}；"
        f"本期按剩余额度{wanyuan_text(assessed)}万元计，"
        f"核减{wanyuan_text(_number(step, 'amount_fen') - assessed)}万元。{_cite(step, subject)}"
    )


def _combined_period(step: Step, subject: Subject) -> str:
    reading = subject.policy.reading(step.reading or "")
    for_now = "暂" if reading.status == "open" else ""
    ceiling = wanyuan_text(subject.policy.month_limit.ceiling.fen)
    return (
        f"国家统计制度1、2月份数据合并调查，政策所称“各月度”在1—2月{for_now}按一期测算："
        f"一次增速判断、一次计算增量、适用一个月度上限{ceiling}万元。{_reading_and_state(reading)}"
    )


def _preliminary(step: Step, subject: Subject) -> str:
    exported = {each.reported_at for each in subject.returns.values() if each.reported_at}
    when = f"（{min(exported)}导出）" if exported else ""
    return (
        f"本期数据为初报数{when}，测算金额{wanyuan_text(step.output or 0)}万元仅供参考，"
        "审定后重新测算；计入测算金额合计，另列其中初报数；不得列入拟奖励名单。"
    )


SENTENCES: Mapping[str, Callable[[Step, Subject], str]] = {
    "combined-period": _combined_period,
    "in-database": _in_database,
    "industry": _industry,
    "base": _base,
    "growth-over": _growth_over,
    "whole-steps": _whole_steps,
    "no-whole-step": _no_whole_step,
    "band": _band,
    "tail": _tail,
    "below-bands": _below_bands,
    "month-ceiling": _month_ceiling,
    "highest": _highest,
    "half-year-ceiling": _half_year_ceiling,
    "preliminary": _preliminary,
}
"""The sentence of each rule."""
