"""Runs the replays that are asked of the service, one at a time, in a thread beside the calls."""

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
"""So often is noted how far a replay has come; who polls sees it move."""

_log = structlog.get_logger()
_encode: Final = msgspec.json.Encoder().encode


class RunningError(Exception):
    """Another replay runs.

    Args:
        run: Its id.
    """

    def __init__(self, run: str) -> None:
        super().__init__(f"the replay {run} runs")
        self.run = run


class _StoppedError(Exception):
    """The service stops."""


class Replayer:
    """Replays beside the service.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stopped = Flag()
        self._thread: Thread | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Until the context is left; a replay that runs then is interrupted."""
        try:
            yield
        finally:
            self._stopped.set()
            if self._thread is not None:
                self._thread.join()

    def start(self, wanted: ReplayRange, *, asked_by: str) -> Run:
        """Begin a replay.

        Raises:
            PositionAheadError: The range ends above the head of the log.
            RunningError: Another one runs, here or in another process.
        """
        check_range(self._ledger, wanted)
        now_us = self._ledger.clock()
        run = Run(
            id=uuid.uuid4().hex, asked_by=asked_by, asked_at_us=now_us, first=wanted.first, last=wanted.last
        )
        other = with_retries(lambda: self._begin(run, now_us))
        if other is not None:
            raise RunningError(other)
        self._thread = Thread(target=self._run, args=(run.id, wanted), name="replay", daemon=True)
        self._thread.start()
        return run

    def _begin(self, run: Run, now_us: int) -> str | None:
        try:
            with write_transaction(self._ledger.engine) as connection:
                return replay_runs.begin(connection, run, now_us=now_us)
        except IntegrityError:  # Another one began at the same moment, and is there now.
            with write_transaction(self._ledger.engine) as connection:
                return replay_runs.begin(connection, run, now_us=now_us)

    def _run(self, run: str, wanted: ReplayRange) -> None:
        try:
            report = replay(self._ledger, wanted, self._noting(run))
            self._end(run, "done", report=_encode(report))
        except _StoppedError:
            self._end(run, "interrupted")
        except INTERRUPTED as error:
            _log.warning("replay interrupted", error=str(error))
            self._end(run, "interrupted")
        except LedgerIntegrityError as error:
            _log.error("the ledger contradicts itself", error=str(error))
            self._end(run, "failed", problem=str(error))
        except Exception as error:  # noqa: BLE001 - it is logged whole, and told to who asks
            _log.exception("fault")
            self._end(run, "failed", problem=type(error).__name__)

    def _noting(self, run: str) -> Progress:
        noted_at = 0.0

        def note(done: int, total: int) -> None:
            nonlocal noted_at
            if self._stopped.is_set():
                raise _StoppedError
            if done == total or time.monotonic() - noted_at >= NOTE_INTERVAL_S:
                noted_at = time.monotonic()
                now_us = self._ledger.clock()
                with write_transaction(self._ledger.engine) as connection:
                    replay_runs.advance(connection, run, done=done, total=total, now_us=now_us)

        return note

    def _end(
        self, run: str, state: State, *, report: bytes | None = None, problem: str | None = None
    ) -> None:
        """Note the end; where the database is away, the silence will tell."""
        try:
            with write_transaction(self._ledger.engine) as connection:
                replay_runs.end(connection, run, state, report=report, problem=problem)
        except INTERRUPTED as error:
            _log.warning("replay not noted", error=str(error))
