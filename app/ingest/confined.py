"""Reads a file in a process of its own, whose memory and time the operating system limits.

A file may make its readers do anything: the library that reads workbooks aborts its process when memory runs
out, and a file of two kilobytes can make it ask for that much. When the process of a file dies, only that
file is refused.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import msgspec
import structlog

import app
from app.ingest.frames import LENGTH_BYTES, OUT_OF_MEMORY, End, Fault, Frame, Limits, ReadTask, Row, RowBatch
from app.ingest.rows import FieldColumn, FileProblem, FileRow
from app.runtime.limits import (
    READING_BYTES_PER_CPU_S,
    READING_FRAME_MAX_BYTES,
    READING_MAX_CPU_S,
    READING_MAX_MEMORY_BYTES,
    READING_PATIENCE,
)

_log = structlog.get_logger()
_frames: Final = msgspec.msgpack.Decoder(Frame)

# The process imports from the same places as this one. It skips its working folder and the start-up files of
# other packages, which take as long to load as all the rest.
_PROGRAM: Final = "import sys; sys.path = sys.argv[1:]; from app.ingest.confined_process import main; main()"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""A terminal sends these signals to every process of its group: the caller alone decides what ends."""


class _UnansweredError(Exception):
    """The process ended, or was given up, before it had read the whole file.

    Args:
        problem: Why.
    """

    def __init__(self, problem: FileProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def limits_for(size: int) -> Limits:
    """The limits for reading a file of `size` bytes."""
    cpu_s = READING_MAX_CPU_S + size // READING_BYTES_PER_CPU_S
    return Limits(READING_MAX_MEMORY_BYTES, cpu_s, cpu_s * READING_PATIENCE)


def read_confined(task: ReadTask) -> Generator[FileRow | FileProblem, None, tuple[str, ...]]:
    """Yield the rows and problems of a file; if its process fails or is ended, the last problem says so.

    Few rows are in memory at once. The process ends with this generator, and with the calling process.

    Returns:
        The headings that the ledger does not know.

    Raises:
        OSError: The system cannot start a process.
    """
    process = _start_process()
    try:
        return (yield from _receive(_Answer(process, task)))
    except _UnansweredError as error:
        yield error.problem
        return ()
    finally:
        process.kill()
        process.communicate()


def _receive(answer: "_Answer") -> Generator[FileRow | FileProblem, None, tuple[str, ...]]:
    places: list[dict[str, FieldColumn]] = []
    while True:
        frame = answer.frame()
        if not isinstance(frame, RowBatch):
            return frame.ignored
        places += frame.places
        for item in frame.items:
            if isinstance(item, Row):
                yield FileRow(item.sheet, item.row, item.data, places[item.places], item.texts)
            else:
                yield item.problem


class _Answer:
    """Sends a task to a new process and reads its answer, frame by frame.

    Args:
        process: The process, which waits for its task.
        task: The task.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", task: ReadTask) -> None:
        self._process = process
        self._task = task
        self._wait_s = task.limits.wait_s
        encoded = msgspec.msgpack.encode(task)
        with suppress(BrokenPipeError):
            _pipe(process.stdin).write(len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded)
        self._from = _pipe(process.stdout).fileno()
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)

    def frame(self) -> RowBatch | End:
        """Read the next frame.

        Raises:
            _UnansweredError: The process sends no further frame.
        """
        length = int.from_bytes(self._take(LENGTH_BYTES), "big")
        if length > READING_FRAME_MAX_BYTES:
            raise _UnansweredError(FileProblem.of_file("file-too-large", _TOO_MUCH))
        frame: Frame = _frames.decode(self._take(length))
        if isinstance(frame, Fault):
            _log.error("a file made its reader fail", path=self._task.path, traceback=frame.traceback)
            raise _UnansweredError(FileProblem.of_file("file-unreadable", _FAILED))
        return frame

    def _take(self, size: int) -> bytearray:
        taken = bytearray()
        while len(taken) < size:
            self._wait()
            more = os.read(self._from, size - len(taken))
            if not more:
                raise _UnansweredError(self._why_it_ended())
            taken += more
        return taken

    def _wait(self) -> None:
        """Wait until the process has written something or has ended.

        Raises:
            _UnansweredError: The time allowed for the file is over.
        """
        begun = time.monotonic()
        ready = self._poll.poll(max(self._wait_s, 0) * 1000)
        self._wait_s -= time.monotonic() - begun
        if not ready:
            raise _UnansweredError(FileProblem.of_file("file-too-large", _TOO_SLOW))

    def _why_it_ended(self) -> FileProblem:
        """The problem that the exit status of the process stands for."""
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return FileProblem.of_file("file-too-large", _TOO_SLOW)
        # Out of memory, Rust aborts its process, and the kernel kills it.
        if code in {OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL}:
            return FileProblem.of_file("file-too-large", _TOO_MUCH)
        return FileProblem.of_file("file-unreadable", _FAILED)


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise TypeError("the process has no pipe")
    return end


def _start_process() -> "subprocess.Popen[bytes]":
    path = [str(Path(app.__path__[0]).parent), *filter(None, sys.path)]
    with _signals_blocked():  # The new process inherits the blocked signals from its first moment on.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_ADVICE: Final = (
    "请在Excel中打开，只保留数据区，另存为新的.xlsx或CSV后重新提交；仍不能读取的，请交系统管理员。"
)
_TOO_MUCH: Final = f"读取该文件所需的内存超过限度，已停止读取。{_ADVICE}"
_TOO_SLOW: Final = f"读取该文件的用时超过限度，已停止读取。{_ADVICE}"
_FAILED: Final = f"读取该文件的程序异常终止，文件可能已损坏。{_ADVICE}"
