"""Worker processes: they read and decide while this process records."""

import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar

from app.runtime.logs import configure_logs, log_format
from app.runtime.memory import spare_collections

C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")

MOST_WORKERS: Final = 4
"""What one process can record; more would wait for it."""

MOST_AHEAD: Final = 8
"""How many results wait for an earlier one: as many as come while a worker process starts."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""A terminal, and whoever stops a whole group, send them to every process: the parent decides what ends."""


class WorkerPool(Generic[C]):
    """Runs functions in worker processes, or in this process where there are none.

    Args:
        context: What the functions take as their first argument in this process.
        open_context: Opens the same in a worker process, which closes it at its end; it can be pickled.
        processes: How many worker processes there are; 0 for none.
    """

    def __init__(
        self, context: C, open_context: Callable[[], AbstractContextManager[C]], processes: int
    ) -> None:
        self._context = context
        self._all = [_Worker(open_context) for _ in range(processes)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for each in self._all:
            self._idle.put(each)
        self._threads = ThreadPoolExecutor(processes) if processes else None

    def submit(self, work: Callable[Concatenate[C, P], R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Call a function of a module with the context and these arguments.

        The result raises what the function raised, or `BrokenExecutor` if its process ended.
        """
        if self._threads is not None:
            return self._threads.submit(self._ask_one, work, args, kwargs)
        return self._here(work, args, kwargs)

    def share(self, work: Callable[..., R], tasks: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """Call a function of a module for each of the tasks, here and in the other processes.

        The others begin with the first task and this one with the last, until they meet.

        Args:
            work: Takes the context and a task.
            tasks: The arguments after the context.

        Yields:
            The results, from the last to the first.
        """
        given = [self.submit(work, *task) for task in tasks]
        for task, future in zip(reversed(tasks), reversed(given), strict=True):
            yield work(self._context, *task) if future.cancel() else future.result()

    def map_ordered(self, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """Call a function of a module for each of the tasks as they come, here whenever the others are busy.

        Args:
            work: Takes the context and a task.
            tasks: The arguments after the context; read as far ahead as there is work for everybody.

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
            done.set_result(work(self._context, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - given to whoever asks for the result, as by a process
            done.set_exception(error)
        return done

    def _ask_one(self, work: Callable[..., R], args: Any, kwargs: Any) -> R:
        worker = self._idle.get()
        try:
            result: R = worker.ask(work, args, kwargs)
        finally:
            self._idle.put(worker)
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


class _Worker:
    """A worker process, which is asked one thing at a time.

    Each of the two has one end of the pipe and nobody else has any: it breaks with the one that ends, at
    whatever moment. The pool of the standard library holds both ends of its queue of results, and waits
    for ever for the rest of a result whose process was killed while it sent it.

    Args:
        open_context: Opens what the functions take as their first argument.
    """

    def __init__(self, open_context: Callable[[], AbstractContextManager[Any]]) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, open_context, log_format()), daemon=True)
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
            raise BrokenExecutor("a worker process ended") from broken
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
    """How many worker processes find a processor beside this one."""
    return min(len(os.sched_getaffinity(0)) - 1, MOST_WORKERS)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Begin a process that takes no notice of the signals from its first moment on: it inherits the mask."""
    resource_tracker.ensure_running()  # Else it begins with the process, and lets the signals through.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, open_context: Callable[[], AbstractContextManager[Any]], logs_as: str) -> None:
    """What a worker process does: it answers what it is asked, until its parent closes the pipe or ends."""
    configure_logs(logs_as)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    spare_collections()
    with open_context() as context, suppress(EOFError, OSError):
        while True:
            pipe.send(_answer(context, *pipe.recv()))


def _answer(context: Any, work: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Exception | None]:
    try:
        return work(context, *args, **kwargs), None
    except Exception as error:  # noqa: BLE001 - given to whoever asked
        error.add_note(traceback.format_exc())
        return None, error


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
