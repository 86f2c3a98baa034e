"""First come, first served: among the threads of a process, and among the processes of a machine."""

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
"""After this wait a process bypasses the gate, so that a process suspended in it cannot block the others."""

GATE_POLL_S: Final = 0.005
"""How often to try for a lock of SQLite or of a file: a filing holds it for about as long."""

GATE_STAYS_OPEN_S: Final = 0.1
"""How long threads of one process may follow each other: some ten filings, or one chunk of an import."""


class NoTurnError(sql_errors.TimeoutError):
    """Too many writers were waiting; a later attempt may succeed."""


class Turns:
    """A semaphore that admits threads in the order in which they arrive.

    A lock of Python goes to the thread that happens to ask at the right moment, mostly the one that has just
    released it.

    Args:
        places: The number of threads admitted at a time.
    """

    def __init__(self, places: int = 1) -> None:
        self._free = places
        self._waiting: deque[Lock] = deque()
        self._lock = Lock()

    @contextmanager
    def taken(self, most_s: float) -> Iterator[None]:
        """Wait for a turn and hold it within the context.

        Raises:
            NoTurnError: The turn did not come within `most_s` seconds.
        """
        self._take(most_s)
        try:
            yield
        finally:
            self._pass_on()

    @property
    def waiting(self) -> int:
        """The number of threads that wait."""
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
            if mine in self._waiting:  # Otherwise the turn has just been passed to this thread.
                self._waiting.remove(mine)
                raise NoTurnError(f"no turn to write in {most_s:g} seconds: too many wait")

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class Coalescer:
    """Lets one thread do the work for several that need the same, like the group commit of a database.

    A step advances something to a number that only grows. A thread that waited for the step of another thread
    needs none of its own if that step began after the thread arrived and reached the number that it needs.
    """

    def __init__(self) -> None:
        self._turns = Turns()
        self._begun = 0
        self._reached: int | None = None

    @property
    def waiting(self) -> int:
        """The number of threads that wait."""
        return self._turns.waiting

    def advance(self, goal: int, step: Callable[[], int], most_s: float) -> int:
        """Run the step, unless another thread has done so meanwhile; the number reached.

        Args:
            goal: The number that is needed; one step may not reach it.
            step: The step; it returns the number that it reached.
            most_s: How long to wait for the steps of other threads.

        Raises:
            NoTurnError: The turn did not come within `most_s` seconds.
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
    """Lets the processes that use a database begin to write in turn.

    SQLite's lock goes to the process that asks at the right moment: a waiting process asks every tenth of a
    second, and a process that writes again at once leaves the lock free for less than a thousandth. With the
    gate, one process at a time waits for the lock, and the one that had it queues behind that one.

    A process that cannot pass in time begins all the same: the gate makes the order fair, the lock makes it
    safe.

    Args:
        path: The path of a file that the processes share.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._open_until_s = 0.0

    def pass_through(self, begin: Callable[[], Exception | None], most_s: float) -> None:
        """Begin to write, one thread of a process at a time.

        Args:
            begin: Begins to write, or returns at once the error that another process has the lock.
            most_s: After how many seconds that error is raised.
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
        """Lock the file; False if another process has locked it. A read-only folder has no gate."""
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
