"""A ledger that a version with narrower coverage once blocked works again after its first start."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from sqlalchemy import text

from app.archive.insert_unchecked import insert_lines, set_sequencer
from app.bootstrap import alembic_config, migrate, why_not_ready
from app.ledger.ledger import Ledger
from app.ledger.lines import parse
from app.runtime.database import read_transaction, write_transaction
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.rebuilding import rebuild
from tests.api.rows import code, trade
from tests.databases import Database
from tests.office import Office, TestClock

LINES: Final = (Path(__file__).parent / "wedged.ndjson").read_bytes().splitlines()
"""Version 1 covers 2024, version 2 the second half of it. Then March of the enterprises 1 and 4 is withdrawn,
April of 2 corrected, and 6 and 7 file: recorded and not projected by the software of that time."""

PUBLICATIONS: Final = [
    {"policy": "yingkou-2024-14", "version": 1, "position": 1, "after_stream": "", "done": 0, "total": 0},
    {
        "policy": "yingkou-2024-14",
        "version": 2,
        "position": 15,
        "after_stream": f"returns/{code(5)}/2024",
        "done": 5,
        "total": 5,
    },
]


@pytest.fixture
def wedged(unmigrated: Database, clock: TestClock) -> Iterator[Ledger]:
    """The ledger as it was left, at the schema of this software."""
    clock.set("2024-06-10T00:00:00Z")
    ledger = Ledger(unmigrated.open(), clock)
    command.upgrade(alembic_config(ledger.engine), "0004")
    lines = [parse(line) for line in LINES]
    with write_transaction(ledger.engine) as connection:
        insert_lines(connection, lines)
        set_sequencer(connection, lines[-1], publication=15)
        connection.execute(
            text(
                "INSERT INTO publications (policy, version, position, after_stream, done, total) "
                "VALUES (:policy, :version, :position, :after_stream, :done, :total)"
            ),
            PUBLICATIONS,
        )
    migrate(ledger.engine)
    yield ledger
    ledger.engine.dispose()


def periods(account: Any) -> dict[str, int]:
    return {period["period"]: period["assessed_fen"] for period in account["periods"]}


def row(n: int, current: int, period: str, **more: Any) -> dict[str, Any]:
    return trade(current, 100_000, period=period) | {"uscc": code(n), "name": f"示例企业{n}"} | more


def test_what_it_holds_is_projected_and_what_cannot_be_followed_is_disputed(wedged: Ledger) -> None:
    assert project_all(wedged) == len(LINES)
    with read_transaction(wedged.engine) as connection:
        disputed = connection.execute(
            text("SELECT uscc, position FROM disagreements ORDER BY position")
        ).all()
    assert [tuple(row) for row in disputed] == [(code(1), 16), (code(4), 20)]
    assert why_not_ready(wedged) is None


def test_the_first_start_assesses_what_was_left_out_and_all_enterprises_go_on(wedged: Ledger) -> None:
    with Office(wedged) as office:
        for n in (1, 2, 4, 5, 7):
            account = office.entitlement(code(n), "2024H1", policy="yingkou-2024-14")
            assert (account["periods"], account["disputed"]) == ([], [])
            assert account["policy"]["version"] == 2
        assert periods(office.entitlement(code(3), "2024H2")) == {"2024-07": 15_000_000}
        assert periods(office.entitlement(code(6), "2024H2")) == {"2024-07": 20_000_000}
        answer = office.file(row(6, 150_000, "2024-08"))
        assert (answer["filed"], answer["entitlements_changed"]) == (1, 1)
        assert office.get("/readyz").json()["status"] == "ready"


def test_as_it_stood_before_an_account_shows_what_was_recorded_and_says_so(wedged: Ledger) -> None:
    with Office(wedged) as office:
        account = office.entitlement(code(1), "2024H1", position=18)
        assert periods(account) == {"2024-03": 25_000_000}
        assert (account["policy"]["version"], account["disputed"]) == (1, [16])
        explained = office.read(f"/v1/entitlements/{code(1)}/2024H1/2024-03", position=18)
        assert (explained["steps"], explained["disputed"]) == ([], [16])
        listed = office.read("/v1/entitlements", window="2024H1", position=18)
        assert listed["disputed"] == 1
        untouched = office.entitlement(code(5), "2024H1", position=18)
        assert (periods(untouched), untouched["disputed"]) == ({"2024-06": 10_000_000}, [])
        assert listed["assessed_fen"] == sum(
            sum(periods(office.entitlement(code(n), "2024H1", position=18)).values()) for n in (2, 4, 5)
        )


def test_its_replay_accepts_what_the_first_start_added_and_a_rebuild_equals_the_run(wedged: Ledger) -> None:
    with Office(wedged):
        pass
    report = replay(wedged, ReplayRange())
    assert report.found.mismatches == []
    assert report.found.row_differences == []
    assert report.is_clean
    rebuild(wedged)
    assert replay(wedged, ReplayRange()).is_clean
