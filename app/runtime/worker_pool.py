"""Worker processes, which read and decide while this process records."""

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
"""One process can record the results of this many workers; more workers would wait for it."""

MOST_AHEAD: Final = 8
"""The number of results that may wait for an earlier one: as many as arrive while a worker process starts."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""A terminal sends these signals to every process of its group: the parent alone decides what ends."""


class WorkerPool(Generic[C]):
    """Runs functions in worker processes, or in this process if there are none.

    Args:
        context: The first argument of the functions in this process.
        open_context: Opens the same in a worker process, which closes it when it ends; must be picklable.
        processes: The number of worker processes; 0 for none.
    """

    def __init__(
        self, context: C, open_context: Callable[[], AbstractContextManager[C]], processes: int
    ) -> None:
        self._context = context
        self._all = [_Worker(open_context) for _ in range(processes)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._all:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(processes) if processes else None

    def submit(self, work: Callable[Concatenate[C, P], R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Call a module-level function with the context and these arguments.

        The result of the future raises the exception of the function, or `BrokenExecutor` if its process
        ended.
        """
        if self._threads is not None:
            return self._threads.submit(self._ask_one, work, args, kwargs)
        return self._here(work, args, kwargs)

    def share(self, work: Callable[..., R], tasks: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """Call a module-level function for each task, here and in the worker processes.

        The workers begin with the first task and this process with the last, until they meet.

        Args:
            work: The function; it takes the context and the arguments of a task.
            tasks: The arguments of each task, without the context.

        Yields:
            The results, from the last to the first.
        """
        given = [self.submit(work, *task) for task in tasks]
        for task, future in zip(reversed(tasks), reversed(given), strict=True):
            yield work(self._context, *task) if future.cancel() else future.result()

    def map_ordered(self, work: Callable[..., R], tasks: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """Call a module-level function for each task as it comes, here whenever all workers are busy.

        Args:
            work: The function; it takes the context and the arguments of a task.
            tasks: The arguments of each task, without the context. Tasks are read ahead only as far as needed
                to keep all processes busy.

        Yields:
            The results, in the order of the tasks.
        """
        ahead: deque[Future[R]] = deque()
        for task in tasks:
            begun = sum(not future.done() for future in ahead)
            ahead.append(self._here(work, task, {}) if begun > len(self._all) else self.submit(work, *task))
            while ahead and (ahead[0].done() or len(ahead) > MOST_AHEAD):
                yield ahead.popleft().result()
        for future in ahead:
            yield future.result()

    def _here(self, work: Callable[..., R], args: Any, kwargs: Any) -> "Future[R]":
        done: Future[R] = Future()
        try:
            done.set_result(work(self._context, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future raises it, as for a worker process
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
        """The pool itself."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End the processes: after the tasks that they have begun, or at once if an error occurred."""
        if self._threads is None:
            return
        if kind is not None:
            for worker in self._all:
                worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.close()


class _Worker:
    """A worker process, which runs one function at a time.

    Parent and worker each hold one end of a pipe, and no other process holds any: the pipe breaks as soon as
    one of them ends. The pool of the standard library holds both ends of its queue of results; if a process
    is killed while it sends a result, that pool waits forever for the rest.

    Args:
        open_context: Opens the first argument of the functions.
    """

    def __init__(self, open_context: Callable[[], AbstractContextManager[Any]]) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, open_context, log_format()), daemon=True)
        with _signals_blocked():
            self._process.start()
        theirs.close()

    def ask(self, work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a function in the worker process, and return its result or raise its exception.

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
        """Kill the process at once."""
        self._process.kill()

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self._pipe.close()
        self._process.join()
        self._process.close()


def spare_processors() -> int:
    """How many worker processes can have a processor besides the one of this process."""
    return min(len(os.sched_getaffinity(0)) - 1, MOST_WORKERS)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the signals while a process is started: it inherits the mask from its first moment on."""
    resource_tracker.ensure_running()  # Otherwise it starts with the process and unblocks the signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, open_context: Callable[[], AbstractContextManager[Any]], logs_as: str) -> None:
    """The main function of a worker process: run functions until the parent closes the pipe or ends."""
    configure_logs(logs_as)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    spare_collections()
    with open_context() as context, suppress(EOFError, OSError):
        while True:
            pipe.send(_answer(context, *pipe.recv()))


def _answer(context: Any, work: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Exception | None]:
    try:
        return work(context, *args, **kwargs), None
    except Exception as error:  # noqa: BLE001 - the parent raises it
        error.add_note(traceback.format_exc())
        return None, error


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
