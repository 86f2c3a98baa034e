"""Seals the log repeatedly, in the caretaker of the service and in `duixian project`."""

import base64
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy import Connection

from app.ledger.clock import ClockError
from app.ledger.ledger import Batch, Ledger
from app.ledger.mapper import NewEvent
from app.ledger.own_stream import OwnStream, read_own_stream
from app.ledger.recorder import UNATTENDED, AppendRequest
from app.ledger.workers import ledger_workers
from app.runtime.database import read_transaction
from app.runtime.worker_pool import spare_processors
from app.transparency import merkle
from app.transparency.sealing import EVENTS_PER_BATCH, seal_next, seal_within
from app.transparency.tiles import TileReader, sealed_size
from domain.errors import LedgerIntegrityError
from domain.events import LEDGER_STREAM, LogSealed

ACTOR: Final = "duixian"
"""The actor of the events in which the software records that the log was sealed."""

MIN_EVENTS_BETWEEN_SEALS: Final = 1_000
"""The fewest events between two recorded seals. They must also double the size, so there are about twenty."""

_log = structlog.get_logger()


def record_seal(ledger: Ledger, verifier_key: str | None) -> None:
    """Record the size and the root of the sealed log: the first time, for a new key, and after each doubling.

    Every export of the log includes these events, so they prove its beginnings even if the tiles are lost.

    Args:
        ledger: The ledger, which must be sealed.
        verifier_key: The operator's key that checkpoints are verified with; None if there is none.

    Raises:
        LedgerIntegrityError: The log or its tree contradicts itself.
    """

    def decide(connection: Connection) -> Batch[None]:
        head, own = ledger.head(connection), read_own_stream(connection)
        if not _is_seal_due(connection, head, own, verifier_key):
            return Batch(None, (), UNATTENDED)
        seal_within(connection, until=head)
        root = base64.b64encode(merkle.root(TileReader(connection), head)).decode()
        event = NewEvent(
            LEDGER_STREAM, own.version + 1, LogSealed(size=head, root=root, verifier_key=verifier_key)
        )
        return Batch(None, ledger.stored([event]), AppendRequest(ACTOR, uuid.uuid4().hex))

    with read_transaction(ledger.engine) as connection:
        head, own = ledger.head(connection), read_own_stream(connection)
        is_due = _is_seal_due(connection, head, own, verifier_key)
    if is_due:
        ledger.record_alone(decide)


def _is_seal_due(connection: Connection, head: int, own: OwnStream, verifier_key: str | None) -> bool:
    size, last = sealed_size(connection), own.sealed
    if size < (1 if last is None else last.size) or head - size > EVENTS_PER_BATCH:
        return False
    if last is None or verifier_key not in {None, last.verifier_key}:
        return True
    return size >= max(2 * last.size, last.size + MIN_EVENTS_BETWEEN_SEALS)


class Sealer:
    """Seals the log after writers have appended to it.

    A log that contradicts itself is logged as an error once, and does not stop the calling process.

    Args:
        ledger: The ledger.
        answers_meanwhile: Whether this process answers requests, which would wait for every step of a long
            sealing: the returns of a whole country for a month keep a processor busy for seconds. Then a
            worker process seals.
        verifier_key: Returns the operator's key; None if there is none.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        answers_meanwhile: bool,
        verifier_key: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._answers_meanwhile = answers_meanwhile
        self._verifier_key = verifier_key
        self._reported = ""

    def seal(self, is_stopped: Callable[[], bool]) -> None:
        """Seal up to the current head; stop early if `is_stopped` returns True, or another process seals.

        Then record the seal, if it is due: that is an event, to be projected like any other.
        """
        try:
            self._seal(is_stopped)
            with suppress(ClockError):  # The next filing reports the clock.
                record_seal(self._ledger, self._verifier_key())
        except LedgerIntegrityError as error:
            if str(error) != self._reported:
                self._reported = str(error)
                _log.error("the log contradicts itself", error=str(error))

    def _seal(self, is_stopped: Callable[[], bool]) -> None:
        with read_transaction(self._ledger.engine) as connection:
            size, head = sealed_size(connection), self._ledger.head(connection)
        before, by_another = -1, False
        is_long = head - size > EVENTS_PER_BATCH
        with ledger_workers(self._ledger, self._processes() if is_long else 0) as workers:
            while before < size != head and not (by_another or is_stopped()):
                before, (size, by_another) = size, workers.submit(seal_next).result()

    def _processes(self) -> int:
        return min(spare_processors(), 1) if self._answers_meanwhile else 0
