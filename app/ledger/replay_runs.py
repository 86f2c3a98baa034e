"""The replays that were asked of the service: one at a time, whoever runs it."""

from typing import Final, Literal

import msgspec
from sqlalchemy import Connection, insert, select, update

from app.ledger.tables import replays

State = Literal["running", "done", "failed", "interrupted"]

SILENT_US: Final = 60_000_000
"""Of one that was not heard of for so long nobody runs any more: it is heard of every few seconds."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A replay that was asked for.

    Attributes:
        id: Its name in the API.
        asked_by: The name of the key.
        asked_at_us: When.
        first: Assessments from this position on are compared.
        last: And up to this one; None for the whole log.
        state: `interrupted` where the process that ran it ended.
        done: How many events are replayed.
        total: Of how many; 0 as long as that is not known.
        report: The report as JSON, when it is done.
        problem: Why it failed.
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
    """Note a replay as running; the id of another one that runs, where there is one.

    Raises:
        sqlalchemy.exc.IntegrityError: Another one began at the same moment.
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
    """Note how far it has come, and that it runs on."""
    at = update(replays).where(replays.c.id == run, replays.c.running == 1)
    connection.execute(at.values(done=done, total=total, seen_at_us=now_us))


def end(
    connection: Connection, run: str, state: State, *, report: bytes | None = None, problem: str | None = None
) -> None:
    """Note that it runs no more."""
    values = {"running": None, "state": state, "report": report, "problem": problem}
    connection.execute(update(replays).where(replays.c.id == run, replays.c.running == 1).values(**values))


def find(connection: Connection, run: str) -> Run | None:
    """A replay by its id."""
    row = connection.execute(select(*_COLUMNS).where(replays.c.id == run)).one_or_none()
    return None if row is None else Run(**dict(zip(Run.__struct_fields__, row, strict=True)))
