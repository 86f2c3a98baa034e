"""Finds half-width marks beside Chinese, where GB/T 15834-2011 has full-width ones.

A mark is wrong beside a Chinese character or a full-width mark, and a pair of brackets is wrong around
Chinese. Codes, times and JSON have ASCII on both sides and are left alone; what else stays half-width is
named in `EXCEPTIONS`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

_WIDE: Final = "\u3001-\u303f\u4e00-\u9fff\uff01-\uff60\u2014\u2026\u201c\u201d"
_HOLE: Final = "\ue000"
"""Stands for a placeholder of an f-string, which is filled with Chinese as often as not."""

_CHINESE: Final = re.compile("[\u4e00-\u9fff]")
_WRONG: Final = re.compile(
    rf"(?<=[{_WIDE}{_HOLE}])[,:;?!()]|[,:;?!()](?=[{_WIDE}{_HOLE}])"
    r"|\([^()]*[\u4e00-\u9fff][^()]*\)|\uff08[^()\uff08\uff09]*\)|\([^()\uff08\uff09]*\uff09"
)

EXCEPTIONS: Final = {
    "a heading of the platform: item; month": re.compile(
        "[\u4e00-\u9fff0-9A-Za-z\u2014\u2013-]*;(?:\u672c\u5e74|\u4e0a\u5e74|\u672c\u6708|1\u2014|1-|\u5343\u5143|\u4e07\u5143)"
        "[\u4e00-\u9fff0-9\u2014\u2013-]*"
    ),
    "a heading of the platform: the classification": re.compile(
        r"\[201-1\] [\u4e00-\u9fff]+\(GB/T4754-2017\)"
    ),
    "a call of a function": re.compile(r"[a-z_]+\([^()]*\)"),
}
"""What stays half-width beside Chinese, by what it is."""


def wrong_marks(text: str) -> list[str]:
    """The half-width marks beside Chinese, each with what stands around it."""
    if _CHINESE.search(text) is None:
        return []
    for exception in EXCEPTIONS.values():
        text = exception.sub(" ", text)
    return [
        text[max(found.start() - 8, 0) : found.end() + 8].replace(_HOLE, "{}")
        for found in _WRONG.finditer(text)
    ]


def strings_of(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a program by line, placeholders as holes; not patterns, nor English descriptions."""
    tree = ast.parse(source)
    left_out = _left_out(tree)
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else _HOLE for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _left_out(tree: ast.AST) -> set[int]:
    """Parts of f-strings, which are read as one; patterns; docstrings and descriptions in English."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.update(id(part) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            found.update(map(id, ast.walk(node)))
        elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or (
            isinstance(node, ast.keyword) and node.arg == "description"
        ):
            found.update(map(id, _english(node.value)))
    return found


def _english(node: ast.expr) -> list[ast.AST]:
    """The nodes of a text that is English and names Chinese terms at the most."""
    text = ast.unparse(node)
    is_english = len(re.findall("[A-Za-z]", text)) > 2 * len(_CHINESE.findall(text))
    return list(ast.walk(node)) if is_english else []


def wrong_in(path: Path) -> list[str]:
    """The half-width marks beside Chinese in a file, as its kind is read."""
    source = path.read_text(encoding="utf-8")
    read = {".py": strings_of, ".yaml": _values, ".md": _prose}.get(path.suffix, _markup)
    return [f"{line}: {mark}" for line, text in read(source) for mark in wrong_marks(text)]


def _values(source: str) -> Iterator[tuple[int, str]]:
    """The texts of a YAML document, comments included."""
    for number, line in enumerate(source.splitlines(), 1):
        if line.startswith("#"):
            yield number, line
    for event in yaml.parse(source, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.ScalarEvent):
            yield 0 if event.start_mark is None else event.start_mark.line + 1, event.value


def _prose(source: str) -> Iterator[tuple[int, str]]:
    """The lines of a Markdown text but for code and for lines that begin in English."""
    fenced = False
    for number, line in enumerate(source.splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        if not fenced and re.match("[A-Za-z]|    ", line) is None:
            yield number, re.sub(r"`[^`]*`|https?://\S+|\]\([^)]*\)", " ", line)


def chinese_column(source: str) -> Iterator[tuple[int, str]]:
    """The Chinese terms of a table in English: the third column."""
    for number, line in enumerate(source.splitlines(), 1):
        cells = line.split("|")
        if len(cells) > 3:
            yield number, cells[3]


def _markup(source: str) -> Iterator[tuple[int, str]]:
    """The text of a page or template: what stands outside tags and expressions, and in attributes."""
    for number, line in enumerate(source.splitlines(), 1):
        yield number, re.sub(r"\{[{%#].*?[}%#]\}", _HOLE, re.sub(r"</?[a-z][^<>]*>", " ", line))
