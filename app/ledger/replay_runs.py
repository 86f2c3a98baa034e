"""The replays that the service was asked for: one at a time, among all its processes."""

from typing import Final, Literal

import msgspec
from sqlalchemy import Connection, insert, select, update

from app.ledger.tables import replays

State = Literal["running", "done", "failed", "interrupted"]

SILENT_US: Final = 60_000_000
"""A replay whose process has been silent for a minute is considered dead; a live one reports every second."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A requested replay.

    Attributes:
        id: The id in the API.
        asked_by: The name of the key.
        asked_at_us: The time of the request, in microseconds since 1970.
        first: The first position whose assessment is compared.
        last: The last one; None for the whole log.
        state: The state; `interrupted` if the process that ran the replay has ended.
        done: The number of events replayed.
        total: The total number of events; 0 while it is unknown.
        report: The report as JSON, once the replay is done.
        problem: The reason why the replay failed.
    """

    id: str
    asked_by: str
    asked_at_us: int
    first: int
    last: int | None
    state: State = "running"
    done: int = 0
    total: int = 0
    report: bytes | None = None
    problem: str | None = None


_COLUMNS: Final = [replays.c[name] for name in Run.__struct_fields__]


def begin(connection: Connection, run: Run, *, now_us: int) -> str | None:
    """Insert a replay as running, unless another one is running; then return the id of that one.

    Raises:
        sqlalchemy.exc.IntegrityError: Another replay began at the same moment.
    """
    silent = (replays.c.running == 1, replays.c.seen_at_us < now_us - SILENT_US)
    connection.execute(update(replays).where(*silent).values(running=None, state="interrupted"))
    other: str | None = connection.scalar(select(replays.c.id).where(replays.c.running == 1))
    if other is None:
        connection.execute(
            insert(replays).values(**msgspec.structs.asdict(run), running=1, seen_at_us=now_us)
        )
    return other


def advance(connection: Connection, run: str, *, done: int, total: int, now_us: int) -> None:
    """Update the progress of a running replay, and the time of its last report."""
    at = update(replays).where(replays.c.id == run, replays.c.running == 1)
    connection.execute(at.values(done=done, total=total, seen_at_us=now_us))


def end(
    connection: Connection, run: str, state: State, *, report: bytes | None = None, problem: str | None = None
) -> None:
    """Update a replay that has ended."""
    values = {"running": None, "state": state, "report": report, "problem": problem}
    connection.execute(update(replays).where(replays.c.id == run, replays.c.running == 1).values(**values))


def find(connection: Connection, run: str) -> Run | None:
    """Find a replay by its id."""
    row = connection.execute(select(*_COLUMNS).where(replays.c.id == run)).one_or_none()
    return None if row is None else Run(**dict(zip(Run.__struct_fields__, row, strict=True)))
