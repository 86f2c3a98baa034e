"""A sealed log records its seal: a missing seal is found, and the log is never sealed again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, update

from app.archive.export_folder import ExportFolder
from app.background.caretaker import Caretaker
from app.bootstrap import Readiness
from app.cli.verifying import verify_folder
from app.ledger.ledger import Ledger
from app.ledger.tables import log_seal, log_tiles
from app.main import create_app
from app.runtime.database import read_transaction, write_transaction
from app.transparency.sealing import seal, seal_within
from app.transparency.tiles import sealed_size
from app.use_cases.audit.restoring import restore
from app.use_cases.upkeep import sealing
from app.use_cases.upkeep.sealing import record_seal
from domain.errors import LedgerIntegrityError
from domain.events import LogSealed
from tests.cli.test_commands import Desk, desk
from tests.databases import Database, on_one_database
from tests.ledger.history import code, file, log, trade
from tests.office import TestClock
from tests.verification.alterations import alter, setting_state, truncating
from tests.verification.exports import export
from tests.verification.test_verify_export import update_sums
from tests.verification.test_verify_ledger import found_in

__all__ = ["desk"]  # pytest finds an imported fixture by its name.

EVENTS = 45
KEY, OTHER_KEY = "duixian.example/log+1+a", "duixian.example/log+2+b"


def recorded_seals(ledger: Ledger) -> list[tuple[int, LogSealed]]:
    return [(entry.position, entry.event) for entry in log(ledger) if isinstance(entry.event, LogSealed)]


def unseal(ledger: Ledger, size: int = 0) -> None:
    """Remove the seal, or the end of it."""
    alter(ledger, lambda connection: connection.execute(delete(log_tiles)))
    alter(ledger, lambda connection: connection.execute(update(log_seal).values(size=size)))


def raise_amount(ledger: Ledger) -> None:
    alter(ledger, setting_state(26, b'"assessed_fen":0', b'"assessed_fen":1'))


def test_the_log_records_its_seal_once_and_that_event_is_sealed_too(ledger: Ledger) -> None:
    for _ in range(2):
        record_seal(ledger, KEY)
    ((position, event),) = recorded_seals(ledger)
    assert (position, event.size, event.verifier_key) == (EVENTS + 1, EVENTS, KEY)
    assert log(ledger)[-1].actor == "duixian"
    assert seal(ledger) == EVENTS + 1
    assert found_in(ledger) == {}


def test_it_records_the_seal_again_for_another_key_or_after_doubling_but_never_without_a_key(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "MIN_EVENTS_BETWEEN_SEALS", 2)
    for key in (KEY, None, OTHER_KEY, OTHER_KEY):
        record_seal(ledger, key)
    assert [event.verifier_key for _, event in recorded_seals(ledger)] == [KEY, OTHER_KEY]
    for n in range(10, 34):
        file(ledger, trade(code(n), "2024-09", 110_000, 100_000))
    seal(ledger)
    record_seal(ledger, OTHER_KEY)
    assert [event.size for _, event in recorded_seals(ledger)] == [EVENTS, EVENTS + 1, EVENTS + 2 + 48]
    assert found_in(ledger) == {}


def test_several_processes_at_once_record_the_seal_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(record_seal, ledger, KEY) for _ in range(4)]:
            future.result()
    assert len(recorded_seals(ledger)) == 1


def test_a_ledger_without_a_seal_records_none(migrated: Database, clock: TestClock) -> None:
    copied = migrated.copy()
    fresh = Ledger(copied.open(), clock)
    record_seal(fresh, KEY)
    position = file(fresh, trade(code(1), "2024-03", 110_000, 100_000)).position
    record_seal(fresh, KEY)
    assert position == len(log(fresh)) == 1
    Caretaker(fresh, interval_s=1, verifier_key=lambda: KEY).look()
    assert [event.size for _, event in recorded_seals(fresh)] == [1]
    assert Readiness(fresh).why_not() is None  # It is projected too.
    fresh.engine.dispose()
    copied.drop()


@pytest.mark.parametrize("size", [0, 20])
def test_an_altered_amount_under_a_removed_seal_is_found_and_not_sealed_again(
    ledger: Ledger, tmp_path: Path, size: int
) -> None:
    record_seal(ledger, KEY)
    seal(ledger)
    raise_amount(ledger)
    unseal(ledger, size)
    found = found_in(ledger)
    assert found["seal-shorter"] == [None]
    assert found["root-differs"][0] == EVENTS + 1
    for refused in (lambda: seal(ledger), lambda: export(ledger, tmp_path / "out")):
        with pytest.raises(LedgerIntegrityError, match="封存缺失或变短"):
            refused()
    Caretaker(ledger, interval_s=1).look()
    with read_transaction(ledger.engine) as connection:
        assert sealed_size(connection) == size
    answer = TestClient(create_app(ledger)).get("/readyz").json()
    assert answer["status"] == "ready"
    assert f"曾记载前{EVENTS}条已封存，现只有前{size}条" in answer["notices"][0]


def test_a_new_seal_over_an_altered_amount_is_found_by_the_seal_in_the_log(
    ledger: Ledger,
) -> None:
    record_seal(ledger, KEY)
    raise_amount(ledger)
    unseal(ledger)
    with write_transaction(ledger.engine) as connection:  # This bypasses the refusal of the software.
        seal_within(connection, until=EVENTS + 1)
    assert found_in(ledger) == {"root-differs": [EVENTS + 1]}


def test_an_altered_export_is_found_by_the_seal_in_the_log_without_any_key(
    ledger: Ledger, tmp_path: Path
) -> None:
    record_seal(ledger, KEY)
    export(ledger, tmp_path / "out", signing=None)
    assert verify_folder(tmp_path / "out", None, None).clean
    events = tmp_path / "out" / "events.ndjson"
    events.write_bytes(events.read_bytes().replace(b'"assessed_fen":0', b'"assessed_fen":1', 1))
    update_sums(tmp_path / "out")
    report = verify_folder(tmp_path / "out", None, None)
    (differing,) = (check for check in report.checks if check.code == "root-differs")
    assert EVENTS + 1 in [place.position for place in differing.places]


def test_a_restored_log_is_sealed_as_far_as_it_records_and_continues(
    ledger: Ledger, migrated: Database, tmp_path: Path, clock: TestClock
) -> None:
    record_seal(ledger, KEY)
    export(ledger, tmp_path / "out")
    copied = migrated.copy()
    restored = Ledger(copied.open(), clock)
    assert restore(restored, ExportFolder(tmp_path / "out")) == EVENTS + 1
    with read_transaction(restored.engine) as connection:
        assert sealed_size(connection) == EVENTS + 1
    assert found_in(restored) == {}
    file(restored, trade(code(9), "2024-09", 110_000, 100_000))
    assert seal(restored) == EVENTS + 3
    assert found_in(restored) == {}
    restored.engine.dispose()
    copied.drop()


@on_one_database
def test_verification_says_up_to_where_a_seal_proves_anything(desk: Desk, ledger: Ledger) -> None:
    assert "结论：未发现问题。\n" in desk.run("audit", "verify").stdout
    file(ledger, trade(code(9), "2024-09", 110_000, 100_000))
    said = desk.run("audit", "verify").stdout
    assert f"结论：未发现问题。封存至序号{EVENTS}；其后2条未经封存，" in said
    assert "只核验了前后一致，不能证明未被改动。" in said
    unseal(ledger)
    assert f"没有封存：全部{EVENTS + 2}条未经封存" in desk.run("audit", "verify").stdout
    assert desk.json("audit", "verify")["proven"] == 0


@on_one_database
def test_an_end_that_was_cut_off_with_its_seal_needs_a_checkpoint_that_was_kept(
    desk: Desk, ledger: Ledger
) -> None:
    desk.run("audit", "key", "--name", "duixian.example/log")
    desk.run("project", "--once")
    desk.run("audit", "checkpoint", "--out", "kept")
    assert [event.size for _, event in recorded_seals(ledger)] == [EVENTS]
    alter(ledger, truncating(43))
    unseal(ledger)
    said = desk.run("audit", "verify").stdout
    assert "末尾若连同封存一并被截去，台账本身也看不出来" in said
    assert "全部43条未经封存" in said
    assert "缺少3条" in desk.run("audit", "verify", "--checkpoint", "kept", code=1).stderr


@on_one_database
def test_an_unsigned_export_proves_nothing_of_itself_and_says_so(desk: Desk) -> None:
    desk.run("audit", "export", "out")
    assert f"没有日志校验点：全部{EVENTS + 1}条未经封存" in desk.run("audit", "verify", "out").stdout
