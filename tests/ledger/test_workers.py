"""Worker processes: their results and errors arrive, and so does the news that one ended at any moment."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import nullcontext
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
from tests.ledger.working import (
    EndsItsReader,
    end_after_the_answer,
    end_after_the_length,
    end_at_work,
    end_before_the_answer,
    end_within_the_answer,
    end_within_the_length,
    fail,
    fail_at,
    meet,
    same,
    size,
    wait_for_ever,
)

pytestmark = pytest.mark.slow

PATIENCE_S = 60
MORE_THAN_A_PIPE_HOLDS = 10_000_000


def pool(processes: int) -> WorkerPool[None]:
    """A pool whose processes have nothing open, and so begin at once."""
    return WorkerPool(None, nullcontext, processes)


def kill_workers() -> None:
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


@pytest.fixture
def workers() -> Iterator[WorkerPool[None]]:
    """A pool with one worker process, which must have ended after the test."""
    with pool(1) as workers:
        yield workers
    assert multiprocessing.active_children() == []


def check_broken(workers: WorkerPool[None], work: Callable[..., Any], *given: Any) -> None:
    """Check that the error says that the process ended, in this task or before it."""
    asked = workers.submit(work, *given)
    with pytest.raises(BrokenExecutor):
        asked.result(PATIENCE_S)


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
    workers: WorkerPool[None], work: Callable[..., Any]
) -> None:
    check_broken(workers, work)


def test_a_worker_process_that_ends_while_it_gets_a_task_is_reported(workers: WorkerPool[None]) -> None:
    check_broken(workers, size, EndsItsReader(), bytes(MORE_THAN_A_PIPE_HOLDS))


def test_worker_processes_that_end_before_they_have_begun_are_reported(workers: WorkerPool[None]) -> None:
    kill_workers()
    check_broken(workers, size)
    check_broken(workers, size, bytes(MORE_THAN_A_PIPE_HOLDS))


def test_worker_processes_that_end_while_they_wait_are_reported(workers: WorkerPool[None]) -> None:
    assert workers.submit(size, 1, 2).result(PATIENCE_S) == 2
    kill_workers()
    check_broken(workers, size)


def test_what_a_worker_process_answered_before_it_ended_counts(workers: WorkerPool[None]) -> None:
    assert workers.submit(end_after_the_answer).result(PATIENCE_S) == 1
    check_broken(workers, size)


def test_an_error_here_ends_worker_processes_in_the_midst_of_their_work() -> None:
    asked: list[Future[None]] = []

    def meet_an_error() -> NoReturn:
        with pool(2) as workers:
            asked.extend(workers.submit(wait_for_ever) for _ in range(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        meet_an_error()
    assert multiprocessing.active_children() == []
    assert all(future.done() for future in asked)


def ask_for_what_is_not_there(ledger: Ledger) -> None:
    with read_transaction(ledger.engine) as connection:
        connection.execute(text("SELECT * FROM nowhere"))


def test_an_error_of_the_database_in_a_worker_process_is_raised_here(ledger: Ledger) -> None:
    with ledger_workers(ledger, 1) as workers:
        asked = workers.submit(ask_for_what_is_not_there)
        with pytest.raises(DBAPIError, match="nowhere"):
            asked.result(PATIENCE_S)


def test_an_error_of_a_worker_process_says_here_what_it_said_there(workers: WorkerPool[None]) -> None:
    for error in (NotProjectedError(7), UncertainError("b1")):
        (of,) = vars(error).values()
        error_raised = workers.submit(fail, type(error), of).exception(PATIENCE_S)
        assert (type(error_raised), str(error_raised)) == (type(error), str(error))
        assert of in vars(error_raised).values()


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_tasks_that_are_shared_are_each_done_once(processes: int) -> None:
    with pool(processes) as workers:
        done = list(workers.share(same, [(number,) for number in range(40)]))
    assert done == list(reversed(range(40)))


def test_of_tasks_that_are_shared_this_process_takes_the_last_and_another_the_first(tmp_path: Path) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    with pool(1) as workers:
        here, there = workers.share(meet, [(first, last), (last, first)])
    assert here == os.getpid() != there


@pytest.mark.parametrize("processes", [0, 1])
def test_an_error_of_a_shared_task_is_raised(processes: int) -> None:
    with pool(processes) as workers, pytest.raises(ZeroDivisionError):
        list(workers.share(fail_at, [(0,), (1,), (2,)]))


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_results_of_tasks_that_are_spread_come_in_the_order_of_the_tasks(processes: int) -> None:
    with pool(processes) as workers:
        assert list(workers.map_ordered(same, ((number,) for number in range(40)))) == list(range(40))
        assert list(workers.map_ordered(same, [])) == []


def test_of_tasks_that_are_spread_this_process_takes_those_that_wait(
    tmp_path: Path,
) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    with pool(1) as workers:
        there, _, here = workers.map_ordered(meet, [(first, last), (last, first), (last, first)])
    assert here == os.getpid() != there


def test_tasks_that_are_spread_are_read_only_so_far_ahead(tmp_path: Path) -> None:
    read: list[int] = []

    def tasks() -> Iterator[tuple[Path, Path]]:
        for number in range(3 * MOST_AHEAD):
            read.append(number)
            if number == MOST_AHEAD:
                (tmp_path / "go").touch()
            yield tmp_path / "went", tmp_path / ("go" if number == 0 else "went")

    with pool(1) as workers:
        results = workers.map_ordered(meet, tasks())
        next(results)
        assert len(read) == MOST_AHEAD + 1
        assert len(list(results)) == 3 * MOST_AHEAD - 1


@pytest.mark.parametrize("processes", [0, 1])
def test_an_error_of_a_mapped_task_is_raised(processes: int) -> None:
    with pool(processes) as workers, pytest.raises(ZeroDivisionError):
        list(workers.map_ordered(fail_at, [(0,), (1,), (2,)]))
