"""The longest waiter goes first: threads, processes, and short filings together with long ones."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from app.ledger.ledger import Ledger
from app.runtime import turns
from app.runtime.database import _WRITERS, write_transaction
from app.runtime.turns import Coalescer, Gate, NoTurnError, Turns
from app.use_cases.filing import file_returns as filing
from tests.databases import only_on_sqlite
from tests.ledger.history import code, file, log, trade
from tests.processes.running import PATIENCE_S, eventually

WAITERS = 5
LOCKED = TimeoutError("another process has the lock")


class Lock:
    """A lock of a database that two processes try to take.

    Attributes:
        order: The names of those who took it, in order.
        asked: The number of failed attempts.
    """

    def __init__(self) -> None:
        self.is_free = True
        self.order: list[str] = []
        self.asked = 0

    def by(self, name: str) -> Callable[[], Exception | None]:
        """A function that tries to take the lock under a name."""

        def begin() -> Exception | None:
            if not self.is_free:
                self.asked += 1
                return LOCKED
            self.order.append(name)
            return None

        return begin


@pytest.fixture
def closes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process comes to the gate again for each turn, and waits for it as long as necessary."""
    monkeypatch.setattr(turns, "GATE_STAYS_OPEN_S", 0)
    monkeypatch.setattr(turns, "GATE_WAIT_MOST_S", PATIENCE_S)


def test_threads_have_their_turns_in_the_order_in_which_they_came() -> None:
    line, order = Turns(), list[int]()

    def take(n: int) -> None:
        with line.taken(PATIENCE_S):
            order.append(n)

    with ThreadPoolExecutor(WAITERS) as pool, line.taken(0):
        for n in range(WAITERS):
            pool.submit(take, n)
            eventually(lambda n=n: line.waiting == n + 1)  # type: ignore[misc]
    assert order == list(range(WAITERS))


def test_a_thread_that_comes_back_at_once_waits_behind_those_that_wait() -> None:
    line, order = Turns(), list[str]()

    def take() -> None:
        with line.taken(PATIENCE_S):
            order.append("the one that waited")

    with ThreadPoolExecutor(1) as pool:
        with line.taken(0):
            pool.submit(take)
            eventually(lambda: line.waiting == 1)
        with line.taken(PATIENCE_S):
            order.append("the one that came back")
    assert order == ["the one that waited", "the one that came back"]


def test_a_waiter_that_gives_up_keeps_no_other_from_a_turn() -> None:
    line = Turns()
    with line.taken(0), pytest.raises(NoTurnError), line.taken(0.01):
        pass
    assert line.waiting == 0
    with line.taken(0):
        pass


def test_a_thread_that_ends_in_its_turn_passes_it_on() -> None:
    line = Turns()
    with pytest.raises(ZeroDivisionError), line.taken(0):
        raise ZeroDivisionError
    with line.taken(0):
        pass


def test_as_many_have_a_turn_at_a_time_as_there_are_places() -> None:
    line = Turns(2)
    with line.taken(0), line.taken(0), pytest.raises(NoTurnError), line.taken(0):
        pass


class Work:
    """A step of a coalescer that waits until it may end.

    Attributes:
        head: The number that a step reaches: the value when the step begins.
        steps: The number of steps begun.
    """

    def __init__(self, coalescer: Coalescer) -> None:
        self.head = 0
        self.steps = 0
        self.may_end = Event()
        self._coalescer = coalescer

    def step(self) -> int:
        """Reach what there is now."""
        self.steps += 1
        reached = self.head
        assert self.may_end.wait(PATIENCE_S)
        return reached

    def advance(self, goal: int) -> int:
        """Reach a number, as a thread."""
        return self._coalescer.advance(goal, self.step, PATIENCE_S)


def test_threads_that_wait_for_a_step_share_the_next_one() -> None:
    coalescer = Coalescer()
    work = Work(coalescer)
    with ThreadPoolExecutor(WAITERS + 1) as pool:
        first = pool.submit(work.advance, 0)
        eventually(lambda: work.steps == 1)
        work.head = WAITERS
        others = [pool.submit(work.advance, n) for n in range(1, WAITERS + 1)]
        eventually(lambda: coalescer.waiting == WAITERS)
        work.may_end.set()
        assert first.result() == 0
        assert [other.result() for other in others] == [WAITERS] * WAITERS
    assert work.steps == 2


def test_a_step_that_was_begun_before_is_not_relied_on() -> None:
    coalescer = Coalescer()
    work = Work(coalescer)
    work.may_end.set()
    work.head = 9
    assert work.advance(5) == 9
    work.head = 3  # Another database is in its place.
    assert work.advance(2) == 3
    assert work.steps == 2


def test_a_thread_that_needs_more_than_a_step_reached_takes_another_one() -> None:
    coalescer = Coalescer()
    work = Work(coalescer)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(work.advance, 0)
        eventually(lambda: work.steps == 1)
        work.head = 1
        others = [pool.submit(work.advance, goal) for goal in (1, 2)]
        eventually(lambda: coalescer.waiting == 2)
        work.may_end.set()
        assert [first.result(), *(other.result() for other in others)] == [0, 1, 1]
    assert work.steps == 3


def test_a_step_that_fails_is_taken_again_by_the_next_one() -> None:
    coalescer = Coalescer()
    work = Work(coalescer)
    work.may_end.set()

    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        coalescer.advance(1, fail, 0)
    work.head = 1
    assert work.advance(1) == 1


@pytest.mark.usefixtures("closes_at_once")
def test_a_process_that_waits_for_the_lock_goes_before_one_that_comes_back(tmp_path: Path) -> None:
    path, lock = tmp_path / "gate", Lock()
    first, second = Gate(path), Gate(path)
    first.pass_through(lock.by("first"), 0)
    lock.is_free = False  # The first one writes.
    with ThreadPoolExecutor(2) as pool:
        pool.submit(second.pass_through, lock.by("second"), PATIENCE_S)
        eventually(lambda: lock.asked > 0)
        pool.submit(first.pass_through, lock.by("first again"), PATIENCE_S)
        asked = lock.asked
        eventually(lambda: lock.asked > asked + WAITERS)
        lock.is_free = True
    assert lock.order == ["first", "second", "first again"]


def test_threads_of_one_process_follow_each_other_while_the_gate_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "GATE_STAYS_OPEN_S", 2 * PATIENCE_S)
    monkeypatch.setattr(turns, "GATE_WAIT_MOST_S", 2 * PATIENCE_S)
    path, lock, in_the_gate = tmp_path / "gate", Lock(), Lock()
    first, second = Gate(path), Gate(path)
    first.pass_through(lock.by("first"), 0)
    in_the_gate.is_free = False
    with ThreadPoolExecutor(2) as pool:
        pool.submit(second.pass_through, in_the_gate.by("second"), 2 * PATIENCE_S)
        eventually(lambda: in_the_gate.asked > 0)
        again = pool.submit(first.pass_through, lock.by("first again"), 2 * PATIENCE_S)
        again.result(PATIENCE_S)
        in_the_gate.is_free = True
    assert lock.order == ["first", "first again"]


def test_a_process_that_is_stopped_in_the_gate_is_gone_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "GATE_WAIT_MOST_S", 0.05)
    path, lock, stopped = tmp_path / "gate", Lock(), Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(Gate(path).pass_through, lambda: None if stopped.is_set() else LOCKED, PATIENCE_S)
        eventually(path.exists)
        Gate(path).pass_through(lock.by("another"), PATIENCE_S)
        stopped.set()
    assert lock.order == ["another"]


def test_a_lock_that_is_not_free_in_time_raises_the_error_of_the_database(tmp_path: Path) -> None:
    lock = Lock()
    lock.is_free = False
    with pytest.raises(TimeoutError) as raised:
        Gate(tmp_path / "gate").pass_through(lock.by("anybody"), 0.02)
    assert raised.value is LOCKED


def test_where_no_file_can_be_made_the_lock_is_asked_for_all_the_same(tmp_path: Path) -> None:
    lock = Lock()
    Gate(tmp_path / "missing" / "gate").pass_through(lock.by("anybody"), 0)
    assert lock.order == ["anybody"]


@only_on_sqlite
def test_filings_to_an_sqlite_file_are_recorded_in_the_order_in_which_they_came(ledger: Ledger) -> None:
    with ThreadPoolExecutor(WAITERS) as pool, write_transaction(ledger.engine):
        line = _WRITERS[ledger.engine].turns
        for n in range(WAITERS):
            pool.submit(file, ledger, trade(code(n), "2024-03", 110_000, 100_000))
            eventually(lambda n=n: line.waiting == n + 1)  # type: ignore[misc]
    assert [entry.stream for entry in log(ledger)] == [f"returns/{code(n)}/2024" for n in range(WAITERS)]


def test_short_filings_go_on_while_long_ones_wait_for_each_other(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "LONG_BATCH_ROWS", 2)
    rows = [trade(code(n), "2024-03", 110_000, 100_000) for n in range(3)]
    with ThreadPoolExecutor(1) as pool:
        with ledger.long_batches.taken(0), ledger.long_batches.taken(0):
            long = pool.submit(file, ledger, *rows[:2])
            eventually(lambda: ledger.long_batches.waiting == 1)
            assert file(ledger, rows[2]).position == 1
        assert long.result().position == 1 + 2
