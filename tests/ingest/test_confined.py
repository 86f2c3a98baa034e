"""Every file is read in a process of its own, which the system ends when it exceeds its limits."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from app.ingest.confined import read_confined
from app.ingest.fingerprint import take_fingerprint
from app.ingest.frames import Limits, ReadTask
from app.ingest.reader import SourceFile, read_file
from app.ingest.request import ReadRequest
from app.ingest.rows import FileProblem, FileRow
from app.runtime.limits import READING_MOST_PROBLEMS, ROW_MAX_CHARS, SOURCE_FILE_MAX_BYTES
from tests.ingest import hostile
from tests.ingest.files import SHOP, TRADE, codes, read, table, write_csv, write_xlsx

ROOT = Path(__file__).parents[2]
LIMITS = Limits(memory_bytes=700_000_000, cpu_s=2, wait_s=60)
GENEROUS = Limits(memory_bytes=2_000_000_000, cpu_s=60, wait_s=60)

pytestmark = pytest.mark.slow

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the limits of the system hold on Linux")


def source(path: Path) -> SourceFile:
    return read_file(path, unit="qianyuan", period="2024-03")


def confined(path: Path, limits: Limits = GENEROUS) -> list[FileRow | FileProblem]:
    request = ReadRequest(path.name, "qianyuan", "2024-03")
    return list(read_confined(ReadTask(os.fsencode(path), request, take_fingerprint(path), limits)))


def only_problem(path: Path, limits: Limits = GENEROUS) -> FileProblem:
    """The problem of a file that has one problem and no rows."""
    (problem,) = confined(path, limits)
    assert isinstance(problem, FileProblem)
    return problem


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_a_process_reads_the_same_as_the_caller_would(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rows = table(
        *([*SHOP, 5 + n, 4, True, f"备注{n}"] for n in range(450)), headings=[*TRADE, "当月在库", "备注"]
    )
    write = (
        write_csv if name.endswith("csv") else lambda path, rows: write_xlsx(path, {"零售": rows, "二": rows})
    )
    write(path, rows)
    here, problems = read(path)
    file = source(path)
    assert list(file.rows()) == [*here, *problems]
    assert file.ignored_headings == ("备注",)
    assert here[0].cells["uscc"].heading == "统一社会信用代码"


@on_linux
@pytest.mark.parametrize("name", hostile.CHANGES)
def test_a_workbook_that_exceeds_the_limits_is_refused(tmp_path: Path, name: str) -> None:
    tight = msgspec.structs.replace(LIMITS, cpu_s=1)
    problem = only_problem(hostile.write_changed(tmp_path / "a.xlsx", hostile.CHANGES[name]), tight)
    assert problem.code == "file-too-large"
    assert "另存为" in problem.message


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: hostile.with_declared_size(path, 0xFFFF_FFF0), "file-too-large"),
        (lambda path: hostile.with_declared_size(path, 3), "file-unreadable"),
        (hostile.with_password, "file-unreadable"),
    ],
    ids=["unpacks to very much", "unpacks to very little", "has a password"],
)
def test_a_workbook_with_false_declarations_about_its_parts_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], code: str
) -> None:
    problem = only_problem(make(tmp_path / "a.xlsx"), LIMITS)
    assert (problem.code, "另存为" in problem.message) == (code, True)


@on_linux
def test_a_process_that_waits_for_something_else_is_ended(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4]))
    task = ReadTask(
        os.fsencode(path),
        ReadRequest(path.name, "qianyuan", "2024-03"),
        take_fingerprint(path),
        Limits(memory_bytes=2_000_000_000, cpu_s=60, wait_s=1),
    )
    path.unlink()
    os.mkfifo(path)  # The file has been replaced by a pipe, and opening a pipe waits for a writer.
    (problem,) = read_confined(task)
    assert isinstance(problem, FileProblem)
    assert (problem.code, "用时" in problem.message) == ("file-too-large", True)


def processes_reading(path: Path) -> list[int]:
    """The processes that have a file open."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink() == path:
                found.append(int(descriptor.parts[2]))
        except OSError:
            continue
    return found


def eventually(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.02)


READ_AND_WAIT = """
import sys
from pathlib import Path
from app.ingest.reader import read_file
rows = read_file(Path(sys.argv[1]), unit="qianyuan", period="2024-03").rows()
next(rows)
print("begun", flush=True)
sys.stdin.read()
"""


@on_linux
def test_killing_the_caller_ends_the_process(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table(*([*SHOP, n, 4] for n in range(20_000))))
    with subprocess.Popen(
        [sys.executable, "-c", READ_AND_WAIT, path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as caller:
        assert caller.stdout is not None
        caller.stdout.readline()
        (reading,) = processes_reading(path)
        assert reading != caller.pid
        caller.send_signal(signal.SIGKILL)
    eventually(lambda: processes_reading(path) == [])


@on_linux
def test_closing_the_rows_ends_the_process(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table(*([*SHOP, n, 4] for n in range(20_000))))
    rows = source(path).rows()
    next(rows)
    assert len(processes_reading(path)) == 1
    rows.close()  # type: ignore[attr-defined]
    assert processes_reading(path) == []


@on_linux
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, "file-too-large"), (signal.SIGSEGV, "file-unreadable")]
)
def test_a_process_that_is_killed_is_a_problem_after_what_it_gave(
    tmp_path: Path, number: int, code: str
) -> None:
    path = write_csv(tmp_path / "a.csv", table(*([*SHOP, n, 4] for n in range(20_000))))
    rows = source(path).rows()
    next(rows)
    (process,) = processes_reading(path)
    os.kill(process, number)
    *given, last = rows
    assert 0 < len(given) < 20_000
    assert isinstance(last, FileProblem)
    assert last.code == code


def test_the_signals_of_a_terminal_do_not_reach_the_process(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table(*([*SHOP, n, 4] for n in range(20_000))))
    rows = source(path).rows()
    next(rows)
    (process,) = processes_reading(path)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process, signal_number)
    assert sum(isinstance(row, FileRow) for row in rows) == 19_999


def test_an_unexpected_error_is_a_problem_and_is_logged(tmp_path: Path) -> None:
    with capture_logs() as logged:
        problem = only_problem(hostile.with_damaged_lzma(tmp_path / "a.xlsx"))
    assert (problem.code, "异常终止" in problem.message) == ("file-unreadable", True)
    (entry,) = logged
    assert (entry["log_level"], "lzma" in entry["traceback"]) == ("error", True)


def test_a_folder_a_pipe_a_device_a_socket_and_a_lock_file_are_named_and_not_opened(tmp_path: Path) -> None:
    folder, pipe, lock = tmp_path / "folder", tmp_path / "pipe.xlsx", tmp_path / "~$2024年3月.xlsx"
    folder.mkdir()
    os.mkfifo(pipe)
    lock.write_bytes(b"\x05clerk")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        messages = {
            path: [item.message for item in source(path).rows() if isinstance(item, FileProblem)]
            for path in (folder, pipe, lock, tmp_path / "socket", Path("/dev/zero"), Path("/dev/tty"))
        }
    assert {path.name: message.split("，")[0].split("（")[0] for path, (message,) in messages.items()} == {
        "folder": "这是文件夹",
        "pipe.xlsx": "这不是普通文件",
        "~$2024年3月.xlsx": "这是工作簿打开期间Excel或WPS自动生成的锁定文件",
        "socket": "这不是普通文件",
        "zero": "这不是普通文件",
        "tty": "这不是普通文件",
    }


def test_a_file_without_end_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(SOURCE_FILE_MAX_BYTES + 1)
    (problem,) = source(path).rows()
    assert isinstance(problem, FileProblem)
    assert (problem.code, "2GB" in problem.message) == ("file-too-large", True)


def test_a_row_too_long_for_a_table_is_a_problem_of_its_own(tmp_path: Path) -> None:
    long = ["x" * 30_000] * (ROW_MAX_CHARS // 30_000 + 1)
    headings = [*TRADE, *(f"备注{n}" for n in range(len(long)))]
    path = write_csv(
        tmp_path / "a.csv", table([*SHOP, 5, 4, *long], [*SHOP, 5, 4, *[""] * len(long)], headings=headings)
    )
    problem, row = confined(path)
    assert isinstance(problem, FileProblem)
    assert (problem.code, problem.row) == ("line-unreadable", 2)
    assert isinstance(row, FileRow)


def test_only_the_first_of_many_unreadable_lines_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(TRADE) + "\n" + '"a"b\n' * (READING_MOST_PROBLEMS + 100), encoding="utf-8")
    given = [item for item in confined(path) if isinstance(item, FileProblem)]
    assert len(given) == READING_MOST_PROBLEMS + 1
    assert codes(given[-2:]) == ["line-unreadable", "file-unreadable"]
    assert str(READING_MOST_PROBLEMS) in given[-1].message
