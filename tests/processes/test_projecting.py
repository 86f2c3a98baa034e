"""`duixian project`: a worker that follows the log."""

import json
import signal
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.ledger.ledger import Ledger
from app.use_cases.upkeep.rebuilding import rebuild
from tests.databases import Database, Host, PostgresHost, on_one_database
from tests.ledger.history import code, file, publish_whole, read_model_rows, trade
from tests.processes.running import Machine, eventually, leave_unprojected, projected, sealed

FOLLOWING = "正在跟随台账"
AWAY = "database unavailable"
PUBLISHED_AND_SEALED = 2
"""Where the log stands after a publication, when it has said that it was sealed."""


def check_read_models(ledger: Ledger) -> None:
    """They are what a rebuild makes of the log."""
    made = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == made


@on_one_database
def test_once_catches_up_tells_the_position_and_ends(ledger: Ledger, machine: Machine) -> None:
    publish_whole(ledger)
    head = leave_unprojected(ledger, trade(code(1), "2024-03", 120_000, 100_000))
    assert projected(ledger) < head
    told_at = head + 1  # The log says that it was sealed.
    assert machine.run("project", "--once") == (0, f"查询表已更新至台账序号{told_at}。\n")
    assert (projected(ledger), sealed(ledger)) == (told_at, head)
    code_of_exit, told = machine.run("project", "--once", "--json")
    assert (code_of_exit, json.loads(told)) == (0, {"position": told_at})
    assert projected(ledger) == sealed(ledger) == told_at
    check_read_models(ledger)


@pytest.mark.parametrize(
    ("host", "by"),
    [("sqlite", signal.SIGTERM), ("sqlite", signal.SIGINT), ("postgresql", signal.SIGTERM)],
    indirect=["host"],
)
def test_a_worker_projects_what_is_recorded_until_it_is_told_to_stop(
    ledger: Ledger, machine: Machine, by: signal.Signals
) -> None:
    publish_whole(ledger)
    worker = machine.start("project")
    worker.wait_for_log(FOLLOWING)
    eventually(lambda: projected(ledger) == sealed(ledger) == PUBLISHED_AND_SEALED)
    head = 0
    for n in range(1, 3):
        head = leave_unprojected(ledger, trade(code(n), "2024-03", 120_000, 100_000))
        eventually(lambda head=head: projected(ledger) == sealed(ledger) == head)  # type: ignore[misc]
    assert worker.stopped(by) == (0, f"查询表已更新至台账序号{head}。\n")
    check_read_models(ledger)


@on_one_database
def test_a_database_that_is_not_migrated_is_refused(host: Host, tmp_path: Path) -> None:
    machine = Machine(host.empty(), tmp_path)
    worker = machine.start("project")
    assert worker.ended() == (1, "")
    assert "duixian migrate" in worker.logged()
    machine.close()


def take_away(database: Database) -> None:
    """Throw everybody out of a database of PostgreSQL, and let nobody in."""
    assert isinstance(database.host, PostgresHost)
    name = make_url(database.url).database
    database.host.order(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    database.host.order(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def bring_back(database: Database) -> None:
    assert isinstance(database.host, PostgresHost)
    database.host.order(f'ALTER DATABASE "{make_url(database.url).database}" WITH ALLOW_CONNECTIONS true')


@pytest.mark.parametrize("host", ["postgresql"], indirect=True)
def test_a_worker_outlasts_a_database_that_is_away(
    ledger: Ledger, database: Database, machine: Machine
) -> None:
    publish_whole(ledger)
    worker = machine.start("project")
    worker.wait_for_log(FOLLOWING)
    eventually(lambda: projected(ledger) == sealed(ledger) == PUBLISHED_AND_SEALED)
    ledger.engine.dispose()
    take_away(database)
    worker.wait_for_log(AWAY)
    bring_back(database)
    worker.wait_for_log("database available again")
    head = leave_unprojected(ledger, trade(code(1), "2024-03", 120_000, 100_000))
    eventually(lambda: projected(ledger) == head)
    assert worker.stopped() == (0, f"查询表已更新至台账序号{head}。\n")
    assert file(ledger, trade(code(2), "2024-03", 120_000, 100_000)).position > head
    check_read_models(ledger)


@pytest.mark.parametrize("host", ["postgresql"], indirect=True)
def test_a_worker_can_be_stopped_while_its_database_is_away(
    ledger: Ledger, database: Database, machine: Machine
) -> None:
    worker = machine.start("project")
    worker.wait_for_log(FOLLOWING)
    ledger.engine.dispose()
    take_away(database)
    worker.wait_for_log(AWAY)
    assert worker.stopped()[0] == 0
    assert "Traceback" not in worker.logged()
    bring_back(database)
