"""The questions of the red flags (疑点), one Chinese sentence each, in the words of `docs/glossary.md`.

A sentence states the facts, then the comparison, then what to look into. It draws no conclusion and blames
neither the enterprise, which reports, nor the bureau, which registers.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from domain.events import Figure, Return
from domain.forms import FORMS
from domain.money import FEN_PER_YUAN, wanyuan_text
from domain.periods import Period, Window
from domain.policy.shapes.phrases import rate_text
from domain.red_flags.kinds import THRESHOLDS, Column, FlagId
from domain.regions import region_name
from domain.returns import required_figure
from domain.words import COLUMNS, STAGES

FLAG_MEANINGS: Final[dict[FlagId, str]] = {
    "base-changed": "同一数据首次登记后，上年同期数有过更正，含撤销后重新登记的。",
    "base-differs": (
        "所报上年同期数与台账中上年同一所属期的本期数不同。"
        "分别列出按所报数、仅此处按台账中的数、期间内各处均按台账中的数的期间测算金额；其余数据不变。"
    ),
    "base-earns": (
        "上年同期数首次登记后降低，或首次登记时未填、为零、为负而其后补填，期间测算金额因此增加。"
        "分别列出按现数、仅此处按首次登记的数、期间内各处均按首次登记的数的期间测算金额；其余数据不变。"
        "几处合起来才增加的（受累计上限或择高影响），每处都列。"
    ),
    "balance-differs": (
        "上月累计加本月数不等于本月累计，本年与上年同期分别核对；上月未填累计的，由更早的累计逐月相加。"
        "分别列出按所报数、仅此处按推算数、期间内各处均按推算数的期间测算金额；其余数据不变。"
    ),
    "december-jump": (
        f"12月为负数，或达到当年此前月均的{THRESHOLDS.december_times}倍（含此前合计为零或为负）"
        f"；此前登记不少于{THRESHOLDS.december_months_least}个月，1—2月按两个月计。季节因素一般不超过一倍半。"
    ),
    "late-correction": (
        "半年结束（北京时间7月1日或次年1月1日零时）后更正或撤销登记，初报数转为审定数的除外。"
        "分别列出按现数、仅此处按更正前的数、期间内各处均按更正前的数的期间测算金额；其余数据不变。"
    ),
    "threshold-cluster": (
        f"把刚达到和刚未达到计奖临界值的户次相比：增量以计奖单位的1/{THRESHOLDS.step_parts}为范围，"
        f"增速以{rate_text(THRESHOLDS.growth_band_bp).removesuffix('%')}个百分点为范围，"
        "两边等宽。无特殊原因时约各占一半；多出的户次达到合计户次平方根的"
        f"{THRESHOLDS.cluster_deviations}倍时，每740组中约有一组会偶然出现。"
        f"合计不足{THRESHOLDS.cluster_least}户次的，几户即可左右占比，不列。"
        "只计当月在库、行业相符、上年同期数大于零的数据；增速只计按临界增速即可达到首个增量临界值的企业。"
    ),
    "many-corrections": (
        f"同一经办人更正或撤销不少于{THRESHOLDS.corrections_least}次，且达到其首次登记行数的"
        f"{rate_text(THRESHOLDS.corrections_rate_bp)}；初报数转为审定数的除外。次数更少的可逐条查看。"
        "参考占比为其首次登记行数占全部首次登记的比例。"
    ),
}
"""What each flag asks, and its thresholds."""

NO_VERDICT: Final = "每条疑点都是供核实的线索，不是结论；列入清单不表示数据或金额有误。"

_FEN_PER_100_YUAN: Final = 100 * FEN_PER_YUAN


class About(NamedTuple):
    """The subject of a question about one return: the enterprise, the period, the name of the item."""

    name: str
    period: Period
    item: str

    def __str__(self) -> str:
        """The beginning of a sentence."""
        return f"{self.name}{self.period.chinese}{self.item}"


class Amounts(NamedTuple):
    """The assessed amounts of a window, in fen.

    Attributes:
        window: The window.
        places: The number of figures or returns in the window that get the same question.
        assessed_fen: The amount with the standing returns.
        compared_fen: The amount with the compared value in this one place.
        together_fen: The amount with the compared values in all places.
    """

    window: Window
    places: int
    assessed_fen: int
    compared_fen: int
    together_fen: int


class MonthsBefore(NamedTuple):
    """The months of a year before December: their number, and the sum of their figures."""

    months: int
    total_fen: int

    @property
    def mean_fen(self) -> int | None:
        """The mean month, rounded down to one fen; None without months."""
        return self.total_fen // self.months if self.months else None


class Near(NamedTuple):
    """The returns near a threshold: a phrase that says whose they are, and the numbers over and under it."""

    whose: str
    over: int
    under: int
    share_bp: int


def base_changed(about: About, *, first_fen: int | None, last_fen: int | None) -> str:
    """A later version has another prior-year figure than the first."""
    if first_fen is None:
        first = "首次登记时上年同期数未填"
    else:
        first = f"首次登记的上年同期数为{_wanyuan(first_fen)}"
    last = f"最后登记的{_state(last_fen)}"
    change = f"{first}，其后有更正，{last}"
    if first_fen is not None and last_fen is None:
        change = _changed("上年同期数", first_fen, last_fen)
    return f"{about}{change}，请核实更正上年同期数的依据。"


def base_differs(about: About, amounts: Amounts | None, *, base_fen: int, ledger_fen: int) -> str:
    """The prior-year figure differs from the ledger's current figure of the year before."""
    return (
        f"{about}上年同期数{_figure(base_fen)}，与台账中{about.period.year_before.chinese}"
        f"本期数{_figure(ledger_fen)}相差{_wanyuan(abs(base_fen - ledger_fen))}"
        f"{_assessed(amounts, stated='所报数', compared='台账中的数')}，请核实两数不同的原因。"
    )


def base_earns(
    about: About, amounts: Amounts | None, *, first_fen: int | None, standing_fen: int | None
) -> str:
    """The window is assessed to more than with the prior-year figure of the first filing."""
    if first_fen is None:
        compared = "原未填时"
        change = _changed("上年同期数", first_fen, standing_fen)
    else:
        compared = "首次登记的数"
        change = f"首次登记的上年同期数为{_wanyuan(first_fen)}，现{_state(standing_fen)}"
    return (
        f"{about}{change}{_assessed(amounts, stated='现数', compared=compared)}，请核实更正上年同期数的依据。"
    )


def balance_differs(
    about: About, column: Column, amounts: Amounts | None, *, month_fen: int, by_cumulative_fen: int
) -> str:
    """The figure of the month differs from the difference of the cumulative figures."""
    return (
        f"{about}{COLUMNS[column]}{_wanyuan(month_fen)}，按累计数推算为{_wanyuan(by_cumulative_fen)}，"
        f"相差{_wanyuan(abs(month_fen - by_cumulative_fen))}"
        f"{_assessed(amounts, stated='所报数', compared='推算数')}，请核实以何数为准，是否含前期调整。"
    )


def _assessed(amounts: Amounts | None, *, stated: str, compared: str) -> str:
    """The phrase with the assessed amounts of the window; the third only if there are several places."""
    if amounts is None:
        return ""
    by_stated = f"；{amounts.window.chinese}测算金额按{stated}为{_wanyuan(amounts.assessed_fen)}，"
    alone = f"按{compared}为{_wanyuan(amounts.compared_fen)}"
    if amounts.places == 1:
        return by_stated + alone
    together = f"期间内{amounts.places}处均按{compared}为{_wanyuan(amounts.together_fen)}"
    return f"{by_stated}仅此处{alone}，{together}"


def december_jump(about: About, december_fen: int, before: MonthsBefore) -> str:
    """December is negative, or many times the mean of the months before it, or their sum is not positive."""
    mean = ""
    if before.mean_fen is not None:
        mean = f"当年此前{before.months}个月月均约{_rounded(before.mean_fen)}，"
    if december_fen < 0:
        return f"{about}为负数（{_wanyuan(december_fen)}），{mean}请核实是否含前期冲减。"
    if before.total_fen <= 0:
        return (
            f"{about}{_wanyuan(december_fen)}，当年此前{before.months}个月合计{_wanyuan(before.total_fen)}，"
            "请核实是否含前期调整。"
        )
    tenths = december_fen * before.months * 10 // before.total_fen
    times = f"{tenths // 10}.{tenths % 10}"
    return f"{about}{_wanyuan(december_fen)}，{mean}12月约为其{times}倍，请核实是否含前期调整。"


def late_correction(  # noqa: PLR0913 - the return and the amounts before and after
    about: About,
    window: Window,
    corrections: int,
    amounts: Amounts | None,
    *,
    before: Return | None,
    standing: Return | None,
) -> str:
    """A return was corrected after the end of its window; `before` or `standing` None is no return."""
    return (
        f"{about}的登记数据在{window.chinese}结束后更正或撤销{corrections}次，"
        f"{_corrected(before=before, standing=standing)}"
        f"{_assessed(amounts, stated='现数', compared='更正前的数')}，请核实更正的依据和时间。"
    )


def _corrected(*, before: Return | None, standing: Return | None) -> str:
    """The phrase about all changes by the corrections, since not only the current figure decides awards."""
    if before is None or standing is None:
        return f"此前{_registered(before)}，现{_registered(standing)}"
    then, now = dict(_contents(before)), dict(_contents(standing))
    changes = [_changed(label, then[label], now[label]) for label in now if then[label] != now[label]]
    return "，".join(changes) or "现登记的数据与更正前相同"


def _changed(label: str, then: int | str | None, now: int | str | None) -> str:
    """The phrase about the old and the new value; a figure that is not filled in has words of its own."""
    if then is None:
        return f"{label}原未填，现补填{_value(now)}"
    if now is None:
        return f"{label}原为{_value(then)}，更正后未填"
    return f"{label}由{_value(then)}更正为{_value(now)}"


def _value(value: int | str | None) -> str:
    return value if isinstance(value, str) else _figure(value)


def _contents(registered: Return) -> Iterator[tuple[str, int | str | None]]:
    """The content of a return by label; first the figures that decide the award, without the item's name."""
    form = FORMS[registered.form]
    for item in sorted(form.items, key=lambda item: item != form.required_item):
        figure = registered.figures.get(item, Figure())
        of_item = "" if item == form.required_item else form.items[item]
        for column, column_name in COLUMNS.items():
            yield f"{of_item}{column_name}", getattr(figure, f"{column}_fen")
    yield "当月在库", "是" if registered.in_database else "否"
    yield "行业代码", registered.industry_code
    yield "处理地", region_name(registered.region_code)
    yield "企业名称", registered.name
    yield "阶段", STAGES[registered.stage]


def growth_cluster(near: Near, *, rate_bp: int, band_bp: int) -> str:
    """The growth of many returns is just over the gate."""
    gate = rate_text(rate_bp)
    return (
        f"{near.whose}同比增速高于{gate}、不高于{rate_text(rate_bp + band_bp)}的{near.over}户次，"
        f"不高于{gate}、高于{rate_text(rate_bp - band_bp)}的{near.under}户次，{_share(near)}"
        f"请了解增速集中在{gate}以上的原因。"
    )


def increment_cluster(near: Near, *, width_fen: int) -> str:
    """The increments of many returns are just over the thresholds."""
    width = _wanyuan(width_fen)
    return (
        f"{near.whose}同比增量达到计奖临界值、超出不足{width}的{near.over}户次，"
        f"未达到临界值、相差不超过{width}的{near.under}户次，{_share(near)}"
        "请了解增量集中在临界值以上的原因。"
    )


def _share(near: Near) -> str:
    return f"前者占{rate_text(near.share_bp)}，无特殊原因时约占50%，"


def many_corrections(  # noqa: PLR0913 - the counts behind the question
    actor: str, whose: str, *, corrections: int, share_bp: int, registered: int, registered_bp: int
) -> str:
    """One actor made many corrections, compared with the rows that the actor registered."""
    return (
        f"经办人{actor}对{whose}数据更正或撤销{corrections}次，占全部更正和撤销的{rate_text(share_bp)}；"
        f"首次登记{registered}行，占全部首次登记的{rate_text(registered_bp)}，请核对各次更正的依据文件。"
    )


def _figure(fen: int | None) -> str:
    return "未填" if fen is None else _wanyuan(fen)


def _state(fen: int | None) -> str:
    return "未填" if fen is None else f"为{_wanyuan(fen)}"


def _registered(registered: Return | None) -> str:
    if registered is None:
        return "无登记"
    figure = required_figure(registered)
    return f"登记的本期数{_state(figure.current_fen)}，上年同期数{_state(figure.prior_year_fen)}"


def _rounded(fen: int) -> str:
    """An amount rounded down to 100 yuan: more decimals would make a mean look exact."""
    return _wanyuan(fen - fen % _FEN_PER_100_YUAN)


def _wanyuan(fen: int) -> str:
    return f"{wanyuan_text(fen)}万元"
