"""Commits a command: decides again after a conflict, and retries after a transient error of the database."""

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from typing import Final, TypeVar

from sqlalchemy import Connection

from app.ledger.clock import ClockError
from app.ledger.ledger import Batch, Ledger, UncertainError
from app.ledger.recorder import ConcurrencyConflictError
from app.runtime.database import UNAVAILABLE, read_transaction, with_retries
from app.use_cases.upkeep.projecting import NotProjectedError

CONCURRENT_ATTEMPTS: Final = 3
"""The number of attempts that let others record meanwhile; the next attempt locks the log."""

Outcome = TypeVar("Outcome")

INTERRUPTED: Final = (*UNAVAILABLE, UncertainError, NotProjectedError, ClockError, BrokenExecutor)
"""Errors after which the same command may succeed if it is run again; their messages say what is known.

One of them is the end of a worker process, through lack of memory or a signal: the part of a file that was
recorded before stays recorded.
"""


def commit_with_retries(
    ledger: Ledger,
    decide: Callable[[Connection], Batch[Outcome]],
    decided: Batch[Outcome] | None = None,
) -> tuple[Outcome, int]:
    """Read, decide and record, until the batch is recorded.

    The first attempts let other processes record meanwhile. After `CONCURRENT_ATTEMPTS` conflicts the
    decision is made in the transaction that records it, and other processes wait.

    Args:
        ledger: The ledger.
        decide: Reads and decides; it may be called again.
        decided: The batch that another process has decided on, for the first attempt.

    Returns:
        The outcome of the batch, and the position of its last event.

    Raises:
        UncertainError: It could not be determined whether the batch was recorded.
    """
    batch = decided
    for _ in range(CONCURRENT_ATTEMPTS):
        if batch is None:
            batch = with_retries(lambda: _decide(ledger, decide))
        with suppress(ConcurrencyConflictError):
            return batch.outcome, _record(ledger, batch)
        batch = None  # The streams that the decision depends on have changed.
    batch, position = with_retries(lambda: ledger.record_alone(decide))
    return batch.outcome, position


def _decide(ledger: Ledger, decide: Callable[[Connection], Batch[Outcome]]) -> Batch[Outcome]:
    with read_transaction(ledger.engine) as connection:
        return decide(connection)


def _record(ledger: Ledger, batch: Batch[Outcome]) -> int:
    return with_retries(lambda: ledger.record(batch.events, batch.recording))
