"""Checks whether the database is writable, for the readiness of the service."""

import os
import time
from threading import Lock

from sqlalchemy import Engine, update
from sqlalchemy import exc as sql_errors

from app.ledger.tables import write_probe
from app.runtime.database import met_a_lock, refusal_of, writing_unless_locked
from app.runtime.limits import WRITE_PROBE_BYTES, WRITE_PROBE_INTERVAL_S, WRITE_PROBE_WAIT_MS
from app.runtime.reasons import Refusal


class WriteProbe:
    """Tries to write at intervals.

    Args:
        engine: The database, migrated.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._refusal: Refusal | None = None
        self._next_s = 0.0

    def refusal(self) -> Refusal | None:
        """Why the database refused the last attempt to write; None if it accepted it.

        Raises:
            sqlalchemy.exc.DBAPIError: The database is unavailable.
        """
        with self._lock:
            if time.monotonic() >= self._next_s:
                # A connection that was opened before may not know that the database is writable again.
                self._refusal = self._try() and self._try()
                self._next_s = time.monotonic() + WRITE_PROBE_INTERVAL_S
            return self._refusal

    def _try(self) -> Refusal | None:
        try:
            with writing_unless_locked(self._engine, WRITE_PROBE_WAIT_MS) as connection:
                connection.execute(update(write_probe).values(bytes=os.urandom(WRITE_PROBE_BYTES)))
        except sql_errors.DBAPIError as error:
            refusal = refusal_of(error)
            if refusal is None and not met_a_lock(error):
                raise
            return refusal
        return None
