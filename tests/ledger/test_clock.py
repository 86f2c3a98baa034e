"""A clock that was set forward dates no record: the ledger waits until an operator vouches for it."""

from collections.abc import Iterator

import pytest
import structlog
from fastapi.testclient import TestClient

from app.ledger import clock as clocks
from app.ledger.clock import ClockError, now_us
from app.ledger.ledger import Ledger
from app.main import create_app
from app.runtime.limits import CLOCK_REST_MOST_S
from app.runtime.times import parse_rfc_3339
from app.transparency.sealing import seal
from app.use_cases.audit.findings import Findings
from app.use_cases.audit.verifying import verify_ledger
from app.use_cases.policies.publishing import publish
from app.use_cases.upkeep.clock import accept_clock
from app.use_cases.upkeep.sealing import record_seal
from domain.events import ClockAccepted
from tests.api.rows import refused
from tests.databases import Database, only_on_postgresql
from tests.ledger.history import code, file, log, policy, trade, withdraw
from tests.office import Office

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
ROWS = [trade(code(n), "2024-03", 120_000, 100_000) for n in range(1, 10)]


class MachineClock:
    """A wall clock that tests can set, and a monotonic clock that only runs on."""

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us
        self._steady_us = 0

    def now(self) -> int:
        return self.at_us

    def steady(self) -> int:
        return self._steady_us

    def pass_by(self, us: int) -> None:
        self.at_us += us
        self._steady_us += us

    def set_by(self, us: int) -> None:
        self.at_us += us


@pytest.fixture(autouse=True)
def _rests_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "REST_MOST_US", CLOCK_REST_MOST_S * 1_000_000)


@pytest.fixture
def machine() -> MachineClock:
    """A clock that runs right, a year behind the clocks of database servers."""
    return MachineClock(now_us() - 365 * DAY_US)


@pytest.fixture
def ledger(database: Database, machine: MachineClock) -> Iterator[Ledger]:
    """The ledger of a process that runs from now on."""
    made = Ledger(database.open(), machine.now, machine.steady)
    yield made
    made.engine.dispose()


def started(ledger: Ledger, machine: MachineClock) -> Ledger:
    """The ledger of another process, which starts now."""
    return Ledger(ledger.engine, machine.now, machine.steady)


def times(ledger: Ledger) -> list[int]:
    return [entry.recorded_at_us for entry in log(ledger)]


def check_refuses(ledger: Ledger) -> None:
    before = log(ledger)
    with pytest.raises(ClockError, match="duixian clock accept"):
        file(ledger, ROWS[8])
    with pytest.raises(ClockError):
        withdraw(ledger, code(1), "2024-03", "E204-1")
    with pytest.raises(ClockError):
        publish(ledger, policy(), actor="admin")
    assert log(ledger) == before


def test_a_process_whose_clock_is_set_forward_records_nothing_until_it_is_set_back(
    ledger: Ledger, machine: MachineClock
) -> None:
    file(ledger, ROWS[0])
    machine.set_by(400 * DAY_US)
    check_refuses(ledger)
    machine.set_by(-400 * DAY_US)
    machine.pass_by(HOUR_US)
    file(ledger, ROWS[1])
    assert times(ledger) == [machine.now() - HOUR_US, machine.now()]


def test_an_accepted_clock_is_recorded_and_every_process_goes_on(
    ledger: Ledger, machine: MachineClock
) -> None:
    file(ledger, ROWS[0])
    began = machine.now()
    machine.set_by(90 * DAY_US)
    check_refuses(ledger)
    answer = accept_clock(started(ledger, machine), reason="已与授时中心核对", actor="命令行")
    assert answer.is_accepted
    machine.pass_by(HOUR_US)
    file(ledger, ROWS[1])
    accepted = log(ledger)[1]
    assert (accepted.stream, accepted.version, accepted.actor) == ("ledger", 1, "命令行")
    assert isinstance(accepted.event, ClockAccepted)
    assert accepted.event.reason == "已与授时中心核对"
    written = (accepted.event.accepted, accepted.event.last_recorded or "")
    assert tuple(map(parse_rfc_3339, written)) == (began + 90 * DAY_US, began)
    machine.pass_by(200 * DAY_US)  # From now on the accepted clock is the one to compare with.
    file(ledger, ROWS[2])
    machine.set_by(2 * DAY_US)
    check_refuses(ledger)


@pytest.mark.parametrize("step_us", [-400 * DAY_US, -1_000_000, 1_000_000, 23 * HOUR_US])
def test_a_clock_that_is_slewed_put_right_or_set_back_is_believed_and_times_stay_in_order(
    ledger: Ledger, machine: MachineClock, step_us: int
) -> None:
    file(ledger, ROWS[0])
    first = machine.now()
    machine.set_by(step_us)
    file(ledger, ROWS[1])
    assert times(ledger) == [first, max(first, first + step_us)]


def test_a_process_that_runs_on_may_rest_for_as_long_as_it_likes(
    ledger: Ledger, machine: MachineClock
) -> None:
    file(ledger, ROWS[0])
    machine.pass_by(200 * DAY_US)
    file(ledger, ROWS[1])
    assert times(ledger)[1] == machine.now()


@pytest.mark.parametrize(("days", "is_believed"), [(99, True), (101, False)])
def test_a_start_after_more_than_a_hundred_days_is_asked_whether_its_clock_is_right(
    ledger: Ledger, machine: MachineClock, days: int, *, is_believed: bool
) -> None:
    file(ledger, ROWS[0])
    machine.pass_by(days * DAY_US)
    later = started(ledger, machine)
    if is_believed:
        file(later, ROWS[1])
        return
    check_refuses(later)
    accept_clock(later, reason="台账停用至今", actor="命令行")
    file(later, ROWS[1])


def test_an_empty_ledger_takes_the_clock_as_it_is(ledger: Ledger, machine: MachineClock) -> None:
    machine.set_by(300 * DAY_US)
    file(ledger, ROWS[0])
    assert times(ledger) == [machine.now()]


def test_a_clock_that_lay_behind_at_the_start_may_be_set_to_what_it_is(
    ledger: Ledger, machine: MachineClock
) -> None:
    file(ledger, ROWS[0])
    machine.set_by(-2000 * DAY_US)
    without_battery = started(ledger, machine)
    file(without_battery, ROWS[1])
    machine.set_by(2003 * DAY_US)
    file(without_battery, ROWS[2])
    assert times(ledger) == [machine.now() - 3 * DAY_US, machine.now() - 3 * DAY_US, machine.now()]


@only_on_postgresql
def test_a_start_whose_clock_is_ahead_of_that_of_the_server_is_asked_too(
    ledger: Ledger, machine: MachineClock
) -> None:
    machine.set_by(365 * DAY_US)  # To now.
    file(ledger, ROWS[0])
    machine.pass_by(3 * DAY_US)
    ahead = started(ledger, machine)
    check_refuses(ahead)
    machine.set_by(-3 * DAY_US)
    file(ahead, ROWS[1])
    machine.pass_by(3 * DAY_US)
    accept_clock(started(ledger, machine), reason="数据库服务器的时钟慢了", actor="命令行")
    file(started(ledger, machine), ROWS[2])


def test_a_ledger_that_is_ahead_goes_on_filing_and_says_so_once_in_the_log_and_in_readiness(
    ledger: Ledger, machine: MachineClock
) -> None:
    ahead_us = machine.now()
    file(ledger, ROWS[0])
    machine.set_by(-30 * DAY_US)
    with structlog.testing.capture_logs() as said:
        file(ledger, ROWS[1])
        file(ledger, ROWS[2])
    assert [line["event"] for line in said] == ["the ledger is ahead of the clock"]
    assert times(ledger) == [ahead_us] * 3
    ready = TestClient(create_app(ledger)).get("/readyz").json()
    assert ready["status"] == "ready"
    assert "晚于本机时钟" in ready["notices"][0]
    answer = accept_clock(ledger, reason="无", actor="命令行")
    assert not answer.is_accepted
    assert len(log(ledger)) == 3


def test_filings_over_http_and_readiness_say_what_to_do_and_reads_go_on(
    ledger: Ledger, machine: MachineClock
) -> None:
    with Office(ledger) as office:
        office.file(ROWS[0])
        machine.set_by(400 * DAY_US)
        answer = office.post({"unit": "qianyuan", "returns": [ROWS[1]]})
        assert "duixian clock accept" in refused(answer, 503, "clock-not-accepted")["detail"]
        assert "duixian clock accept" in refused(office.client.get("/readyz"), 503, "unavailable")["detail"]
        assert office.publish().status_code == 503
        assert office.read(f"/v1/returns/{code(1)}", year=2024)["returns"]
        accept_clock(ledger, reason="已核对", actor="命令行")
        ready = office.client.get("/readyz").json()
        assert ready == {"status": "ready", "disputed": 0, "assessments": [], "notices": []}
        office.file(ROWS[1])


def test_a_service_starts_although_its_clock_is_doubtful_and_leaves_an_assessment_for_later(
    ledger: Ledger, machine: MachineClock
) -> None:
    file(ledger, ROWS[0])
    publish(ledger, policy(), actor="admin")
    machine.pass_by(101 * DAY_US)
    with TestClient(create_app(started(ledger, machine))) as client:
        assert "duixian clock accept" in refused(client.get("/readyz"), 503, "unavailable")["detail"]
    seal(ledger)
    with pytest.raises(ClockError):
        record_seal(started(ledger, machine), None)
    assert len(log(ledger)) == 2


def test_a_log_with_an_accepted_clock_verifies(ledger: Ledger, machine: MachineClock) -> None:
    file(ledger, ROWS[0])
    machine.set_by(400 * DAY_US)
    accept_clock(ledger, reason="已核对", actor="命令行")
    file(ledger, ROWS[1])
    findings = Findings()
    verify_ledger(ledger, [], findings)
    assert list(findings) == []
