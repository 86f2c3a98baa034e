"""What is wrong with the fields of a request, in Chinese: the words of the framework are English."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from app.use_cases.filing.rows import printable

_WHAT: Final[Mapping[str, str]] = {
    "missing": "必填",
    "int_parsing": "应为整数",
    "int_type": "应为整数",
    "bool_parsing": "应为true或false",
    "string_type": "应为文字",
    "string_pattern_mismatch": "格式不符，应匹配{pattern}",
    "string_too_short": "不能少于{min_length}个字符",
    "string_too_long": "不能超过{max_length}个字符",
    "greater_than": "应大于{gt}",
    "greater_than_equal": "不能小于{ge}",
    "less_than": "应小于{lt}",
    "less_than_equal": "不能大于{le}",
    "literal_error": "应为{expected}",
}
"""By the type of the error; what stands in braces is its context."""

_UNKNOWN: Final = "extra_forbidden"


def detail_of(errors: Sequence[Mapping[str, Any]], known: Iterable[str]) -> str:
    """What is wrong, field by field; of the query parameters that are unknown, the first.

    Args:
        errors: As pydantic gives them.
        known: The query parameters that the route takes.
    """
    unknown = [_field(each) for each in errors if each["type"] == _UNKNOWN]
    said = [f"{_field(each)}：{_what(each)}" for each in errors if each["type"] != _UNKNOWN]
    if unknown:
        listed = "、".join(sorted(known)) or "无"
        said.insert(0, f"没有名为“{printable(unknown[0][:100])}”的查询参数，可用的有：{listed}")
    return f"{'；'.join(said)}。"


def _field(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"][1:])


def _what(error: Mapping[str, Any]) -> str:
    """What is wrong with a field; one of our own checks says it itself."""
    context: Mapping[str, Any] = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"]).removesuffix("。")
    told = _WHAT.get(error["type"], "格式不符").format_map(context)
    return told.replace("' or '", "'或'").replace("', '", "'、'").replace("'", "")
