"""Carrying a command through: decided again if it was overtaken, tried again if the database failed it."""

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

ATTEMPTS_BESIDE_OTHERS: Final = 3
"""A decision that was overtaken so often is made while nobody else records."""

Outcome = TypeVar("Outcome")

INTERRUPTED: Final = (*UNAVAILABLE, UncertainError, NotProjectedError, ClockError, BrokenExecutor)
"""What may keep a command from its end, and may not the next time; each says what is known.

A worker process that ended, for want of memory or by a signal, is one of them: of a file that it helped to
import, what was recorded stays.
"""


def commit_with_retries(
    ledger: Ledger,
    decide: Callable[[Connection], Batch[Outcome]],
    decided: Batch[Outcome] | None = None,
) -> tuple[Outcome, int]:
    """Read, decide and record, until it is recorded; what it came to, and the position where its batch ends.

    Nobody waits for a decision that is overtaken seldom. One that others keep overtaking is made in the
    transaction that records it, and they wait.

    Args:
        ledger: The ledger.
        decide: Reads and decides; it may be asked again.
        decided: What it came to already, elsewhere.

    Raises:
        UncertainError: Whether it was recorded could not be found out.
    """
    batch = decided
    for _ in range(ATTEMPTS_BESIDE_OTHERS):
        if batch is None:
            batch = with_retries(lambda: _decide(ledger, decide))
        with suppress(ConcurrencyConflictError):
            return batch.outcome, _record(ledger, batch)
        batch = None  # What it was decided on is no longer so.
    batch, position = with_retries(lambda: ledger.record_alone(decide))
    return batch.outcome, position


def _decide(ledger: Ledger, decide: Callable[[Connection], Batch[Outcome]]) -> Batch[Outcome]:
    with read_transaction(ledger.engine) as connection:
        return decide(connection)


def _record(ledger: Ledger, batch: Batch[Outcome]) -> int:
    return with_retries(lambda: ledger.record(batch.events, batch.recording))
