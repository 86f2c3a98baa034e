"""Measures filings by several clients at once over HTTP, in a ledger of 400,000 events.

Each rate is compared with that of one client in the same run, and with a bare transaction: one row inserted
into the same database and committed, by a single client.
"""

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import count
from typing import Final, NamedTuple

from sqlalchemy import text

from app.runtime.database import open_engine, write_transaction
from bench.ledgers import new_ledger
from bench.month_close import import_month
from bench.places import KINDS, places
from bench.reads import key_for, served
from bench.rows import PERIODS, code, write_month

CLIENTS: Final = (1, 8, 32)
ROWS: Final = (1, 3_000)
MEASURED_S: Final = 10
FILED: Final = PERIODS[-1]
LOADED: Final = PERIODS[:10]
PATIENCE_S: Final = 600


class Load(NamedTuple):
    """The number of clients, and of rows in each of their filings."""

    clients: int
    rows: int


class Measured(NamedTuple):
    """The time of each filing and of all together, in nanoseconds, and the number of refused filings."""

    took: list[int]
    whole_ns: int
    refused: int

    @property
    def a_minute(self) -> int:
        """The number of filings per minute."""
        return len(self.took) * 60 * 10**9 // self.whole_ns

    def ms(self, percent: int) -> int:
        """A percentile of the times, in milliseconds."""
        return self.took[min(len(self.took) * percent // 100, len(self.took) - 1)] // 10**6


def run(enterprises: int) -> None:
    """Load ten months of enterprises on both databases, and file the last month again and again."""
    for kind in KINDS:
        with places(kind) as place:
            url = place.database()
            ledger = new_ledger(url)
            for period in LOADED:
                path = place.folder / "month.csv"
                write_month(path, enterprises, period)
                import_month(ledger, path, period)
            ledger.engine.dispose()
            measure(kind, url, enterprises)


def measure(kind: str, url: str, enterprises: int) -> None:
    """Measure filings in a loaded ledger."""
    print(f"filings at once, {kind}, {2 * len(LOADED) * enterprises} events")
    bare = _bare_a_minute(url)
    print(f"  bare transaction, one client {bare // 60:>6}/s")
    key = key_for(url, "statistics")
    for rows in ROWS:
        alone = 0
        for clients in CLIENTS:
            with served(url) as port:
                measured = _file(Filer(port, key, enterprises), Load(clients, rows))
            alone = alone or measured.a_minute
            print(
                f"  {rows:>5} rows, {clients:>2} clients {measured.a_minute / 60:>8.1f}/s"
                f"   {measured.a_minute / alone:.2f} of one client, {measured.a_minute / bare:.2f} of bare"
                f"   p50 {measured.ms(50)} ms, p99 {measured.ms(99)} ms, refused {measured.refused}",
                flush=True,
            )


def _bare_a_minute(url: str) -> int:
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE bench_bare (a INTEGER)"))
    started, done = time.perf_counter_ns(), 0
    while time.perf_counter_ns() - started < MEASURED_S * 10**9 // 2:
        with write_transaction(engine) as connection:
            connection.execute(text("INSERT INTO bench_bare VALUES (1)"))
        done += 1
    taken = time.perf_counter_ns() - started
    with write_transaction(engine) as connection:
        connection.execute(text("DROP TABLE bench_bare"))
    engine.dispose()
    return done * 60 * 10**9 // taken


class Filer:
    """Files rows over its own connections.

    Args:
        port: The port of the service.
        key: A key of the statistics bureau.
        enterprises: The number of enterprises.
    """

    def __init__(self, port: int, key: str, enterprises: int) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._enterprises = enterprises
        self._numbers = count()

    @contextmanager
    def client(self) -> Iterator[HTTPConnection]:
        """Open a connection."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            yield connection
        finally:
            connection.close()

    def file(self, connection: HTTPConnection, rows: int) -> tuple[int, bool]:
        """File the next enterprises; the nanoseconds until the response, and whether they are recorded."""
        first = next(self._numbers) * rows
        body = json.dumps(
            {"unit": "qianyuan", "returns": [self._row(first + offset) for offset in range(rows)]}
        ).encode()
        started = time.perf_counter_ns()
        connection.request("POST", "/v1/returns", body, self._headers)
        response = connection.getresponse()
        response.read()
        return time.perf_counter_ns() - started, response.status == 201  # noqa: PLR2004

    def _row(self, number: int) -> dict[str, object]:
        chance = random.Random(time.perf_counter_ns())  # noqa: S311 - a benchmark is not a secret
        prior = chance.randrange(50_000, 250_000)
        current = prior * chance.randrange(80, 190) // 100
        return {
            "form": "E204-1",
            "uscc": code(number % self._enterprises),
            "name": "示例企业",
            "region_code": "210802",
            "industry_code": "5211",
            "period": FILED,
            "in_database": True,
            "figures": {"retail_sales": {"current": current, "prior_year": prior}},
            "reason": "企业改报",
            "origin": "enterprise",
        }


def _file(filer: Filer, load: Load) -> Measured:
    with filer.client() as connection:
        filer.file(connection, load.rows)  # The first filing of a process compiles its statements.
    started = time.perf_counter_ns()

    def work(_: int) -> list[tuple[int, bool]]:
        with filer.client() as connection:
            answers = [filer.file(connection, load.rows)]
            while time.perf_counter_ns() - started < MEASURED_S * 10**9:
                answers.append(filer.file(connection, load.rows))
        return answers

    with ThreadPoolExecutor(load.clients) as pool:
        answers = [answer for done in pool.map(work, range(load.clients)) for answer in done]
    whole_ns = time.perf_counter_ns() - started
    return Measured(
        sorted(took for took, _ in answers), whole_ns, sum(not recorded for _, recorded in answers)
    )
