"""The connection is lost while a command commits: it is done once, and its answer is true."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from app.ledger.ledger import Ledger, UncertainError
from app.runtime.database import read_transaction
from app.use_cases.filing.file_returns import FilingAnswer
from app.use_cases.policies import publishing
from app.use_cases.policies.publishing import assess_published, publish
from app.use_cases.upkeep.projecting import NotProjectedError, project_all
from app.use_cases.upkeep.rebuilding import rebuild
from tests.api.rows import refused
from tests.faults.conftest import ON_POSTGRESQL
from tests.faults.proxy import COMMIT, Cut, Proxy, never, once
from tests.ledger.history import code, file, log, policy, publish_whole, read_model_rows, trade, withdraw
from tests.ledger.test_concurrency import check_consistency
from tests.office import Office
from tests.processes.running import Overtaken

pytestmark = ON_POSTGRESQL

ROW = trade(code(1), "2024-03", 120_000, 100_000)
LOST = pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER], ids=lambda cut: str(cut.name))


def recorded(ledger: Ledger) -> Counter[str]:
    """How many events of each type are in the log."""
    return Counter(each.type for each in log(ledger))


def check_read_models(ledger: Ledger) -> None:
    """They stand where a rebuild brings them."""
    made = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == made


def of_log(marker: bytes, cut: Cut) -> Callable[[bytes], Cut | None]:
    """Cut at the first COMMIT after a statement that holds the marker."""
    at_commit, seen = once(COMMIT, cut), False

    def decide(message: bytes) -> Cut | None:
        nonlocal seen
        seen = seen or marker in message
        return at_commit(message) if seen else None

    return decide


@LOST
def test_a_filing_is_recorded_once_and_answered_as_filed(
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut
) -> None:
    publish_whole(ledger)
    proxy.decide = of_log(b"UPDATE sequencer", cut)
    answer = file(far, ROW)
    assert proxy.cuts == 1
    assert (answer.filed, answer.unchanged, answer.entitlements_changed) == (1, 0, 1)
    assert recorded(ledger) == {"PolicyPublished": 1, "ReturnFiled": 1, "EntitlementAssessed": 1}
    assert {each.batch_id for each in log(ledger)[1:]} == {answer.batch_id}
    assert answer.position == log(ledger)[-1].position
    check_read_models(ledger)
    check_consistency(ledger)


@LOST
def test_a_filing_that_is_decided_on_alone_is_recorded_once(
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut
) -> None:
    figures = count(101_000)
    other = lambda: file(ledger, trade(code(1), "2024-04", next(figures), 1, reason="企业改报"))  # noqa: E731
    proxy.decide = of_log(b"FOR UPDATE", cut)
    answer = file(Overtaken(far, other), ROW)
    assert proxy.cuts == 1
    assert (answer.filed, answer.unchanged) == (1, 0)
    of_batch = [each for each in log(ledger) if each.batch_id == answer.batch_id]
    assert [each.position for each in of_batch] == [answer.position] == [log(ledger)[-1].position]
    check_consistency(ledger)


@LOST
def test_a_withdrawal_is_recorded_once_and_answered_as_done(
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut
) -> None:
    file(ledger, ROW)
    proxy.decide = of_log(b"UPDATE sequencer", cut)
    answer = withdraw(far, code(1), "2024-03", "E204-1")
    assert proxy.cuts == 1
    assert answer is not None
    assert recorded(ledger) == {"ReturnFiled": 1, "ReturnWithdrawn": 1}
    check_read_models(ledger)


@LOST
def test_a_publication_is_recorded_once_and_answered_as_new(
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut
) -> None:
    file(ledger, ROW)
    proxy.decide = of_log(b"UPDATE sequencer", cut)
    published = publish(far, policy(), actor="admin")
    assert proxy.cuts == 1
    assert (published.is_new, published.ref.version) == (True, 1)
    assess_published(far)
    assert recorded(ledger) == {
        "ReturnFiled": 1,
        "PolicyPublished": 1,
        "EntitlementAssessed": 1,
        "PolicyAssessed": 1,
    }
    check_consistency(ledger)
    check_read_models(ledger)


@LOST
@pytest.mark.parametrize("marker", [b"UPDATE sequencer", b"UPDATE publications"])
def test_each_chunk_of_an_assessment_is_recorded_once(  # noqa: PLR0913, PLR0917 - fixtures
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut, marker: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 2)
    file(ledger, *(trade(code(n), "2024-03", 120_000, 100_000) for n in range(1, 6)))
    publish(ledger, policy(), actor="admin")
    proxy.decide = of_log(marker, cut)
    assess_published(far)
    assert proxy.cuts == 1
    assert recorded(ledger) == {
        "ReturnFiled": 5,
        "PolicyPublished": 1,
        "EntitlementAssessed": 5,
        "PolicyAssessed": 1,
    }
    check_consistency(ledger)
    check_read_models(ledger)


@LOST
def test_a_batch_of_the_log_is_projected_once(ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut) -> None:
    proxy.decide = of_log(b"UPDATE checkpoint", cut)
    answer = file(far, ROW)
    assert proxy.cuts == 1
    assert answer.filed == 1
    check_read_models(ledger)


def commit_is_held(ledger: Ledger, proxy: Proxy, then: Callable[[], object]) -> None:
    """Once the look-up waits for the transaction whose COMMIT is held, do something and let it go."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    blocked = 0
    while not blocked:
        with read_transaction(ledger.engine) as connection:
            blocked = connection.execute(waiting).scalar_one()
    then()
    proxy.let_go.set()


def test_the_look_up_waits_for_a_commit_that_is_still_under_way(
    ledger: Ledger, proxy: Proxy, far: Ledger
) -> None:
    proxy.decide = of_log(b"UPDATE sequencer", Cut.HELD)
    before: list[int] = []
    network = Thread(target=commit_is_held, args=(ledger, proxy, lambda: before.append(len(log(ledger)))))
    network.start()
    answer = file(far, ROW)
    network.join()
    assert before == [0]
    assert (answer.filed, answer.unchanged, answer.position) == (1, 0, 1)
    assert recorded(ledger) == {"ReturnFiled": 1}


def test_a_command_whose_transaction_the_server_ends_is_decided_again(
    ledger: Ledger, proxy: Proxy, far: Ledger
) -> None:
    proxy.decide = of_log(b"UPDATE sequencer", Cut.HELD)

    def end_it() -> None:
        with ledger.engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND state = 'idle in transaction'"
                    " AND pid <> pg_backend_pid()"
                )
            )

    network = Thread(target=commit_is_held, args=(ledger, proxy, end_it))
    network.start()
    answer = file(far, ROW)
    network.join()
    assert (answer.filed, answer.unchanged, answer.position) == (1, 0, 1)
    assert recorded(ledger) == {"ReturnFiled": 1}


@LOST
def test_what_cannot_be_looked_up_is_said_to_be_uncertain(
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut
) -> None:
    at_commit = of_log(b"UPDATE sequencer", cut)

    def decide(message: bytes) -> Cut | None:
        found = at_commit(message)
        proxy.refuses = proxy.refuses or found is not None
        return found

    proxy.decide = decide
    with pytest.raises(UncertainError) as raised:
        file(far, ROW)
    assert recorded(ledger) == ({"ReturnFiled": 1} if cut is Cut.AFTER else {})
    assert {each.batch_id for each in log(ledger)} <= {raised.value.batch_id}
    proxy.refuses = False
    again = file(far, ROW)
    assert (again.filed, again.unchanged) == ((0, 1) if cut is Cut.AFTER else (1, 0))
    assert recorded(ledger) == {"ReturnFiled": 1}


Through = Callable[[Ledger], AbstractContextManager[Office]]


def post(office: Office, key: str = "march") -> Any:
    return office.client.post(
        "/v1/returns",
        json={"unit": "qianyuan", "returns": [ROW]},
        headers={**office.headers("statistics"), "Idempotency-Key": key},
    )


@LOST
def test_the_answer_that_is_kept_under_an_idempotency_key_is_the_one_that_was_given(
    ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut
) -> None:
    with Office(far) as office:
        proxy.decide = of_log(b"UPDATE sequencer", cut)
        first = post(office)
        assert proxy.cuts == 1
        assert (first.status_code, first.json()["filed"]) == (201, 1)
        again = post(office)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.content == first.content
    assert recorded(ledger) == {"ReturnFiled": 1}


@LOST
def test_an_answer_without_an_event_is_kept_once(ledger: Ledger, proxy: Proxy, far: Ledger, cut: Cut) -> None:
    file(ledger, ROW)
    with Office(far) as office:
        proxy.decide = of_log(b"INSERT INTO idempotent_answers", cut)
        first = post(office)
        assert proxy.cuts == 1
        assert (first.status_code, first.json()["filed"], first.json()["unchanged"]) == (201, 0, 1)
        again = post(office)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.content == first.content


def test_a_caller_whose_filing_is_uncertain_is_told_so_and_learns_the_answer_by_its_key(
    ledger: Ledger, proxy: Proxy, far: Ledger
) -> None:
    with Office(far) as office:
        at_commit = of_log(b"UPDATE sequencer", Cut.AFTER)

        def decide(message: bytes) -> Cut | None:
            found = at_commit(message)
            proxy.refuses = proxy.refuses or found is not None
            return found

        proxy.decide = decide
        lost = post(office)
        detail = refused(lost, 503, "unavailable")["detail"]
        assert int(lost.headers["retry-after"]) > 0
        assert log(ledger)[-1].batch_id in detail
        proxy.refuses = False
        project_all(far)
        again = post(office)
        assert (again.status_code, again.json()["filed"]) == (201, 1)
        assert again.headers["Idempotency-Replayed"] == "true"
    assert recorded(ledger) == {"ReturnFiled": 1}


def test_a_filing_that_is_recorded_and_not_projected_says_up_to_where_it_is_recorded(
    ledger: Ledger, proxy: Proxy, far: Ledger
) -> None:
    def decide(message: bytes) -> Cut | None:
        proxy.refuses = proxy.refuses or b"UPDATE checkpoint" in message
        return Cut.BEFORE if b"UPDATE checkpoint" in message else None

    proxy.decide = decide
    with pytest.raises(NotProjectedError) as raised:
        file(far, ROW)
    assert raised.value.position == log(ledger)[-1].position
    proxy.refuses = False
    proxy.decide = never
    project_all(far)
    check_read_models(ledger)


def test_the_answer_of_a_filing_counts_what_is_in_the_log(ledger: Ledger, proxy: Proxy, far: Ledger) -> None:
    answers: list[FilingAnswer] = []
    for n in range(1, 7):
        proxy.decide = of_log(b"UPDATE sequencer", [Cut.BEFORE, Cut.AFTER][n % 2])
        answers.append(
            file(far, *(trade(code(n), month, 120_000, 100_000) for month in ("2024-03", "2024-04")))
        )
    assert proxy.cuts == 6
    assert sum(each.filed for each in answers) == recorded(ledger)["ReturnFiled"] == 12
    assert [each.position for each in log(ledger)] == list(range(1, 13))
