"""A command that others keep overtaking is decided under the lock of the log, and succeeds."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import pytest
from sqlalchemy import delete

from app.ledger.kept_answers import RequestKey
from app.ledger.ledger import Batch, Ledger
from app.ledger.recorder import UNATTENDED
from app.ledger.tables import events
from app.runtime.database import write_transaction
from app.use_cases.filing.deciding import Refused
from app.use_cases.filing.file_returns import FilingAnswer, Replayed, file_once, file_returns
from app.use_cases.policies.publishing import publish
from app.use_cases.recording import CONCURRENT_ATTEMPTS
from domain.errors import LedgerIntegrityError
from domain.events import ReturnFiled
from tests.ledger.history import code, drafts, file, log, policy, publish_whole, trade, withdraw
from tests.ledger.test_concurrency import check_consistency
from tests.processes.running import Overtaken, projected

MARCH = trade(code(1), "2024-03", 120_000, 100_000, reason="企业改报")


@pytest.fixture
def busy(ledger: Ledger) -> Callable[[], FilingAnswer]:
    """Corrects the enterprise again at each call."""
    file(ledger, trade(code(1), "2024-04", 100_000, 100_000))
    figures = count(101_000)
    return lambda: file(ledger, trade(code(1), "2024-04", next(figures), 100_000, reason="企业改报"))


def in_turn(*steps: Callable[[], object]) -> Callable[[], object]:
    """Takes the next step at each call."""
    left = iter(steps)

    def step() -> object:
        return next(left)()

    return step


def test_a_filing_that_is_overtaken_each_time_is_recorded(
    ledger: Ledger, busy: Callable[[], FilingAnswer]
) -> None:
    publish_whole(ledger)
    overtaken = Overtaken(ledger, busy)
    answer = file(overtaken, MARCH)
    assert overtaken.times == CONCURRENT_ATTEMPTS
    assert (answer.filed, answer.revised, answer.entitlements_changed) == (1, 0, 1)
    assert answer.position == log(ledger)[-1].position == projected(ledger)
    assert [entry.batch_id for entry in log(ledger)][-2:] == [answer.batch_id] * 2
    check_consistency(ledger)


def test_a_conflict_that_gets_ahead_of_a_filing_each_time_is_its_answer(
    ledger: Ledger, busy: Callable[[], FilingAnswer]
) -> None:
    others = in_turn(busy, busy, lambda: file(ledger, MARCH))
    row = {**MARCH, "reason": None, "figures": {"retail_sales": {"current": 1, "prior_year": 1}}}
    answer = file_returns(Overtaken(ledger, others), drafts([row]), actor="statistics")
    assert isinstance(answer, Refused)
    assert [problem.code for problem in answer.problems] == ["revision-needs-reason"]
    assert sum(isinstance(entry.event, ReturnFiled) for entry in log(ledger)) == 2


def test_a_withdrawal_that_is_overtaken_each_time_is_recorded(
    ledger: Ledger, busy: Callable[[], FilingAnswer]
) -> None:
    file(ledger, MARCH)
    overtaken = Overtaken(ledger, busy)
    answer = withdraw(overtaken, code(1), "2024-03", "E204-1")
    assert isinstance(answer, FilingAnswer)
    assert overtaken.times == CONCURRENT_ATTEMPTS
    assert answer.position == log(ledger)[-1].position
    assert withdraw(ledger, code(1), "2024-03", "E204-1") is None


def test_a_publication_that_is_overtaken_each_time_takes_the_next_version(ledger: Ledger) -> None:
    awards = count(10_000, 1_000)
    overtaken = Overtaken(ledger, lambda: publish(ledger, policy(next(awards)), actor="admin"))
    answer = publish(overtaken, policy(), actor="admin")
    assert answer.ref.version == CONCURRENT_ATTEMPTS + 1
    assert (answer.is_new, answer.position) == (True, log(ledger)[-1].position)


def test_an_answer_without_an_event_is_kept_though_its_filing_is_overtaken_each_time(
    ledger: Ledger, busy: Callable[[], FilingAnswer]
) -> None:
    request = RequestKey("statistics", "march", "")
    others = in_turn(busy, busy, lambda: file(ledger, MARCH))
    changed = {**MARCH, "figures": {"retail_sales": {"current": 130_000, "prior_year": 100_000}}}
    file(ledger, changed)
    answer = file_once(Overtaken(ledger, others), drafts([MARCH]), request)
    assert isinstance(answer, FilingAnswer)
    assert (answer.revised, answer.unchanged, answer.position) == (0, 1, log(ledger)[-1].position)
    assert file_once(ledger, drafts([MARCH]), request) == Replayed(answer)


def test_others_wait_for_a_decision_that_is_made_alone(ledger: Ledger) -> None:
    waiting: list[Future[FilingAnswer]] = []
    with ThreadPoolExecutor(1) as pool:

        def decide(_: object) -> Batch[str]:
            waiting.append(pool.submit(file, ledger, MARCH))
            try:
                waiting[0].result(timeout=0.5)
            except TimeoutError:
                return Batch("alone", (), UNATTENDED)
            return Batch("while another one files", (), UNATTENDED)

        batch, _ = ledger.record_alone(decide)
        assert batch.outcome == "alone"
        assert waiting[0].result().filed == 1


def test_a_decision_that_fails_records_nothing_and_lets_the_others_on(ledger: Ledger) -> None:
    def fail(_: object) -> Batch[None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.record_alone(fail)
    assert file(ledger, MARCH).position == 1


def test_a_stream_whose_versions_have_a_gap_is_reported_as_damage(
    ledger: Ledger, busy: Callable[[], FilingAnswer]
) -> None:
    busy()
    busy()
    with write_transaction(ledger.engine) as connection:
        connection.execute(delete(events).where(events.c.version == 2))
    with pytest.raises(LedgerIntegrityError):
        file(ledger, MARCH)
