"""The Chinese sentences of problems and warnings; `docs/glossary.md` explains their words.

No sentence names the row: the caller adds its number, an index in JSON or the row of a sheet.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from domain.forms import Form
from domain.identifiers import USCC_LENGTH
from domain.money import qianyuan_text
from domain.periods import Period
from domain.words import ORIGINS

NOT_A_ROW = "这一行不是一个对象（{…}）。"

_COLUMN_NAMES = {
    "current_fen": "",
    "prior_year_fen": "上年同期",
    "current_ytd_fen": "1—本月累计",
    "prior_year_ytd_fen": "上年同期1—本月累计",
}


def field_missing(field: str) -> str:
    """A required field is missing."""
    return f"缺少“{field}”。未报的数填null（文件中留空），不能省略该项。"


def unknown_field(field: str) -> str:
    """A field that rows do not have."""
    return f"没有名为“{field}”的项，请核对拼写。"


NOT_IN_OR_OUT: Final = "“当月在库”应填“是”或“否”（接口：in_database为true或false）。"


def not_of_type(field: str, expected: str) -> str:
    """A field of another type than expected."""
    return f"“{field}”应为{expected}。"


def not_like(field: str, text: str, example: str) -> str:
    """A field that does not have the expected format."""
    return f"“{field}”“{text}”格式不符，应如{example}。"


def text_invalid(field: str, most: int) -> str:
    """A text that is blank, too long or not printable."""
    return f"“{field}”应为1至{most}个可显示的字符。"


def uscc_shape(text: str) -> str:
    """A code that is not 18 digits and capital letters."""
    foreign = next(((n, c) for n, c in enumerate(text, 1) if c.isalpha() and not c.isascii()), None)
    if len(text) == USCC_LENGTH and foreign is not None:
        return (
            f"统一社会信用代码“{text}”第{foreign[0]}位“{foreign[1]}”不是英文字母，只是形状相同。"
            "请删去该字符，用英文输入法重新输入。"
        )
    return (
        f"统一社会信用代码“{text}”不是18位数字和大写字母。"
        "在Excel中代码被显示成9.1E+17的，请将该列设为文本格式后重新填入完整代码。"
    )


def uscc_check(uscc: str) -> str:
    """A code whose check characters are wrong."""
    if uscc.isdecimal() and uscc.endswith("000"):
        return (
            f"统一社会信用代码{uscc}校验码不符。代码作为数字填入Excel时只保留15位，末尾几位变成0："
            "请将该列设为文本格式后重新填入完整代码。"
        )
    return (
        f"统一社会信用代码{uscc}校验码不符。请核对营业执照；"
        "确为登记机关所发早期代码的，填写校验例外理由后重新登记。"
    )


def unknown_form(form: str) -> str:
    """A form that the policy does not use."""
    return f"表号{form}不在受理范围。本政策受理E204-1、S204-1。"


def unknown_item(item: str, form: Form) -> str:
    """An item that is not on the form."""
    return f"指标“{item}”不属于{form.code}表。"


def nothing_reported(form: Form) -> str:
    """The required item has no current figure."""
    return f"{form.items[form.required_item]}本期数未填。没有本期数的行不能登记；数值为零的填0。"


def amount_invalid(field: str, text: str) -> str:
    """A value that is not an amount."""
    return f"“{field}”：“{text}”不是有效金额。空白表示未填，0表示数值为零，两者不同。"


def finer_than_fen(field: str, text: str) -> str:
    """An amount with parts of a fen."""
    return f"“{field}”：“{text}”的小数部分不足一分，金额须精确到分。请核对公式或单位，填写实际数。"


def part_exceeds_whole(  # noqa: PLR0913, PLR0917 - the pair of figures that contradict each other
    form: Form, part: str, part_fen: int, whole: str, whole_fen: int, column: str
) -> str:
    """A part that is greater than its whole."""
    prefix = _COLUMN_NAMES[column]
    return (
        f"{prefix}{form.items[part]}{qianyuan_text(part_fen)}千元"
        f"大于{prefix}{form.items[whole]}{qianyuan_text(whole_fen)}千元。"
    )


def duplicate_row(other: int, sheet: str | None) -> str:
    """An earlier row has the same enterprise, form and period; `sheet` is its sheet if it is another one."""
    where = f"工作表“{sheet}”" if sheet else ""
    return f"与{where}第{other}行重复：同一企业、同一表、同一所属期只能有一行。"


def origin_invalid(text: str) -> str:
    """An unknown origin of a correction."""
    known = "、".join(f"{code}（{name}）" for code, name in ORIGINS.items())
    return f"更正来源“{text}”无法识别，应为{known}之一。"


def revision_needs_reason(name: str, period: Period, missing: Sequence[str]) -> str:
    """A correction of a final figure lacks its reason, origin or document."""
    return (
        f"{name}{period.chinese}审定数已登记。"
        "更正须填写更正原因和更正来源（企业改报、审核退回、执法认定）；执法认定的须填写依据文号。"
        f"缺少：{'、'.join(missing)}。"
    )


def stage_regresses(name: str, period: Period) -> str:
    """A preliminary figure cannot replace a final one."""
    return f"{name}{period.chinese}审定数已登记，不能改为初报数。确有更正的，按审定数登记并填写原因。"


def records_disputed(name: str, reason: str) -> str:
    """The records of an enterprise contradict each other, so that they decide nothing."""
    return f"{name}的台账记录互相矛盾，暂不能登记：{reason}。请联系审计人员查明，台账其他企业不受影响。"


def base_differs(name: str, period: Period, given_fen: int, ledger_fen: int) -> str:
    """The prior-year figure differs from the current figure that the ledger has for the year before."""
    return (
        f"{name}{period.chinese}上年同期数{qianyuan_text(given_fen)}千元，"
        f"与台账中{period.year_before.chinese}本期数{qianyuan_text(ledger_fen)}千元"
        f"相差{qianyuan_text(abs(given_fen - ledger_fen))}千元。两数均已保留，请说明原因。"
    )


class Cumulative(NamedTuple):
    """The cumulative figures of an item, in fen; `before_fen` is None for the first period of a year."""

    item: str
    before_fen: int | None
    month_fen: int
    ytd_fen: int


def balance_differs(name: str, period: Period, cumulative: Cumulative) -> str:
    """The cumulative figures do not add up."""
    item, before_fen, month_fen, ytd_fen = cumulative
    month, ytd = qianyuan_text(month_fen), qianyuan_text(ytd_fen)
    difference = f"相差{qianyuan_text(abs((before_fen or 0) + month_fen - ytd_fen))}千元"
    if before_fen is None:
        contradiction = f"本期数{month}千元与累计数{ytd}千元不一致，{difference}，请核实以何数为准"
    else:
        contradiction = (
            f"上月累计{qianyuan_text(before_fen)}千元与本月{month}千元之和不等于本月累计{ytd}千元，"
            f"{difference}，可能含前期调整"
        )
    return f"{name}{period.chinese}{item}：{contradiction}。"


def negative_figure(name: str, period: Period, item: str) -> str:
    """A negative figure."""
    return f"{name}{period.chinese}{item}为负数，可能含前期冲减，请说明。"


def industry_unlike_form(name: str, industry: str, form: Form) -> str:
    """An industry that the form does not cover."""
    return f"{name}行业代码{industry}与{form.code}表的统计范围不一致，请核对当月名录。"


def unknown_region(region: str) -> str:
    """A region that is not in the city's list."""
    return f"处理地代码{region}不在营口市行政区划代码内，如为开发区或园区请确认。"
