"""Sealing for those who run on: the caretaker of the service, and the worker."""

from collections.abc import Callable

import structlog

from app.database import reading
from app.ledger.helpers import Helpers, spare_processors
from app.ledger.ledger import Ledger
from app.ledger.sealing import EVENTS_PER_BATCH, seal_next
from app.ledger.tiles import sealed_size
from domain.errors import LedgerIntegrityError

_log = structlog.get_logger()


class Sealer:
    """Seals behind the writers. A log that contradicts itself is said once, and keeps nothing else from work.

    Args:
        ledger: The ledger.
        answers_meanwhile: Whether this process answers calls, which would wait for every step of a long
            sealing: a month of a country keeps a processor busy for seconds. A process beside does it then.
    """

    def __init__(self, ledger: Ledger, *, answers_meanwhile: bool) -> None:
        self._ledger = ledger
        self._answers_meanwhile = answers_meanwhile
        self._said = ""

    def seal(self, is_stopped: Callable[[], bool]) -> None:
        """Seal up to what is the head now, until told to stop between two batches, or another one seals."""
        try:
            self._seal(is_stopped)
        except LedgerIntegrityError as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.error("the log contradicts itself", error=str(error))

    def _seal(self, is_stopped: Callable[[], bool]) -> None:
        with reading(self._ledger.engine) as connection:
            size, head = sealed_size(connection), self._ledger.head(connection)
        before, by_another = -1, False
        is_long = head - size > EVENTS_PER_BATCH
        with Helpers(self._ledger, self._processes() if is_long else 0) as helpers:
            while before < size != head and not (by_another or is_stopped()):
                before, (size, by_another) = size, helpers.submit(seal_next).result()

    def _processes(self) -> int:
        return min(spare_processors(), 1) if self._answers_meanwhile else 0
