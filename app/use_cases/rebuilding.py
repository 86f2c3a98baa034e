"""Making the read models again from the log, while they are read and filings go on."""

import time
from collections.abc import Callable
from typing import Final

from app.database import (
    UNAVAILABLE,
    has_several_writers,
    limit_lock_wait,
    met_a_lock,
    steadily,
    writing,
)
from app.ledger.ledger import Ledger
from projections.projector import catch_up, position_of
from projections.scratch import Scratch

LOCK_WAIT_S: Final = 2
"""The switch waits this long for those who read, and keeps those who come after them waiting meanwhile."""

PAUSE_S: Final = 0.5
"""Then it lets them through."""

MOST_ATTEMPTS: Final = 100
"""Some minutes of ever new readers or filings; after the half of them the switch projects the rest itself."""

BETWEEN_BATCHES_S: Final = 0.11
"""On SQLite whoever waits for the lock asks for it every 0.1 s at the least: a filing comes in between."""

Progress = Callable[[int, int], None]
"""Called with the position that is reached, and the head of the log."""


class RebuildError(Exception):
    """The switch did not get through; the read models are as they were."""


def rebuild(ledger: Ledger, progress: Progress = lambda _, __: None) -> int:
    """Fill a second set of the read models from the log, then put it in the place of the first.

    Reads and filings go on with the old ones until the switch, which is one transaction. Where this ends
    before it, nothing has changed; the next rebuild begins anew.

    Returns:
        The position reached.

    Raises:
        OvertakenError: Another rebuild has begun since.
        RebuildError: Others kept the tables busy.
    """
    scratch = Scratch(ledger.engine.dialect.name)
    with writing(ledger.engine, unhurried=True) as connection:
        scratch.make(connection)
    for attempt in range(MOST_ATTEMPTS):
        _fill(ledger, scratch, progress)
        position = steadily(lambda: _switch(ledger, scratch, whole=attempt * 2 < MOST_ATTEMPTS))  # noqa: B023
        if position is not None:
            return position
        time.sleep(PAUSE_S)
    raise RebuildError("others kept the read models busy; they are as they were")


def _fill(ledger: Ledger, scratch: Scratch, progress: Progress) -> None:
    before = -1
    while (at := steadily(lambda: _fill_batch(ledger, scratch, progress))) != before:
        before = at
        if not has_several_writers(ledger.engine):
            time.sleep(BETWEEN_BATCHES_S)
    with writing(ledger.engine, unhurried=True) as connection:
        scratch.check(connection)
        scratch.analyse(connection)


def _fill_batch(ledger: Ledger, scratch: Scratch, progress: Progress) -> int:
    with writing(ledger.engine, unhurried=True) as connection:
        scratch.check(connection)
        at = catch_up(ledger, connection, models=scratch.models)
        progress(at, ledger.head(connection))
        return at


class _LagsError(Exception):
    """The new tables do not yet hold all that the old ones do; what was begun is undone."""


def _switch(ledger: Ledger, scratch: Scratch, *, whole: bool) -> int | None:
    """Switch; None where the tables are busy or, if the new ones are to be whole, where they lag by now.

    A reader that waits for the switch sees the new tables as they were before it: they must hold all by then.
    """
    try:
        with writing(ledger.engine, unhurried=True) as connection:
            limit_lock_wait(connection, LOCK_WAIT_S)
            scratch.check(connection)
            old_at = scratch.take_over(connection)
            at = position_of(connection, scratch.models)
            _refuse_to_lag(lags=whole and at < old_at)
            while at < old_at:
                at = catch_up(ledger, connection, models=scratch.models)
            scratch.switch(connection)
            return at
    except _LagsError:
        return None
    except UNAVAILABLE as error:
        if met_a_lock(error):
            return None
        raise


def _refuse_to_lag(*, lags: bool) -> None:
    if lags:
        raise _LagsError
