"""A log whose rows were damaged is replayed as far as it goes; what cannot be read is counted and named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app.ledger.ledger import Ledger
from app.ledger.mapper import UnknownTypeError
from app.runtime.database import read_transaction
from app.transparency.audit_key import make_audit_key
from app.use_cases.audit.replaying import ReplayRange, ReplayResult, replay
from app.use_cases.upkeep.rebuilding import rebuild
from domain.errors import LedgerIntegrityError
from projections.tables import LIVE
from tests.databases import Database, on_one_database, only_on_sqlite
from tests.ledger.history import code, opened_copy, read_model_rows
from tests.office import Office, TestClock
from tests.verification.alterations import (
    Alteration,
    alter,
    deleting,
    setting,
    setting_data,
    without_constraints,
)
from tests.verification.conftest import played

__all__ = ["played"]  # pytest looks for fixtures in the module.

EVENTS = 45
FIRST, RETURN, ASSESSMENT, PUBLICATION = 1, 10, 45, 6


@pytest.fixture
def ledger(played: Database, clock: TestClock) -> Iterator[Ledger]:
    """A copy of the golden log, to damage."""
    with opened_copy(played, clock) as opened:
        yield opened


def replayed(ledger: Ledger) -> ReplayResult:
    """A replay that must end, and find something; it never passes its end, and comes to it."""
    steps: list[tuple[int, int]] = []
    report = replay(ledger, ReplayRange(), lambda done, total: steps.append((done, total)))
    assert not report.is_clean
    assert all(done <= total for done, total in steps)
    assert steps[-1] == (report.last, report.last)
    return report


def unreadable(report: ReplayResult) -> list[tuple[int | None, str | None]]:
    return [
        (mismatch.position, mismatch.detail)
        for mismatch in report.found.mismatches
        if mismatch.kind == "unreadable"
    ]


def _setting(**values: Any) -> Any:
    return lambda data: data.update(values)


MISPLACED = "记录流名称无效，或与记录内容不符"
DAMAGES: dict[str, tuple[Alteration, tuple[int, str]]] = {
    "a stream without a year": (setting(RETURN, stream="returns/X"), (RETURN, MISPLACED)),
    "a year that is none": (setting(RETURN, stream=f"returns/{code(1)}/20x4"), (RETURN, MISPLACED)),
    "another year": (setting(RETURN, stream=f"returns/{code(1)}/2023"), (RETURN, MISPLACED)),
    "an account among the returns": (setting(ASSESSMENT, stream="returns/X/2024"), (ASSESSMENT, MISPLACED)),
    "a publication among the returns": (
        setting(PUBLICATION, stream=f"returns/{code(1)}/2023"),
        (PUBLICATION, MISPLACED),
    ),
    "a return among the policies": (setting(RETURN, stream="policy/p"), (RETURN, MISPLACED)),
    "a period that is none": (
        setting_data(RETURN, _setting(period="2024-13")),
        (RETURN, "所属期无法识别"),
    ),
    "a form that is none": (setting_data(RETURN, _setting(form="E204-9")), (RETURN, "表号不在受理范围")),
    "a return without its figure": (setting_data(RETURN, _setting(figures={})), (RETURN, "缺少必报指标")),
    "an unknown type": (
        setting(RETURN, topic="ReturnShredded"),
        (RETURN, f"序号{RETURN}的类型ReturnShredded是本程序不认识的，须使用更新的程序"),
    ),
    "a time that cannot be written": (
        setting(RETURN, recorded_at_us=2**63 - 1),
        (RETURN, "登记时间或批次末序号超出范围"),
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_an_event_that_cannot_be_what_it_says_is_named(ledger: Ledger, name: str) -> None:
    damage, expected = DAMAGES[name]
    alter(ledger, damage)
    report = replayed(ledger)
    assert unreadable(report) == [expected]
    # The enterprise whose return is in a policy's stream is replayed without it, and disputed.
    assert report.found.uncompared == (name != "a return among the policies")


REFUSED = ("an unknown type", "a time that cannot be written")


@on_one_database
@pytest.mark.parametrize("name", REFUSED)
def test_a_rebuild_from_a_row_or_a_type_that_is_none_is_refused_with_its_position(
    ledger: Ledger, name: str
) -> None:
    damage, (position, reason) = DAMAGES[name]
    alter(ledger, damage)
    before = read_model_rows(ledger)
    with pytest.raises(
        (LedgerIntegrityError, UnknownTypeError), match=f"序号{position}.*{reason.split('序号')[0]}"
    ):
        rebuild(ledger)
    assert read_model_rows(ledger) == before


@on_one_database
@pytest.mark.parametrize("name", [name for name in DAMAGES if name not in REFUSED])
def test_a_rebuild_notes_an_event_that_cannot_be_what_it_says_and_goes_on(ledger: Ledger, name: str) -> None:
    damage, (position, _) = DAMAGES[name]
    alter(ledger, damage)
    assert rebuild(ledger) == EVENTS
    with read_transaction(ledger.engine) as connection:
        assert position in set(connection.scalars(select(LIVE.disagreements.c.position)))


@pytest.mark.parametrize("stream", ["junk", "entitlement/a", "Returns/X/2024"])
def test_an_event_of_no_stream_that_is_replayed_is_missing_from_the_count(
    ledger: Ledger, stream: str
) -> None:
    alter(ledger, setting(RETURN, stream=stream))
    assert replayed(ledger).found.events == EVENTS - 1


def test_an_event_that_is_gone_is_missing_from_the_count(ledger: Ledger) -> None:
    alter(ledger, deleting(RETURN, RETURN))
    assert replayed(ledger).found.events == EVENTS - 1


TYPED = {
    "version": "version列的数据类型不符",
    "topic": "topic列的数据类型不符",
    "recorded_at_us": "recorded_at_us列的数据类型不符",
    "actor": "actor列的数据类型不符",
    "batch_id": "batch_id列的数据类型不符",
    "transaction_end": "transaction_end列的数据类型不符",
    "state": "state列的数据类型不符",
}
VALUES = ["NULL", "1.5", "x'ff'", "'text'"]


def _fits(column: str, value: str) -> bool:
    """Whether a value is of the type that the ledger stores, or becomes one in a column of text."""
    if column in {"topic", "actor", "batch_id"}:
        return value in {"'text'", "1.5"}
    return column == "state" and value == "x'ff'"


@only_on_sqlite
@pytest.mark.parametrize("position", [RETURN, PUBLICATION])
@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column in TYPED for value in VALUES if not _fits(column, value)]
)
def test_a_value_of_another_type_as_sqlite_takes_it_is_named(
    ledger: Ledger, column: str, value: str, position: int
) -> None:
    alter(ledger, without_constraints)
    statement = f"UPDATE events SET {column} = {value} WHERE position = {position}"
    alter(ledger, lambda connection: connection.execute(text(statement)))
    assert unreadable(replayed(ledger)) == [(position, TYPED[column])]


READS = ("/v1/events", f"/v1/events?uscc={code(1)}", f"/v1/audit/inclusion/{RETURN}", "/v1/audit/checkpoint")


@only_on_sqlite
@pytest.mark.parametrize("column", ["position", "stream", *TYPED])
@pytest.mark.parametrize("value", [*VALUES, "CAST(x'ff' AS TEXT)"])
def test_a_read_of_the_log_answers_that_it_was_altered_whatever_sqlite_holds(
    ledger: Ledger, tmp_path: Path, column: str, value: str
) -> None:
    make_audit_key(tmp_path / "audit.key", "duixian.example/log")
    with Office(ledger, tmp_path / "audit.key") as office:
        alter(ledger, without_constraints)
        statement = f"UPDATE events SET {column} = {value} WHERE position = {RETURN}"
        alter(ledger, lambda connection: connection.execute(text(statement)))
        for path in (*READS, f"/v1/audit/receipts/{code(1)}/2024H1"):
            response = office.client.get(path, headers=office.headers("auditor"))
            if response.status_code != 200:
                # A topic that is text may also be that of a newer program's event.
                codes = {"ledger-altered", "unavailable"} if column == "topic" else {"ledger-altered"}
                assert response.json()["code"] in codes, path


@only_on_sqlite
@pytest.mark.parametrize("column", ["stream", "topic", "actor", "batch_id"])
@pytest.mark.parametrize("position", [RETURN, PUBLICATION])
def test_text_that_is_no_utf_8_as_sqlite_takes_it_is_named(
    ledger: Ledger, column: str, position: int
) -> None:
    statement = f"UPDATE events SET {column} = CAST({column} || x'ff' AS TEXT) WHERE position = {position}"
    alter(ledger, lambda connection: connection.execute(text(statement)))
    assert unreadable(replayed(ledger)) == [(position, "含有无效文字")]


@only_on_sqlite
@pytest.mark.parametrize("value", ["'text'", "NULL", "x'00'", "10.5", "-10"])
def test_a_position_of_any_kind_that_sqlite_takes_never_stops_a_replay(ledger: Ledger, value: str) -> None:
    alter(ledger, without_constraints)
    statement = f"UPDATE events SET position = {value} WHERE position = {RETURN}"
    alter(ledger, lambda connection: connection.execute(text(statement)))
    assert not replayed(ledger).is_clean


@only_on_sqlite
def test_text_that_is_no_utf_8_at_the_end_of_a_slice_is_named(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ledger.ledger.STREAMS_PER_SLICE", 1)
    statement = f"UPDATE events SET stream = CAST(stream || x'ff' AS TEXT) WHERE position = {FIRST}"
    alter(ledger, lambda connection: connection.execute(text(statement)))
    assert unreadable(replayed(ledger)) == [(FIRST, "含有无效文字")]
