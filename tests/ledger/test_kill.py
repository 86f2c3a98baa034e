"""A process killed at any moment: all of a batch is recorded or nothing, and a restart does the rest."""

import os
import random
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NoReturn

import httpx2
import pytest
import uvicorn

from app.bootstrap import complete, why_not_ready
from app.ledger.ledger import Ledger
from app.ledger.mapper import StoredEvent
from app.ledger.recorder import AppendRequest
from app.runtime.database import open_engine, read_transaction, write_transaction
from app.security.keys import create_key
from app.use_cases.filing.file_returns import FilingAnswer
from app.use_cases.policies import publishing
from app.use_cases.policies.publishing import assess_published, publish
from app.use_cases.upkeep.rebuilding import rebuild
from domain.assessment.account import EntitlementAccount
from domain.periods import Window
from domain.returns import AnnualReturns
from tests.databases import Database, only_on_sqlite
from tests.ledger.history import PERIODS, Row, code, file, log, policy, read_model_rows, trade
from tests.office import TestClock
from tests.processes.running import PATIENCE_S, ActsBeforeTheCommit, forked, kills_itself

ENTERPRISES = 100
KILLS = 5
CODES = [code(n) for n in range(1, ENTERPRISES + 1)]


def serve(url: str, listening: socket.socket) -> None:
    """Serve at a socket; what a start does with the database is part of it."""
    os.environ["DUIXIAN_DATABASE_URL"] = url
    uvicorn.run("app.main:create_default_app", factory=True, fd=listening.fileno(), log_level="warning")


def batch(period: str) -> list[Row]:
    return [trade(uscc, period, 110_000 + 1_000 * n, 100_000) for n, uscc in enumerate(CODES)]


def check_complete(ledger: Ledger) -> None:
    """Check that the log has no gap, accounts follow from their returns, and read models are complete."""
    assert why_not_ready(ledger) is None
    entries = log(ledger)
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    with read_transaction(ledger.engine) as connection:
        (standing,) = ledger.policies(connection)
        streams = ledger.streams(connection, {entry.stream for entry in entries})
    for name, events in streams.items():
        if name.startswith("returns/"):
            uscc = name.split("/")[1]
            for window in ("2024H1", "2024H2"):
                stream = f"entitlement/{standing.ref.id}/{uscc}/{window}"
                account = EntitlementAccount(Window.parse(window), streams.get(stream, ()))
                assert account.reassess(standing, [AnnualReturns(name, events)]) == []
    made = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == made


def filed_by_period(ledger: Ledger) -> Counter[str]:
    return Counter(entry.event.period for entry in log(ledger) if entry.type == "ReturnFiled")  # type: ignore[union-attr]


class Service:
    """The service in a process of its own, at a socket that outlives it.

    A client that connects while no process accepts waits in the queue of the socket, so tests need not poll.
    """

    def __init__(self, database: Database) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._database = database
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        self._process = forked(serve, self._database.url, self._socket)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(PATIENCE_S)
            assert self._process.exitcode == -signal.SIGKILL
            self._process = None

    def close(self) -> None:
        self.kill()
        self._socket.close()


@pytest.fixture
def clock() -> TestClock:
    """A clock like that of the processes that these tests start."""
    return TestClock.of_machine()


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    opened = Service(database)
    yield opened
    opened.close()


@pytest.fixture
def statistics_key(ledger: Ledger) -> str:
    with write_transaction(ledger.engine) as connection:
        key = create_key(connection, name="statistics", role="statistics", with_figures=False, now_us=0)
    assert key is not None
    return key


def test_a_service_killed_while_it_files_has_all_of_a_batch_or_none_of_it(
    ledger: Ledger, service: Service, statistics_key: str
) -> None:
    publish(ledger, policy(), actor="admin")
    headers = {"Authorization": f"Bearer {statistics_key}"}

    def send(client: httpx2.Client, period: str) -> int | None:
        body = {"unit": "qianyuan", "returns": batch(period)}
        try:
            return client.post("/v1/returns", json=body, headers=headers).status_code
        except httpx2.TransportError:
            return None

    def wait_until_ready(client: httpx2.Client) -> None:
        assert client.get("/readyz").status_code == 200

    answers: dict[str, int | None] = {}
    fresh_connections = httpx2.Limits(max_keepalive_connections=0)
    client = httpx2.Client(base_url=service.url, timeout=60, limits=fresh_connections)
    with client, ThreadPoolExecutor(1) as pool:
        service.start()
        wait_until_ready(client)
        started = time.perf_counter()
        answers[PERIODS[0]] = send(client, PERIODS[0])
        undisturbed_s = time.perf_counter() - started
        assert answers[PERIODS[0]] == 201
        for seed, period in enumerate(PERIODS[1 : KILLS + 1]):
            sending = pool.submit(send, client, period)
            time.sleep(random.Random(seed).uniform(0, 1.2 * undisturbed_s))  # noqa: S311
            service.kill()
            service.start()
            answers[period] = sending.result()
            wait_until_ready(client)
            recorded = filed_by_period(ledger)[period]
            assert recorded in {0, ENTERPRISES}
            assert answers[period] != 201 or recorded == ENTERPRISES
        for period in answers:
            assert send(client, period) == 201
    service.kill()
    assert filed_by_period(ledger) == dict.fromkeys(answers, ENTERPRISES)
    check_complete(ledger)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DiesAfterTheCommit(Ledger):
    """A process that ends between recording and projecting."""

    def record(self, new_events: Sequence[StoredEvent], recording: AppendRequest) -> int:
        super().record(new_events, recording)
        _die()


def _before_the_commit(url: str) -> None:
    file(ActsBeforeTheCommit(Ledger(open_engine(url)), _die), *batch("2024-03"))


def _after_the_commit(url: str) -> None:
    file(DiesAfterTheCommit(open_engine(url)), *batch("2024-03"))


def _after_the_publication(url: str) -> None:
    publish(DiesAfterTheCommit(open_engine(url)), policy(30_000), actor="admin")


def _between_two_chunks(url: str) -> None:
    publishing.STREAMS_PER_CHUNK = ENTERPRISES // 4  # type: ignore[misc]
    ledger = Ledger(open_engine(url))
    publish(ledger, policy(30_000), actor="admin")

    def die_at_the_third(done: int, _: int) -> None:
        if done == 2 * publishing.STREAMS_PER_CHUNK:
            _die()

    assess_published(ledger, die_at_the_third)


def _within_a_chunk(url: str) -> None:
    publish(Ledger(open_engine(url)), policy(30_000), actor="admin")
    assess_published(DiesAfterTheCommit(open_engine(url)))


def _restarted(url: str) -> Ledger:
    ledger = Ledger(open_engine(url))
    complete(ledger)
    return ledger


@pytest.mark.parametrize(("work", "recorded"), [(_before_the_commit, 0), (_after_the_commit, ENTERPRISES)])
def test_a_batch_counts_from_its_commit_and_not_before(
    ledger: Ledger, database: Database, work: Callable[[str], None], recorded: int
) -> None:
    publish(ledger, policy(), actor="admin")
    kills_itself(work, database.url)
    restarted = _restarted(database.url)
    assert filed_by_period(restarted)["2024-03"] == recorded
    answer = file(restarted, *batch("2024-03"))
    assert (answer.filed, answer.unchanged) == (ENTERPRISES - recorded, recorded)
    check_complete(restarted)
    restarted.engine.dispose()


@pytest.mark.parametrize("work", [_after_the_publication, _between_two_chunks, _within_a_chunk])
def test_a_publication_that_was_killed_is_assessed_to_its_end_after_the_restart(
    ledger: Ledger, database: Database, work: Callable[[str], None]
) -> None:
    publish(ledger, policy(), actor="admin")
    assert isinstance(file(ledger, *batch("2024-03")), FilingAnswer)
    ledger.engine.dispose()
    kills_itself(work, database.url)
    restarted = _restarted(database.url)
    with read_transaction(restarted.engine) as connection:
        assert [policy.ref.version for policy in restarted.policies(connection)] == [2]
    check_complete(restarted)
    restarted.engine.dispose()


@only_on_sqlite
def test_a_copy_of_the_sqlite_file_that_was_left_behind_is_a_ledger_too(
    ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    publish(ledger, policy(), actor="admin")
    ledger.engine.dispose()
    kills_itself(_after_the_commit, database.url)
    copied = tmp_path / "copy"
    copied.mkdir()
    for left in database.path.parent.glob(f"{database.path.name}*"):
        shutil.copy(left, copied / left.name)
    restarted = _restarted(f"sqlite:///{copied / database.path.name}")
    assert filed_by_period(restarted) == {"2024-03": ENTERPRISES}
    check_complete(restarted)
    restarted.engine.dispose()
