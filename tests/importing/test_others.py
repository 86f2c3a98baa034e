"""Other processes record during an import: nothing is lost, doubled, or assessed by outdated facts."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from app.ledger.ledger import Ledger
from app.use_cases.filing.deciding import Refused
from app.use_cases.filing.file_returns import FilingAnswer
from domain.events import ReturnFiled, ReturnRevised
from tests.databases import Database, on_one_database
from tests.importing.files import (
    ROWS_PER_CHUNK,
    facts,
    have_workers,
    import_,
    imported,
    number_of_facts,
    one_month,
    random_file,
    same_contents,
)
from tests.ledger.history import code, file, log, policy, publish_whole, trade
from tests.ledger.test_concurrency import FIRST, SECOND, Interleaved, assessed_by, check_consistency
from tests.office import TestClock

ENTERPRISES = 90


@pytest.fixture
def interleaved(ledger: Ledger) -> Interleaved:
    """A ledger for the import, which lets something else happen before each chunk is appended."""
    return Interleaved(ledger.engine, ledger.clock)


@pytest.mark.usefixtures("one_worker")
def test_chunks_are_decided_again_where_others_recorded_the_same_enterprises(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    publish_whole(ledger, FIRST)
    rows = one_month(ENTERPRISES)
    in_fourth = code(3 * ROWS_PER_CHUNK + 1)
    interleaved.meanwhile = [
        lambda: file(ledger, trade(code(1), "2024-04", 150_000, 100_000)),
        lambda: file(ledger, rows[ROWS_PER_CHUNK + 2], rows[ROWS_PER_CHUNK + 5]),
        lambda: None,  # The second chunk, decided again.
        lambda: publish_whole(ledger, SECOND),
        lambda: None,
        lambda: file(ledger, trade(code(900), "2024-03", 150_000, 100_000)),
        lambda: file(ledger, trade(in_fourth, "2024-01~02", 150_000, 100_000)),
    ]
    answer = imported(interleaved, rows)
    assert interleaved.meanwhile == []
    assert (answer.filed, answer.revised, answer.unchanged) == (ENTERPRISES - 2, 0, 2)
    assert number_of_facts(ledger) == ENTERPRISES + 3
    assert {len(events) for events in facts(ledger).values()} == {1, 2}
    assert {version for version, _ in assessed_by(ledger, code(1)).values()} == {2}
    check_consistency(ledger)


@on_one_database
@pytest.mark.usefixtures("one_worker")
def test_every_chunk_is_assessed_by_a_policy_that_was_published_in_between(
    ledger: Ledger, interleaved: Interleaved, other: Ledger
) -> None:
    rows = random_file(7, in_months=True)
    for target in (ledger, other):
        publish_whole(target, FIRST)
    interleaved.meanwhile = [*[lambda: None] * 5, lambda: publish_whole(ledger, policy(30_000))]
    assert imported(interleaved, rows).filed == len(rows)
    file(other, *rows)
    publish_whole(other, policy(30_000))
    assert interleaved.meanwhile == []
    assert same_contents(ledger, other)
    check_consistency(ledger)


@on_one_database
@pytest.mark.usefixtures("one_worker")
def test_a_conflict_that_others_recorded_since_the_check_is_reported_and_its_chunk_left_out(
    ledger: Ledger, interleaved: Interleaved, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_whole(ledger)
    rows = one_month(ENTERPRISES)
    third = 2 * ROWS_PER_CHUNK
    row = third + 7
    interleaved.meanwhile = [
        lambda: None,
        lambda: None,
        lambda: file(ledger, trade(code(row + 1), "2024-03", 1_000, 1_000)),
    ]
    refused = import_(interleaved, rows)
    assert isinstance(refused, Refused)
    assert [(problem.row, problem.code) for problem in refused.problems] == [(row, "revision-needs-reason")]
    assert number_of_facts(ledger) == third + 1
    check_consistency(ledger)
    have_workers(monkeypatch, 0)
    rows[row] |= {"reason": "企业改报"}
    answer = imported(ledger, rows)
    assert (answer.filed, answer.revised, answer.unchanged) == (ENTERPRISES - third - 1, 1, third)
    check_consistency(ledger)


@pytest.mark.usefixtures("one_worker")
def test_two_imports_of_one_file_at_once_record_every_row_once(
    ledger: Ledger, database: Database, clock: TestClock, other: Ledger
) -> None:
    rows, start = random_file(8, in_months=True), Barrier(2)
    for target in (ledger, other):
        publish_whole(target)
    second = Ledger(database.open(), clock)

    def begin(target: Ledger) -> FilingAnswer:
        start.wait()
        return imported(target, rows)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(begin, (ledger, second)))
    second.engine.dispose()
    assert sum(answer.filed for answer in answers) == sum(answer.unchanged for answer in answers) == len(rows)
    recorded = [entry for entry in log(ledger) if isinstance(entry.event, ReturnFiled | ReturnRevised)]
    assert len(recorded) == len(rows)
    assert {type(entry.event) for entry in recorded} == {ReturnFiled}
    file(other, *rows)
    assert same_contents(ledger, other)
    check_consistency(ledger)
