"""Sealing for those who run on: the caretaker of the service, and the worker."""

import structlog

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

    def seal_next(self) -> int:
        """Seal the next batch; the size reached, 0 where the log contradicts itself."""
        try:
            return seal_next(self._ledger)
        except LedgerIntegrityError as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.error("the log contradicts itself", error=str(error))
            return 0
