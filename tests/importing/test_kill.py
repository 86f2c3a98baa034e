"""If an import is killed, recorded chunks stay, and importing the file again records the rest."""

import multiprocessing
import os
import random
import select
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import complete
from app.ledger.ledger import Ledger
from app.runtime.database import open_engine
from app.use_cases.filing import importing
from app.use_cases.recording import INTERRUPTED
from tests.databases import Database
from tests.importing.files import (
    ROWS_PER_CHUNK,
    have_workers,
    import_,
    imported,
    number_of_facts,
    random_file,
    same_contents,
)
from tests.ledger.history import publish_whole
from tests.ledger.test_concurrency import check_consistency
from tests.processes.running import PATIENCE_S, forked

ROWS = random_file(5, in_months=True)
DOING = ("核对", "登记")


def import_until(url: str, temporary: str, at: tuple[str, int], pipe: Connection) -> None:
    """Import; at a given step and row, send the ids of the worker processes and kill this process."""
    importing.ROWS_PER_CHUNK = ROWS_PER_CHUNK  # type: ignore[misc]
    os.sched_getaffinity = lambda _: {0, 1}
    os.environ["TMPDIR"] = temporary

    def end(done: int, _: int | None, doing: str) -> None:
        if (doing, done) == at:
            pipe.send([child.pid for child in multiprocessing.active_children()])
            pipe.recv()
            os.kill(os.getpid(), signal.SIGKILL)

    import_(Ledger(open_engine(url)), ROWS, progress=end)


def _killed(work: Callable[[Connection], Any]) -> None:
    """Run until the process is killed, and check that its worker processes have ended too."""
    ours, theirs = multiprocessing.Pipe()
    process = forked(work, theirs)
    theirs.close()
    workers = [os.pidfd_open(pid) for pid in ours.recv()]
    ours.send("go on")
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    process.close()
    ours.close()
    assert workers
    for descriptor in workers:  # The descriptor of an ended process is readable.
        assert select.select([descriptor], [], [], PATIENCE_S)[0] == [descriptor]
        os.close(descriptor)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("doing", DOING)
def test_an_import_that_was_killed_goes_on_where_it_ended(
    ledger: Ledger, other: Ledger, database: Database, tmp_path: Path, doing: str
) -> None:
    for target in (ledger, other):
        publish_whole(target)
    imported(other, ROWS)
    ledger.engine.dispose()
    chunks = random.Random(doing).randrange(3, len(ROWS) // ROWS_PER_CHUNK)  # noqa: S311
    done = chunks * ROWS_PER_CHUNK
    _killed(partial(import_until, database.url, str(tmp_path), (doing, done)))
    assert list(tmp_path.iterdir()) == []
    recorded = number_of_facts(ledger)
    assert recorded == (done if doing == "登记" else 0)
    complete(ledger)
    answer = imported(ledger, ROWS)
    assert (answer.filed, answer.revised, answer.unchanged) == (len(ROWS) - recorded, 0, recorded)
    assert same_contents(ledger, other)
    check_consistency(ledger)


def _kill_one_worker(done: int, _: int | None, doing: str) -> None:
    """Kill a worker process once the first chunk is recorded."""
    children = multiprocessing.active_children()
    if doing == "登记" and done and children:
        children[0].kill()


@pytest.mark.usefixtures("one_worker")
def test_an_import_whose_worker_was_killed_ends_and_continues_when_it_is_done_again(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target in (ledger, other):
        publish_whole(target)
    with pytest.raises(INTERRUPTED):
        import_(ledger, ROWS, progress=_kill_one_worker)
    recorded = number_of_facts(ledger)
    assert 0 < recorded < len(ROWS)
    assert recorded % ROWS_PER_CHUNK == 0
    assert multiprocessing.active_children() == []
    have_workers(monkeypatch, 0)
    answer = imported(ledger, ROWS)
    assert (answer.filed, answer.revised, answer.unchanged) == (len(ROWS) - recorded, 0, recorded)
    imported(other, ROWS)
    assert same_contents(ledger, other)
    check_consistency(ledger)
