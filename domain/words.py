"""The Chinese names of the codes, for output and for input."""

from collections.abc import Mapping
from typing import Final

STATUSES: Final[Mapping[str, str]] = {
    "eligible": "符合条件",
    "undetermined": "暂不能确定",
    "not-eligible": "不予奖励",
}
"""The status of a period or of a measure."""

STAGES: Final[Mapping[str, str]] = {"final": "审定数", "preliminary": "初报数"}
"""Before and after the review of a month's report."""

ORIGINS: Final[Mapping[str, str]] = {
    "enterprise": "企业改报",
    "returned": "审核退回",
    "enforcement": "执法认定",
}
"""Where a correction comes from."""

RECORDS: Final[Mapping[str, str]] = {
    "ReturnFiled": "数据登记",
    "ReturnRevised": "更正登记",
    "ReturnWithdrawn": "撤销登记",
    "EntitlementAssessed": "测算",
    "PolicyPublished": "发布政策文件",
    "PolicyWithdrawn": "撤销政策文件",
    "PolicyAssessed": "政策测算完毕",
    "LogSealed": "封存台账",
    "ClockAccepted": "认可时钟",
}
"""The types of events."""

CEILINGS: Final[Mapping[str, str]] = {
    "month-ceiling": "月度上限",
    "quarter-ceiling": "季度累计上限",
    "half-year-ceiling": "半年累计上限",
    "year-ceiling": "年度累计上限",
    "policy-ceiling": "政策期内累计上限",
}
"""The limits that cut an amount, by their ids."""


def cut_name(limit: str) -> str:
    """The heading for the amount that a limit cuts: `半年上限核减`."""
    return f"{CEILINGS[limit].replace('累计', '')}核减"


def headroom_name(limit: str) -> str:
    """The heading for the amount left under the limit of an account: `半年剩余额度`."""
    return CEILINGS[limit].replace("累计上限", "剩余额度")


FLAGS: Final[Mapping[str, str]] = {
    "base-changed": "上年同期数有更正",
    "base-differs": "上年同期数与台账不同",
    "base-earns": "更正上年同期数后测算金额增加",
    "balance-differs": "累计数不平衡",
    "december-jump": "12月变动较大",
    "late-correction": "期间结束后更正",
    "threshold-cluster": "集中在计奖临界值以上",
    "many-corrections": "同一经办人更正较多",
}
"""The red flags."""

COLUMNS: Final[Mapping[str, str]] = {
    "current": "本期数",
    "prior_year": "上年同期数",
    "current_ytd": "1—本月累计",
    "prior_year_ytd": "上年同期1—本月累计",
}
"""The columns of a form."""

DIMENSIONS: Final[Mapping[str, str]] = {
    "region_code": "处理地",
    "industry": "行业",
    "period": "所属期",
    "measure": "奖项",
}
"""The dimensions that totals are grouped by."""

INDUSTRIES: Final[Mapping[str, str]] = {"51": "批发业", "52": "零售业", "61": "住宿业", "62": "餐饮业"}
"""The divisions of GB/T 4754-2017 that report on the forms."""


def record_name(event: object) -> str:
    """The Chinese name of an event's type; an event that cannot be read has a name that says so."""
    return RECORDS.get(type(event).__name__, "无法读取的记录")


class UnknownValueError(ValueError):
    """A value that is neither a code nor a Chinese name of one; the message names the known ones, in Chinese.

    Attributes:
        field: The parameter or field with the value, as the API names it.
    """

    def __init__(self, field: str, text: str, names: Mapping[str, str]) -> None:
        known = "、".join(code if name == code else f"{code}（{name}）" for code, name in names.items())
        super().__init__(f"没有“{text[:40]}”，已知的有：{known or '无'}")
        self.field = field


def parse_code(field: str, text: str, names: Mapping[str, str]) -> str:
    """The code that a text is, or whose Chinese name it is.

    Args:
        field: The parameter or field with the text, as the API names it.
        text: A code or a Chinese name.
        names: The names by code.

    Raises:
        UnknownValueError: The text is neither a code nor a name.
    """
    if text in names:
        return text
    for code, name in names.items():
        if text == name:
            return code
    raise UnknownValueError(field, text, names)
