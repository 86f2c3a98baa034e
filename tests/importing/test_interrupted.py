"""If `duixian import` ends early, it reports its progress, and continues when it is run again."""

import csv
import getpass
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.cli.files import ImportOptions, import_file
from app.ledger.ledger import Ledger
from tests.cli.test_commands import E204_1, Desk
from tests.databases import Database, PostgresHost, on_one_database, only_on_sqlite
from tests.importing.files import ROWS_PER_CHUNK, have_workers, number_of_facts, same_contents
from tests.importing.test_commands import PREPARED, ROOT
from tests.ledger.history import code, file, publish_whole, trade
from tests.ledger.test_concurrency import check_consistency
from tests.processes.running import PATIENCE_S, eventually

ENTERPRISES = 70
BEFORE = 2 * ROWS_PER_CHUNK
"""The number of rows that are recorded when the import waits."""

ALONE = """
os.sched_getaffinity = lambda _: {0}
"""
WAITS = """
from app.ledger.ledger import Ledger
record, chunks = Ledger.record, []

def record_when_resumed(self, *given):
    chunks.append(given)
    if len(chunks) == wait_at:
        sys.stdin.read()
    return record(self, *given)

Ledger.record = record_when_resumed
"""
RUN = """
from app.cli import main
main()
"""
STOPPED_WHILE_CHECKING = """
from app.ingest import reader
read = reader.read_confined

def read_and_stop(task):
    rows = read(task)
    yield next(rows)
    os.kill(os.getpid(), signal.SIGTERM)
    return (yield from rows)

reader.read_confined = read_and_stop
"""
NO_ROOM_AT_THE_THIRD_COMMIT = """
commits = []

@event.listens_for(Engine, "begin")
def at_begin(connection):
    if len(commits) > 2:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # No fewer than there are.

@event.listens_for(Engine, "commit")
def at_commit(connection):
    if connection.get_execution_options().get("writes"):
        commits.append(connection)
"""
NO_ROOM_FOR_FILES = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""

Meanwhile = Callable[[subprocess.Popen[str]], object]


@pytest.fixture
def desk(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    have_workers(monkeypatch, 0)
    return Desk(tmp_path)


def write_month(desk: Desk, number: int, enterprises: int = ENTERPRISES) -> Path:
    """Write the file of a month."""
    path = desk.folder / f"2024年{number}月.csv"
    lines = [
        ["210802", code(n), f"示例{n}", "5211", "", "", f"{110_000 + n}", "100000", "", ""]
        for n in range(1, enterprises + 1)
    ]
    with path.open("w", encoding="utf-8", newline="") as written:
        csv.writer(written).writerows([E204_1, *lines])
    return path


@contextmanager
def started(program: str, *words: str | Path, helped: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Start `duixian import` in a process of its own, after a program has prepared it.

    Args:
        program: What prepares it.
        words: The arguments of the command.
        helped: Whether it has a worker process.
    """
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            PREPARED + ("" if helped else ALONE) + program + RUN,
            "import",
            *map(str, words),
            "--unit",
            "千元",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Let the process continue, and wait for its end."""
    output, problems = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in problems
    return subprocess.CompletedProcess(process.args, process.returncode, output, problems)


def interrupted(
    ledger: Ledger, meanwhile: Meanwhile, *words: str | Path, months_before: int = 0, helped: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run an import, and do something when two chunks of a file are recorded.

    Args:
        ledger: The ledger that the import records in.
        meanwhile: What to do, while the import waits before it records the third chunk.
        words: The arguments of the command.
        months_before: The number of files of the command that are recorded completely before.
        helped: Whether it has a worker process.
    """
    chunks = months_before * -(-ENTERPRISES // ROWS_PER_CHUNK) + 3
    before = months_before * ENTERPRISES + BEFORE
    with started(f"wait_at = {chunks}" + WAITS, *words, helped=helped) as process:
        eventually(lambda: number_of_facts(ledger) == before)
        meanwhile(process)
        return ended(process)


def terminate(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def check_continues(desk: Desk, ledger: Ledger, other: Ledger, *months: Path) -> None:
    """Check that the same command records the rest, with the same result as without an interruption."""
    recorded = number_of_facts(ledger)
    answers = [outcome["answer"] for outcome in desk.json("import", *months, "--unit", "千元")]
    assert sum(answer["unchanged"] for answer in answers) == recorded
    assert sum(answer["filed"] for answer in answers) == len(months) * ENTERPRISES - recorded
    for month in months:
        import_file(other, month, ImportOptions(unit="qianyuan"), actor=f"命令行：{getpass.getuser()}")
    assert same_contents(ledger, other)
    check_consistency(ledger)


@on_one_database
@pytest.mark.parametrize(("name", "number"), [("Ctrl+C", signal.SIGINT), ("SIGTERM", signal.SIGTERM)])
def test_a_signal_ends_an_import_after_a_whole_chunk_and_the_same_command_goes_on(
    desk: Desk, ledger: Ledger, other: Ledger, name: str, number: int
) -> None:
    for target in (ledger, other):
        publish_whole(target)
    month = write_month(desk, 3)
    stopped = interrupted(ledger, lambda process: process.send_signal(number), month, helped=True)
    recorded = number_of_facts(ledger)
    assert recorded == BEFORE + ROWS_PER_CHUNK
    assert (stopped.returncode, stopped.stdout) == (128 + number, "")
    reason, extent = stopped.stderr.splitlines()
    assert reason == f"收到停止信号（{name}）。"
    assert extent == (
        f"2024年3月.csv：共{ENTERPRISES}行，前60行已登记（按批登记，每批均完整），其余尚未处理。"
        "请再次运行同一命令，从中断处继续；已登记的行计为无变化。"
    )
    check_consistency(ledger)
    check_continues(desk, ledger, other, month)


@on_one_database
def test_an_import_of_several_files_says_which_are_done_half_way_and_not_begun(
    desk: Desk, ledger: Ledger, other: Ledger
) -> None:
    for target in (ledger, other):
        publish_whole(target)
    months = [write_month(desk, number) for number in (3, 4, 5, 6)]
    stopped = interrupted(ledger, terminate, *months, months_before=1)
    assert stopped.returncode == 143
    assert stopped.stdout.startswith("2024年3月.csv：登记完成。")
    assert f"2024年4月.csv：共{ENTERPRISES}行，前60行已登记" in stopped.stderr
    assert stopped.stderr.splitlines()[-2:] == [
        "此前已完成的文件：2024年3月.csv",
        "其后的文件未处理：2024年5月.csv、2024年6月.csv",
    ]
    check_continues(desk, ledger, other, *months)


@on_one_database
def test_an_import_that_is_stopped_says_as_data_how_far_it_came(desk: Desk, ledger: Ledger) -> None:
    months = [write_month(desk, number) for number in (3, 4, 5)]
    stopped = interrupted(ledger, terminate, *months, "--json", months_before=1)
    done, half_way, not_begun = json.loads(stopped.stdout)
    assert (done["state"], done["answer"]["filed"]) == ("done", ENTERPRISES)
    assert half_way == {
        "file": "2024年4月.csv",
        "state": "stopped",
        "recorded": BEFORE + ROWS_PER_CHUNK,
        "rows": ENTERPRISES,
        "reason": "收到停止信号（SIGTERM）。",
        "answer": None,
        "lines": [],
        "lines_total": 0,
    }
    assert (not_begun["file"], not_begun["state"], not_begun["recorded"]) == ("2024年5月.csv", "not-begun", 0)


@on_one_database
def test_a_signal_while_the_file_is_checked_leaves_nothing_recorded_and_says_so(
    desk: Desk, ledger: Ledger
) -> None:
    month = write_month(desk, 3)
    waiting = month.with_name("2024年4月.csv")
    with started(STOPPED_WHILE_CHECKING, month, waiting) as process:
        stopped = ended(process)
    assert (stopped.returncode, stopped.stdout) == (143, "")
    assert stopped.stderr.splitlines() == [
        "收到停止信号（SIGTERM）。",
        "2024年3月.csv：本次未登记任何数据。请再次运行同一命令。",
        "其后的文件未处理：2024年4月.csv",
    ]
    assert number_of_facts(ledger) == 0


@on_one_database
def test_a_conflict_that_another_process_recorded_after_the_check_is_reported_with_what_is_recorded(
    desk: Desk, ledger: Ledger
) -> None:
    publish_whole(ledger)
    month = write_month(desk, 3)
    row = BEFORE + 7
    stopped = interrupted(
        ledger, lambda _: file(ledger, trade(code(row), "2024-03", 1_000, 1_000)), month, "--json"
    )
    assert stopped.returncode == 1
    ((outcome,),) = [json.loads(stopped.stdout)]
    assert (outcome["state"], outcome["recorded"], outcome["rows"]) == ("unfinished", BEFORE, ENTERPRISES)
    assert [(line["row"], line["code"]) for line in outcome["lines"]] == [(row + 1, "revision-needs-reason")]
    assert f"共{ENTERPRISES}行，前{BEFORE}行已登记" in stopped.stderr
    assert f"第{row + 1}行" in stopped.stderr
    (again,) = desk.json("import", month, "--unit", "千元", "--reason", "企业改报")
    answer = again["answer"]
    assert (answer["filed"], answer["revised"], answer["unchanged"]) == (ENTERPRISES - BEFORE - 1, 1, BEFORE)
    check_consistency(ledger)


def test_an_import_whose_database_goes_away_says_what_is_recorded_and_goes_on(
    desk: Desk, ledger: Ledger, other: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUIXIAN_LOG_FORMAT", "json")
    for target in (ledger, other):
        publish_whole(target)
    month = write_month(desk, 3)
    with ExitStack() as away:
        lost = interrupted(ledger, lambda _: away.enter_context(gone(database)), month)
    assert (lost.returncode, lost.stdout) == (1, "")
    *logged, reason, extent = lost.stderr.splitlines()
    assert {json.loads(line)["level"] for line in logged} <= {"warning"}
    assert "数据库" in reason
    assert f"共{ENTERPRISES}行，前{BEFORE}行已登记" in extent
    assert number_of_facts(ledger) == BEFORE
    check_continues(desk, ledger, other, month)


@contextmanager
def gone(database: Database) -> Iterator[None]:
    """Make the database unavailable."""
    if isinstance(database.host, PostgresHost):
        name = make_url(database.url).database
        database.host.order(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        database.host.order(
            f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        yield
        database.host.order(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
    else:
        hidden = database.path.with_name("hidden.db")
        database.path.rename(hidden)
        yield
        hidden.rename(database.path)


@only_on_sqlite
def test_an_import_that_fills_the_disk_says_what_is_recorded_and_goes_on_when_there_is_room_on_sqlite(
    desk: Desk, ledger: Ledger, other: Ledger
) -> None:
    for target in (ledger, other):
        publish_whole(target)
    month = write_month(desk, 3)
    with started(NO_ROOM_AT_THE_THIRD_COMMIT, month) as process:
        full = ended(process)
    recorded = number_of_facts(ledger)
    assert 0 < recorded < ENTERPRISES
    assert full.returncode == 1
    reason, extent = full.stderr.splitlines()
    assert "磁盘空间不足" in reason
    assert f"共{ENTERPRISES}行，前{recorded}行已登记" in extent
    check_continues(desk, ledger, other, month)


@on_one_database
def test_an_import_without_room_for_what_it_checked_says_that_nothing_is_recorded(
    desk: Desk, ledger: Ledger
) -> None:
    with started(NO_ROOM_FOR_FILES, write_month(desk, 3, enterprises=1_500)) as process:
        full = ended(process)
    assert full.returncode == 1
    reason, extent = full.stderr.splitlines()
    assert reason.startswith("系统拒绝了所需的操作：文件超过系统允许的大小。")
    assert extent == "2024年3月.csv：本次未登记任何数据。请再次运行同一命令。"
    assert number_of_facts(ledger) == 0
