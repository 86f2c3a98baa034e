"""Parses a JSON body strictly: duplicate keys are refused, and so are NaN and Infinity."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from app.api.http.problems import ApiProblem
from app.runtime.limits import BODY_MAX_COMMAS, BODY_MAX_CONTAINERS, BODY_OBJECT_MAX_KEYS

_INTEGER_MAX_CHARS: Final = 1_000
"""More than any field allows, and below the length from which Python refuses to parse an integer."""


class _NotJsonError(ValueError):
    """The body has something that is not JSON but that Python's parser accepts."""


def parse_json(body: bytes) -> Any:
    """Parse a JSON body; a number with a fraction or an exponent becomes a float, which no field accepts.

    Raises:
        ApiProblem: 400, the body is not JSON; 413, it has more values than any filing.
    """
    if body.count(b",") > BODY_MAX_COMMAS or body.count(b"{") + body.count(b"[") > BODY_MAX_CONTAINERS:
        raise ApiProblem(413, "too-large", "请求正文的数据多于50000行所能含有的，请分批提交。")
    try:
        return _parsed(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        detail = f"请求正文不是有效的JSON：{_why_not(error)}。"
        raise ApiProblem(400, "invalid-json", detail.encode(errors="replace").decode()) from error


def _why_not(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"第{error.lineno}行第{error.colno}个字符处有误"
    if isinstance(error, UnicodeDecodeError):
        return f"第{error.start + 1}个字节处不是UTF-8编码的文字"
    return str(error)[:200] if isinstance(error, _NotJsonError) else "嵌套过深"


def _parsed(text: str) -> Any:
    try:
        return _loads(text, None)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError | _NotJsonError):
            raise
        return _loads(text, _integer)  # An integer has more digits than Python parses.


def _loads(text: str, parse_int: Callable[[str], int | str] | None) -> Any:
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_int=parse_int)


def _integer(digits: str) -> int | str:
    """Parse an integer; a very long one stays text, which is longer than any field allows."""
    return int(digits) if len(digits) <= _INTEGER_MAX_CHARS else digits


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise _NotJsonError(f"同一对象中“{twice}”重复")
    if len(members) > BODY_OBJECT_MAX_KEYS:
        detail = f"请求正文中一个对象最多有{BODY_OBJECT_MAX_KEYS}项，现有{len(members)}项。"
        raise ApiProblem(413, "too-large", detail)
    return members


def _refuse(constant: str) -> Any:
    raise _NotJsonError(f"{constant}不是JSON的值")
