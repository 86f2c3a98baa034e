"""Worker processes that open the same ledger as this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from app.ledger.ledger import Ledger
from app.runtime.database import open_engine
from app.runtime.worker_pool import WorkerPool


def ledger_workers(ledger: Ledger, processes: int) -> WorkerPool[Ledger]:
    """Create a pool of worker processes, whose functions take the ledger as their first argument.

    Args:
        ledger: The ledger, for work that is done in this process.
        processes: The number of worker processes; with 0 this process does the work.
    """
    url = ledger.engine.url.render_as_string(hide_password=False)
    return WorkerPool(ledger, partial(_open_ledger, url), processes)


@contextmanager
def _open_ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(open_engine(url))
    try:
        yield ledger
    finally:
        ledger.engine.dispose()
