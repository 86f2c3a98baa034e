"""The tables of docs/reference.md, made from the code: `make docs` writes them, a test compares them.

A table stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`. What the code does not say of a row,
its meaning in English, is written by hand in the last column, and stays with the row.
"""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.http import problems
from app.api.http.context import require_key
from app.ledger.earlier_events import STORED_TYPES
from app.ledger.ledger import Ledger
from app.main import create_app
from app.runtime.database import open_engine
from app.runtime.settings import Settings, variable_of
from app.security.keys import ROLES, SEE_FIGURES
from app.use_cases.audit.findings import CHECKS
from domain.words import FLAGS
from tests.command_line import COMMANDS
from tests.docs.codes import ROOT, codes_in

REFERENCE: Final = ROOT / "docs" / "reference.md"
ALSO_OF_ROWS: Final = {"period-invalid", "unknown-form"}
"""Codes of rows that are also codes of a request, where they stand in the path; they have one row."""

_BLOCK: Final = re.compile(r"<!-- begin: ([a-z-]+) -->\n(.*?)<!-- end: \1 -->", re.DOTALL)


class Table(NamedTuple):
    """A table.

    Attributes:
        headings: Its headings.
        rows: The cells that the code says, the first one the key of the row.
        has_meaning: Whether a last column is written by hand.
    """

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    has_meaning: bool = True


def settings() -> Table:
    """What an operator may set."""
    rows = []
    for name, field in Settings.model_fields.items():
        rows.append((f"`{variable_of(name)}`", f"`{field.default}`", field.description or ""))
    return Table(("Variable", "Default", "Meaning"), rows, has_meaning=False)


def commands() -> Table:
    """The commands, with their arguments and options but for those that each has."""
    rows = [(f"`{name}`", *_parameters(command)) for name, command in COMMANDS.items()]
    return Table(("Command", "Arguments", "Options", "What it does"), rows)


def _parameters(command: Any) -> tuple[str, str]:
    arguments, options = [], []
    for each in command.params:
        if each.param_type_name == "argument":
            name = (each.metavar or each.name).upper()
            arguments.append(f"`{name}`" if each.required else f"`[{name}]`")
        elif each.opts[0] not in {"--as", "--help"}:
            options.append(f"`{each.opts[0]}`{' (required)' if each.required else ''}")
    return ", ".join(arguments), ", ".join(options)


def request_codes() -> Table:
    """The codes of a request, with the statuses that they are answered with."""
    statuses: defaultdict[str, set[int]] = defaultdict(set)
    for status, code in problems._CODES.items():
        statuses[code].add(status)
    for path in [ROOT / "app" / "main.py", *sorted((ROOT / "app" / "api").rglob("*.py"))]:
        for status, code in _raised(path):
            statuses[code].add(status)
    found = codes_in("app/api", "app/main.py") | statuses.keys()
    rows = [
        (f"`{code}`", ", ".join(map(str, sorted(statuses[code])))) for code in sorted(found - ALSO_OF_ROWS)
    ]
    return Table(("Code", "Status", "Meaning"), rows)


def _raised(path: Path) -> Iterator[tuple[int, str]]:
    """Statuses and codes of the problems that a module raises."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ApiProblem":
            status, code, *_ = node.args
            if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                yield int(str(status.value)), str(code.value)


def _codes(found: Iterable[str]) -> Table:
    return Table(("Code", "Meaning"), [(f"`{code}`",) for code in sorted(found)])


def row_codes() -> Table:
    """The codes of a row."""
    return _codes(
        codes_in("app/use_cases", "domain/returns.py") - codes_in("app/use_cases/filing/row_warnings.py")
    )


def file_codes() -> Table:
    """The codes of a file."""
    return _codes(codes_in("app/ingest") - {"period-invalid"})


def warnings() -> Table:
    """The codes of the warnings."""
    return _codes(codes_in("app/use_cases/filing/row_warnings.py"))


def findings() -> Table:
    """What a verification looks at."""
    rows = [(f"`{code}`", name) for code, name in CHECKS.items()]
    return Table(("Code", "What is verified", "Found where"), rows)


def events() -> Table:
    """The types of events."""
    rows = [(f"`{name}`", f"[{name}.json](events/{name}.json)") for name in STORED_TYPES]
    return Table(("Type", "Schema", "Recorded when"), rows)


def red_flags() -> Table:
    """The red flags."""
    return Table(("Flag", "Name", "What is asked of"), [(f"`{flag}`", name) for flag, name in FLAGS.items()])


def roles() -> Table:
    """The roles of keys."""
    rows = [(f"`{role}`", "yes" if role in SEE_FIGURES else "no") for role in ROLES]
    return Table(("Role", "Sees figures of single units", "For"), rows)


def routes() -> Table:
    """The routes, with the roles whose keys they take."""
    rows = [
        (f"`{method} {route.path}`", _allowed(route.dependant), _first_paragraph(route.description))
        for route in _api_routes()
        for method in route.methods or ()
    ]
    return Table(("Route", "Roles", "What it does"), sorted(rows), has_meaning=False)


def _api_routes() -> Iterator[APIRoute]:
    for each in create_app(Ledger(open_engine("sqlite://"))).routes:
        router = getattr(each, "original_router", None)
        for route in [each] if router is None else router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                yield route


def _allowed(dependant: Dependant) -> str:
    calls = list(_calls(dependant))
    for call in calls:
        allowed = inspect.getclosurevars(call).nonlocals.get("roles") if inspect.isfunction(call) else None
        if allowed:
            return ", ".join(allowed)
    return "any" if require_key in calls else "no key needed"


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for each in dependant.dependencies:
        if each.call is not None:
            yield each.call
        yield from _calls(each)


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


TABLES: Final[dict[str, Callable[[], Table]]] = {
    "commands": commands,
    "settings": settings,
    "request-codes": request_codes,
    "row-codes": row_codes,
    "file-codes": file_codes,
    "warnings": warnings,
    "findings": findings,
    "events": events,
    "red-flags": red_flags,
    "roles": roles,
    "routes": routes,
}


def generated(document: str) -> str:
    """A document with its tables as the code has them."""
    return _BLOCK.sub(_block, document)


def _block(match: re.Match[str]) -> str:
    name, before = match.groups()
    table = TABLES[name]()
    old = {cells[0]: cells[-1] for cells in map(_cells, before.splitlines()[2:])}
    rows = [(*row, old.get(row[0], "")) for row in table.rows] if table.has_meaning else table.rows
    lines = [table.headings, ("---",) * len(table.headings), *rows]
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"<!-- begin: {name} -->\n{text}<!-- end: {name} -->"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


if __name__ == "__main__":
    REFERENCE.write_text(generated(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
