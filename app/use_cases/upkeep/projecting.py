"""Updates the read models from the log: after a filing, at the start, and in `duixian project`."""

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
"""The pause of `follow` while there is nothing new; a check costs two reads of one row."""

SEAL_INTERVAL_S: Final = 1.0
"""The interval between two sealings by `follow`; each one rewrites a tile, and auditors can wait so long."""

RETRY_INTERVAL_S: Final = 1.0
"""The pause of `follow` while the database is unavailable."""

_log = structlog.get_logger()


class NotProjectedError(Exception):
    """The events were recorded, but the read models could not be updated.

    Args:
        position: The position that the read models should have reached.
    """

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position

    def __str__(self) -> str:
        """The message, with the position."""
        return f"the read models could not be brought up to position {self.position}"


def project_until(ledger: Ledger, position: int) -> None:
    """Project the log up to a position, one batch per transaction.

    Threads of one process that wait for a projection share its batches.

    Raises:
        NotProjectedError: The database was unavailable.
    """

    def project_batch() -> int:
        return with_retries(lambda: _project_batch(ledger, position))

    try:
        if with_retries(lambda: _reached(ledger)) >= position:
            return  # A process that only reads needs no lock, and no writable database.
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
    """Project the whole log, including events of a process that ended before it projected them.

    Returns:
        The position that the read models have reached.
    """
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
    """Project and seal new events until `is_stopped` returns True between two batches.

    A filing projects its own events; this projects the events of processes that ended before they could.
    Several processes may follow at the same time, and during filings: each batch is projected by the one that
    locks the row of the checkpoint. While the database is unavailable, it is tried again and again.

    Args:
        ledger: The ledger.
        is_stopped: Whether to stop.
        look_after: Called after each sealing, to continue other work that no process may be doing.
        verifier_key: Returns the operator's key that checkpoints are verified with.

    Returns:
        The position that the read models have reached.
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
