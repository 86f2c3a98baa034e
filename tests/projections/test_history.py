"""As it stood then: every answer at a position is the one that the log up to it gives."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from app.database import reading
from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from app.ledger.recorder import Recording
from app.use_cases import publishing
from app.use_cases.projecting import project_all
from domain.events import EntitlementAssessed, LogEntry, Outcome, ReturnFiled
from projections import tables
from tests.databases import Database
from tests.ledger.history import (
    RandomYear,
    catering,
    code,
    file,
    held,
    log,
    policy,
    publish_whole,
    trade,
    transaction_ends,
    withdraw,
)
from tests.office import Office, TestClock
from tests.oracle import OraclePeriod, OracleReturn, entitlements

SEEDS = range(4)
MOMENTS_PER_SEED = 3
WINDOWS = ("2024H1", "2024H2")
DIMENSIONS = ("region_code", "industry", "period", "measure")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication assesses few enterprises at once, so that it takes several transactions."""
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 2)


@contextmanager
def fresh_office(migrated: Database, entries: list[LogEntry]) -> Iterator[Office]:
    """The service over a ledger that was given only these entries."""
    clock = TestClock()
    database = migrated.copy()
    engine = database.open()
    ledger = Ledger(engine, clock)
    for _, group in groupby(entries, key=lambda each: each.transaction_end):
        transaction = list(group)
        clock.now_us = transaction[0].recorded_at_us
        ledger.record(
            ledger.stored(NewEvent(each.stream, each.version, each.event) for each in transaction),
            Recording(transaction[0].actor, transaction[0].batch_id),
        )
    assert log(ledger) == entries
    project_all(ledger)
    with Office(ledger) as opened:
        yield opened
    engine.dispose()
    database.drop()


def answers(office: Office, codes: list[str], **moment: Any) -> dict[str, Any]:
    """What the four reads answer at a moment; what was never filed by then counts as nothing."""
    found: dict[str, Any] = {}
    for window in WINDOWS:
        found[window] = office.read("/v1/entitlements", window=window, totals=True, limit=500, **moment)
        for dimension in DIMENSIONS:
            key = f"{window} by {dimension}"
            found[key] = office.read("/v1/summary", window=window, group_by=dimension, **moment)
        for uscc in codes:
            response = office.get(f"/v1/entitlements/{uscc}/{window}", **moment)
            account = response.json() if response.status_code == 200 else {"periods": []}
            found[f"{uscc} {window}"] = account if account["periods"] else None
            for period in account["periods"]:
                path = f"/v1/entitlements/{uscc}/{window}/{period['period']}"
                found[path] = office.read(path, **moment)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_at_a_position_is_that_of_a_ledger_with_nothing_after_it(
    office: Office, clock: TestClock, migrated: Database, seed: int
) -> None:
    year = RandomYear(seed, enterprises=4)
    for hour in range(8):
        clock.now_us += 3_600_000_000
        year.play(office.ledger, 2, published_at=(1,) if hour in {1, 5} else ())
    entries = log(office.ledger)
    for at in year.random.sample(transaction_ends(office.ledger), MOMENTS_PER_SEED):
        with fresh_office(migrated, entries[:at]) as fresh:
            expected = answers(fresh, year.codes)
        assert answers(office, year.codes, position=at) == expected
        inside = min(at, len(entries) - 1)
        if entries[inside].transaction_end > inside + 1:
            assert answers(office, year.codes, position=inside + 1) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_sums_equal_their_parts_at_the_end_of_every_transaction(ledger: Ledger, seed: int) -> None:
    RandomYear(seed).play(ledger, 25)
    for at in transaction_ends(ledger):
        with reading(ledger.engine) as connection:
            assert _accounts(connection, at) == _accounts_of_periods(connection, at)
            assert _totals(connection, at) == _totals_of_parts(connection, at)


def _accounts(connection: Connection, at: int) -> dict[Any, Any]:
    return {
        (row.policy, row.window, row.uscc): (
            row.assessed_fen,
            row.open_fen,
            row.preliminary_fen,
            row.periods,
        )
        for row in held(connection, tables.accounts, at)
    }


def _accounts_of_periods(connection: Connection, at: int) -> dict[Any, Any]:
    sums: dict[Any, Any] = {}
    for row in held(connection, tables.entitlements, at):
        key = (row.policy, row.window, row.uscc)
        assessed, opened, preliminary, count = sums.get(key, (0, 0, 0, 0))
        provisional = row.assessed_fen if row.stage == "preliminary" else 0
        sums[key] = (
            assessed + row.assessed_fen,
            opened + row.open_fen,
            preliminary + provisional,
            count + 1,
        )
    return sums


def _totals(connection: Connection, at: int) -> dict[Any, Any]:
    return {
        (row.policy, row.window, row.dimension, row.key): (
            row.enterprises,
            row.assessed_fen,
            row.open_fen,
            row.preliminary_fen,
            row.month_ceiling,
            row.half_year_ceiling,
        )
        for row in held(connection, tables.totals, at)
    }


def _totals_of_parts(connection: Connection, at: int) -> dict[Any, Any]:
    registered = {
        (row.uscc, row.period, row.form): row
        for row in held(connection, tables.returns, at)
        if row.type != "ReturnWithdrawn"
    }
    paid: dict[Any, set[str]] = defaultdict(set)
    sums: dict[Any, Counter[str]] = defaultdict(Counter)
    measures: dict[Any, set[str]] = defaultdict(set)
    for row in held(connection, tables.entitlements, at):
        if row.measure is None:
            continue
        winner = registered[row.uscc, row.period, row.form]
        outcome = msgspec.convert(msgspec.json.decode(row.state)["outcome"], Outcome)
        measures[row.policy, row.window, row.uscc].add(row.measure)
        for dimension, key in (
            ("region_code", winner.region_code),
            ("industry", winner.industry_code[:2]),
            ("period", row.period),
            ("measure", row.measure),
        ):
            group = (row.policy, row.window, dimension, key)
            if outcome.assessed_fen > 0:
                paid[group].add(row.uscc)
            sums[group]["assessed"] += outcome.assessed_fen
            sums[group]["open"] += outcome.open_fen
            sums[group]["preliminary"] += outcome.assessed_fen if outcome.stage == "preliminary" else 0
            sums[group]["month"] += "month-ceiling" in outcome.bound_by
            sums[group]["half-year"] += "half-year-ceiling" in outcome.bound_by
    found = {
        group: (
            len(paid[group]),
            each["assessed"],
            each["open"],
            each["preliminary"],
            each["month"],
            each["half-year"],
        )
        for group, each in sums.items()
    }
    for row in held(connection, tables.accounts, at):
        awarded = ",".join(sorted(measures[row.policy, row.window, row.uscc]))
        group = (row.policy, row.window, "list", f"{row.region_code}|{awarded}")
        listed = found.get(group, (0, 0, 0, 0, 0, 0))
        added = (1, row.assessed_fen, row.open_fen, row.preliminary_fen, 0, 0)
        found[group] = tuple(left + right for left, right in zip(listed, added, strict=True))
    return found | _filed(connection, at)


def _filed(connection: Connection, at: int) -> dict[Any, Any]:
    """The enterprises with a standing return, by region and by the policies that have assessed them."""
    policies: dict[Any, set[str]] = defaultdict(set)
    for row in held(connection, tables.accounts, at):
        policies[row.window, row.uscc].add(row.policy)
    found: Counter[Any] = Counter()
    for row in held(connection, tables.enterprises, at):
        assessed_by = sorted(policies[row.window, row.uscc])
        joined = f",{','.join(assessed_by)}," if assessed_by else ""
        found["", row.window, "filed", f"{row.region_code}|{joined}"] += 1
    return {group: (count, 0, 0, 0, 0, 0) for group, count in found.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_stands_at_every_moment_is_what_the_article_gives(ledger: Ledger, seed: int) -> None:
    publish_whole(ledger)
    year = RandomYear(seed)
    year.play(ledger, 20, published_at=())
    for at in transaction_ends(ledger):
        with reading(ledger.engine) as connection:
            returns = [row for row in held(connection, tables.returns, at) if row.type != "ReturnWithdrawn"]
            found = {
                (row.uscc, row.period): _judged(row.state)
                for row in held(connection, tables.entitlements, at)
            }
        assert found == {
            (uscc, each.period): each
            for uscc in year.codes
            for window in WINDOWS
            for each in entitlements(_oracle_returns(returns, uscc), window).values()
        }


def _oracle_returns(rows: list[Any], uscc: str) -> list[OracleReturn]:
    found = []
    for row in rows:
        if row.uscc != uscc:
            continue
        filed = msgspec.json.decode(row.state, type=ReturnFiled)
        (figure,) = filed.figures.values()
        assert figure.current_fen is not None
        found.append(
            OracleReturn(
                form=filed.form,
                period=filed.period,
                in_database=filed.in_database,
                industry_code=filed.industry_code,
                stage=filed.stage,
                current_fen=figure.current_fen,
                prior_year_fen=figure.prior_year_fen,
            )
        )
    return found


def _judged(state: bytes) -> OraclePeriod:
    assessed = msgspec.json.decode(state, type=EntitlementAssessed)
    outcome = assessed.outcome
    assert outcome is not None
    return OraclePeriod(
        period=assessed.period,
        stage=outcome.stage,
        status=outcome.status,
        measure=outcome.measure,
        rule_fen=outcome.rule_fen,
        selected_fen=outcome.selected_fen,
        assessed_fen=outcome.assessed_fen,
        open_fen=outcome.open_fen,
        bound_by=outcome.bound_by,
        open_readings=outcome.open_readings,
    )


def test_an_unchanged_filing_adds_no_row(ledger: Ledger) -> None:
    row = trade(code(1), "2024-03", 110_000, 100_000)
    publish_whole(ledger)
    file(ledger, row)
    head = transaction_ends(ledger)
    answer = file(ledger, row)
    assert (answer.unchanged, answer.filed, answer.revised) == (1, 0, 0)
    assert transaction_ends(ledger) == head


def test_what_was_withdrawn_stands_before_its_withdrawal_only(office: Office) -> None:
    uscc = code(1)
    publish_whole(office.ledger)
    file(office.ledger, catering(uscc, "2024-03", 3_000, 2_000))
    before = transaction_ends(office.ledger)[-1]
    withdraw(office.ledger, uscc, "2024-03", "S204-1")
    assert office.entitlement(uscc)["periods"] == []
    assert office.entitlement(uscc)["assessed_fen"] == 0
    assert office.entitlement(uscc, position=before)["assessed_fen"] == 2_000_000


def test_an_account_at_a_moment_is_assessed_by_the_policy_of_that_moment(office: Office) -> None:
    uscc = code(1)
    file(office.ledger, trade(uscc, "2024-03", 120_000, 100_000))
    unassessed = transaction_ends(office.ledger)[-1]
    publish_whole(office.ledger)
    first = transaction_ends(office.ledger)[-1]
    publish_whole(office.ledger, policy(step_award_yuan=30_000))
    assert office.entitlement(uscc, position=unassessed)["policy"] is None
    assert office.entitlement(uscc, position=first)["assessed_fen"] == 10_000_000
    assert office.entitlement(uscc, position=first)["policy"]["version"] == 1
    assert office.entitlement(uscc)["assessed_fen"] == 6_000_000
    assert office.entitlement(uscc)["policy"]["version"] == 2
