"""Runs replays that clients of the service request, one at a time, in a background thread."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import Final

import msgspec
import structlog
from sqlalchemy.exc import IntegrityError

from app.ledger import replay_runs
from app.ledger.ledger import Ledger
from app.ledger.replay_runs import Run, State
from app.runtime.database import with_retries, write_transaction
from app.use_cases.audit.replaying import Progress, ReplayRange, check_range, replay
from app.use_cases.recording import INTERRUPTED
from domain.errors import LedgerIntegrityError

NOTE_INTERVAL_S: Final = 1.0
"""How often the progress of a replay is recorded, for clients that poll."""

_log = structlog.get_logger()
_encode: Final = msgspec.json.Encoder().encode


class RunningError(Exception):
    """Another replay is running.

    Args:
        run: The id of that replay.
    """

    def __init__(self, run: str) -> None:
        super().__init__(f"the replay {run} is running")
        self.run = run


class _StoppedError(Exception):
    """The service is stopping."""


class Replayer:
    """Runs replays in the background.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stopped = Flag()
        self._thread: Thread | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Accept replays until the context is left; a replay that is still running then is interrupted."""
        try:
            yield
        finally:
            self._stopped.set()
            if self._thread is not None:
                self._thread.join()

    def start(self, positions: ReplayRange, *, asked_by: str) -> Run:
        """Start a replay.

        Raises:
            PositionAheadError: The range ends after the head of the log.
            RunningError: Another replay is running, in this process or another.
        """
        check_range(self._ledger, positions)
        now_us = self._ledger.clock()
        run = Run(
            id=uuid.uuid4().hex,
            asked_by=asked_by,
            asked_at_us=now_us,
            first=positions.first,
            last=positions.last,
        )
        other = with_retries(lambda: self._begin(run, now_us))
        if other is not None:
            raise RunningError(other)
        self._thread = Thread(target=self._run, args=(run.id, positions), name="replay", daemon=True)
        self._thread.start()
        return run

    def _begin(self, run: Run, now_us: int) -> str | None:
        try:
            with write_transaction(self._ledger.engine) as connection:
                return replay_runs.begin(connection, run, now_us=now_us)
        except IntegrityError:  # Another replay has just begun; the second call finds it.
            with write_transaction(self._ledger.engine) as connection:
                return replay_runs.begin(connection, run, now_us=now_us)

    def _run(self, run: str, positions: ReplayRange) -> None:
        try:
            report = replay(self._ledger, positions, self._progress_recorder(run))
            self._end(run, "done", report=_encode(report))
        except _StoppedError:
            self._end(run, "interrupted")
        except INTERRUPTED as error:
            _log.warning("replay interrupted", error=str(error))
            self._end(run, "interrupted")
        except LedgerIntegrityError as error:
            _log.error("the ledger contradicts itself", error=str(error))
            self._end(run, "failed", problem=str(error))
        except Exception as error:  # noqa: BLE001 - it is logged in full, and clients see its type
            _log.exception("fault")
            self._end(run, "failed", problem=type(error).__name__)

    def _progress_recorder(self, run: str) -> Progress:
        recorded_at = 0.0

        def record(done: int, total: int) -> None:
            nonlocal recorded_at
            if self._stopped.is_set():
                raise _StoppedError
            if done == total or time.monotonic() - recorded_at >= NOTE_INTERVAL_S:
                recorded_at = time.monotonic()
                now_us = self._ledger.clock()
                with write_transaction(self._ledger.engine) as connection:
                    replay_runs.advance(connection, run, done=done, total=total, now_us=now_us)

        return record

    def _end(
        self, run: str, state: State, *, report: bytes | None = None, problem: str | None = None
    ) -> None:
        """Record the end; if the database is down, the replay counts as dead after a silent minute."""
        try:
            with write_transaction(self._ledger.engine) as connection:
                replay_runs.end(connection, run, state, report=report, problem=problem)
        except INTERRUPTED as error:
            _log.warning("end of replay not recorded", error=str(error))
