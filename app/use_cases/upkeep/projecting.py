"""Bringing the read models up to the log: after a filing, at the start, and by a worker."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from app.ledger.corruption import REBUILD
from app.ledger.ledger import Ledger
from app.runtime.database import (
    CONSTRAINT_BROKEN,
    UNAVAILABLE,
    read_transaction,
    with_retries,
    write_transaction,
)
from app.runtime.limits import LOCK_TIMEOUT_S
from app.use_cases.upkeep.sealing import Sealer
from domain.errors import LedgerIntegrityError
from projections.projector import catch_up, position_of

POLL_INTERVAL_S: Final = 0.2
"""A worker looks this often for what is new: it costs two reads of one row, and nobody sees such a delay."""

SEAL_INTERVAL_S: Final = 1.0
"""A worker seals this often: each time writes a tile anew, and an auditor can wait so long."""

RETRY_INTERVAL_S: Final = 1.0
"""A worker asks this often for a database that is away."""

_log = structlog.get_logger()


class NotProjectedError(Exception):
    """What was to be recorded is in the log, and the read models could not be brought up to it.

    Args:
        position: Up to which they were to be brought.
    """

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position

    def __str__(self) -> str:
        """What could not be done."""
        return f"the read models could not be brought up to position {self.position}"


def project_until(ledger: Ledger, position: int) -> None:
    """Project the log up to a position, one batch a transaction.

    The threads of a process that wait for it share the batches.

    Raises:
        NotProjectedError: The database failed it.
    """

    def project_batch() -> int:
        return with_retries(lambda: _project_batch(ledger, position))

    try:
        if with_retries(lambda: _reached(ledger)) >= position:
            return  # Who only reads needs no lock, and no database that can be written.
        while ledger.projecting.advance(position, project_batch, LOCK_TIMEOUT_S) < position:
            pass
    except UNAVAILABLE as error:
        raise NotProjectedError(position) from error


def _reached(ledger: Ledger) -> int:
    with read_transaction(ledger.engine) as connection:
        return position_of(connection)


def _project_batch(ledger: Ledger, position: int) -> int:
    try:
        with write_transaction(ledger.engine) as connection:
            return catch_up(ledger, connection, position)
    except CONSTRAINT_BROKEN as error:
        raise LedgerIntegrityError(f"查询表与其所至序号（checkpoint表）不符。{REBUILD}") from error


def project_all(ledger: Ledger) -> int:
    """Project what the log holds now; the position reached. At the start this completes what was cut off."""
    with read_transaction(ledger.engine) as connection:
        head = ledger.head(connection)
    project_until(ledger, head)
    return head


def follow(
    ledger: Ledger,
    is_stopped: Callable[[], bool],
    look_after: Callable[[], None],
    verifier_key: Callable[[], str | None] = lambda: None,
) -> int:
    """Project and seal what is recorded, as it comes, until told to stop between two batches.

    Args:
        ledger: The ledger.
        is_stopped: Whether to stop.
        look_after: Called whenever it seals, for what else nobody may be doing.
        verifier_key: Gives the operator's key that checkpoints are verified by.

    Returns the position that the read models have reached.

    A filing projects what it records itself; this is for what was recorded by a process that ended before it
    could. Several may follow at once, beside filings: each batch is projected by the one that locks the row
    of the checkpoint. A database that is away is asked again.
    """
    sealer = Sealer(ledger, answers_meanwhile=False, verifier_key=verifier_key)
    at, is_away, seal_at_s = 0, False, 0.0
    while not is_stopped():
        try:
            reached = _project_next(ledger)
            if time.monotonic() >= seal_at_s:
                sealer.seal(is_stopped)
                look_after()
                seal_at_s = time.monotonic() + SEAL_INTERVAL_S
        except UNAVAILABLE as error:
            is_away = True
            _log.warning("database unavailable", error=str(error), retry_s=RETRY_INTERVAL_S)
            time.sleep(RETRY_INTERVAL_S)
            continue
        if is_away:
            is_away = False
            _log.info("database available again")
        if reached == at:
            time.sleep(POLL_INTERVAL_S)
        at = reached
    return at


def _project_next(ledger: Ledger) -> int:
    """Project a batch of what the log holds now; the position reached."""
    with read_transaction(ledger.engine) as connection:
        head, at = ledger.head(connection), position_of(connection)
    return at if at >= head else _project_batch(ledger, head)
