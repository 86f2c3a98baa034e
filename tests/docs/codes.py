"""The stable codes that the sources give to problems and warnings, read from the syntax tree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"[a-z]+(-[a-z]+)*", re.ASCII)

POSITIONS = {
    "ApiProblem": 1,
    "add": 1,
    "of_file": 0,
    "of_sheet": 1,
    "_problem": 1,
    "Conflict": 0,
}
"""Where the code stands among the arguments of a call, by the name of what is called."""

BY_KEYWORD = {"Problem", "FilingWarning", "FileProblem", "ProblemLine"}
"""What takes its code by keyword."""


def codes_in(*paths: str) -> set[str]:
    """The codes in the modules of these files and folders.

    Raises:
        ValueError: A code is computed in a way that is not followed here.
    """
    return {code for path in _modules(paths) for code in _codes_of(path)}


def _modules(paths: tuple[str, ...]) -> Iterator[Path]:
    for name in paths:
        path = ROOT / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _codes_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            argument = _code_argument(node)
            if argument is not None:
                yield from _value(argument, path)
        elif isinstance(node, ast.Tuple) and _is_told(node):
            yield from _value(node.elts[0], path)


def _code_argument(call: ast.Call) -> ast.expr | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in BY_KEYWORD:
        return next((each.value for each in call.keywords if each.arg == "code"), None)
    position = POSITIONS.get(name)
    return call.args[position] if position is not None and len(call.args) > position else None


def _is_told(node: ast.Tuple) -> bool:
    """A pair of code and message on its way to a problem, as `app.ingest.sheet_period` returns it."""
    first, *rest = node.elts or [node]
    is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return (
        is_text
        and len(rest) == 1
        and isinstance(rest[0], ast.JoinedStr | ast.Constant)
        and _looks_like_message(rest[0])
    )


def _looks_like_message(node: ast.expr) -> bool:
    return re.search("[\u4e00-\u9fff]", ast.unparse(node)) is not None


def _value(node: ast.expr, path: Path) -> Iterator[str]:
    """The code, if it is written here; what is called `code` was written elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if _CODE.fullmatch(node.value):
            yield node.value
    elif not (isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).endswith("code")):
        raise ValueError(f"{path}:{node.lineno}: {ast.unparse(node)} is a code that is not followed")
