"""The vocabulary of headings: which field or figure a column holds.

The national platform writes `零售额;本年-本月`, hand-made tables `2024年3月零售额`, `零售额(万元)` or
`2024年;3月;商品零售额;千元`. All use the same few words in different orders, so a heading is read word by
word; a heading with any other word in it (`零售额增速`) is not a known one.
"""

import re
from dataclasses import dataclass
from typing import Final

from app.ingest.text import compact
from app.ingest.units import UNIT_PATTERN

FIELDS: Final = {
    "统一社会信用代码": "uscc",
    "单位详细名称": "name",
    "单位名称": "name",
    "企业名称": "name",
    "处理地编码": "region_code",
    "处理地代码": "region_code",
    "行业代码": "industry_code",
    "所属期": "period",
    "当月在库": "in_database",
    "更正原因": "reason",
    "更正来源": "origin",
    "依据文号": "document",
    "校验例外理由": "uscc_override",
}
"""The field of a row by its heading; if a field has several headings, the platform's comes first."""

NOT_NEEDED: Final = frozenset({"单位规模", "序号"})
"""Headings of the platform's export that are known, but whose columns the ledger does not keep."""

_UNIT_HEADINGS: Final = frozenset({"计量单位", "金额单位", "数据单位"})

_ITEMS = {
    "商品销售额": "商品销售额",
    "零售额": "零售额",
    "商品零售额": "零售额",
    "网上零售额": "网上零售额",
    "通过公共网络实现的零售额": "网上零售额",
    "通过公共网络实现的商品零售额": "网上零售额",
    "营业额": "营业额",
    "客房收入": "客房收入",
    "餐费收入": "餐费收入",
}
_MARK_BEFORE = re.compile(r"^(?:\*|\[[^\]]*\])+")
_NOTE_AFTER = re.compile(r"\([^()]*\)$")
_WORD = re.compile(
    rf"(?P<item>{'|'.join(sorted(_ITEMS, key=len, reverse=True))})"
    r"|(?P<year>[0-9]{4})年"
    r"|(?P<this>本年|今年)"
    r"|(?P<same>(?:上年|去年)同期)"
    r"|(?P<last>上年|去年)"
    r"|(?P<span>1月?[-~至](?:[0-9]{1,2}|本)月)份?"
    r"|(?P<month>[0-9]{1,2}月|本月|当月)份?"
    r"|(?P<total>累计)"
    rf"|(?P<unit>{UNIT_PATTERN})"
    r"|(?P<between>其中|[;:,、()\[\]_/-]+)"
)


@dataclass(frozen=True, slots=True)
class FigureHeading:
    """A heading of figures.

    Attributes:
        item: The name of the item on the form: 零售额.
        prior: Whether the figures are those of the year before; None if the heading names the year by number.
        year: The year that the heading names.
        month: The month that the heading names, the last one of a span.
        cumulative: Whether the figures are year-to-date (1—本月).
        unit: The unit that the heading names: 千元.
    """

    item: str
    prior: bool | None
    year: int | None
    month: int | None
    cumulative: bool
    unit: str | None


def find_field(heading: str) -> str | None:
    """The field of a heading: `[201-1] 行业代码(GB/T4754-2017)` is "industry_code"."""
    return FIELDS.get(_bare(heading))


def is_not_needed(heading: str) -> bool:
    """Whether a heading is known, but its column is not kept."""
    return _bare(heading) in NOT_NEEDED


def is_unit_heading(heading: str) -> bool:
    """Whether the cells of a column name the unit of the amounts in their row."""
    return _bare(heading) in _UNIT_HEADINGS


def parse_figure(heading: str) -> FigureHeading | None:
    """The meaning of a heading of figures; None for any other heading."""
    words = _words(_MARK_BEFORE.sub("", compact(heading)))
    return _figure(words) if words and _names_a_month(words) else None


def is_recognised(heading: str) -> bool:
    """Whether a cell reads like one of the headings that the ledger knows."""
    return find_field(heading) is not None or parse_figure(heading) is not None


def _bare(heading: str) -> str:
    return _NOTE_AFTER.sub("", _MARK_BEFORE.sub("", compact(heading)))


def _words(written: str) -> dict[str, str] | None:
    """The words of a heading by their kind; None if it has an unknown word, or two of a kind."""
    words: dict[str, str] = {}
    position = 0
    while position < len(written):
        found = _WORD.match(written, position)
        if found is None or found.lastgroup is None or found.lastgroup in words:
            return None
        if found.lastgroup != "between":
            words[found.lastgroup] = found[found.lastgroup]
        position = found.end()
    return words


def _names_a_month(words: dict[str, str]) -> bool:
    """Whether the words name a figure of an item for a month or a span of months, not for a whole year."""
    years = words.keys() & {"year", "this", "last", "same"}
    months = words.keys() & {"span", "month", "total"}
    if "item" not in words or len(years) > 1 or {"span", "month"} <= months:
        return False
    return bool(months) or not years or years == {"same"}


def _figure(words: dict[str, str]) -> FigureHeading:
    month = re.search(r"([0-9]+)月$", words.get("span") or words.get("month") or "")
    return FigureHeading(
        item=_ITEMS[words["item"]],
        prior=None if "year" in words else bool(words.keys() & {"same", "last"}),
        year=int(words["year"]) if "year" in words else None,
        month=int(month[1]) if month else None,
        cumulative=bool(words.keys() & {"span", "total"}),
        unit=words.get("unit"),
    )
