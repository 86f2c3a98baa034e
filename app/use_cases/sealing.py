"""Sealing for those who run on: the caretaker of the service, and the worker."""

from collections.abc import Callable

import structlog

from app.database import reading
from app.ledger.ledger import Ledger
from app.ledger.sealing import seal_next
from domain.errors import LedgerIntegrityError

_log = structlog.get_logger()


class Sealer:
    """Seals behind the writers. A log that contradicts itself is said once, and keeps nothing else from work.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._said = ""

    def seal(self, is_stopped: Callable[[], bool]) -> None:
        """Seal up to what is the head now, until told to stop between two batches."""
        with reading(self._ledger.engine) as connection:
            head = self._ledger.head(connection)
        before, size = -1, 0
        try:
            while before < size < head and not is_stopped():
                before, size = size, seal_next(self._ledger)
        except LedgerIntegrityError as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.error("the log contradicts itself", error=str(error))
