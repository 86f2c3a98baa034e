"""Carrying a command through: decided again if it was overtaken, tried again if the database failed it."""

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Final, TypeVar

from eventsourcing.persistence import IntegrityError

from app.database import UNAVAILABLE, steadily
from app.ledger.ledger import UncertainError
from app.use_cases.projecting import NotProjectedError

MOST_ATTEMPTS = 20
"""A batch meets another one at most so often: writers are serialised, so one of them always gets through."""

Result = TypeVar("Result")


class ContentionError(Exception):
    """Others recorded so much in between that the batch did not get through; nothing was recorded."""


INTERRUPTED: Final = (*UNAVAILABLE, ContentionError, UncertainError, NotProjectedError, BrokenExecutor)
"""What may keep a command from its end, and may not the next time; each says what is known.

A process beside that ended, for want of memory or by a signal, is one of them: of a file that it helped to
import, what was recorded stays.
"""


def carry_through(attempt: Callable[[], Result]) -> Result:
    """Read, decide and record, until it is recorded.

    Args:
        attempt: Reads, decides, and appends through `Ledger.record`, which finds out what became of an append
            whose connection was lost; what it writes without events must be such that it may be done twice.

    Raises:
        ContentionError: Others kept recording in between.
        UncertainError: Whether it was recorded could not be found out.
    """
    for _ in range(MOST_ATTEMPTS):
        try:
            return steadily(attempt)
        except IntegrityError:
            continue  # What was decided on is no longer so.
    raise ContentionError(f"nothing was recorded: others recorded in between {MOST_ATTEMPTS} times")
