"""`wait_for=`: an answer that is held back until the read models have reached a position."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Condition
from typing import Any

import pytest
from sqlalchemy import event

from app.api.http import context
from app.ledger.ledger import Ledger
from app.use_cases.upkeep.projecting import project_all
from tests.api.rows import code, refused, trade
from tests.databases import on_one_database
from tests.ledger.history import Row
from tests.office import Office
from tests.processes.running import PATIENCE_S, leave_unprojected

READS = (
    f"/v1/entitlements/{code(1000)}/2024H1?",
    f"/v1/entitlements/{code(1000)}/2024H1/2024-03?",
    "/v1/entitlements?window=2024H1&",
    "/v1/summary?window=2024H1&group_by=measure&",
)

WAITING = 60
"""More than there are threads (40) for requests in a process, and connections (15) to a database."""


class Polls:
    """Counts how often it was looked how far the read models are."""

    def __init__(self, ledger: Ledger) -> None:
        self._seen = 0
        self._changed = Condition()
        event.listen(ledger.engine, "after_cursor_execute", self._count)

    def _count(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        if "checkpoint" in statement:
            with self._changed:
                self._seen += 1
                self._changed.notify_all()

    def wait_for(self, times: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._seen >= times, timeout=PATIENCE_S)


@pytest.fixture
def position(office: Office) -> int:
    """A position that the read models have not reached, since the process that recorded it ended."""
    office.publish()
    row: Row = trade(110_000)
    office.file(row)
    return leave_unprojected(office.ledger, {**row, "period": "2024-04"})


@pytest.fixture(autouse=True)
def _long_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for comes about, however busy the machine is."""
    monkeypatch.setattr(context, "WAIT_FOR_MOST_S", PATIENCE_S)


def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "WAIT_FOR_MOST_S", 0.1)


def when_polled(office: Office, work: Callable[[], Any], read: Callable[[], Any], *, polls: int) -> list[Any]:
    """What many readers are answered who wait until some work is done."""
    polled = Polls(office.ledger)
    with ThreadPoolExecutor(WAITING) as pool:
        waiting = [pool.submit(read) for _ in range(WAITING)]
        polled.wait_for(polls)
        work()
        return [each.result() for each in waiting]


@on_one_database
def test_a_position_that_is_reached_is_answered_at_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "WAIT_FOR_MOST_S", -1)
    office.publish()
    filed = office.file(trade(110_000))
    for path in READS:
        assert office.read(path, wait_for=filed["position"]) == office.read(path), path


@on_one_database
def test_a_position_above_the_head_of_the_log_is_refused(office: Office, position: int) -> None:
    for path, above in product(READS, (position + 1, 2**63, 10**30)):
        body = refused(office.get(path, wait_for=above), 422, "position-ahead")
        assert f"台账最后的序号是{position}，" in body["detail"]


@on_one_database
def test_a_position_that_is_not_reached_in_time_is_unavailable_for_now(
    office: Office, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_patience(monkeypatch)
    for path in READS:
        answer = office.get(path, wait_for=position)
        assert f"未更新至台账序号{position}。" in refused(answer, 503, "unavailable")["detail"]
        assert answer.headers["Retry-After"]
        assert office.get(path, wait_for=position - 1).status_code == 503  # Half of a transaction.
        assert office.get(path, wait_for=position - 2).status_code == 200


@on_one_database
@pytest.mark.parametrize("wrong", [-1, "x"])
def test_a_position_that_cannot_be_is_a_bad_request(office: Office, wrong: Any) -> None:
    refused(office.get(READS[0], wait_for=wrong), 400, "invalid-request")


@on_one_database
def test_whoever_may_not_read_does_not_wait(
    office: Office, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_patience(monkeypatch)
    refused(office.client.get(READS[0], params={"wait_for": position}), 401, "unauthenticated")
    refused(office.get(READS[0], "statistics", wait_for=position), 403, "forbidden")


def test_an_answer_comes_when_the_read_models_have_reached_the_position(
    office: Office, position: int
) -> None:
    answers = when_polled(
        office,
        lambda: project_all(office.ledger),
        lambda: office.entitlement(code(1000), wait_for=position, position=position),
        polls=5 * WAITING,
    )
    for answer in answers:
        assert answer["as_of"]["position"] == position
        assert [each["period"] for each in answer["periods"]] == ["2024-03", "2024-04"]


def test_any_number_who_wait_leave_connections_and_threads_to_a_filing(office: Office, position: int) -> None:
    """The filing is what they wait for: if they held what it needs, all would wait in vain."""
    filed: list[Any] = []
    answers = when_polled(
        office,
        lambda: filed.append(office.file(trade(120_000, number=2000))),
        lambda: office.read(READS[3], wait_for=position),
        polls=5 * WAITING,
    )
    assert filed[0]["position"] > position
    assert {each["as_of"]["position"] for each in answers} == {filed[0]["position"]}
