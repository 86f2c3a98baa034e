"""Describes invalid fields of a request in Chinese, instead of the framework's English."""

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
"""The descriptions by type of error; the names in braces come from the error's context."""

_UNKNOWN: Final = "extra_forbidden"


def describe_errors(errors: Sequence[Mapping[str, Any]], known: Iterable[str]) -> str:
    """Describe the errors, field by field; of several unknown query parameters, only the first.

    Args:
        errors: The errors, as pydantic returns them.
        known: The query parameters that the route takes.
    """
    unknown = [_field(error) for error in errors if error["type"] == _UNKNOWN]
    said = [f"{_field(error)}：{_what(error)}" for error in errors if error["type"] != _UNKNOWN]
    if unknown:
        listed = "、".join(sorted(known)) or "无"
        said.insert(0, f"没有名为“{printable(unknown[0][:100])}”的查询参数，可用的有：{listed}")
    return f"{'；'.join(said)}。"


def _field(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"][1:])


def _what(error: Mapping[str, Any]) -> str:
    """Describe the error of a field; our own checks raise it with a description."""
    context: Mapping[str, Any] = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"]).removesuffix("。")
    text = _WHAT.get(error["type"], "格式不符").format_map(context)
    return text.replace("' or '", "'或'").replace("', '", "'、'").replace("'", "")
