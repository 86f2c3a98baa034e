"""Reads a JSON body strictly: a key stands once, and what is no number of JSON is refused."""

import json
from typing import Any

from app.api.problems import ApiProblem


def parse_json(body: bytes) -> Any:
    """The value of a JSON body; a number with a fraction or an exponent stays a float, which no field takes.

    Raises:
        ApiProblem: 400, the body is not JSON.
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        detail = f"The body is not JSON: {str(error)[:200] or type(error).__name__}."
        raise ApiProblem(400, "invalid-json", detail.encode(errors="replace").decode()) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON value")
