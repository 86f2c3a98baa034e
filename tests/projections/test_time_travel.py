"""Reads as of a moment: each equals the read of a ledger that has no later events."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

from app.cli.commands import app as command_line
from app.ledger import publications
from app.ledger.corruption import is_returns
from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from app.ledger.publications import Publication
from app.ledger.recorder import AppendRequest
from app.transparency.sealing import seal
from app.use_cases.policies import publishing
from app.use_cases.upkeep.projecting import project_all
from domain.events import LogEntry, PolicyAssessed, PolicyPublished, UnreadableEvent
from tests.databases import Database
from tests.ledger.history import RandomYear, log, transaction_ends, with_seeds
from tests.office import Office, TestClock

MOMENTS_PER_SEED = 1
WINDOWS = ("2024H1", "2024H2")
DIMENSIONS = ("region_code", "industry", "period", "measure")
POLICY = "yingkou-2024-14"
VERSIONS = (1, 2, 3)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication assesses few enterprises in a transaction, so that it takes several."""
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 2)


@contextmanager
def fresh_office(migrated: Database, entries: list[LogEntry]) -> Iterator[Office]:
    """The service over a ledger with only these entries."""
    clock = TestClock()
    database = migrated.copy()
    engine = database.open()
    ledger = Ledger(engine, clock)
    for _, group in groupby(entries, key=lambda entry: entry.transaction_end):
        transaction = list(group)
        first = transaction[0]
        clock.now_us = first.recorded_at_us
        in_same_transaction = (
            partial(begin, first.event, entries) if isinstance(first.event, PolicyPublished) else None
        )
        ledger.record(
            ledger.stored(
                NewEvent(entry.stream, entry.version, entry.event)
                for entry in transaction
                if not isinstance(entry.event, UnreadableEvent)
            ),
            AppendRequest(first.actor, first.batch_id, in_same_transaction=in_same_transaction),
        )
    assert log(ledger) == entries
    project_all(ledger)
    with Office(ledger) as opened:
        yield opened
    engine.dispose()
    database.drop()


def begin(event: PolicyPublished, entries: Sequence[LogEntry], connection: Connection, position: int) -> None:
    """Note a publication of which nothing is left to assess: what followed from it is recorded as it was."""
    assessed_at = next(
        (
            entry.position
            for entry in entries
            if isinstance(entry.event, PolicyAssessed) and entry.event.version == event.version
        ),
        None,
    )
    filed = len({entry.stream for entry in entries if entry.position < position and is_returns(entry.stream)})
    done = Publication(
        policy=event.policy,
        version=event.version,
        position=position,
        after_stream="",
        done=filed,
        total=filed,
        assessed_at=assessed_at,
    )
    publications.begin(connection, done)


def recorded(office: Office, clock: TestClock, seed: int) -> RandomYear:
    """A year of filings, corrections, withdrawals and two publications, an hour between each two."""
    year = RandomYear(seed, enterprises=4)
    for hour in range(8):
        clock.now_us += 3_600_000_000
        year.play(office.ledger, 2, published_at=(1,) if hour in {1, 5} else ())
    return year


def served(office: Office, codes: list[str], at: int | None) -> dict[str, Any]:
    """The answers of every route that takes a moment; None for what did not exist at that moment."""
    seal(office.ledger)
    moment: dict[str, Any] = {} if at is None else {"position": at}
    found: dict[str, Any] = {}

    def read(path: str, **asked: Any) -> None:
        response = office.get(path, **asked, **moment)
        assert response.status_code in {200, 404}, response.text
        found[f"{path} {asked}"] = as_known(response.json()) if response.status_code == 200 else None

    for window in WINDOWS:
        read("/v1/entitlements", window=window, totals=True, limit=500)
        for dimension in DIMENSIONS:
            read("/v1/summary", window=window, group_by=dimension)
        for uscc in codes:
            read(f"/v1/entitlements/{uscc}/{window}")
            for period in periods_of(found[f"/v1/entitlements/{uscc}/{window} {{}}"]):
                read(f"/v1/entitlements/{uscc}/{window}/{period}")
        read("/v1/audit/red-flags", window=window)
        read("/v1/audit/red-flags/groups", window=window)
    for uscc in codes:
        read(f"/v1/returns/{uscc}", year=2024)
        read("/v1/events", uscc=uscc)
    read("/v1/events", limit=1000)
    read("/v1/policies")
    read(f"/v1/policies/{POLICY}")
    for version in VERSIONS:
        read(f"/v1/policies/{POLICY}/versions/{version}")
    return found


def periods_of(account: dict[str, Any] | None) -> list[str]:
    return [] if account is None else [period["period"] for period in account["periods"]]


def as_known(answer: Any) -> Any:
    """An answer, but for what it does not say of its moment.

    An enterprise without events is not found if it never had any, and empty if it had some later. The
    progress of a publication is always the current one.
    """
    if isinstance(answer, dict):
        if answer.get("periods") == [] or answer.get("returns") == []:
            return None
        answer.pop("assessment", None)
    return answer


def commanded(office: Office, codes: list[str], at: int | None) -> dict[str, Any]:
    """The JSON output of every command that takes a moment; None if it refuses."""
    seal(office.ledger)
    url = office.ledger.engine.url.render_as_string(hide_password=False)
    moment = [] if at is None else ["--position", str(at)]
    commands = [
        ["list", "2024H1"],
        ["summary", "2024H2", "--group-by", "measure"],
        *(["entitlement", uscc, "2024H1", "--explain"] for uscc in codes[:2]),
        *(["returns", uscc, "2024"] for uscc in codes[:2]),
        ["events", "--limit", "1000"],
        ["policy", "list"],
        ["audit", "red-flags", "2024H1"],
    ]
    found = {}
    for words in commands:
        ran = CliRunner().invoke(command_line, [*words, "--json", *moment], env={"DUIXIAN_DATABASE_URL": url})
        assert ran.exit_code in {0, 1}, ran.output
        found[" ".join(words)] = as_known(json.loads(ran.stdout)) if ran.exit_code == 0 else None
    return found


def is_under_way(entries: list[LogEntry]) -> bool:
    """Whether a service over these entries has an unfinished assessment."""
    marks = [entry.event for entry in entries if isinstance(entry.event, PolicyPublished | PolicyAssessed)]
    return bool(marks) and isinstance(marks[-1], PolicyPublished) and entries[0].event is not marks[-1]


def inside(entries: list[LogEntry], end: int) -> int | None:
    """The first position of the transaction after an end, if it has more than that one."""
    if end == len(entries) or entries[end].transaction_end == end + 1:
        return None
    return end + 1


@with_seeds(sqlite=3, postgresql=1)
def test_every_answer_at_a_position_is_that_of_a_ledger_with_nothing_after_it(
    office: Office, clock: TestClock, migrated: Database, seed: int
) -> None:
    year = recorded(office, clock, seed)
    entries = log(office.ledger)
    for at in year.random.sample(transaction_ends(office.ledger), MOMENTS_PER_SEED):
        with fresh_office(migrated, entries[:at]) as fresh:
            expected = served(fresh, year.codes, at if is_under_way(entries[:at]) else None)
            first = transaction_ends(fresh.ledger)[0]
            between = {"from": str(first), "to": str(at)}
            differences = fresh.read("/v1/audit/differences", limit=500, **between)
        assert served(office, year.codes, at) == expected
        assert office.read("/v1/audit/differences", limit=500, **between) == differences
        middle = inside(entries, at)
        if middle is not None:
            assert served(office, year.codes, middle) == expected
            between["to"] = str(middle)
            assert office.read("/v1/audit/differences", limit=500, **between) == differences


def test_every_command_at_a_position_prints_what_it_does_over_a_ledger_with_nothing_after_it(
    office: Office, clock: TestClock, migrated: Database
) -> None:
    year = recorded(office, clock, seed=11)
    entries = log(office.ledger)
    at = next(end for end in transaction_ends(office.ledger)[8:] if inside(entries, end) is not None)
    with fresh_office(migrated, entries[:at]) as fresh:
        expected = commanded(fresh, year.codes, None)
    assert commanded(office, year.codes, at) == expected
    assert commanded(office, year.codes, at + 1) == expected
    assert any(answer is not None for answer in expected.values())
