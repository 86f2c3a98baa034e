"""Reads a policy document in YAML, strictly: it refuses what it does not understand, and names the line."""

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.runtime.limits import POLICY_MAX_BYTES, POLICY_MAX_NODES
from domain.policy.checks import document_problems
from domain.policy.document import PolicyDocument, canonical_form

YINGKOU_2024_14 = Path(__file__).parents[3] / "domain" / "policies" / "yingkou-2024-14.yaml"
"""The policy that comes with the software."""

_Path = tuple[str | int, ...]
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_VALIDATION_PATH = re.compile(r" - at `\$(.*)`$")
_PATH_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_MOST_LEVELS = 32
"""A policy document has seven levels; one with far more is no policy, and would exhaust the stack."""


class PolicyProblem(msgspec.Struct, frozen=True):
    """A reason to refuse a document, with the file and the line, counted from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """The problem in the format of compilers: file, line, message."""
        return f"{self.file}:{self.line}: {self.message}"


class LoadedPolicy(msgspec.Struct, frozen=True):
    """A valid document: its text, the data that the text stands for, and the data in typed form."""

    text: str
    document: dict[str, Any]
    typed: PolicyDocument


class _Refusal(Exception):  # noqa: N818 - becomes a `PolicyProblem`, and never leaves this module
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class _Composer(yaml.SafeLoader):
    """Composes nodes; refuses aliases, by which one place would define the meaning of another."""

    def __init__(self, text: str, max_nodes: int) -> None:
        super().__init__(text)
        self.level = 0
        self.max_nodes = self.nodes_left = max_nodes

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _Refusal(line, "aliases (*name) are not part of the vocabulary")
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise _Refusal(line, f"{self.max_nodes} keys, values and lists stand before this: too many")
        self.level += 1
        if self.level > _MOST_LEVELS:
            raise _Refusal(line, "nested too deep")
        node = super().compose_node(parent, index)
        self.level -= 1
        return node


def load_policy(text: str | bytes, *, file: str) -> LoadedPolicy | list[PolicyProblem]:
    """Load a policy from a YAML text; return the policy, or the problems of the document.

    Args:
        text: UTF-8 if bytes.
        file: The name of the file in problems.
    """
    lines: dict[_Path, int] = {(): 1}
    try:
        decoded = _decoded(text)
        data = _data(_composed(decoded, POLICY_MAX_NODES), (), lines)
        typed = msgspec.convert(data, PolicyDocument)
        canonical_form(data)
    except _Refusal as refusal:
        return [PolicyProblem(file, refusal.line, refusal.message)]
    except msgspec.ValidationError as error:
        return [_validation_problem(str(error), file, lines)]
    problems = [
        PolicyProblem(file, _line(problem.path, lines), problem.message)
        for problem in document_problems(typed)
    ]
    return sorted(problems, key=lambda problem: problem.line) or LoadedPolicy(decoded, data, typed)


def read_document(text: str) -> dict[str, Any] | None:
    """Read the data of a recorded document, without the checks of a new one; None if the text has no data."""
    try:
        found: dict[str, Any] = _data(_composed(_decoded(text), len(text)), (), {(): 1})
    except _Refusal:
        return None
    return found


def _decoded(text: str | bytes) -> str:
    encoded = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(encoded) > POLICY_MAX_BYTES:
        raise _Refusal(1, f"a policy document is at most {POLICY_MAX_BYTES} bytes long")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise _Refusal(line, "the text is not UTF-8: save it as UTF-8") from error


def _composed(text: str, max_nodes: int) -> yaml.Node:
    try:
        node = _Composer(text, max_nodes).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Refusal(1 if mark is None else mark.line + 1, f"not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Refusal(line, f"not YAML: the character U+{ord(text[error.position]):04X}") from error
    if not isinstance(node, yaml.MappingNode):
        raise _Refusal(1, "a policy document is a mapping that begins with 'policy: …'")
    return node


def _data(node: yaml.Node, path: _Path, lines: dict[_Path, int]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.CollectionNode) and node.tag not in {_TAG + "map", _TAG + "seq"}:
        raise _Refusal(lines[path], f"the tag {node.tag} is not part of the vocabulary")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_data(child, (*path, index), lines) for index, child in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: _Path, lines: dict[_Path, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
            raise _Refusal(line, "a key is a plain word")
        key = str(_scalar(key_node))
        if key in found:
            raise _Refusal(line, f"the key '{key}' stands twice; the first is in line {lines[*path, key]}")
        found[key] = _data(value_node, (*path, key), lines)
        lines[*path, key] = line
    return found


def _scalar(node: yaml.Node) -> str | int | bool | None:
    line, text = node.start_mark.line + 1, str(node.value)
    if _UNPRINTABLE.search(text):
        raise _Refusal(line, "a text holds only characters that can be shown")
    match node.tag.removeprefix(_TAG):
        case "str":
            return text
        case "int" if _INTEGER.fullmatch(text) and len(text) <= len(str(2**63)):
            return int(text)
        case "bool" if text in {"true", "false"}:
            return text == "true"
        case "null":
            return None
    raise _Refusal(line, f"'{text[:40]}' is neither a whole number nor a text; put a text in quotes")


def _validation_problem(message: str, file: str, lines: dict[_Path, int]) -> PolicyProblem:
    where = _VALIDATION_PATH.search(message)
    said = _VALIDATION_PATH.sub("", message)
    parts = [] if where is None else _PATH_PART.findall(where.group(1))
    path: _Path = tuple(name or int(index) for name, index in parts)
    unknown = _UNKNOWN_FIELD.search(said)
    if unknown is not None:
        path = (*path, unknown.group(1))
        said = f"unknown key '{unknown.group(1)}'"
    at = ".".join(str(part) for part in path) or "the document"
    return PolicyProblem(file, _line(path, lines), f"{at}: {said}")


def _line(path: _Path, lines: dict[_Path, int]) -> int:
    while path not in lines:
        path = path[:-1]
    return lines[path]
