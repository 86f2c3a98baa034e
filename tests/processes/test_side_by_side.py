"""Services, imports, publications and projectors at one database, each in processes of its own."""

import csv
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.use_cases.policies.loader import YINGKOU_2024_14
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import rebuild
from domain.events import LogEntry, Return
from projections.tables import transactions
from tests.ledger.history import Row, code, log, policy, publish_whole, read_model_rows, rows_of, trade
from tests.ledger.test_concurrency import check_consistency
from tests.processes.running import PATIENCE_S, Machine, make_keys

CLIENTS: Final = 3
FILINGS: Final = 3
CODES: Final = [code(n) for n in range(1, 13)]
MONTHS: Final = ("2024-03", "2024-04", "2024-07")
HEADINGS: Final = (
    "处理地编码",
    "统一社会信用代码",
    "单位详细名称",
    "[201-1] 行业代码(GB/T4754-2017)",
    "零售额;本年-本月",
    "零售额;上年-本月",
)
TRY_AGAIN: Final = "请重试"

Acknowledged = dict[int, tuple[str, int]]
"""By amount in 千元, each of which is filed once: the batch, and the position it was acknowledged at."""


class Client:
    """A caller of the service who files what others file too, each time with amounts of its own."""

    def __init__(self, http: httpx2.Client, keys: dict[str, dict[str, str]], number: int) -> None:
        self._http = http
        self._keys = keys
        self._random = random.Random(number)  # noqa: S311 - nothing is secret here
        self._amounts = iter(range(100_000 + 10_000 * number, 110_000 + 10_000 * number))
        self._idempotency_key = f"client-{number}"

    def work(self) -> Acknowledged:
        """File, and read what was filed."""
        acknowledged: Acknowledged = {}
        for n in range(FILINGS):
            wanted = self._random.sample([(uscc, month) for uscc in CODES for month in MONTHS], 3)
            rows = [trade(*each, next(self._amounts), 100_000, reason="企业改报") for each in wanted]
            answer = self._file(rows, f"{self._idempotency_key}-{n}")
            for row in rows:
                amount = row["figures"]["retail_sales"]["current"]
                acknowledged[amount] = (answer["batch_id"], answer["position"])
            self._read(rows[0]["uscc"], answer["position"])
        return acknowledged

    def _file(self, rows: list[Row], idempotency_key: str) -> Any:
        """The answer of a filing that is sent twice at once, by a client that is not sure that it arrived."""
        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(self._send, rows, idempotency_key) for _ in range(2)]
            first, second = (each.result() for each in sent)
        assert first == second
        return first

    def _send(self, rows: list[Row], idempotency_key: str) -> Any:
        headers = {**self._keys["statistics"], "Idempotency-Key": idempotency_key}
        body = {"unit": "qianyuan", "returns": rows}
        while True:
            answer = self._http.post("/v1/returns", json=body, headers=headers)
            if answer.status_code != 503:
                assert answer.status_code == 201, answer.text
                return answer.json()

    def _read(self, uscc: str, position: int) -> None:
        """Any worker, or another reader, knows what was filed through one of them."""
        path = f"/v1/entitlements/{uscc}/2024H1"
        answer = self._http.get(path, params={"wait_for": position}, headers=self._keys["auditor"])
        if answer.status_code != 404:  # It may have filed in the other half-year only.
            assert answer.status_code == 200, answer.text
            assert answer.json()["as_of"]["position"] >= position


def write_file(path: Path, first_amount: int) -> list[int]:
    """A month of every enterprise; its amounts."""
    amounts = list(range(first_amount, first_amount + len(CODES)))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for uscc, amount in zip(CODES, amounts, strict=True):
            writer.writerow(["210802", uscc, f"示例企业{uscc[-5:]}", "5211", amount, 100_000])
    return amounts


def import_file(machine: Machine, path: Path, month: str, amounts: Sequence[int]) -> Acknowledged:
    """Import a file, again where others were too quick."""
    while True:
        words = ("--unit", "千元", "--period", month, "--reason", "企业改报", "--json")
        process = machine.start("import", path, *words)
        code_of_exit, told = process.ended()
        if code_of_exit == 0:
            answer = json.loads(told)[0]["answer"]
            return dict.fromkeys(amounts, (answer["batch_id"], answer["position"]))
        assert TRY_AGAIN in process.logged(), process.logged()


def publish_over_http(http: httpx2.Client, keys: dict[str, dict[str, str]], text: bytes) -> None:
    headers = {**keys["admin"], "Content-Type": "application/yaml"}
    answer = http.post("/v1/policies", content=text, headers=headers)
    assert answer.status_code == 202, answer.text


def check_acknowledged(ledger: Ledger, acknowledged: Acknowledged) -> None:
    """Each amount that was acknowledged is in the log once, in the batch and at the place that was told."""
    found: dict[int, list[LogEntry]] = {}
    for entry in log(ledger):
        if isinstance(entry.event, Return):
            (figure,) = entry.event.figures.values()
            assert figure.current_fen is not None
            found.setdefault(figure.current_fen // 100_000, []).append(entry)
    assert {amount: len(entries) for amount, entries in found.items()} == dict.fromkeys(acknowledged, 1)
    for amount, (entry,) in found.items():
        assert (entry.batch_id, entry.transaction_end) == acknowledged[amount]


def check_projected(ledger: Ledger) -> None:
    """Each transaction is projected once, and the read models are what a rebuild makes of the log."""
    with read_transaction(ledger.engine) as connection:
        positions = [row[0] for row in rows_of(connection, transactions)]
    assert positions == sorted({entry.transaction_end for entry in log(ledger)})
    made = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == made


def run_all(works: Sequence[Callable[[], Any]]) -> Iterator[Any]:
    """Do all at the same time; what each of them returns."""
    with ThreadPoolExecutor(len(works)) as pool:
        started: list[Future[Any]] = [pool.submit(work) for work in works]
        for each in started:
            yield each.result()


def test_whatever_many_processes_do_at_once_is_recorded_once_and_projected_once(
    ledger: Ledger, machine: Machine, tmp_path: Path
) -> None:
    publish_whole(ledger, policy(30_000))
    keys = make_keys(ledger)
    projectors = [machine.start("project") for _ in range(2)]
    # A connection of its own for each request, so that none stays with one worker.
    fresh = httpx2.Limits(max_keepalive_connections=0)
    with (
        machine.serving(2) as (service, address),
        httpx2.Client(base_url=address, limits=fresh, timeout=PATIENCE_S) as http,
    ):
        works: list[Callable[[], Any]] = [Client(http, keys, number).work for number in range(CLIENTS)]
        for number, month in enumerate(MONTHS[:2]):
            path = tmp_path / f"{month}.csv"
            amounts = write_file(path, 200_000 + 10_000 * number)
            works.append(partial(import_file, machine, path, month, amounts))
        text = YINGKOU_2024_14.read_bytes()
        works += [partial(publish_over_http, http, keys, text)] * 2
        works.append(lambda: machine.run("policy", "publish", YINGKOU_2024_14)[0])
        results = list(run_all(works))
    assert results[-1] == 0
    acknowledged = {amount: said for each in results[:-3] for amount, said in each.items()}
    assert len(acknowledged) == 3 * CLIENTS * FILINGS + 2 * len(CODES)
    for each in projectors:
        assert each.stopped()[0] == 0
    for each in (service, *projectors):
        assert "Traceback" not in each.logged()
        assert "fault" not in each.logged()
    project_all(ledger)
    versions = Counter(each.type for each in log(ledger))
    assert versions["PolicyPublished"] == 2
    check_acknowledged(ledger, acknowledged)
    check_consistency(ledger)
    check_projected(ledger)
