"""A publication that several processes assess, or that filings overtake, is assessed to its end."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent

from app.database import reading
from app.ledger.ledger import Ledger
from app.ledger.recorder import Recording
from app.use_cases import publishing
from app.use_cases.attempts import MOST_ATTEMPTS
from app.use_cases.publishing import assess_published, assessment_progress, publish
from tests.ledger.history import code, file, policy, trade
from tests.ledger.test_concurrency import assessments, check_consistency
from tests.processes.running import EndedError, EndsAfterTheCommit, projected

ENTERPRISES = MOST_ATTEMPTS + 5
CODES = [code(n) for n in range(1, ENTERPRISES + 1)]


class Overtaken(Ledger):
    """A process that something else gets ahead of before each of its appends.

    Attributes:
        ahead: What gets ahead.
    """

    def __init__(self, ledger: Ledger, ahead: Callable[[], Any]) -> None:
        super().__init__(ledger.engine, ledger.clock)
        self.ahead = ahead
        self.times = 0

    def record(self, new_events: Sequence[StoredEvent], recording: Recording) -> int:
        self.times += 1
        self.ahead()
        return super().record(new_events, recording)


class Enough(Exception):  # noqa: N818
    """A chunk was assessed."""


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
    with reading(ledger.engine) as connection:
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
    assert loser.times == ENTERPRISES
    assert is_complete(published)
    assert len(assessments(published)) == ENTERPRISES
    check_consistency(published)


def test_filings_that_keep_getting_ahead_do_not_keep_a_publication_from_being_assessed(
    published: Ledger,
) -> None:
    """Each of them is of the last enterprise: a chunk with it in is decided on again, a smaller one not."""
    amounts = list(range(130_000, 130_000 + 2 * MOST_ATTEMPTS))

    def correct_the_last() -> None:
        if amounts:
            row = trade(max(CODES), "2024-03", amounts.pop(), 100_000, reason="企业改报")
            file(published, row)

    overtaken = Overtaken(published, correct_the_last)
    assess_published(overtaken)
    assert (
        MOST_ATTEMPTS < overtaken.times == 2 * MOST_ATTEMPTS - len(amounts)
    )  # Each time, and no filing more.
    assert is_complete(published)
    check_consistency(published)


def test_a_document_that_another_process_has_just_published_is_answered_when_it_can_be_read(
    ledger: Ledger,
) -> None:
    with suppress(EndedError):
        publish(EndsAfterTheCommit(ledger.engine, ledger.clock), policy(), actor="admin")
    answer = publish(ledger, policy(), actor="admin")
    assert (answer.is_new, answer.position, projected(ledger)) == (False, 1, 1)
