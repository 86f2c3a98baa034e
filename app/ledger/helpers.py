"""Processes that work beside this one: they read and decide while this one records."""

import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from app.ledger.ledger import Ledger
from app.runtime.database import open_engine
from app.runtime.logs import configure_logs, log_format
from app.runtime.memory import spare_collections

P = ParamSpec("P")
R = TypeVar("R")

MOST_HELPERS: Final = 4
"""What one process can record; more would wait for it."""

MOST_AHEAD: Final = 8
"""So many results wait for an earlier one: as many as come while a process beside starts."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""A terminal, and whoever stops a whole group, send them to every process: the parent decides what ends."""


class WorkerPool:
    """Runs functions over a ledger in other processes, or in this one where there is nothing to gain.

    Args:
        ledger: The ledger, which the other processes open for themselves.
        processes: How many there are; 0 for none.
    """

    def __init__(self, ledger: Ledger, processes: int) -> None:
        self._ledger = ledger
        url = ledger.engine.url.render_as_string(hide_password=False)
        self._all = [_Helper(url) for _ in range(processes)]
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        for each in self._all:
            self._idle.put(each)
        self._threads = ThreadPoolExecutor(processes) if processes else None

    def submit(
        self, work: Callable[Concatenate[Ledger, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> "Future[R]":
        """Call a function of a module with the ledger and these arguments.

        The result raises what the function raised, or `BrokenExecutor` if its process ended.
        """
        if self._threads is not None:
            return self._threads.submit(self._ask_one, work, args, kwargs)
        return self._here(work, args, kwargs)

    def share(self, work: Callable[..., R], tasks: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """Call a function of a module for each of the tasks, here and in the other processes.

        The others begin with the first task and this one with the last, until they meet.

        Args:
            work: Takes the ledger and a task.
            tasks: The arguments after the ledger.

        Yields:
            The results, from the last to the first.
        """
        given = [self.submit(work, *task) for task in tasks]
        for task, future in zip(reversed(tasks), reversed(given), strict=True):
            yield work(self._ledger, *task) if future.cancel() else future.result()

    def map_ordered(self, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """Call a function of a module for each of the tasks as they come, here whenever the others are busy.

        Args:
            work: Takes the ledger and a task.
            tasks: The arguments after the ledger; read as far ahead as there is work for everybody.

        Yields:
            The results, in the order of the tasks.
        """
        ahead: deque[Future[R]] = deque()
        for task in tasks:
            begun = sum(not each.done() for each in ahead)
            ahead.append(self._here(work, task, {}) if begun > len(self._all) else self.submit(work, *task))
            while ahead and (ahead[0].done() or len(ahead) > MOST_AHEAD):
                yield ahead.popleft().result()
        for each in ahead:
            yield each.result()

    def _here(self, work: Callable[..., R], args: Any, kwargs: Any) -> "Future[R]":
        done: Future[R] = Future()
        try:
            done.set_result(work(self._ledger, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - given to whoever asks for the result, as by a process
            done.set_exception(error)
        return done

    def _ask_one(self, work: Callable[..., R], args: Any, kwargs: Any) -> R:
        helper = self._idle.get()
        try:
            result: R = helper.ask(work, args, kwargs)
        finally:
            self._idle.put(helper)
        return result

    def __enter__(self) -> Self:
        """As it is."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Let the processes end: after what they have begun, or at once where an error makes it useless."""
        if self._threads is None:
            return
        if kind is not None:
            for each in self._all:
                each.kill()
        self._threads.shutdown(cancel_futures=True)
        for each in self._all:
            each.close()


class _Helper:
    """A process beside, which is asked one thing at a time.

    Each of the two has one end of the pipe and nobody else has any: it breaks with the one that ends, at
    whatever moment. The pool of the standard library holds both ends of its queue of results, and waits
    for ever for the rest of a result whose process was killed while it sent it.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, url, log_format()), daemon=True)
        with _signals_blocked():
            self._process.start()
        theirs.close()

    def ask(self, work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What the function returns or raises there.

        Raises:
            BrokenExecutor: The process ended.
        """
        try:
            self._pipe.send((work, args, kwargs))
            result, error = self._pipe.recv()
        except (EOFError, OSError) as broken:
            raise BrokenExecutor("a process beside ended") from broken
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """Let it end."""
        self._pipe.close()
        self._process.join()
        self._process.close()


def spare_processors() -> int:
    """How many processes can work beside this one."""
    return min(len(os.sched_getaffinity(0)) - 1, MOST_HELPERS)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Begin a process that takes no notice of the signals from its first moment on: it inherits the mask."""
    resource_tracker.ensure_running()  # Else it begins with the process, and lets the signals through.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, url: str, logs_as: str) -> None:
    """What a process beside does: it answers what it is asked, until its parent closes the pipe or ends."""
    configure_logs(logs_as)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    spare_collections()
    ledger = Ledger(open_engine(url))
    with suppress(EOFError, OSError):
        while True:
            pipe.send(_answer(ledger, *pipe.recv()))
    ledger.engine.dispose()


def _answer(ledger: Ledger, work: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Exception | None]:
    try:
        return work(ledger, *args, **kwargs), None
    except Exception as error:  # noqa: BLE001 - given to whoever asked
        error.add_note(traceback.format_exc())
        return None, error


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
