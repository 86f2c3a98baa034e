"""Sealing for those who run on: the caretaker of the service, and the worker."""

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
"""The name under which the software itself records that the log was sealed."""

TOLD_AFTER_EVENTS: Final = 1_000
"""So many more, and twice as many, are sealed before the log says so again: some twenty times at most."""

_log = structlog.get_logger()


def tell_of_seal(ledger: Ledger, verifier_key: str | None) -> None:
    """Record that the log is sealed: the first time, under another key, and each time that it has doubled.

    What the log says of its own beginnings stays with it, in every export, whatever becomes of the tiles.

    Args:
        ledger: The ledger, sealed.
        verifier_key: The operator's key that checkpoints are verified by; None where there is none.

    Raises:
        LedgerIntegrityError: The log or its tree contradicts itself.
    """

    def decide(connection: Connection) -> Batch[None]:
        head, own = ledger.head(connection), read_own_stream(connection)
        if not _is_to_be_told(connection, head, own, verifier_key):
            return Batch(None, (), UNATTENDED)
        seal_within(connection, until=head)
        root = base64.b64encode(merkle.root(TileReader(connection), head)).decode()
        event = NewEvent(
            LEDGER_STREAM, own.version + 1, LogSealed(size=head, root=root, verifier_key=verifier_key)
        )
        return Batch(None, ledger.stored([event]), AppendRequest(ACTOR, uuid.uuid4().hex))

    with read_transaction(ledger.engine) as connection:
        head, own = ledger.head(connection), read_own_stream(connection)
        is_due = _is_to_be_told(connection, head, own, verifier_key)
    if is_due:
        ledger.record_alone(decide)


def _is_to_be_told(connection: Connection, head: int, own: OwnStream, verifier_key: str | None) -> bool:
    size, told = sealed_size(connection), own.sealed
    if size < (1 if told is None else told.size) or head - size > EVENTS_PER_BATCH:
        return False
    if told is None or verifier_key not in {None, told.verifier_key}:
        return True
    return size >= max(2 * told.size, told.size + TOLD_AFTER_EVENTS)


class Sealer:
    """Seals behind the writers. A log that contradicts itself is said once, and keeps nothing else from work.

    Args:
        ledger: The ledger.
        answers_meanwhile: Whether this process answers calls, which would wait for every step of a long
            sealing: a month of a country keeps a processor busy for seconds. A worker process does it then.
        verifier_key: Gives the operator's key; None where there is none.
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
        self._said = ""

    def seal(self, is_stopped: Callable[[], bool]) -> None:
        """Seal up to what is the head now, until told to stop between two batches, or another one seals.

        Where it is time, the log says then that it is sealed, which is an event to be projected.
        """
        try:
            self._seal(is_stopped)
            with suppress(ClockError):  # Filings are told.
                tell_of_seal(self._ledger, self._verifier_key())
        except LedgerIntegrityError as error:
            if str(error) != self._said:
                self._said = str(error)
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
