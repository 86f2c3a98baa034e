"""`duixian serve --workers`: several processes that answer as one."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from os import kill

import httpx2
import pytest
from sqlalchemy import text

from app.cli.serving import WORKER_SILENT_MOST_S
from app.ledger.ledger import Ledger
from app.ledger.mapper import StoredEvent
from app.ledger.recorder import AppendRequest
from app.runtime.limits import DISCLOSURE_CONNECTIONS
from tests.databases import only_on_postgresql
from tests.ledger.history import code, publish_whole, trade
from tests.processes.running import (
    PATIENCE_S,
    STARTED,
    Machine,
    eventually,
    leave_unprojected,
    make_keys,
    projected,
)

REQUESTS = 40
ASKED_WITHIN_S = 1.5
"""Within so long a parent asks each worker whether it is alive: every half a second, one after the other."""

ABOUT_PROCESSES = pytest.mark.parametrize("host", ["sqlite"], indirect=True)
"""For a test in which it does not matter what the database is."""


def test_workers_that_start_together_complete_what_a_stop_cut_off_once(
    ledger: Ledger, machine: Machine
) -> None:
    publish_whole(ledger)
    head = leave_unprojected(ledger, trade(code(1), "2024-03", 120_000, 100_000))
    with machine.serving(3) as (service, _):
        assert projected(ledger) == head
        assert len(set(re.findall(r"Started server process \[([0-9]+)\]", service.logged()))) == 3


@ABOUT_PROCESSES
def test_each_worker_tells_the_requests_of_all(ledger: Ledger, machine: Machine) -> None:
    keys = make_keys(ledger)
    with machine.serving(2) as (_, address):
        # A connection of its own for each, so that it does not stay with one worker.
        for _ in range(REQUESTS):
            assert httpx2.get(f"{address}/v1/policies", headers=keys["auditor"]).status_code == 200

        def told() -> set[float]:
            counted = re.compile(r'^http_requests_total\{[^}]*"/v1/policies"[^}]*\} ([0-9.]+)$', re.MULTILINE)
            shown = [httpx2.get(f"{address}/metrics").text for _ in range(10)]
            return {sum(map(float, counted.findall(each))) for each in shown}

        eventually(lambda: told() == {REQUESTS})


@ABOUT_PROCESSES
def test_a_worker_that_ends_is_replaced(ledger: Ledger, machine: Machine) -> None:
    keys = make_keys(ledger)
    with machine.serving(2) as (service, address):
        started = re.findall(r"Started server process \[([0-9]+)\]", service.logged())
        kill(int(started[0]), signal.SIGKILL)
        service.wait_for_log(STARTED, times=3)
        answer = httpx2.get(f"{address}/v1/policies", headers=keys["auditor"], timeout=PATIENCE_S)
        assert answer.status_code == 200


@ABOUT_PROCESSES
def test_a_worker_that_ends_while_its_parent_waits_for_its_answer_is_replaced_at_once(
    machine: Machine,
) -> None:
    assert WORKER_SILENT_MOST_S > PATIENCE_S, "one that is taken to hang would be replaced in time too"
    with machine.serving(2) as (service, _):
        worker = int(re.findall(r"Started server process \[([0-9]+)\]", service.logged())[0])
        kill(worker, signal.SIGSTOP)
        time.sleep(ASKED_WITHIN_S)
        kill(worker, signal.SIGKILL)
        service.wait_for_log(STARTED, times=3)


@ABOUT_PROCESSES
def test_a_service_whose_workers_cannot_start_is_refused(ledger: Ledger, machine: Machine) -> None:
    unknown = StoredEvent("a", 1, "Unknown", b"{}")
    ledger.record([unknown], AppendRequest("", ""))
    service = machine.start("serve", "--port", "0", "--workers", "2")
    assert service.ended()[0] == 1
    assert "服务进程未能启动" in service.logged()


@ABOUT_PROCESSES
def test_a_number_of_workers_that_cannot_be_is_wrong_usage(machine: Machine) -> None:
    assert machine.run("serve", "--workers", "0")[0] == 2


@only_on_postgresql
def test_workers_share_the_connections_of_the_service(ledger: Ledger, machine: Machine) -> None:
    keys = make_keys(ledger)
    machine.environment["DUIXIAN_POOL_SIZE"] = "6"
    opened = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name = 'duixian'"
    )
    ledger.engine.dispose()
    with machine.serving(3) as (_, url), ThreadPoolExecutor(30) as pool:
        ask = f"{url}/v1/entitlements?window=2024H1"
        answers = pool.map(lambda _: httpx2.get(ask, headers=keys["auditor"], timeout=60), range(120))
        assert {each.status_code for each in answers} == {200}
        with ledger.engine.connect() as connection:
            assert 3 <= connection.execute(opened).scalar_one() <= 6 + 3 * DISCLOSURE_CONNECTIONS
