"""The query plans of a database: the plan of each statement, taken when it is executed."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, event

SMALL: Final = {"sequencer", "checkpoint", "log_seal", "policies", "publications", "CONSTANT"}
"""Tables that do not grow with the log, and names that are not tables."""

BOUNDED: Final = {"rowid>?", "rowid>? AND rowid<?", "created_at_us<?"}
"""Ranges with few rows: those recorded since a position (which is the `rowid`), those to delete."""

MOST_EXPECTED: Final = 0.6
"""The most of a table that PostgreSQL may expect a step to find: a publication takes half of one."""

LARGE_ROWS: Final = 1_000
"""PostgreSQL reads a smaller table whole, whatever its indexes."""

BY_PLACE: Final = {"Bitmap Heap Scan", "Tid Scan"}
"""Steps that read the rows which another step has found."""

Node = dict[str, Any]


class Planned(NamedTuple):
    """A statement, whether its transaction writes, and the problems of its plan."""

    statement: str
    writes: bool
    problems: list[str]


@contextmanager
def planned(engine: Engine) -> Iterator[list[Planned]]:
    """The statements that are executed within the context, each planned in its own transaction."""
    found: list[Planned] = []

    def note(connection: Connection, _: Any, statement: str, given: Any, __: Any, many: Any) -> None:
        if statement.split(maxsplit=1)[0] in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            writes = connection.get_execution_options().get("writes", False)
            problems = _problems(connection, statement, given[0] if many else given, writes=writes)
            found.append(Planned(statement, writes, problems))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _problems(connection: Connection, statement: str, given: Any, *, writes: bool) -> list[str]:
    cursor = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", given)
        return [detail for *_, detail in cursor.fetchall() if _is_scan(detail, writes=writes)]
    cursor.execute("SELECT relname, reltuples FROM pg_class WHERE relkind IN ('r', 'i')")
    rows = {name: tuples for name, tuples in cursor.fetchall() if tuples >= LARGE_ROWS}
    cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", given)
    (plan,) = cursor.fetchone() or ("[]",)
    (whole,) = json.loads(plan) if isinstance(plan, str | bytes) else plan
    return list(_scans(whole["Plan"], rows, is_limited=False))


def _is_scan(detail: str, *, writes: bool) -> bool:
    """Whether a step of a plan of SQLite reads a table or an index from end to end.

    A transaction that writes may not read a range either, unless the range is known to be short.
    """
    if detail.startswith("SCAN "):
        return detail.split()[1] not in SMALL and "VIRTUAL TABLE" not in detail
    terms = re.search(r" \((.*[<>=].*)\)$", detail)
    return writes and terms is not None and "=" not in terms[1] and terms[1] not in BOUNDED


def _scans(node: Node, rows: dict[str, float], *, is_limited: bool) -> Iterator[str]:
    """The same for a plan of PostgreSQL, by its statistics, since its names say less."""
    kind, name = node["Node Type"], node.get("Index Name", node.get("Relation Name", ""))
    if "Scan" in kind and name in rows and not is_limited:
        expected = node["Plan Rows"]
        if kind not in BY_PLACE and ("Index Cond" not in node or expected > rows[name] * MOST_EXPECTED):
            yield f"{kind} {name}: {expected} of {rows[name]:.0f} rows"
    for child in node.get("Plans", ()):
        yield from _scans(child, rows, is_limited=is_limited or kind == "Limit")
