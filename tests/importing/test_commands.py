"""`duixian import` in a process of its own, which is interrupted or loses a worker process."""

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ledger.ledger import Ledger
from tests.cli.test_commands import E204_1, Desk
from tests.databases import Database, on_one_database
from tests.importing.files import ROWS_PER_CHUNK, have_workers, imported, number_of_facts, one_month
from tests.ledger.history import Row, code, publish_whole
from tests.ledger.test_concurrency import check_consistency

pytestmark = on_one_database

ROOT = Path(__file__).parents[2]
ENTERPRISES = 150
PATIENCE_S = 60
PREPARED = f"""
import multiprocessing, os, signal, sys
from sqlalchemy import Engine, event
from app.use_cases.filing import importing
importing.ROWS_PER_CHUNK = {ROWS_PER_CHUNK}
os.sched_getaffinity = lambda _: {{0, 1}}
# As on a terminal: tests that run in the background of a shell inherit an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
AT_THE_THIRD_COMMIT = """
commits = []

@event.listens_for(Engine, "commit")
def at_commit(connection):
    if connection.get_execution_options().get("writes"):
        commits.append(connection)
        if len(commits) == 3:
            act()

from app.cli import main
main()
"""
INTERRUPT = """
def act():
    os.killpg(0, signal.SIGINT)
"""
KILL_A_WORKER = """
def act():
    multiprocessing.active_children()[0].kill()
"""


@pytest.fixture
def desk(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    have_workers(monkeypatch, 0)
    return Desk(tmp_path)


@pytest.fixture
def month(desk: Desk) -> Path:
    path = desk.folder / "2024年3月.csv"
    with path.open("w", encoding="utf-8", newline="") as written:
        csv.writer(written).writerows(
            [
                E204_1,
                *(
                    ["210802", code(n), f"示例{n}", "5211", "", "", f"{110_000 + n}", "100000", "", ""]
                    for n in range(1, ENTERPRISES + 1)
                ),
            ]
        )
    return path


def _run(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a terminal does: in a process group of its own, which receives Ctrl+C."""
    return subprocess.run(
        [sys.executable, "-c", PREPARED + program, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def _check_continues(desk: Desk, ledger: Ledger, month: Path) -> None:
    """Check that only whole chunks are recorded, and that importing again records the rest."""
    recorded = number_of_facts(ledger)
    assert 0 < recorded < ENTERPRISES
    assert recorded % ROWS_PER_CHUNK == 0
    (again,) = desk.json("import", month, "--unit", "千元")
    assert (again["answer"]["filed"], again["answer"]["unchanged"]) == (ENTERPRISES - recorded, recorded)
    assert number_of_facts(ledger) == ENTERPRISES
    check_consistency(ledger)


def test_ctrl_c_ends_an_import_without_a_traceback_and_what_was_recorded_stays(
    desk: Desk, ledger: Ledger, month: Path
) -> None:
    publish_whole(ledger)
    ended = _run(INTERRUPT + AT_THE_THIRD_COMMIT, "import", month, "--unit", "千元")
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "登记完成" not in ended.stdout
    _check_continues(desk, ledger, month)


def test_a_killed_worker_ends_the_import_with_a_message_that_says_what_to_do(
    desk: Desk, ledger: Ledger, month: Path
) -> None:
    publish_whole(ledger)
    ended = _run(KILL_A_WORKER + AT_THE_THIRD_COMMIT, "import", month, "--unit", "千元")
    assert (ended.returncode, ended.stdout) == (1, "")
    reason, extent = ended.stderr.splitlines()
    assert reason == "协助处理的进程意外终止（可能是内存不足），本次未完成。"
    assert f"共{ENTERPRISES}行，前{number_of_facts(ledger)}行已登记" in extent
    _check_continues(desk, ledger, month)


@pytest.mark.usefixtures("one_worker")
def test_worker_processes_ignore_signals_to_stop_from_their_first_moment(ledger: Ledger) -> None:
    def rows() -> Iterator[Row]:
        for row in one_month(ENTERPRISES):
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGINT)
                os.kill(worker.pid or 0, signal.SIGTERM)
            yield row

    assert imported(ledger, rows()).filed == ENTERPRISES
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}
