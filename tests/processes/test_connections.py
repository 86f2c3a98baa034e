"""Clients that stop sending or reading hold neither a connection nor a stop; proved over raw sockets."""

import json
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import text

from app.ledger.ledger import Ledger
from app.runtime.database import write_transaction
from app.runtime.limits import LOG_REPEATS_MOST, STOP_REST_S
from tests.api.rows import trade
from tests.databases import Database, only_on_sqlite
from tests.office import TestClock
from tests.processes.running import PATIENCE_S, STARTED, Machine, Running, eventually, make_keys

HELD_S = 3_600
"""A time-out that no test waits for."""

HALF_A_BODY = (
    "POST /v1/returns HTTP/1.1\r\nHost: ledger\r\nAuthorization: {}\r\nContent-Type: application/json\r\n"
    'Content-Length: 1000\r\n\r\n{{"unit"'
)


@contextmanager
def serving(
    machine: Machine, *, receive_s: int = HELD_S, stop_s: int = HELD_S
) -> Iterator[tuple[Running, str]]:
    """The service, and its address; how it stops is for the test."""
    machine.environment |= {
        "DUIXIAN_RECEIVE_TIMEOUT_S": str(receive_s),
        "DUIXIAN_STOP_TIMEOUT_S": str(stop_s),
    }
    service = machine.start("serve", "--port", "0")
    service.wait_for_log(STARTED)
    service.wait_for_log("running on http://")
    yield service, service.logged().partition("running on ")[2].split()[0]


class Impatient(NamedTuple):
    """A service that waits for a second for what clients send or receive, and a caller's authorization."""

    service: Running
    address: str
    authorization: str


@pytest.fixture(scope="module")
def impatient(migrated: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Impatient]:
    """That service, for every test whose clients it lets go: it goes on as if they had not been there."""
    database = migrated.copy()
    engine = database.open()
    keys = make_keys(Ledger(engine, TestClock.of_machine()))
    engine.dispose()
    machine = Machine(database, tmp_path_factory.mktemp("impatient"))
    with serving(machine, receive_s=1) as (service, address):
        yield Impatient(service, address, keys["statistics"]["Authorization"])
    machine.close()
    database.drop()


class Clients:
    """Connections of clients, until the test ends."""

    def __init__(self) -> None:
        self._opened = ExitStack()

    def sent(self, address: str, data: str, *, receives_bytes: int | None = None) -> socket.socket:
        """A connection, after it has sent this; it may take so much at a time only."""
        parts = urlsplit(address)
        connection = self._opened.enter_context(socket.socket())
        if receives_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives_bytes)
        connection.settimeout(PATIENCE_S)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(data.encode())
        return connection

    def close(self) -> None:
        """Close them."""
        self._opened.close()


@pytest.fixture
def clients() -> Iterator[Clients]:
    """The clients of a test."""
    made = Clients()
    yield made
    made.close()


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the service closes the connection."""
    told = b""
    while received := connection.recv(65_536):
        told += received
    return told


@only_on_sqlite
def test_a_client_that_sends_no_more_is_let_go(impatient: Impatient, clients: Clients) -> None:
    address = impatient.address
    silent = clients.sent(address, "")
    half_a_head = clients.sent(address, "GET /healthz HT")
    half_a_body = clients.sent(address, HALF_A_BODY.format(impatient.authorization))
    kept = clients.sent(address, "GET /healthz HTTP/1.1\r\nHost: ledger\r\n\r\n")
    no_http = clients.sent(address, "\0\r\n\r\n")
    assert rest_of(silent) == b""
    for connection in (half_a_head, half_a_body):
        told = rest_of(connection)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b"nosniff" in told
    assert rest_of(kept).endswith(b'{"status":"ok"}')
    assert rest_of(no_http).startswith(b"HTTP/1.1 400 ")
    impatient.service.wait_for_log("path=/v1/returns")
    assert "Traceback" not in impatient.service.logged()


@only_on_sqlite
def test_a_kept_connection_whose_next_request_is_not_whole_is_let_go(
    impatient: Impatient, clients: Clients
) -> None:
    kept = clients.sent(impatient.address, "GET /healthz HTTP/1.1\r\nHost: ledger\r\n\r\n")
    assert kept.recv(100).startswith(b"HTTP/1.1 200 ")
    kept.sendall(b"GET /healthz HT")
    assert b"HTTP/1.1 408 " in rest_of(kept)


@only_on_sqlite
def test_a_client_that_goes_on_sending_its_body_is_waited_for(impatient: Impatient, clients: Clients) -> None:
    body = b'{"unit": "yuan", "returns": []' + b" " * 200_000 + b"}"
    head = HALF_A_BODY.format(impatient.authorization).replace("1000", str(len(body)))[: -len('{"unit"')]
    connection = clients.sent(impatient.address, head)
    began = time.monotonic()
    while body:  # 100 kB a second, for longer than the time-out.
        connection.sendall(body[:10_000])
        body = body[10_000:]
        time.sleep(0.1)
    assert time.monotonic() - began > 2
    assert connection.recv(100).startswith(b"HTTP/1.1 201 ")


@only_on_sqlite
def test_a_client_that_does_not_read_its_answer_is_let_go(impatient: Impatient, clients: Clients) -> None:
    connection = clients.sent(impatient.address, "", receives_bytes=4_096)
    for _ in range(40):  # More than the buffers of both ends hold.
        connection.sendall(b"GET /static/swagger-ui-bundle.js HTTP/1.1\r\nHost: ledger\r\n\r\n")

    def is_let_go() -> bool:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        except (ConnectionResetError, BrokenPipeError):
            return True
        return False

    eventually(is_let_go)


@only_on_sqlite
def test_a_body_that_never_ends_does_not_hold_the_stop_up(
    ledger: Ledger, machine: Machine, clients: Clients
) -> None:
    key = make_keys(ledger)["statistics"]["Authorization"]
    with serving(machine, stop_s=1) as (service, address):
        connections = [clients.sent(address, HALF_A_BODY.format(key)) for _ in range(20)]
        assert httpx2.get(f"{address}/healthz").status_code == 200  # So they are taken too.
        assert service.stopped()[0] == -signal.SIGTERM
        for each in connections:
            assert rest_of(each).startswith(b"HTTP/1.1 503 ")
        assert "Traceback" not in service.logged()


@only_on_sqlite
def test_a_filing_that_waits_for_a_lock_does_not_hold_the_stop_up(
    ledger: Ledger, machine: Machine, clients: Clients
) -> None:
    key = make_keys(ledger)["statistics"]["Authorization"]
    body = json.dumps({"unit": "qianyuan", "returns": [trade(110_000)]})
    head = HALF_A_BODY.format(key).replace("1000", str(len(body)))[: -len('{"unit"')]
    with serving(machine, stop_s=1) as (service, address), write_transaction(ledger.engine) as connection:
        waiting = clients.sent(address, head + body)
        assert httpx2.get(f"{address}/healthz").status_code == 200
        began = time.monotonic()
        service.stopped()
        assert time.monotonic() - began < 1 + STOP_REST_S + 10, "a lock is waited for much longer"
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
        told = rest_of(waiting)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"x-request-id" in told
        assert "Traceback" not in service.logged()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of another process is set by prlimit")
@only_on_sqlite
def test_a_service_without_descriptors_logs_a_few_lines_and_recovers(
    machine: Machine, clients: Clients
) -> None:
    with serving(machine, stop_s=5) as (service, address):
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (30, 30))
        before = service.logged().count("\n")
        held = [clients.sent(address, "") for _ in range(60)]
        assert held[-1].recv(1) == b""
        time.sleep(2)  # What tries again tries in this time, too.
        assert service.logged().count("\n") - before <= LOG_REPEATS_MOST
        clients.close()
        eventually(lambda: httpx2.get(f"{address}/healthz", timeout=PATIENCE_S).status_code == 200)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of another process is set by prlimit")
@only_on_sqlite
def test_connections_leave_descriptors_for_the_database(
    ledger: Ledger, machine: Machine, clients: Clients
) -> None:
    keys = make_keys(ledger)
    with serving(machine, stop_s=5) as (service, address):
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (1_024, 1_024))
        taken = httpx2.Client(base_url=address, headers=keys["auditor"], timeout=PATIENCE_S)
        with taken:
            assert taken.get("/healthz").status_code == 200
            held = [clients.sent(address, "") for _ in range(600)]
            assert held[-1].recv(1) == b""
            assert taken.get("/v1/policies").status_code == 200
        assert "out of system resource" not in service.logged()
