"""Files to import in many chunks, and the contents of ledgers, for comparison."""

import os
import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.use_cases.filing.deciding import Refused
from app.use_cases.filing.file_returns import FilingAnswer
from app.use_cases.filing.importing import Progress, import_rows
from app.use_cases.filing.rows import RowReader
from domain.events import AnyEvent, Stage
from projections.tables import FOREVER, LIVE
from tests.ledger.history import REGIONS, Row, catering, code, log, rows_of, trade

ROWS_PER_CHUNK = 20
ENTERPRISES = 24
MONTHS = ("2024-01~02", "2024-03", "2024-04", "2024-07")
POSITIONS = {"position", "from_position", "to_position", "recorded_at_us"}


def random_file(seed: int, *, in_months: bool) -> list[Row]:
    """Rows of several months and both forms.

    Args:
        seed: The seed of the random rows.
        in_months: Whether rows of one month and form follow each other, so that most chunks share no
            enterprise; otherwise the rows of an enterprise may be anywhere.
    """
    draw = random.Random(seed)  # noqa: S311 - nothing is secret here
    rows = []
    for period in MONTHS:
        for make, most in ((trade, 140_000), (catering, 9_000)):
            for n in range(1, ENTERPRISES + 1):
                prior = draw.choice([None, 0, *[draw.randrange(1_000, 200_000) for _ in range(8)]])
                current = (prior or 10_000) + draw.randrange(-1_000, most)
                row = make(code(n), period, current, prior, region_code=draw.choice(REGIONS))
                if draw.random() < 0.8:
                    rows.append(row)
    if not in_months:
        draw.shuffle(rows)
    return rows


def changed(rows: Iterable[Row], seed: int) -> list[Row]:
    """A later file: a third of the rows have other figures and a reason, the rest is unchanged."""
    draw = random.Random(seed)  # noqa: S311
    later = []
    for row in rows:
        if draw.random() < 1 / 3:
            ((item, figure),) = row["figures"].items()
            figures = {item: {**figure, "current": figure["current"] + draw.randrange(1, 90_000)}}
            later.append({**row, "figures": figures, "reason": "企业改报"})
        else:
            later.append(row)
    return later


def one_month(enterprises: int) -> list[Row]:
    """A row for each enterprise, so that no two chunks share an enterprise."""
    return [trade(code(n), "2024-03", 110_000 + 1_000 * n, 100_000) for n in range(1, enterprises + 1)]


def have_workers(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let imports and rebuilds have so many worker processes, on any machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number + 1)))


def reader(stage: Stage = "final") -> RowReader:
    return RowReader(unit="qianyuan", stage=stage, source=None)


def import_(
    ledger: Ledger,
    rows: Iterable[Any],
    stage: Stage = "final",
    progress: Progress = lambda _, __, ___: None,
    in_order: Callable[[], bool] = lambda: True,
) -> FilingAnswer | Refused:
    """Import rows as if they came from a file."""
    return import_rows(ledger, rows, reader(stage), actor="statistics", in_order=in_order, progress=progress)


def imported(
    ledger: Ledger,
    rows: Iterable[Any],
    stage: Stage = "final",
    progress: Progress = lambda _, __, ___: None,
) -> FilingAnswer:
    """Import rows that must be accepted."""
    answer = import_(ledger, rows, stage, progress)
    assert isinstance(answer, FilingAnswer), answer
    return answer


def facts(ledger: Ledger) -> dict[str, list[AnyEvent]]:
    """The registered events, by stream in the order of its versions."""
    found: dict[str, list[AnyEvent]] = {}
    for entry in log(ledger):
        if entry.stream.startswith("returns/"):
            found.setdefault(entry.stream, []).append(entry.event)
    return found


def contents(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """The current rows of the read models, and every version of every return.

    Positions are left out, and so are the versions of returns and policies that an outcome was first assessed
    from: an unchanged outcome is not assessed again.
    """
    found = {}
    with read_transaction(ledger.engine) as connection:
        for table in (LIVE.returns, LIVE.enterprises, LIVE.entitlements, LIVE.accounts, LIVE.totals):
            names = [column.name for column in table.columns]
            rows = [dict(zip(names, row, strict=True)) for row in rows_of(connection, table)]
            found[table.name] = [
                _without_positions(row)
                for row in rows
                if table is LIVE.returns or row["to_position"] == FOREVER
            ]
    return found


def _without_positions(row: dict[str, Any]) -> dict[str, Any]:
    state = msgspec.json.decode(row["state"]) if "state" in row else {}
    for name in ("returns", "policy"):
        state.pop(name, None)
    return {name: value for name, value in row.items() if name not in POSITIONS} | {"state": state}


def same_contents(one: Ledger, other: Ledger) -> bool:
    """Whether two ledgers have the same contents, apart from positions."""
    return facts(one) == facts(other) and contents(one) == contents(other)


def number_of_facts(ledger: Ledger) -> int:
    return sum(len(events) for events in facts(ledger).values())
