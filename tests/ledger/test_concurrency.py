"""Concurrent commands: nothing is lost, doubled, or assessed by a policy that was replaced."""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest

from app.ledger.kept_answers import RequestKey
from app.ledger.ledger import Ledger
from app.ledger.mapper import StoredEvent
from app.ledger.recorder import AppendRequest
from app.runtime.database import read_transaction, write_transaction
from app.security.keys import create_key, find_key, list_keys
from app.use_cases.filing.file_returns import FilingAnswer, Replayed, file_once
from app.use_cases.policies import publishing
from app.use_cases.policies.loader import LoadedPolicy
from app.use_cases.policies.publishing import assess_published, assessment_progress, publish
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import rebuild
from domain.assessment.account import EntitlementAccount
from domain.events import EntitlementAssessed, ReturnFiled, ReturnRevised
from domain.periods import Window
from domain.returns import AnnualReturns
from projections import tables
from projections.queries.accounts import periods
from tests.databases import Database
from tests.ledger.history import (
    PERIODS,
    Row,
    code,
    drafts,
    file,
    held,
    log,
    policy,
    publish_whole,
    read_model_rows,
    trade,
    with_seeds,
    withdraw,
)
from tests.office import TestClock

FILERS = 4
POLICY = "yingkou-2024-14"
FIRST, SECOND, THIRD = policy(), policy(30_000), policy(20_000)


def assessed_by(ledger: Ledger, uscc: str, window: str = "2024H1") -> dict[str, tuple[int, int]]:
    """The version of the policy and the assessed amount in 万元, by period of an account."""
    with read_transaction(ledger.engine) as connection:
        at = ledger.head(connection)
        found = periods(connection, POLICY, uscc, window, at)
    return {
        period.assessed.period: (
            period.assessed.policy.version,
            period.assessed.outcome.assessed_fen // 1_000_000,
        )
        for period in found
        if period.assessed.outcome is not None
    }


def assessments(ledger: Ledger) -> list[EntitlementAssessed]:
    """The recorded assessments, in the order of the log."""
    return [entry.event for entry in log(ledger) if isinstance(entry.event, EntitlementAssessed)]


def check_consistency(ledger: Ledger) -> None:
    """Check that every stream can be replayed, and that accounts are as the newest version assesses them."""
    entries = log(ledger)
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    versions: Counter[str] = Counter()
    for entry in entries:
        versions[entry.stream] += 1
        assert entry.version == versions[entry.stream]
    with read_transaction(ledger.engine) as connection:
        policies = ledger.policies(connection)
        streams = ledger.streams(connection, versions)
    for name, events in streams.items():
        if not name.startswith("returns/"):
            continue
        _, uscc, year = name.split("/")
        returns = AnnualReturns(name, events)
        for version in policies:
            for window in (f"{year}H1", f"{year}H2"):
                stream = f"entitlement/{version.ref.id}/{uscc}/{window}"
                account = EntitlementAccount(Window.parse(window), streams.get(stream, ()))
                assert account.reassess(version, [returns]) == [], stream


class Interleaved(Ledger):
    """A ledger at which something else happens between a decision and its append.

    Attributes:
        meanwhile: The functions to call, each once: before the first append, before the second, and so on.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.meanwhile: list[Any] = []

    def record(self, new_events: Sequence[StoredEvent], recording: AppendRequest) -> int:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().record(new_events, recording)


@pytest.fixture
def interleaved(ledger: Ledger) -> Interleaved:
    """A second process on the same database."""
    return Interleaved(ledger.engine, ledger.clock)


def test_two_threads_that_file_the_same_enterprise_lose_nothing_and_double_nothing(ledger: Ledger) -> None:
    publish_whole(ledger)
    uscc, start = code(1), Barrier(FILERS)

    def file_months(filer: int) -> list[FilingAnswer]:
        start.wait()
        rows = [trade(uscc, period, 110_000 + filer, 100_000, reason=f"来自{filer}") for period in PERIODS]
        random.Random(filer).shuffle(rows)  # noqa: S311
        return [file(ledger, row) for row in rows]

    with ThreadPoolExecutor(FILERS) as pool:
        answers = [answer for filed in pool.map(file_months, range(FILERS)) for answer in filed]
    assert sum(answer.filed for answer in answers) == len(PERIODS)
    assert sum(answer.revised for answer in answers) == (FILERS - 1) * len(PERIODS)
    facts = [entry for entry in log(ledger) if isinstance(entry.event, ReturnFiled | ReturnRevised)]
    assert len(facts) == FILERS * len(PERIODS)
    assert {record.batch_id for record in facts} == {record.batch_id for record in answers}
    check_consistency(ledger)


def test_the_same_row_sent_by_many_at_once_is_recorded_once(ledger: Ledger) -> None:
    row, start = trade(code(1), "2024-03", 110_000, 100_000), Barrier(FILERS)

    def send(_: int) -> FilingAnswer:
        start.wait()
        return file(ledger, row)

    with ThreadPoolExecutor(FILERS) as pool:
        answers = list(pool.map(send, range(FILERS)))
    assert sorted((answer.filed, answer.unchanged) for answer in answers) == [(0, 1)] * (FILERS - 1) + [
        (1, 0)
    ]
    assert [entry.type for entry in log(ledger)] == ["ReturnFiled"]


def test_a_row_that_was_filed_while_it_was_decided_on_is_unchanged(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    row = trade(code(1), "2024-03", 110_000, 100_000)
    interleaved.meanwhile = [lambda: file(ledger, row)]
    answer = file(interleaved, row)
    assert (answer.filed, answer.unchanged, answer.position) == (0, 1, 1)
    assert len(log(ledger)) == 1


def test_another_month_of_the_half_year_filed_in_between_counts_under_the_ceiling(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    publish_whole(ledger)
    uscc = code(1)
    for period in ("2024-03", "2024-04", "2024-05"):
        file(ledger, trade(uscc, period, 200_000, 100_000))
    interleaved.meanwhile = [lambda: file(ledger, trade(uscc, "2024-01~02", 200_000, 100_000))]
    file(interleaved, trade(uscc, "2024-06", 200_000, 100_000))
    amounts = {period: amount for period, (_, amount) in assessed_by(ledger, uscc).items()}
    assert amounts == {"2024-01~02": 50, "2024-03": 50, "2024-04": 50, "2024-05": 50, "2024-06": 0}
    check_consistency(ledger)


def test_another_enterprise_filed_in_between_does_not_hold_a_filing_up(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    publish_whole(ledger)
    interleaved.meanwhile = [
        lambda: file(ledger, trade(code(2), "2024-03", 110_000, 100_000)),
        lambda: pytest.fail("the filing was decided on again"),
    ]
    assert file(interleaved, trade(code(1), "2024-03", 110_000, 100_000)).filed == 1


def test_a_filing_decided_without_a_policy_is_assessed_by_the_one_published_in_between(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    uscc = code(1)
    interleaved.meanwhile = [lambda: publish_whole(ledger)]
    answer = file(interleaved, trade(uscc, "2024-03", 120_000, 100_000))
    assert answer.entitlements_changed == 1
    assert assessed_by(ledger, uscc) == {"2024-03": (1, 10)}


def test_a_filing_decided_by_an_older_version_is_decided_again_by_the_newer_one(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    uscc = code(1)
    publish_whole(ledger, FIRST)
    interleaved.meanwhile = [lambda: publish_whole(ledger, SECOND), lambda: publish_whole(ledger, THIRD)]
    file(interleaved, trade(uscc, "2024-03", 120_000, 100_000))
    assert assessed_by(ledger, uscc) == {"2024-03": (3, 4)}
    assert [assessment.policy.version for assessment in assessments(ledger)] == [3]


def test_a_filing_that_is_recorded_before_a_publication_is_assessed_by_its_first_chunk(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    uscc = code(1)
    interleaved.meanwhile = [lambda: file(ledger, trade(uscc, "2024-03", 120_000, 100_000))]
    publish(interleaved, FIRST, actor="admin")
    assert assessed_by(ledger, uscc) == {}
    assess_published(ledger)
    assert assessed_by(ledger, uscc) == {"2024-03": (1, 10)}


def test_a_withdrawal_while_a_publication_is_assessed_leaves_nothing_assessed(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    uscc = code(1)
    file(ledger, trade(uscc, "2024-03", 120_000, 100_000))
    publish(ledger, FIRST, actor="admin")
    interleaved.meanwhile = [lambda: withdraw(ledger, uscc, "2024-03", "E204-1")]
    assess_published(interleaved)
    assert assessed_by(ledger, uscc) == {}
    check_consistency(ledger)


def test_a_filing_that_keeps_being_overtaken_gets_through(ledger: Ledger, interleaved: Interleaved) -> None:
    publish_whole(ledger)
    uscc = code(1)
    interleaved.meanwhile = [
        lambda current=current: file(ledger, trade(uscc, "2024-04", current, 100_000, reason="改报"))
        for current in range(110_000, 110_010)
    ]
    assert file(interleaved, trade(uscc, "2024-03", 120_000, 100_000)).filed == 1
    check_consistency(ledger)


def test_the_answer_that_is_kept_is_that_of_the_decision_that_was_recorded(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    rows = drafts([trade(code(1), "2024-03", 120_000, 100_000)])
    request = RequestKey("statistics", "march", "")
    interleaved.meanwhile = [lambda: publish_whole(ledger)]
    answer = file_once(interleaved, rows, request)
    assert isinstance(answer, FilingAnswer)
    assert answer.entitlements_changed == 1
    assert file_once(ledger, rows, request) == Replayed(answer)


def test_a_request_that_is_answered_at_the_same_time_gets_the_same_answer(
    ledger: Ledger, interleaved: Interleaved
) -> None:
    rows = drafts([trade(code(1), "2024-03", 120_000, 100_000)])
    request = RequestKey("statistics", "march", "")
    first: list[object] = []
    interleaved.meanwhile = [lambda: first.append(file_once(ledger, rows, request))]
    answer = file_once(interleaved, rows, request)
    assert isinstance(answer, Replayed)
    assert first == [answer.answer]
    assert sum(isinstance(entry.event, ReturnFiled) for entry in log(ledger)) == 1


def test_filings_that_race_publications_are_assessed_by_the_last_one(ledger: Ledger) -> None:
    start = Barrier(FILERS + 1)
    codes = [code(n) for n in range(1, 13)]

    def publish_all() -> None:
        start.wait()
        for loaded in (FIRST, SECOND, THIRD):
            publish_whole(ledger, loaded)

    def file_some(filer: int) -> None:
        start.wait()
        for uscc in codes[filer::FILERS]:
            for period in ("2024-03", "2024-04", "2024-07"):
                file(ledger, trade(uscc, period, 120_000, 100_000))

    with ThreadPoolExecutor(FILERS + 1) as pool:
        work = [pool.submit(publish_all), *(pool.submit(file_some, filer) for filer in range(FILERS))]
        for future in work:
            future.result()
    check_consistency(ledger)
    for uscc in codes:
        assert assessed_by(ledger, uscc) == {"2024-03": (3, 4), "2024-04": (3, 4)}
        assert assessed_by(ledger, uscc, "2024H2") == {"2024-07": (3, 4)}
    made = read_model_rows(ledger)
    rebuild(ledger)
    assert read_model_rows(ledger) == made


def test_two_moments_read_in_turns_each_see_the_policies_of_their_own(ledger: Ledger) -> None:
    publish_whole(ledger, FIRST)
    with read_transaction(ledger.engine) as earlier:
        assert [policy.ref.version for policy in ledger.policies(earlier)] == [1]
        publish_whole(ledger, SECOND)
        with read_transaction(ledger.engine) as later:
            for connection, version in [(later, 2), (earlier, 1), (later, 2), (later, 2), (earlier, 1)]:
                assert [policy.ref.version for policy in ledger.policies(connection)] == [version]


class Interrupted(Exception):  # noqa: N818
    """The process ends here."""


def _months(n: int) -> list[Row]:
    """Rows of one enterprise, each with a different amount."""
    return [
        trade(code(n), period, 100_000 + 10_000 * (1 + (n + index) % 12), 100_000)
        for index, period in enumerate(PERIODS[:5])
    ]


@pytest.fixture
def filed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger with returns of eight enterprises, and a policy whose assessment takes several chunks."""
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 2)
    file(ledger, *(row for n in range(1, 9) for row in _months(n)))
    return ledger


def _final_amounts(ledger: Ledger) -> dict[Any, Any]:
    with read_transaction(ledger.engine) as connection:
        return {
            (row.uscc, row.period): (row.status, row.assessed_fen, row.open_fen, row.capped_by)
            for row in held(connection, tables.entitlements, ledger.head(connection))
        }


def _progress(ledger: Ledger, version: int) -> tuple[int, int]:
    with read_transaction(ledger.engine) as connection:
        progress = assessment_progress(connection, POLICY, version)
    return progress.done, progress.total


def test_a_publication_that_is_not_interrupted_assesses_all_that_was_filed_before(filed: Ledger) -> None:
    seen: list[tuple[int, int]] = []
    publish(filed, FIRST, actor="admin")
    assess_published(filed, lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [8] * len(seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert _progress(filed, 1) == (8, 8)
    assert len(_final_amounts(filed)) == 40
    check_consistency(filed)


@pytest.mark.parametrize("chunks", range(5))
def test_a_publication_interrupted_after_any_chunk_goes_on_to_the_same_result(
    filed: Ledger, database: Database, clock: TestClock, chunks: int
) -> None:
    calls = 0

    def interrupt(_: int, __: int) -> None:
        nonlocal calls
        if calls == chunks:
            raise Interrupted
        calls += 1

    publish(filed, FIRST, actor="admin")
    with pytest.raises(Interrupted):
        assess_published(filed, interrupt)
    done, total = _progress(filed, 1)
    assert done < total
    assert len(_final_amounts(filed)) == 10 * chunks
    engine = database.open()
    restarted = Ledger(engine, clock)
    project_all(restarted)
    assess_published(restarted)
    assert _progress(restarted, 1) == (8, 8)
    check_consistency(restarted)
    assert len(assessments(restarted)) == 40
    engine.dispose()


@with_seeds(sqlite=3, postgresql=1)
def test_publications_interrupted_between_filings_end_in_the_same_amounts_whatever_the_order(
    filed: Ledger, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311
    later = [(n, rows) for n in (3, 9, 10) for rows in [_months(n)[::-1]]]
    publish(filed, FIRST, actor="admin")
    for loaded in (None, SECOND, None, THIRD, None):
        if loaded is not None:
            publish(filed, loaded, actor="admin")
        left = draw.randrange(4)

        def interrupt(_: int, __: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Interrupted

        with suppress(Interrupted):
            assess_published(filed, interrupt)
        if later:
            n, rows = later.pop(draw.randrange(len(later)))
            file(filed, *rows)
    assess_published(filed)
    done, total = _progress(filed, 3)  # The newest version alone is assessed to its end.
    assert done == total
    check_consistency(filed)
    amounts = _final_amounts(filed)
    assert len(amounts) == 50
    for n in range(1, 11):
        for index, period in enumerate(PERIODS[:5]):
            steps = 1 + (n + index) % 12
            assert amounts[code(n), period][1] == steps * 2_000_000
    made = read_model_rows(filed)
    rebuild(filed)
    assert read_model_rows(filed) == made


def test_two_processes_that_assess_one_publication_double_nothing(filed: Ledger) -> None:
    publish(filed, FIRST, actor="admin")
    start = Barrier(2)

    def assess() -> None:
        start.wait()
        assess_published(filed)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(assess), pool.submit(assess)]:
            future.result()
    assert len(assessments(filed)) == 40
    assert _progress(filed, 1) == (8, 8)
    check_consistency(filed)


def test_the_same_document_published_by_two_at_once_is_one_version(ledger: Ledger) -> None:
    start = Barrier(2)

    def publish_it(loaded: LoadedPolicy) -> bool:
        start.wait()
        return publish(ledger, loaded, actor="admin").is_new

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(publish_it, [FIRST, FIRST])) == [False, True]
    assert [entry.type for entry in log(ledger)] == ["PolicyPublished"]


def test_a_name_that_two_keys_are_given_at_once_is_given_to_one(ledger: Ledger) -> None:
    start = Barrier(FILERS)

    def create(_: int) -> str | None:
        start.wait()
        with write_transaction(ledger.engine) as connection:
            return create_key(connection, name="统计局", role="statistics", with_figures=False, now_us=0)

    with ThreadPoolExecutor(FILERS) as pool:
        tokens = [token for token in pool.map(create, range(FILERS)) if token is not None]
    assert len(tokens) == 1
    with read_transaction(ledger.engine) as connection:
        assert [key.name for key in list_keys(connection)] == ["统计局"]
        assert find_key(connection, tokens[0]) is not None
