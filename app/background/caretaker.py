"""Finishes work that an outage or a stopped process left unfinished, while the service runs."""

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
    """The service is stopping; the next start continues the assessment."""


class Caretaker:
    """Checks a ledger regularly for unfinished work.

    Args:
        ledger: The ledger.
        interval_s: The time between two checks.
        verifier_key: Returns the operator's key, which the log names as the key it was sealed under.
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
        """Check the ledger in a thread of its own until the context is left."""
        thread = Thread(target=self._run, name="caretaker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def look(self) -> None:
        """Project and seal recorded events, and continue a publication that no process seems to assess."""
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
            except Exception:  # noqa: BLE001 - it is logged in full, and may be gone by the next check
                _log.exception("fault")
