"""Making the read models again from the log, while they are read and filings go on."""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from app.ledger.corruption import VERIFY
from app.ledger.ledger import Ledger, Slice
from app.ledger.workers import ledger_workers
from app.runtime.database import (
    UNAVAILABLE,
    limit_lock_wait,
    met_a_lock,
    read_transaction,
    with_retries,
    write_transaction,
)
from app.runtime.worker_pool import spare_processors
from domain.errors import LedgerIntegrityError
from projections.account_windows import AccountWindows, PublishedReach
from projections.policies import published_reaches
from projections.projector import catch_up, position_of
from projections.rebuild.fill import fill_rows, finish
from projections.rebuild.shadow_tables import ShadowTables

LOCK_WAIT_S: Final = 2
"""The switch waits this long for those who read, and keeps those who come after them waiting meanwhile."""

PAUSE_S: Final = 0.5
"""Then it lets them through."""

MOST_ATTEMPTS: Final = 100
"""Some minutes of ever new readers or filings; after the half of them the switch projects the rest itself."""

Progress = Callable[[int, int], None]
"""Called with the position that is reached, and the head of the log."""


class RebuildError(Exception):
    """The switch did not get through; the read models are as they were."""


def rebuild(ledger: Ledger, progress: Progress = lambda _, __: None) -> int:
    """Fill a second set of the read models from the log, then put it in the place of the first.

    First every enterprise is filled in from all its events up to the head, by several processes; what was
    recorded meanwhile is projected in the order of the log. Reads and filings go on with the old tables until
    the switch, which is one transaction. Where this ends before it, nothing has changed; the next rebuild
    begins anew.

    Args:
        ledger: The ledger.
        progress: Called as it goes on.

    Returns:
        The position reached.

    Raises:
        OvertakenError: Another rebuild has begun since.
        RebuildError: Others kept the tables busy.
        domain.errors.LedgerIntegrityError: A row of the log is missing or damaged, or the log ends before the
            read models do.
    """
    token = 2 + secrets.randbelow(2**31 - 2)
    scratch = ShadowTables(ledger.engine.dialect.name, token)
    with write_transaction(ledger.engine, no_timeout=True) as connection:
        scratch.make(connection)
    _fill_enterprises(ledger, scratch, token, progress)
    _fill(ledger, scratch, progress)
    for attempt in range(MOST_ATTEMPTS):
        # Right before the switch: what comes in between keeps it from happening.
        with_retries(lambda: _fill_batch(ledger, scratch, progress))
        position = with_retries(lambda: _switch(ledger, scratch, whole=attempt * 2 < MOST_ATTEMPTS))  # noqa: B023
        if position is not None:
            return position
        time.sleep(PAUSE_S)
    raise RebuildError("others kept the read models busy; they are as they were")


def _fill_enterprises(ledger: Ledger, scratch: ShadowTables, token: int, progress: Progress) -> None:
    """Fill in every enterprise, and what they have in common."""
    with read_transaction(ledger.engine) as connection:
        until = ledger.head(connection)
        slices = ledger.slices(connection)
        others = ledger.other_entries(connection, until=until)
    events, published = 0, published_reaches(others)
    with ledger_workers(ledger, spare_processors() if len(slices) > 1 else 0) as workers:
        for count in workers.share(fill_slice, [(token, codes, published, until) for codes in slices]):
            events += count
            progress(events, until)
    missing = until - events - len(others)
    if missing:
        raise LedgerIntegrityError(f"{until}条记录中缺少{missing}条。{VERIFY}")

    def finish_up() -> None:
        with write_transaction(ledger.engine, no_timeout=True) as connection:
            scratch.check(connection)
            if position_of(connection, scratch.models) == 0:
                finish(connection, scratch.models, scratch.aside, others, until)
                scratch.index(connection)

    with_retries(finish_up)


def fill_slice(
    ledger: Ledger, token: int, codes: Slice, published: Sequence[PublishedReach], until: int
) -> int:
    """Fill in the enterprises of a slice up to a position; the number of their events.

    Args:
        ledger: The ledger.
        token: Of the rebuild whose tables are filled.
        codes: The enterprises.
        published: What the versions are about that are published up to the position.
        until: The position.
    """
    scratch = ShadowTables(ledger.engine.dialect.name, token)

    def fill() -> int:  # Whatever a commit came to, this may be done again.
        with read_transaction(ledger.engine) as connection:
            entries = ledger.entries_to_project(connection, codes, until=until)
        windows, aside = fill_rows(scratch.models, entries, AccountWindows(published))
        with write_transaction(ledger.engine, no_timeout=True) as connection:
            scratch.check(connection)
            if scratch.begins(connection, codes.above):
                windows.flush(connection)
                aside.write(connection, scratch.aside)
        return len(entries)

    return with_retries(fill)


def _fill(ledger: Ledger, scratch: ShadowTables, progress: Progress) -> None:
    """Project what the log holds by now and the new tables do not; what is recorded meanwhile comes later."""
    with read_transaction(ledger.engine) as connection:
        head = ledger.head(connection)
    at = 0
    while at < head:  # On SQLite filings come in between, as `app.runtime.turns` has it.
        at = with_retries(lambda: _fill_batch(ledger, scratch, progress))
    with write_transaction(ledger.engine, no_timeout=True) as connection:
        scratch.check(connection)
        scratch.analyse(connection)


def _fill_batch(ledger: Ledger, scratch: ShadowTables, progress: Progress) -> int:
    with write_transaction(ledger.engine, no_timeout=True) as connection:
        scratch.check(connection)
        at = catch_up(ledger, connection, models=scratch.models)
        progress(at, ledger.head(connection))
        return at


class _LagsError(Exception):
    """The new tables do not yet hold all that the old ones do; what was begun is undone."""


def _switch(ledger: Ledger, scratch: ShadowTables, *, whole: bool) -> int | None:
    """Switch; None where the tables are busy or, if the new ones are to be whole, where they lag by now.

    A reader that waits for the switch sees the new tables as they were before it: they must hold all by then.
    """
    try:
        with write_transaction(ledger.engine, no_timeout=True) as connection:
            limit_lock_wait(connection, LOCK_WAIT_S)
            scratch.check(connection)
            old_at = scratch.take_over(connection)
            _refuse_to_lose(head=ledger.head(connection), old_at=old_at)
            at = position_of(connection, scratch.models)
            _refuse_to_lag(lags=whole and at < old_at)
            while at < old_at:
                at = catch_up(ledger, connection, old_at, scratch.models)
            scratch.switch(connection)
            return at
    except _LagsError:
        return None
    except UNAVAILABLE as error:
        if met_a_lock(error):
            return None
        raise


def _refuse_to_lose(*, head: int, old_at: int) -> None:
    if head < old_at:
        raise LedgerIntegrityError(f"台账止于序号{head}，查询表却已至序号{old_at}：末尾的记录缺失。{VERIFY}")


def _refuse_to_lag(*, lags: bool) -> None:
    if lags:
        raise _LagsError
