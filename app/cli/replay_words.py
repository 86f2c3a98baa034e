"""Describes the findings of a replay in the words of the other commands, without names of fields or codes."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from app.cli.printing import wanyuan
from app.runtime.times import beijing
from domain.events import Outcome
from domain.words import CEILINGS, STAGES, STATUSES

NOTHING: Final = "无"
MOST_SHOWN: Final = 60
"""The number of characters printed of a document: enough to see where two documents differ."""

DOCUMENTS: Final = {"document", "state", "text"}
"""The columns that may hold whole documents; values of other columns are printed in full."""

FIELDS: Final = {
    "stage": "阶段",
    "status": "结论",
    "measure": "奖项",
    "measures": "各奖项结论",
    "rule_fen": "限额前测算金额",
    "selected_fen": "择高后金额",
    "assessed_fen": "测算金额",
    "open_fen": "其中口径待明确",
    "capped_by": "核减原因",
    "open_readings": "待明确口径",
}
COLUMNS: Final = {
    **FIELDS,
    "account_per": "账户期间的长度",
    "actor": "经办人",
    "assessed_by": "测算所依据的政策",
    "current_fen": "本期数",
    "dimension": "汇总口径",
    "document": "结构化内容或依据文号",
    "counted": "户数或期数",
    "first_period": "首个所属期",
    "form": "报表",
    "from_position": "起始序号",
    "industry": "行业大类",
    "industry_code": "行业代码",
    "key": "分组",
    "last_period": "末个所属期",
    "name": "企业名称",
    "period": "所属期",
    "periods": "期数",
    "policy": "政策文件编号",
    "position": "台账序号",
    "preliminary_fen": "其中初报数",
    "recorded_at_us": "登记时间",
    "reason": "原因",
    "region_code": "处理地",
    "sha256": "指纹",
    "state": "记录内容",
    "stream": "记录流",
    "text": "原文",
    "title": "标题",
    "to_position": "截止序号",
    "type": "记录类型",
    "uscc": "统一社会信用代码",
    "version": "版本",
    "window": "期间",
}
"""The Chinese names of columns of the read models; `id` is the key of tables with a single row."""

_WORDS: Final[dict[str, Mapping[Any, str]]] = {"status": STATUSES, "stage": STAGES}


class PolicyNames(NamedTuple):
    """The names of measures and readings in the policies, by id."""

    measures: Mapping[str, str]
    readings: Mapping[str, str]


def outcome_values(outcome: Outcome | None, names: PolicyNames) -> dict[str, str]:
    """Describe the values of an outcome, by the names of `FIELDS`.

    Args:
        outcome: The outcome; None if the assessment has ended.
        names: The names of measures and readings.
    """
    if outcome is None:
        return {}
    of_measures = (
        f"{names.measures.get(result.measure, result.measure)}{STATUSES[result.status]}，"
        f"{FIELDS['rule_fen']}{wanyuan(result.rule_fen)}"
        for result in outcome.measures
    )
    measure = outcome.measure
    return {
        "stage": STAGES[outcome.stage],
        "status": STATUSES[outcome.status],
        "measure": NOTHING if measure is None else names.measures.get(measure, measure),
        "measures": "；".join(of_measures) or NOTHING,
        "rule_fen": wanyuan(outcome.rule_fen),
        "selected_fen": wanyuan(outcome.selected_fen),
        "assessed_fen": wanyuan(outcome.assessed_fen),
        "open_fen": wanyuan(outcome.open_fen),
        "capped_by": "、".join(CEILINGS.get(limit, limit) for limit in outcome.capped_by) or NOTHING,
        "open_readings": "、".join(names.readings.get(reading, reading) for reading in outcome.open_readings)
        or NOTHING,
    }


def column_values(column: str, stored: Any, derived: Any) -> tuple[str, str]:
    """Describe the stored and the derived value of a column, which differ."""
    words = _WORDS.get(column, {})
    stored, derived = words.get(stored, stored), words.get(derived, derived)
    if column in DOCUMENTS and isinstance(stored, str) and isinstance(derived, str):
        return _around_the_difference(stored, derived)
    return _value(column, stored), _value(column, derived)


def _value(column: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, int) and column.endswith("_fen"):
        return wanyuan(value)
    if isinstance(value, int) and column == "recorded_at_us":
        return beijing(value)
    if isinstance(value, bool):
        return "是" if value else "否"
    return _cut(value, 0) if column in DOCUMENTS and isinstance(value, str) else f"“{value}”"


def _around_the_difference(left: str, right: str) -> tuple[str, str]:
    """The parts of two texts from shortly before the first character in which they differ."""
    same = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    at = min(len(left), len(right)) if same is None else same
    begin = max(at - MOST_SHOWN // 3, 0)
    return _cut(left, begin), _cut(right, begin)


def _cut(text: str, begin: int) -> str:
    part = text[begin : begin + MOST_SHOWN]
    return f"“{'…' if begin else ''}{part}{'…' if begin + MOST_SHOWN < len(text) else ''}”"
