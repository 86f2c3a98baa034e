"""Answers as of a position: each follows from the log up to that position."""

import gc
import weakref
from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.use_cases.policies import publishing
from domain.events import EntitlementAssessed, Outcome, ReturnFiled
from projections import tables
from projections.account_windows import account_windows
from projections.accounts import load_windows
from tests.domain.histories import oracle_return
from tests.ledger.history import (
    RandomYear,
    catering,
    code,
    file,
    held,
    policy,
    publish_whole,
    trade,
    transaction_ends,
    with_seeds,
    withdraw,
)
from tests.office import Office
from tests.oracle import OraclePeriod, OracleReturn, entitlements

MOMENTS_PER_SEED = 3
WINDOWS = ("2024H1", "2024H2")
DIMENSIONS = ("region_code", "industry", "period", "measure")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication assesses few enterprises in a transaction, so that it takes several."""
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 2)


@with_seeds(sqlite=4, postgresql=1)
def test_sums_equal_their_parts_at_the_end_of_every_transaction(ledger: Ledger, seed: int) -> None:
    RandomYear(seed).play(ledger, 25)
    for at in transaction_ends(ledger):
        with read_transaction(ledger.engine) as connection:
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
            row.counted,
            row.assessed_fen,
            row.open_fen,
            row.preliminary_fen,
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
    capped: Counter[Any] = Counter()
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
            for limit in outcome.capped_by:
                capped[row.policy, row.window, f"{dimension}/{limit}", key] += 1
    found = {
        group: (
            len(paid[group]),
            totals["assessed"],
            totals["open"],
            totals["preliminary"],
        )
        for group, totals in sums.items()
    }
    found = {group: values for group, values in found.items() if any(values)}
    found |= {group: (count, 0, 0, 0) for group, count in capped.items()}
    for row in held(connection, tables.accounts, at):
        awarded = ",".join(sorted(measures[row.policy, row.window, row.uscc]))
        group = (row.policy, row.window, "list", f"{row.region_code}|{awarded}")
        listed = found.get(group, (0, 0, 0, 0))
        added = (1, row.assessed_fen, row.open_fen, row.preliminary_fen)
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
    return {group: (count, 0, 0, 0) for group, count in found.items()}


@with_seeds(sqlite=4, postgresql=1)
def test_the_amounts_at_every_moment_are_those_of_the_article(ledger: Ledger, seed: int) -> None:
    publish_whole(ledger)
    year = RandomYear(seed)
    year.play(ledger, 20, published_at=())
    for at in transaction_ends(ledger):
        with read_transaction(ledger.engine) as connection:
            returns = [row for row in held(connection, tables.returns, at) if row.type != "ReturnWithdrawn"]
            found = {
                (row.uscc, row.period): _judged(row.state)
                for row in held(connection, tables.entitlements, at)
            }
        assert found == {
            (uscc, entitlement.period): entitlement
            for uscc in year.codes
            for window in WINDOWS
            for entitlement in entitlements(_oracle_returns(returns, uscc), window).values()
        }


def _oracle_returns(rows: list[Any], uscc: str) -> list[OracleReturn]:
    return [
        oracle_return(msgspec.json.decode(row.state, type=ReturnFiled)) for row in rows if row.uscc == uscc
    ]


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
        bound_by=outcome.capped_by,
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


def test_a_withdrawn_return_is_standing_only_before_its_withdrawal(office: Office) -> None:
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


def test_the_windows_that_a_batch_loads_go_with_it(ledger: Ledger) -> None:
    """The garbage collector runs rarely, and the month of a whole country is many batches."""
    publishing.publish(ledger, policy(), actor="admin")
    file(ledger, trade(code(1), "2024-03", 120_000, 100_000))
    gc.disable()
    try:
        with read_transaction(ledger.engine) as connection:
            windows = account_windows(connection, tables.LIVE)
            loaded = weakref.ref(load_windows(connection, tables.LIVE, windows, {"2024H1": [code(1)]}))
        assert loaded() is None
    finally:
        gc.enable()
