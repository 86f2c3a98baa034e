"""`duixian serve --workers`: several processes that answer as one."""

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from os import kill

import httpx2
from sqlalchemy import text

from app.cli.serving import WORKER_SILENT_MOST_S
from app.ledger.ledger import Ledger
from app.ledger.mapper import StoredEvent
from app.ledger.recorder import AppendRequest
from app.runtime.limits import DISCLOSURE_CONNECTIONS
from tests.databases import on_one_database, only_on_postgresql
from tests.ledger.history import code, publish_whole, trade
from tests.processes.running import (
    PATIENCE_S,
    STARTED,
    Machine,
    Running,
    eventually,
    leave_unprojected,
    make_keys,
    projected,
)

REQUESTS = 20
FRESH = httpx2.Limits(max_keepalive_connections=0)
"""A connection for each request, so that none stays with one worker."""

ASKED_WITHIN_S = 1.5
"""Within so long a parent asks each worker whether it is alive: every half a second, one after the other."""


def test_workers_that_start_together_complete_what_a_stop_cut_off_once(
    ledger: Ledger, machine: Machine
) -> None:
    publish_whole(ledger)
    head = leave_unprojected(ledger, trade(code(1), "2024-03", 120_000, 100_000))
    with machine.serving(2) as (service, _):
        assert projected(ledger) == head
        assert len(set(_workers(service))) == 2


@on_one_database
def test_workers_tell_the_requests_of_all_and_are_replaced_when_they_end(
    ledger: Ledger, machine: Machine
) -> None:
    """One that ends while its parent waits for its answer is replaced at once too."""
    assert WORKER_SILENT_MOST_S > PATIENCE_S, "one that is taken to hang would be replaced in time too"
    keys = make_keys(ledger)
    with (
        machine.serving(2) as (service, address),
        httpx2.Client(base_url=address, limits=FRESH, headers=keys["auditor"], timeout=PATIENCE_S) as client,
    ):
        for _ in range(REQUESTS):
            assert client.get("/v1/policies").status_code == 200

        def told() -> set[float]:
            counted = re.compile(r'^http_requests_total\{[^}]*"/v1/policies"[^}]*\} ([0-9.]+)$', re.MULTILINE)
            shown = [client.get("/metrics").text for _ in range(10)]
            return {sum(map(float, counted.findall(each))) for each in shown}

        eventually(lambda: told() == {REQUESTS})
        kill(_workers(service)[0], signal.SIGKILL)
        service.wait_for_log(STARTED, times=3)
        assert client.get("/v1/policies").status_code == 200
        waited_for = _workers(service)[1]
        kill(waited_for, signal.SIGSTOP)
        time.sleep(ASKED_WITHIN_S)
        kill(waited_for, signal.SIGKILL)
        service.wait_for_log(STARTED, times=4)
        assert client.get("/v1/policies").status_code == 200


def _workers(service: Running) -> list[int]:
    """The processes that answered or answer, in the order of their starts."""
    return [int(pid) for pid in re.findall(r"Started server process \[([0-9]+)\]", service.logged())]


@on_one_database
def test_a_service_whose_workers_cannot_start_is_refused(ledger: Ledger, machine: Machine) -> None:
    unknown = StoredEvent("a", 1, "Unknown", b"{}")
    ledger.record([unknown], AppendRequest("", ""))
    service = machine.start("serve", "--port", "0", "--workers", "2")
    assert service.ended()[0] == 1
    assert "服务进程未能启动" in service.logged()


@on_one_database
def test_a_number_of_workers_that_cannot_be_is_wrong_usage(machine: Machine) -> None:
    assert machine.run("serve", "--workers", "0")[0] == 2


@only_on_postgresql
def test_workers_share_the_connections_of_the_service(ledger: Ledger, machine: Machine) -> None:
    keys = make_keys(ledger)
    machine.environment["DUIXIAN_POOL_SIZE"] = "4"
    opened = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name = 'duixian'"
    )
    ledger.engine.dispose()
    with (
        machine.serving(2) as (_, url),
        httpx2.Client(base_url=url, limits=FRESH, headers=keys["auditor"], timeout=PATIENCE_S) as client,
        ThreadPoolExecutor(20) as pool,
    ):
        answers = pool.map(lambda _: client.get("/v1/entitlements?window=2024H1"), range(80))
        assert {each.status_code for each in answers} == {200}
        with ledger.engine.connect() as connection:
            assert 2 <= connection.execute(opened).scalar_one() <= 4 + 2 * DISCLOSURE_CONNECTIONS
