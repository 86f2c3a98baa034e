"""Connections are lost at any moment while many work: nothing is lost, nothing doubled, no answer untrue."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from threading import Barrier, Event, Lock, Thread
from typing import NamedTuple

import pytest
from sqlalchemy import exc as sql_errors
from sqlalchemy import text

from app.ledger.ledger import Ledger, UncertainError
from app.runtime.database import UNAVAILABLE, read_transaction, write_transaction
from app.use_cases.filing.file_returns import FilingAnswer
from app.use_cases.policies import publishing
from app.use_cases.policies.publishing import assess_published, publish
from app.use_cases.recording import INTERRUPTED
from app.use_cases.upkeep.projecting import NotProjectedError, project_all
from tests.api.rows import refused
from tests.databases import Database
from tests.faults.conftest import ON_POSTGRESQL
from tests.faults.proxy import COMMIT, Cut, Proxy, never, once
from tests.faults.test_uncertain_commit import check_read_models, recorded
from tests.ledger.history import Row, code, file, log, policy, trade
from tests.ledger.test_concurrency import check_consistency
from tests.office import Office, TestClock

pytestmark = ON_POSTGRESQL

FILERS = 4
ENTERPRISES = 2
MONTHS = ("2024-03", "2024-04", "2024-07")


class Cuts:
    """Cuts connections at drawn statements, COMMITs before others."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._lock = Lock()

    def __call__(self, message: bytes) -> Cut | None:
        with self._lock:
            is_cut = self._random.random() < (0.2 if COMMIT in message else 0.02)
            return self._random.choice([Cut.BEFORE, Cut.AFTER]) if is_cut else None


class Filed(NamedTuple):
    """An answer, and whether the caller had been told before that it may be recorded already."""

    answer: FilingAnswer
    is_excused: bool


def file_as_a_caller(far: Ledger, row: Row) -> Filed:
    """File, and come again as often as told to."""
    is_excused = False
    while True:
        try:
            return Filed(file(far, row), is_excused)
        except (UncertainError, NotProjectedError):
            is_excused = True
        except UNAVAILABLE:
            continue


def again_and_again(step: Callable[[], object]) -> None:
    """Until the database lets it happen."""
    done = False
    while not done:
        with suppress(*INTERRUPTED):
            step()
            done = True


def work(far: Ledger) -> list[Filed]:
    """Four filers, each with enterprises of its own, and one who publishes; the answers."""
    start = Barrier(FILERS + 1)

    def file_some(filer: int) -> list[Filed]:
        start.wait()
        rows = [
            trade(code(100 * filer + n), month, 120_000 + n, 100_000)
            for n in range(ENTERPRISES)
            for month in MONTHS
        ]
        return [file_as_a_caller(far, row) for row in rows]

    def publish_some() -> None:
        start.wait()
        for loaded in (policy(), policy(30_000), policy(20_000)):
            again_and_again(partial(publish, far, loaded, actor="admin"))
            again_and_again(partial(assess_published, far))

    with ThreadPoolExecutor(FILERS + 1) as pool:
        publishing_them = pool.submit(publish_some)
        filed = [each for found in pool.map(file_some, range(FILERS)) for each in found]
        publishing_them.result()
    return filed


def check(ledger: Ledger, filed: list[Filed]) -> None:
    """Every row is in the log once, and every answer says of its own batch what the log says."""
    counts = recorded(ledger)
    assert len(filed) == FILERS * ENTERPRISES * len(MONTHS)
    assert counts["ReturnFiled"] == len(filed)
    assert (counts["PolicyPublished"], counts["ReturnRevised"]) == (3, 0)
    entries = log(ledger)
    for answer, is_excused in filed:
        own = [each for each in entries if each.batch_id == answer.batch_id]
        assert (answer.filed, answer.revised, answer.unchanged) == ((1, 0, 0) if own else (0, 0, 1))
        assert own or is_excused
        if own:
            assert own[-1].position == answer.position == own[0].transaction_end
            assert [each.type for each in own] == ["ReturnFiled", *["EntitlementAssessed"] * (len(own) - 1)]
    check_consistency(ledger)
    project_all(ledger)
    check_read_models(ledger)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An assessment takes several chunks."""
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 3)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("seed", range(2))
def test_connections_that_are_cut_at_random_lose_nothing_and_double_nothing(
    ledger: Ledger, proxy: Proxy, far: Ledger, seed: int
) -> None:
    proxy.decide = Cuts(seed)
    filed = work(far)
    proxy.decide = never
    assert proxy.cuts > 0
    check(ledger, filed)


@contextmanager
def terminating(ledger: Ledger, seed: int) -> Iterator[list[int]]:
    """Meanwhile the server ends the connections of the others, one or a few at a time; how often."""
    draw, stopped, ended = random.Random(seed), Event(), [0]  # noqa: S311
    others = text(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'duixian' AND pid <> pg_backend_pid()"
    )

    def terminate() -> None:
        with ledger.engine.connect() as connection:
            while not stopped.wait(draw.uniform(0.02, 0.2)) or not ended[0]:
                pids = sorted(connection.scalars(others))
                for pid in draw.sample(pids, min(len(pids), draw.choice([1, 1, 3]))):
                    connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
                    ended[0] += 1
                connection.commit()

    thread = Thread(target=terminate)
    thread.start()
    try:
        yield ended
    finally:
        stopped.set()
        thread.join()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("seed", range(2))
def test_connections_that_the_server_ends_lose_nothing_and_double_nothing(
    database: Database, ledger: Ledger, seed: int
) -> None:
    engine = database.open()
    with terminating(ledger, seed) as ended:
        filed = work(Ledger(engine, TestClock()))
    engine.dispose()
    assert ended[0] > 0
    check(ledger, filed)


def test_a_call_past_sqlalchemy_that_loses_its_connection_is_a_lost_connection(
    ledger: Ledger, proxy: Proxy, far: Ledger
) -> None:
    proxy.decide = lambda message: Cut.BEFORE if b"COPY" in message else None

    def copy() -> None:
        with write_transaction(far.engine) as connection:
            driver = connection.connection.dbapi_connection
            assert driver is not None
            driver.cursor().execute("COPY events TO STDOUT")

    with pytest.raises(sql_errors.OperationalError) as raised:
        copy()
    assert raised.value.connection_invalidated
    proxy.decide = never
    file(far, trade(code(1), "2024-03", 120_000, 100_000))
    assert recorded(ledger) == {"ReturnFiled": 1}


def test_a_service_whose_connections_were_all_cut_goes_on_by_itself(
    ledger: Ledger, proxy: Proxy, far: Ledger
) -> None:
    file(far, trade(code(1), "2024-03", 120_000, 100_000))
    proxy.refuses = True
    proxy.decide = lambda _: Cut.BEFORE
    with pytest.raises(INTERRUPTED):
        file(far, trade(code(1), "2024-04", 120_000, 100_000))
    proxy.refuses = False
    proxy.decide = never
    project_all(far)
    assert file(far, trade(code(1), "2024-04", 120_000, 100_000)).filed == 1
    with read_transaction(far.engine) as connection:
        assert far.head(connection) == len(log(ledger)) == 2


@pytest.mark.parametrize("marker", [b"FROM api_keys", b"FROM events"])
@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER], ids=lambda cut: str(cut.name))
def test_a_read_over_http_that_loses_its_connection_is_answered_all_the_same(
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut, marker: bytes
) -> None:
    file(ledger, trade(code(1), "2024-03", 120_000, 100_000))
    with Office(far) as office:
        proxy.decide = once(marker, cut)
        items = office.read("/v1/events")["items"]
    assert proxy.cuts == 1
    assert [each["type"] for each in items] == ["ReturnFiled"]


def test_a_read_over_http_that_loses_every_connection_is_told_to_come_again(
    proxy: Proxy, far: Ledger
) -> None:
    with Office(far) as office:
        proxy.decide = lambda message: Cut.BEFORE if b"FROM events" in message else None
        response = office.get("/v1/events")
        refused(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert proxy.cuts == 2
        proxy.decide = never
        assert office.read("/v1/events")["items"] == []
