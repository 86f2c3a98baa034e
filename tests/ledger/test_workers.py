"""Worker processes: their results and errors arrive, and so does the news that one ended at any moment."""

import multiprocessing
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.ledger.ledger import Ledger, UncertainError
from app.ledger.workers import ledger_workers
from app.runtime.database import read_transaction
from app.runtime.worker_pool import MOST_AHEAD, WorkerPool
from app.use_cases.upkeep.projecting import NotProjectedError
from tests.databases import only_on_sqlite

PATIENCE_S = 60
MORE_THAN_A_PIPE_HOLDS = 10_000_000


def end() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class EndsItsReader:
    """An object that ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return end, ()


def size(_: Ledger, *given: Any) -> int:
    return len(given)


def end_at_work(_: Ledger) -> NoReturn:
    end()


def end_after(sent: Callable[[bytes], bytes]) -> None:
    """Make this process end after it has sent a part of its next message."""

    def send(connection: Connection, message: memoryview) -> NoReturn:
        part = sent(struct.pack("!i", len(message)) + bytes(message))
        assert os.write(connection.fileno(), part) == len(part)
        end()

    Connection._send_bytes = send  # type: ignore[attr-defined]


def end_before_the_answer(_: Ledger) -> None:
    end_after(lambda _: b"")


def end_within_the_length(_: Ledger) -> None:
    end_after(lambda message: message[:2])


def end_after_the_length(_: Ledger) -> None:
    end_after(lambda message: message[:4])


def end_within_the_answer(_: Ledger) -> bytes:
    end_after(lambda message: message[:20_000])
    return bytes(40_000)


def end_after_the_answer(_: Ledger) -> int:
    end_after(lambda message: message)
    return 1


def kill_workers() -> None:
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


@pytest.fixture
def workers(ledger: Ledger) -> Iterator[WorkerPool[Ledger]]:
    """A pool with one worker process, which must have ended after the test."""
    with ledger_workers(ledger, 1) as workers:
        yield workers
    assert multiprocessing.active_children() == []


def check_broken(workers: WorkerPool[Ledger], work: Callable[..., Any], *given: Any) -> None:
    """Check that the error says that the process ended, in this task or before it."""
    asked = workers.submit(work, *given)
    with pytest.raises(BrokenExecutor):
        asked.result(PATIENCE_S)


@only_on_sqlite
@pytest.mark.parametrize(
    "work",
    [
        end_at_work,
        end_before_the_answer,
        end_within_the_length,
        end_after_the_length,
        end_within_the_answer,
    ],
)
def test_a_worker_process_that_ends_while_it_works_or_answers_is_reported(
    workers: WorkerPool[Ledger], work: Callable[..., Any]
) -> None:
    check_broken(workers, work)


@only_on_sqlite
def test_a_worker_process_that_ends_while_it_gets_a_task_is_reported(workers: WorkerPool[Ledger]) -> None:
    check_broken(workers, size, EndsItsReader(), bytes(MORE_THAN_A_PIPE_HOLDS))


@only_on_sqlite
def test_worker_processes_that_end_before_they_have_begun_are_reported(workers: WorkerPool[Ledger]) -> None:
    kill_workers()
    check_broken(workers, size)
    check_broken(workers, size, bytes(MORE_THAN_A_PIPE_HOLDS))


@only_on_sqlite
def test_worker_processes_that_end_while_they_wait_are_reported(workers: WorkerPool[Ledger]) -> None:
    assert workers.submit(size, 1, 2).result(PATIENCE_S) == 2
    kill_workers()
    check_broken(workers, size)


@only_on_sqlite
def test_what_a_worker_process_answered_before_it_ended_counts(workers: WorkerPool[Ledger]) -> None:
    assert workers.submit(end_after_the_answer).result(PATIENCE_S) == 1
    check_broken(workers, size)


def wait_for_ever(_: Ledger) -> None:
    signal.pause()


@only_on_sqlite
def test_an_error_here_ends_worker_processes_in_the_midst_of_their_work(ledger: Ledger) -> None:
    asked: list[Future[None]] = []

    def meet_an_error() -> NoReturn:
        with ledger_workers(ledger, 2) as workers:
            asked.extend(workers.submit(wait_for_ever) for _ in range(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        meet_an_error()
    assert multiprocessing.active_children() == []
    assert all(future.done() for future in asked)


def ask_for_what_is_not_there(ledger: Ledger) -> None:
    with read_transaction(ledger.engine) as connection:
        connection.execute(text("SELECT * FROM nowhere"))


def test_an_error_of_the_database_in_a_worker_process_is_raised_here(workers: WorkerPool[Ledger]) -> None:
    asked = workers.submit(ask_for_what_is_not_there)
    with pytest.raises(DBAPIError, match="nowhere"):
        asked.result(PATIENCE_S)


def fail(_: Ledger, error: type[Exception], of: object) -> NoReturn:
    raise error(of)


@only_on_sqlite
def test_an_error_of_a_worker_process_says_here_what_it_said_there(workers: WorkerPool[Ledger]) -> None:
    for error in (NotProjectedError(7), UncertainError("b1")):
        (of,) = vars(error).values()
        error_raised = workers.submit(fail, type(error), of).exception(PATIENCE_S)
        assert (type(error_raised), str(error_raised)) == (type(error), str(error))
        assert of in vars(error_raised).values()


def same(_: Ledger, number: int) -> int:
    return number


@only_on_sqlite
@pytest.mark.parametrize("processes", [0, 1, 2])
def test_tasks_that_are_shared_are_each_done_once(ledger: Ledger, processes: int) -> None:
    with ledger_workers(ledger, processes) as workers:
        done = list(workers.share(same, [(number,) for number in range(40)]))
    assert done == list(reversed(range(40)))


def meet(_: Ledger, mine: Path, other: Path) -> int:
    """Say that this task has begun, and go on when the other one has."""
    mine.touch()
    while not other.exists():
        time.sleep(0.01)
    return os.getpid()


@only_on_sqlite
def test_of_tasks_that_are_shared_this_process_takes_the_last_and_another_the_first(
    ledger: Ledger, tmp_path: Path
) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    with ledger_workers(ledger, 1) as workers:
        here, there = workers.share(meet, [(first, last), (last, first)])
    assert here == os.getpid() != there


def fail_at(_: Ledger, number: int) -> int:
    if number == 1:
        raise UncertainError("b1")
    return number


@only_on_sqlite
@pytest.mark.parametrize("processes", [0, 1])
def test_an_error_of_a_shared_task_is_raised(ledger: Ledger, processes: int) -> None:
    with ledger_workers(ledger, processes) as workers, pytest.raises(UncertainError):
        list(workers.share(fail_at, [(0,), (1,), (2,)]))


@only_on_sqlite
@pytest.mark.parametrize("processes", [0, 1, 2])
def test_results_of_tasks_that_are_spread_come_in_the_order_of_the_tasks(
    ledger: Ledger, processes: int
) -> None:
    with ledger_workers(ledger, processes) as workers:
        assert list(workers.map_ordered(same, ((number,) for number in range(40)))) == list(range(40))
        assert list(workers.map_ordered(same, [])) == []


@only_on_sqlite
def test_of_tasks_that_are_spread_this_process_takes_those_for_which_the_others_have_no_time(
    ledger: Ledger, tmp_path: Path
) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    with ledger_workers(ledger, 1) as workers:
        there, _, here = workers.map_ordered(meet, [(first, last), (last, first), (last, first)])
    assert here == os.getpid() != there


@only_on_sqlite
def test_tasks_that_are_spread_are_read_only_so_far_ahead(ledger: Ledger, tmp_path: Path) -> None:
    read: list[int] = []

    def tasks() -> Iterator[tuple[Path, Path]]:
        for number in range(3 * MOST_AHEAD):
            read.append(number)
            if number == MOST_AHEAD:
                (tmp_path / "go").touch()
            yield tmp_path / "went", tmp_path / ("go" if number == 0 else "went")

    with ledger_workers(ledger, 1) as workers:
        results = workers.map_ordered(meet, tasks())
        next(results)
        assert len(read) == MOST_AHEAD + 1
        assert len(list(results)) == 3 * MOST_AHEAD - 1


@only_on_sqlite
@pytest.mark.parametrize("processes", [0, 1])
def test_an_error_of_a_mapped_task_is_raised(ledger: Ledger, processes: int) -> None:
    with ledger_workers(ledger, processes) as workers, pytest.raises(UncertainError):
        list(workers.map_ordered(fail_at, [(0,), (1,), (2,)]))
