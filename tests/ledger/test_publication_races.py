"""A publication that several processes assess, or that filings overtake, is assessed to its end."""

from contextlib import suppress

import pytest

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.use_cases.policies import publishing
from app.use_cases.policies.publishing import assess_published, assessment_progress, publish
from app.use_cases.recording import CONCURRENT_ATTEMPTS
from tests.ledger.history import code, file, policy, trade
from tests.ledger.test_concurrency import assessments, check_consistency
from tests.processes.running import EndedError, EndsAfterTheCommit, Overtaken, projected

ENTERPRISES = 5 * CONCURRENT_ATTEMPTS
CODES = [code(n) for n in range(1, ENTERPRISES + 1)]


class Enough(Exception):  # noqa: N818
    """Raised after a chunk was assessed."""


def assess_one_chunk(ledger: Ledger) -> None:
    """Assess the next chunk, and leave the rest."""
    begun: list[int] = []

    def stop_at_the_second(done: int, _: int) -> None:
        begun.append(done)
        if len(begun) == 2:
            raise Enough

    with suppress(Enough):
        assess_published(ledger, stop_at_the_second)


def is_complete(ledger: Ledger) -> bool:
    with read_transaction(ledger.engine) as connection:
        progress = assessment_progress(connection, "yingkou-2024-14", 1)
    return progress.done == progress.total == ENTERPRISES


@pytest.fixture
def published(ledger: Ledger) -> Ledger:
    """A policy that is published, and not yet assessed for what was filed before."""
    file(ledger, *(trade(uscc, "2024-03", 120_000, 100_000) for uscc in CODES))
    publish(ledger, policy(), actor="admin")
    return ledger


def test_a_process_that_loses_every_race_goes_on_until_all_is_assessed(
    published: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 1)
    loser = Overtaken(published, lambda: assess_one_chunk(published))
    assess_published(loser)
    assert loser.times == ENTERPRISES - ENTERPRISES // (CONCURRENT_ATTEMPTS + 1)
    assert is_complete(published)
    assert len(assessments(published)) == ENTERPRISES
    check_consistency(published)


def test_filings_that_keep_getting_ahead_do_not_keep_a_publication_from_being_assessed(
    published: Ledger,
) -> None:
    amounts = iter(range(130_000, 140_000))

    def correct_one() -> None:
        file(published, trade(max(CODES), "2024-03", next(amounts), 100_000, reason="企业改报"))

    overtaken = Overtaken(published, correct_one)
    assess_published(overtaken)
    assert overtaken.times == CONCURRENT_ATTEMPTS
    assert is_complete(published)
    check_consistency(published)


def test_a_document_that_another_process_has_just_published_is_answered_when_it_can_be_read(
    ledger: Ledger,
) -> None:
    with suppress(EndedError):
        publish(EndsAfterTheCommit(ledger.engine, ledger.clock), policy(), actor="admin")
    answer = publish(ledger, policy(), actor="admin")
    assert (answer.is_new, answer.position, projected(ledger)) == (False, 1, 1)
