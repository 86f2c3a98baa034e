"""Reads a file in a process of its own, whose memory and time the system bounds.

What a file can make its readers do is not known beforehand: the library of workbooks ends its process where
there is not enough memory, and takes what a file of two kilobytes asks for. So whatever becomes of that
process, the file alone is refused.
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
from app.ingest.frames import LENGTH_BYTES, OUT_OF_MEMORY, Batch, End, Fault, Frame, Limits, Row, Task
from app.ingest.rows import FileProblem, FileRow, Place
from app.runtime.limits import (
    READING_BYTES_PER_CPU_S,
    READING_FRAME_MAX_BYTES,
    READING_MAX_CPU_S,
    READING_MAX_MEMORY_BYTES,
    READING_PATIENCE,
)

_log = structlog.get_logger()
_frames: Final = msgspec.msgpack.Decoder(Frame)

# The modules come from where this process has its own, without a look at the folder that it runs in or at the
# start-up files of other packages, which take as long as all the rest.
_PROGRAM: Final = "import sys; sys.path = sys.argv[1:]; from app.ingest.confined_process import main; main()"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""A terminal, and whoever stops a whole group, send them to every process: the caller decides what ends."""


class _UnansweredError(Exception):
    """There is no answer to the end of the file.

    Args:
        problem: Why.
    """

    def __init__(self, problem: FileProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def limits_for(size: int) -> Limits:
    """What the reading of a file of so many bytes may take."""
    cpu_s = READING_MAX_CPU_S + size // READING_BYTES_PER_CPU_S
    return Limits(READING_MAX_MEMORY_BYTES, cpu_s, cpu_s * READING_PATIENCE)


def read_confined(task: Task) -> Generator[FileRow | FileProblem, None, tuple[str, ...]]:
    """The rows and problems of a file; the last problem says so where its process was ended or failed.

    Few rows are in memory at once. The process ends with this generator, and with this process.

    Returns:
        The headings that are not ours.

    Raises:
        OSError: The system starts no process.
    """
    process = _started()
    try:
        return (yield from _given(_Answer(process, task)))
    except _UnansweredError as error:
        yield error.problem
        return ()
    finally:
        process.kill()
        process.communicate()


def _given(answer: "_Answer") -> Generator[FileRow | FileProblem, None, tuple[str, ...]]:
    places: list[dict[str, Place]] = []
    while True:
        frame = answer.frame()
        if not isinstance(frame, Batch):
            return frame.ignored
        places += frame.places
        for each in frame.items:
            if isinstance(each, Row):
                yield FileRow(each.sheet, each.row, each.data, places[each.places], each.texts)
            else:
                yield each.problem


class _Answer:
    """What a process answers.

    Args:
        process: It was told nothing yet.
        task: What it is told.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", task: Task) -> None:
        self._process = process
        self._task = task
        self._wait_s = task.limits.wait_s
        told = msgspec.msgpack.encode(task)
        with suppress(BrokenPipeError):
            _pipe(process.stdin).write(len(told).to_bytes(LENGTH_BYTES, "big") + told)
        self._from = _pipe(process.stdout).fileno()
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)

    def frame(self) -> Batch | End:
        """The next frame.

        Raises:
            _UnansweredError: There is none.
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
        """Wait until there is something to read, or the process has ended."""
        begun = time.monotonic()
        ready = self._poll.poll(max(self._wait_s, 0) * 1000)
        self._wait_s -= time.monotonic() - begun
        if not ready:
            raise _UnansweredError(FileProblem.of_file("file-too-large", _TOO_SLOW))

    def _why_it_ended(self) -> FileProblem:
        """What the system says of a process that has closed its end."""
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return FileProblem.of_file("file-too-large", _TOO_SLOW)
        # Rust aborts without memory; a machine without memory kills.
        if code in {OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL}:
            return FileProblem.of_file("file-too-large", _TOO_MUCH)
        return FileProblem.of_file("file-unreadable", _FAILED)


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise TypeError("the process has no pipe")
    return end


def _started() -> "subprocess.Popen[bytes]":
    path = [str(Path(app.__path__[0]).parent), *filter(None, sys.path)]
    with _signals_blocked():  # It inherits that from its first moment on.
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
