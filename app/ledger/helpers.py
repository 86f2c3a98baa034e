"""Processes that work beside this one: they read and decide while this one records."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from app.database import open_engine
from app.ledger.ledger import Ledger
from app.memory import spare_collections

P = ParamSpec("P")
R = TypeVar("R")

MOST_HELPERS: Final = 4
"""What one process can record; more would wait for it."""


class Helpers:
    """Runs functions over a ledger in other processes, or in this one where there is nothing to gain.

    Args:
        ledger: The ledger, which the other processes open for themselves.
        processes: How many there are; 0 for none.
    """

    def __init__(self, ledger: Ledger, processes: int) -> None:
        self._ledger = ledger
        self._pool: Executor | None = None
        if processes:
            url = ledger.engine.url.render_as_string(hide_password=False)
            self._pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (url,))

    def submit(
        self, work: Callable[Concatenate[Ledger, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> "Future[R]":
        """Call a function of a module with the ledger and these arguments."""
        if self._pool is not None:
            run: Callable[..., R] = _run
            with _interrupts_blocked():  # Processes begin here, and with what is blocked here.
                return self._pool.submit(run, work, *args, **kwargs)
        done: Future[R] = Future()
        try:
            done.set_result(work(self._ledger, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - given to whoever asks for the result, as by a process
            done.set_exception(error)
        return done

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

    def __enter__(self) -> Self:
        """As it is."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the processes end; what they have not begun is not begun."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def spare_processors() -> int:
    """How many processes can work beside this one."""
    return min(len(os.sched_getaffinity(0)) - 1, MOST_HELPERS)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let Ctrl+C wait: it goes to a process that only begins, too, and would end it with a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_opened: list[Ledger] = []


def _begin(url: str) -> None:
    """What a process begins with: a ledger of its own, and an end together with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent is interrupted, and ends this one.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    spare_collections()
    _opened.append(Ledger(open_engine(url)))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(work: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    return work(_opened[0], *args, **kwargs)
