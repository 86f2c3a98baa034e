"""Measures reads at the scale of a country over HTTP: an account, the list, the summary; and their plans."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import count
from threading import local
from urllib.parse import quote

from sqlalchemy import Connection, event

from app.ledger.ledger import Ledger
from app.runtime.database import open_engine, read_transaction, write_transaction
from app.security.keys import Role, create_key
from app.transparency.sealing import seal
from app.use_cases.reading.as_of import NOW, PolicyAsOf, choose_policy
from app.use_cases.reading.explaining import read_account
from app.use_cases.reading.listing import list_accounts, summarise
from bench.ledgers import new_ledger
from bench.month_close import import_month
from bench.places import places
from bench.rows import PERIODS, REGIONS, code, write_month
from projections.queries.listing import ListFilter

REQUESTS_A_SECOND = 50
MEASURED_S = 20
CALLERS = 4
IDLE_NS = 10**9
"""The service may have closed a connection that was idle for longer than this, in nanoseconds."""

WINDOW = "2024H1"

Path = Callable[[], str]


def run(enterprises: int, url: str | None) -> None:
    """Load and seal eleven months of a country on PostgreSQL, unless `url` has them, and measure reads."""
    if url is not None:
        _measure(url, enterprises)
        return
    with places("postgresql") as place:
        database = place.database()
        ledger = new_ledger(database)
        for period in PERIODS:
            path = place.folder / "month.csv"
            write_month(path, enterprises, period)
            import_month(ledger, path, period)
        seal(ledger)  # Otherwise the service does so in its first minutes; `audit` measures that.
        ledger.engine.dispose()
        _measure(database, enterprises)


def _measure(url: str, enterprises: int) -> None:
    chance = random.Random(7)  # noqa: S311 - a benchmark is not a secret

    def one() -> str:
        return f"/v1/entitlements/{code(chance.randrange(enterprises))}/{WINDOW}"

    page = f"/v1/entitlements?window={WINDOW}&limit=100"
    paths: dict[str, Path] = {
        "account": one,
        "account, explained": lambda: f"{one()}/2024-03",
        "list, first page": lambda: page,
        "list of a region": lambda: f"{page}&region_code={chance.choice(REGIONS)}",
        "list, by name": lambda: f"{page}&q={quote(f'示例企业{chance.randrange(1000, 9999)}')}",
        "summary": lambda: f"/v1/summary?window={WINDOW}&group_by=region_code",
    }
    key = key_for(url, "auditor")
    with served(url) as port:
        ask = _Caller(port, key)
        print(f"reads, postgresql, {enterprises} enterprises, {len(PERIODS)} periods, {REQUESTS_A_SECOND}/s")
        for name, path in paths.items():
            took = sorted(_paced(lambda path=path: ask(path())))  # type: ignore[misc]
            print(
                f"  {name:20} {_ms(took, 50)} ms p50, {_ms(took, 99)} ms p99 at {REQUESTS_A_SECOND}/s",
                flush=True,
            )
        _ratio(ask, one)
    _plans(url, enterprises)


def _ms(took: list[int], percent: int) -> str:
    us = took[min(len(took) * percent // 100, len(took) - 1)] // 1000
    return f"{us // 1000}.{us % 1000 // 100}"


def key_for(url: str, role: Role) -> str:
    """Create a key."""
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        name = f"bench-{time.time_ns()}"
        key = create_key(connection, name=name, role=role, with_figures=True, now_us=0)
    engine.dispose()
    if key is None:
        raise SystemExit("no key")
    return key


@contextmanager
def served(url: str) -> Iterator[int]:
    """Run the service in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    words = ["-m", "uvicorn", "--factory", "bench.served:create", "--port", str(port), "--no-access-log"]
    environment = {**os.environ, "DUIXIAN_DATABASE_URL": url, "DUIXIAN_LOG_FORMAT": "json"}
    process = subprocess.Popen(
        [sys.executable, *words, "--log-level", "warning"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


class _Caller:
    """Sends requests over one connection per thread."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}"}
        self._of_thread = local()

    def __call__(self, path: str) -> int:
        """Send a request; the nanoseconds until the whole response has arrived."""
        connection: HTTPConnection | None = getattr(self._of_thread, "connection", None)
        if connection is None or time.perf_counter_ns() - self._of_thread.asked > IDLE_NS:
            connection = self._of_thread.connection = HTTPConnection("127.0.0.1", self._port)
            connection.connect()
        started = self._of_thread.asked = time.perf_counter_ns()
        connection.request("GET", path, headers=self._headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:  # noqa: PLR2004
            raise SystemExit(f"{path}: {response.status} {body[:200]!r}")
        return time.perf_counter_ns() - started


def _paced(ask: Callable[[], int]) -> list[int]:
    """Send a fixed number of requests per second, whether or not earlier ones are done; the time of each."""
    for _ in range(REQUESTS_A_SECOND):
        ask()
    started = time.perf_counter()
    with ThreadPoolExecutor(CALLERS * 2) as pool:
        futures = []
        for number in range(REQUESTS_A_SECOND * MEASURED_S):
            time.sleep(max(started + number / REQUESTS_A_SECOND - time.perf_counter(), 0))
            futures.append(pool.submit(ask))
        return [future.result() for future in futures]


def _ratio(ask: _Caller, one: Path) -> None:
    """Print the rates of reading an account and of the route over constant data, measured by turns."""
    rates: dict[str, list[int]] = {"account": [0, 0], "constant": [0, 0]}
    for turn in range(6):
        name = ("account", "constant")[turn % 2]
        of_constant = name == "constant"
        ends = time.perf_counter_ns() + 3 * 10**9
        started = time.perf_counter_ns()

        def work(ends: int = ends, *, of_constant: bool = of_constant) -> int:
            for done in count():
                if time.perf_counter_ns() > ends:
                    return done
                path = one()
                ask(path.replace("/entitlements/", "/constant/") if of_constant else path)
            return 0

        with ThreadPoolExecutor(CALLERS) as pool:
            rates[name][0] += sum(future.result() for future in [pool.submit(work) for _ in range(CALLERS)])
        rates[name][1] += time.perf_counter_ns() - started
    real, constant = (answered * 10**9 // taken for answered, taken in rates.values())
    print(
        f"  account, as fast as it goes: {real}/s; over constant data {constant}/s: {real * 100 // constant}%"
    )


def _plans(url: str, enterprises: int) -> None:
    """Print the plan of PostgreSQL for each read, and how many rows it examines."""
    engine = open_engine(url)
    ledger = Ledger(engine)
    uscc = code(enterprises // 2)
    list_filter = ListFilter(policy="yingkou-2024-14", window=WINDOW, region_code=REGIONS[0])
    reads: dict[str, Callable[[Connection, PolicyAsOf], object]] = {
        "account": lambda connection, at: read_account(connection, uscc, WINDOW, at),
        "list": lambda connection, at: list_accounts(
            connection,
            list_filter,
            at,
            sort="-assessed_fen",
            limit=100,
            after=(5_000_000, uscc),
            totals=False,
        ),
        "summary": lambda connection, at: summarise(connection, WINDOW, "region_code", at),
        "events of an enterprise": lambda connection, at: ledger.page(
            connection, after=0, until=at.moment.position, limit=100, uscc=uscc
        ),
    }
    for name, read in reads.items():
        print(f"plans of: {name}")
        with read_transaction(engine) as connection:
            at = choose_policy(ledger, connection, WINDOW, None, NOW)
            if isinstance(at, PolicyAsOf):
                for statement, given in _statements(connection, lambda: read(connection, at)):  # noqa: B023
                    _explain(connection, statement, given)
    engine.dispose()


def _statements(connection: Connection, work: Callable[[], object]) -> list[tuple[str, object]]:
    seen: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, given: object, *___: object) -> None:
        seen.append((statement, given))

    event.listen(connection, "before_cursor_execute", note)
    work()
    event.remove(connection, "before_cursor_execute", note)
    return seen


def _explain(connection: Connection, statement: str, given: object) -> None:
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given)  # type: ignore[arg-type]
    plan = explained.scalar_one()
    whole = (json.loads(plan) if isinstance(plan, str | bytes) else plan)[0]
    nodes = list(_nodes(whole["Plan"]))
    used = ", ".join(
        f"{node['Node Type']} {node.get('Index Name', node.get('Relation Name', ''))}".strip()
        for node in nodes
        if "Scan" in node["Node Type"]
    )
    print(f"  {whole['Execution Time']} ms: {used}", flush=True)


def _nodes(plan: dict[str, object]) -> Iterator[dict[str, str]]:
    yield plan  # type: ignore[misc]
    for child in plan.get("Plans", ()):  # type: ignore[attr-defined]
        yield from _nodes(child)
