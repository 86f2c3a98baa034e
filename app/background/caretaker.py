"""Finishes what was left undone while the service runs: after an outage, or by a process that was stopped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread

import structlog

from app.ledger.ledger import Ledger
from app.use_cases.policies.publishing import PublicationWatch
from app.use_cases.recording import INTERRUPTED
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.sealing import Sealer

_log = structlog.get_logger()


class _StoppedError(Exception):
    """The service stops; what is left of an assessment is for the next start."""


class Caretaker:
    """Looks after a ledger.

    Args:
        ledger: The ledger.
        interval_s: Between two looks.
        verifier_key: Gives the operator's key, of which the log says that it was sealed under it.
    """

    def __init__(
        self, ledger: Ledger, interval_s: float, verifier_key: Callable[[], str | None] = lambda: None
    ) -> None:
        self._ledger = ledger
        self._interval_s = interval_s
        self._stopped = Flag()
        self._sealer = Sealer(ledger, answers_meanwhile=True, verifier_key=verifier_key)
        self._watch = PublicationWatch(ledger, self._go_on)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Look after the ledger in a thread of its own, until the context is left."""
        thread = Thread(target=self._run, name="caretaker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def look(self) -> None:
        """Project and seal what was recorded, go on with a publication that nobody seems to be assessing."""
        project_all(self._ledger)
        self._sealer.seal(self._stopped.is_set)
        project_all(self._ledger)
        self._watch.look()

    def _go_on(self, _: int, __: int) -> None:
        if self._stopped.is_set():
            raise _StoppedError

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self.look()
            except _StoppedError:
                return
            except INTERRUPTED as error:
                _log.warning("database unavailable", error=str(error))
            except Exception:  # noqa: BLE001 - it is logged whole, and the next look may find it mended
                _log.exception("fault")
