"""Rebuilds the read models from the log, while reads and filings continue."""

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
"""How long the switch waits for running transactions, during which new ones wait for the switch."""

PAUSE_S: Final = 0.5
"""The pause between two attempts to switch, in which waiting transactions proceed."""

MOST_ATTEMPTS: Final = 100
"""The number of attempts to switch, over some minutes.

In the second half of them the switch projects the latest events itself.
"""

Progress = Callable[[int, int], None]
"""Called with the position reached, and the head of the log."""


class RebuildError(Exception):
    """The switch never found the tables free; the read models are unchanged."""


def rebuild(ledger: Ledger, progress: Progress = lambda _, __: None) -> int:
    """Fill a second set of read models from the log, then replace the first set with it.

    First several processes fill in each enterprise from all its events up to the head. Then the events
    recorded meanwhile are projected in the order of the log. Reads and filings use the old tables until the
    switch, which is one transaction. A rebuild that ends before the switch changes nothing; the next one
    starts from the beginning.

    Args:
        ledger: The ledger.
        progress: Called as the rebuild proceeds.

    Returns:
        The position reached.

    Raises:
        OvertakenError: Another rebuild has begun since.
        RebuildError: Other processes kept the tables busy.
        domain.errors.LedgerIntegrityError: A row of the log is missing or damaged, or the log ends before the
            read models do.
    """
    token = 2 + secrets.randbelow(2**31 - 2)
    shadow = ShadowTables(ledger.engine.dialect.name, token)
    with write_transaction(ledger.engine, no_timeout=True) as connection:
        shadow.make(connection)
    _fill_enterprises(ledger, shadow, token, progress)
    _fill(ledger, shadow, progress)
    for attempt in range(MOST_ATTEMPTS):
        # Project right before the switch, which fails if there are new events in between.
        with_retries(lambda: _fill_batch(ledger, shadow, progress))
        position = with_retries(lambda: _switch(ledger, shadow, whole=attempt * 2 < MOST_ATTEMPTS))  # noqa: B023
        if position is not None:
            return position
        time.sleep(PAUSE_S)
    raise RebuildError("others kept the read models busy; they are as they were")


def _fill_enterprises(ledger: Ledger, shadow: ShadowTables, token: int, progress: Progress) -> None:
    """Fill in the rows of every enterprise, and the rows that enterprises share."""
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
            shadow.check(connection)
            if position_of(connection, shadow.models) == 0:
                finish(connection, shadow.models, shadow.aside, others, until)
                shadow.index(connection)

    with_retries(finish_up)


def fill_slice(
    ledger: Ledger, token: int, codes: Slice, published: Sequence[PublishedReach], until: int
) -> int:
    """Fill in the enterprises of a slice up to a position.

    Args:
        ledger: The ledger.
        token: The token of the rebuild whose tables are filled.
        codes: The enterprises.
        published: The reaches of the versions that are published up to the position.
        until: The position.

    Returns:
        The number of the enterprises' events.
    """
    shadow = ShadowTables(ledger.engine.dialect.name, token)

    def fill() -> int:  # Idempotent: it may be retried even if a commit succeeded.
        with read_transaction(ledger.engine) as connection:
            entries = ledger.entries_to_project(connection, codes, until=until)
        windows, aside = fill_rows(shadow.models, entries, AccountWindows(published))
        with write_transaction(ledger.engine, no_timeout=True) as connection:
            shadow.check(connection)
            if shadow.begins(connection, codes.above):
                windows.flush(connection)
                aside.write(connection, shadow.aside)
        return len(entries)

    return with_retries(fill)


def _fill(ledger: Ledger, shadow: ShadowTables, progress: Progress) -> None:
    """Project into the new tables the events up to the current head that they lack."""
    with read_transaction(ledger.engine) as connection:
        head = ledger.head(connection)
    at = 0
    while at < head:  # On SQLite, filings proceed between two batches (`app.runtime.turns`).
        at = with_retries(lambda: _fill_batch(ledger, shadow, progress))
    with write_transaction(ledger.engine, no_timeout=True) as connection:
        shadow.check(connection)
        shadow.analyse(connection)


def _fill_batch(ledger: Ledger, shadow: ShadowTables, progress: Progress) -> int:
    with write_transaction(ledger.engine, no_timeout=True) as connection:
        shadow.check(connection)
        at = catch_up(ledger, connection, models=shadow.models)
        progress(at, ledger.head(connection))
        return at


class _LagsError(Exception):
    """The new tables lag behind the old ones, so the transaction of the switch is rolled back."""


def _switch(ledger: Ledger, shadow: ShadowTables, *, whole: bool) -> int | None:
    """Switch to the new tables; return the position that they have reached.

    A reader that waits for the switch sees the new tables as they were before it. With `whole`, they must
    therefore have reached the position of the old tables beforehand.

    Returns:
        None if the tables are busy, or `whole` is set and the new tables lag behind the old ones.
    """
    try:
        with write_transaction(ledger.engine, no_timeout=True) as connection:
            limit_lock_wait(connection, LOCK_WAIT_S)
            shadow.check(connection)
            old_at = shadow.take_over(connection)
            _refuse_to_lose(head=ledger.head(connection), old_at=old_at)
            at = position_of(connection, shadow.models)
            _refuse_to_lag(lags=whole and at < old_at)
            while at < old_at:
                at = catch_up(ledger, connection, old_at, shadow.models)
            shadow.switch(connection)
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
