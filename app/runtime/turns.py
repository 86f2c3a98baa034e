"""Who has waited longest goes first: among the threads of a process, and among the processes of a machine."""

import fcntl
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Final

from sqlalchemy import exc as sql_errors

from app.runtime.private_files import open_private

GATE_WAIT_MOST_S: Final = 2.0
"""A process that is stopped in the gate does not keep the others out: after so long they go round it."""

GATE_POLL_S: Final = 0.005
"""A lock of SQLite or of a file is asked for so often: a filing holds it for about as long."""

GATE_STAYS_OPEN_S: Final = 0.1
"""Threads of one process follow each other for so long: some ten filings, or one chunk of an import."""


class NoTurnError(sql_errors.TimeoutError):
    """Too many were before this one: it may have its turn in a while."""


class Turns:
    """Lets threads in one after the other, in the order in which they come.

    A lock of Python goes to whichever thread asks at the right moment, mostly the one that has just left.

    Args:
        places: How many may be in at a time.
    """

    def __init__(self, places: int = 1) -> None:
        self._free = places
        self._waiting: deque[Lock] = deque()
        self._lock = Lock()

    @contextmanager
    def taken(self, most_s: float) -> Iterator[None]:
        """Wait for a turn, and have it within the context.

        Raises:
            NoTurnError: It did not come in so many seconds.
        """
        self._take(most_s)
        try:
            yield
        finally:
            self._pass_on()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def _take(self, most_s: float) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=most_s):
            return
        with self._lock:
            if mine in self._waiting:  # Else it was passed on at this very moment.
                self._waiting.remove(mine)
                raise NoTurnError(f"no turn to write in {most_s:g} seconds: too many wait")

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class Coalescer:
    """Lets one thread do for several what each of them asks for, as the group commit of a database does.

    The step brings something up to a number that only grows. A thread that waits while another one takes the
    step needs none of its own if that step began after it came and reached the number that it needs.
    """

    def __init__(self) -> None:
        self._turns = Turns()
        self._begun = 0
        self._reached: int | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._turns.waiting

    def advance(self, goal: int, step: Callable[[], int], most_s: float) -> int:
        """Take the step, unless another thread has done so meanwhile; the number reached.

        Args:
            goal: The number that is needed; one step may not be enough for it.
            step: Gives the number that it reached.
            most_s: How long to wait for the steps of others.

        Raises:
            NoTurnError: The turn did not come in so many seconds.
        """
        begun_before = self._begun
        with self._turns.taken(most_s):
            if self._begun > begun_before and self._reached is not None and self._reached >= goal:
                return self._reached
            self._begun += 1
            self._reached = None
            self._reached = reached = step()
            return reached


class Gate:
    """Lets the processes at a database begin to write in turn.

    SQLite's lock goes to the process that asks at the right moment: one that waits asks every tenth of a
    second, and one that comes back at once leaves it free for less than a thousandth. Here one process at a
    time waits for the lock, in the gate, and the one that had it comes back behind that one.

    Whoever cannot pass in time begins all the same: the gate makes the order fair, the lock makes it safe.

    Args:
        path: Of a file that the processes have in common.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._open_until_s = 0.0

    def pass_through(self, begin: Callable[[], Exception | None], most_s: float) -> None:
        """Begin to write, one thread of a process at a time.

        Args:
            begin: Begins, or gives at once the error that another process has the lock.
            most_s: That error is raised after so many seconds.
        """
        now_s = time.monotonic()
        if now_s < self._open_until_s and begin() is None:
            return
        give_up_at_s = now_s + most_s
        with self._held(min(now_s + GATE_WAIT_MOST_S, give_up_at_s)):
            while (error := begin()) is not None:
                if time.monotonic() >= give_up_at_s:
                    raise error
                time.sleep(GATE_POLL_S)
            self._open_until_s = time.monotonic() + GATE_STAYS_OPEN_S

    @contextmanager
    def _held(self, give_up_at_s: float) -> Iterator[None]:
        while not self._lock() and time.monotonic() < give_up_at_s:
            time.sleep(GATE_POLL_S)
        try:
            yield
        finally:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        """Lock the file; False while another process does. A folder that takes no file has no gate."""
        try:
            if self._file is None:
                opened: FileIO = open_private(self._path, "r+b", buffering=0)
                self._file = opened
                weakref.finalize(self, opened.close)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True
