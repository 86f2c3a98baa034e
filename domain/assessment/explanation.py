"""The sentences that explain the steps of an assessment, in Chinese, as `docs/glossary.md` words them.

Each sentence is complete in itself: the facts, the comparison, the conclusion, the clause. If
`domain.assessment.withholding` has withheld the figures of a step, its sentence has a note in their place and
keeps the conclusion; it leaves out growth and gaps, from which figures follow.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from domain.events import Figure, Return
from domain.forms import FORMS, Form
from domain.money import wanyuan_text
from domain.periods import Period
from domain.policy.document import CONDITION_RULES, REWARD_RULES, Measure
from domain.policy.policy import Policy
from domain.policy.shapes.phrases import (
    WITHHELD,
    MeasureSubject,
    figure,
    number,
    reading_and_state,
    wanyuan,
)
from domain.policy.steps import Step
from domain.regions import region_name
from domain.words import CEILINGS

PERIOD_CEILING: Final = "month-ceiling"
"""The limit that applies to each measure of a period before the choice."""


class Subject(NamedTuple):
    """The assessed period that the sentences explain: its policy and its returns by form."""

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


def _cite(step: Step, subject: Subject) -> str:
    return f"（政策{subject.policy.place(step.cite)}）"


def _reading_or_cite(step: Step, subject: Subject) -> str:
    if step.reading is None:
        return _cite(step, subject)
    return f"（适用口径：{subject.policy.reading_label(step.reading)}）"


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
        f"{subject.period.chinese}{_item(step, subject)}{figure(step, 'current_fen')}，"
        f"上年同期数{_base_state(step)}，{consequence}，暂不能确定是否符合条件，暂计0元。"
        f"补充{missing}并说明来源后重新测算。{_reading_or_cite(step, subject)}"
    )


def _base_state(step: Step) -> str:
    if "prior_year_fen" not in step.inputs:
        return "不能作为基数"
    if step.inputs["prior_year_fen"] is None:
        return "未填"
    prior = number(step, "prior_year_fen")
    if prior > 0:
        return figure(step, "prior_year_fen")
    return "为零" if prior == 0 else "为负"


def _condition(step: Step, subject: Subject) -> str:
    conditions = _measure(step, subject).conditions
    condition = next(candidate for candidate in conditions if candidate.rule == step.rule)
    return condition.sentence(step, _measure_subject(step, subject))


def _reward(step: Step, subject: Subject) -> str:
    return _measure(step, subject).reward.sentence(step, _measure_subject(step, subject))


def _measure_subject(step: Step, subject: Subject) -> MeasureSubject:
    measure, policy = _measure(step, subject), subject.policy
    registered = subject.returns[measure.form]
    filled_in = registered.figures.get(measure.item, Figure())
    return MeasureSubject(
        enterprise=registered.name,
        period=subject.period.chinese,
        item=_item(step, subject),
        source=_cite(step, subject),
        reading=None if step.reading is None else policy.reading(step.reading),
        gates_bp=tuple(condition.gate_bp for condition in measure.conditions),
        current_fen=filled_in.current_fen,
        prior_year_fen=filled_in.prior_year_fen,
    )


def _period_ceiling(step: Step, subject: Subject) -> str:
    ceiling = wanyuan(step, "ceiling_fen")
    cut = wanyuan_text(number(step, "amount_fen") - number(step, "ceiling_fen"))
    return (
        f"本期测算{wanyuan(step, 'amount_fen')}，"
        f"超过每家企业{CEILINGS[step.rule]}{ceiling}，按{ceiling}计，核减{cut}万元。{_cite(step, subject)}"
    )


def _highest(step: Step, subject: Subject) -> str:
    met = [measure for measure in subject.policy.document.measures if measure.id in step.inputs]
    listed = "，".join(f"{measure.name}{wanyuan(step, measure.id)}" for measure in met)
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


def _longer_ceiling(step: Step, subject: Subject) -> str:
    assessed = step.output or 0
    limits = subject.policy.limits_of(subject.period)
    window = next(limit_window.window for limit_window in limits if limit_window.limit.id == step.rule)
    return (
        f"{window.chinese}此前各期已测算{wanyuan(step, 'used_fen')}，"
        f"本期{wanyuan(step, 'amount_fen')}，合计超过{CEILINGS[step.rule]}{wanyuan(step, 'ceiling_fen')}；"
        f"本期按剩余额度{wanyuan_text(assessed)}万元计，"
        f"核减{wanyuan_text(number(step, 'amount_fen') - assessed)}万元。{_cite(step, subject)}"
    )


def _combined_period(step: Step, subject: Subject) -> str:
    reading = subject.policy.reading(step.reading or "")
    for_now = "暂" if reading.status == "open" else ""
    quoted = "" if reading.quote is None else f"政策所称“{reading.quote}”在"
    limit = subject.policy.period_limit
    ceiling = ""
    if limit is not None:
        ceiling = f"、适用一个{CEILINGS[limit.id]}{wanyuan_text(limit.ceiling.fen)}万元"
    return (
        f"国家统计制度1、2月份数据合并调查，{quoted}1—2月{for_now}按一期测算："
        f"一次增速判断、一次计算增量{ceiling}。{reading_and_state(reading)}"
    )


def _preliminary(step: Step, subject: Subject) -> str:
    exported = {registered.reported_at for registered in subject.returns.values() if registered.reported_at}
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
    **dict.fromkeys(CONDITION_RULES, _condition),
    **dict.fromkeys(REWARD_RULES, _reward),
    "highest": _highest,
    **dict.fromkeys(CEILINGS, _longer_ceiling),
    PERIOD_CEILING: _period_ceiling,
    "preliminary": _preliminary,
}
"""The sentence of each rule."""
