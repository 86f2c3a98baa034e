"""`/readyz` says soon and clearly what is wrong, `/healthz` stays 200, and the service recovers by itself."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest
from alembic import command
from fastapi.testclient import TestClient
from sqlalchemy import make_url, text

from app.api.routes import health
from app.background.caretaker import Caretaker
from app.bootstrap import alembic_config
from app.ledger.ledger import Ledger
from app.main import READINESS_THREADS, create_app
from app.runtime.database import open_engine, read_transaction, write_transaction
from app.use_cases.policies import publishing
from app.use_cases.policies.publishing import publish
from projections.projector import position_of
from tests.api.rows import refused
from tests.databases import Database, Host, PostgresHost
from tests.faults.conftest import ON_POSTGRESQL
from tests.faults.proxy import Cut, Proxy, never
from tests.faults.test_uncertain_commit import check_read_models, recorded
from tests.ledger.history import code, empty_read_models, file, log, policy, trade
from tests.office import TestClock
from tests.processes.running import PATIENCE_S

ROW = trade(code(1), "2024-03", 120_000, 100_000)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is busy with other things a database that answers is waited for."""
    monkeypatch.setattr(health, "READY_TIMEOUT_S", float(PATIENCE_S))


def why_not_ready(client: TestClient) -> str:
    """What `/readyz` answers while `/healthz` is well."""
    response = client.get("/readyz")
    assert client.get("/healthz").status_code == 200
    assert int(response.headers["retry-after"]) > 0
    detail: str = refused(response, 503, "unavailable")["detail"]
    return detail


def is_ready(client: TestClient) -> bool:
    return bool(client.get("/readyz").json()["status"] == "ready")


@contextmanager
def service(url: str) -> Iterator[TestClient]:
    """The service as it stands when its start is behind it."""
    engine = open_engine(url)
    try:
        yield TestClient(create_app(Ledger(engine, TestClock())))
    finally:
        engine.dispose()


@ON_POSTGRESQL
def test_a_database_that_goes_and_comes_back_is_noticed_both_times(proxy: Proxy, far: Ledger) -> None:
    client = TestClient(create_app(far))
    assert is_ready(client)
    proxy.refuses = True
    proxy.decide = lambda _: Cut.BEFORE
    assert "暂时不可用" in why_not_ready(client)
    proxy.refuses = False
    proxy.decide = never
    assert is_ready(client)
    assert file(far, ROW).filed == 1


@ON_POSTGRESQL
def test_a_connection_on_which_nothing_comes_back_does_not_keep_readiness_waiting(
    proxy: Proxy, far: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(create_app(far))
    assert is_ready(client)
    proxy.decide = lambda _: Cut.HUNG
    with monkeypatch.context() as patch:
        patch.setattr(health, "READY_TIMEOUT_S", 0.2)
        for _ in range(READINESS_THREADS + 1):
            assert "没有答复" in why_not_ready(client)
    proxy.decide = never
    proxy.let_go.set()
    assert is_ready(client)


def test_a_host_that_accepts_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with service(f"postgresql+psycopg://duixian@127.0.0.1:{port}/duixian") as client:
            assert "没有答复" in why_not_ready(client)


def test_a_port_at_which_nobody_listens_is_unavailable_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with service(f"postgresql+psycopg://duixian@127.0.0.1:{port}/duixian") as client:
        assert "暂时不可用" in why_not_ready(client)


def test_a_database_at_another_revision_is_not_ready(database: Database, ledger: Ledger) -> None:
    with service(database.url) as client:
        assert is_ready(client)
        with write_transaction(ledger.engine) as connection:
            wanted = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        assert f"版本为0000，本程序为{wanted}" in why_not_ready(client)
        with write_transaction(ledger.engine) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :wanted"), {"wanted": wanted})
        assert is_ready(client)


def test_a_database_from_which_the_schema_was_taken_is_not_ready(database: Database, ledger: Ledger) -> None:
    with service(database.url) as client:
        assert is_ready(client)
        command.downgrade(alembic_config(ledger.engine), "base")
        assert "尚未建立结构" in why_not_ready(client)
        command.upgrade(alembic_config(ledger.engine), "head")
        assert is_ready(client)


def test_read_models_that_lag_are_said_and_brought_up_by_the_caretaker(
    database: Database, ledger: Ledger
) -> None:
    file(ledger, ROW)
    with write_transaction(
        ledger.engine
    ) as connection:  # As a process leaves it that ends before it projects.
        empty_read_models(connection)
    with service(database.url) as client:
        assert "查询表更新至台账序号0" in why_not_ready(client)
        Caretaker(ledger, interval_s=1).look()
        assert is_ready(client)
    check_read_models(ledger)


def test_the_caretaker_goes_on_with_an_assessment_that_nobody_goes_on_with(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 2)
    file(ledger, *(trade(code(n), "2024-03", 120_000, 100_000) for n in range(1, 6)))
    publish(ledger, policy(), actor="admin")
    caretaker = Caretaker(ledger, interval_s=1)
    caretaker.look()
    assert recorded(ledger)["EntitlementAssessed"] == 0  # Another one may be about to begin.
    caretaker.look()
    assert recorded(ledger)["EntitlementAssessed"] == 5
    check_read_models(ledger)


def wait_until_projected(ledger: Ledger) -> None:
    """Until the read models stand at the head of the log."""
    at = -1
    while at < len(log(ledger)):
        with read_transaction(ledger.engine) as connection:
            at = position_of(connection)


def test_the_caretaker_works_while_the_service_runs(database: Database, ledger: Ledger) -> None:
    file(ledger, ROW)
    engine = database.open()
    with Caretaker(Ledger(engine, TestClock()), interval_s=0.01).at_work():
        with write_transaction(ledger.engine) as connection:
            empty_read_models(connection)
        wait_until_projected(ledger)
    engine.dispose()
    check_read_models(ledger)


@ON_POSTGRESQL
def test_the_caretaker_outlives_an_outage(ledger: Ledger, proxy: Proxy, far: Ledger) -> None:
    file(ledger, ROW)
    with Caretaker(far, interval_s=0.01).at_work():
        proxy.decide = lambda _: Cut.BEFORE
        while proxy.cuts < 10:  # More often than one look tries again.
            sleep(0.01)
        with write_transaction(ledger.engine) as connection:
            empty_read_models(connection)
        proxy.decide = never
        wait_until_projected(ledger)
    check_read_models(ledger)


@pytest.mark.parametrize("host", ["sqlite"], indirect=True)
def test_a_file_that_is_taken_away_is_noticed_and_nothing_is_written_to_it(
    database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    file(ledger, ROW)
    with service(database.url) as client:
        assert is_ready(client)
        database.path.rename(tmp_path / "away.db")
        assert "暂时不可用" in why_not_ready(client)
        response = client.get("/v1/events", headers={"Authorization": "Bearer duixian-key"})
        refused(response, 503, "unavailable")
        assert not database.path.exists()  # An empty one would look like a ledger without an event.
        (tmp_path / "away.db").rename(database.path)
        assert is_ready(client)


@pytest.mark.parametrize("host", ["sqlite"], indirect=True)
def test_a_file_in_the_place_of_another_is_the_database_from_then_on(
    database: Database, ledger: Ledger
) -> None:
    other = database.copy()
    engine = database.open()
    service_ledger = Ledger(engine, TestClock())
    file(service_ledger, ROW)
    ledger.engine.dispose()
    assert len(log(service_ledger)) == 1
    other.path.replace(database.path)
    for suffix in ("-wal", "-shm"):
        Path(f"{database.path}{suffix}").unlink(missing_ok=True)
    assert log(service_ledger) == []
    engine.dispose()


@ON_POSTGRESQL
def test_a_database_that_is_closed_to_us_and_opened_again_is_noticed_both_times(
    host: Host, database: Database
) -> None:
    assert isinstance(host, PostgresHost)
    name = make_url(database.url).database
    with service(database.url) as client:
        assert is_ready(client)
        host.order(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        host.order(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert "暂时不可用" in why_not_ready(client)
        host.order(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        assert is_ready(client)


@pytest.mark.slow
def test_the_command_line_says_in_chinese_that_there_is_no_database(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "policy", "list"],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "DUIXIAN_DATABASE_URL": f"postgresql+psycopg://duixian@127.0.0.1:{port}/duixian",
        },
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("数据库不可用")
