"""An export restores the same ledger, on the same kind of database or on the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.archive.export_folder import ExportError, ExportFolder
from app.archive.insert_unchecked import NotEmptyError
from app.bootstrap import migrate
from app.ledger.ledger import Ledger
from app.ledger.tables import events, log_tiles, publications, sequencer
from app.runtime.database import read_transaction
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.audit.restoring import restore
from app.use_cases.filing.file_returns import FilingAnswer
from app.use_cases.policies import publishing
from app.use_cases.policies.publishing import assess_published, publish, unfinished_publication
from tests.databases import KINDS, Database, Hosts
from tests.ledger.history import (
    code,
    file,
    policy,
    read_model_rows,
    rows_of,
    trade,
)
from tests.office import Office
from tests.verification.exports import contents, export

EVENTS = 45
ACCOUNTS = [(code(n), f"2024H{half}") for n in (1, 2, 3, 4) for half in (1, 2)]


@pytest.fixture(scope="module")
def empties(hosts: Hosts) -> Iterator[dict[str, Database]]:
    """An empty migrated database of each kind, to copy."""
    databases = {kind: hosts.of(kind).empty() for kind in KINDS}
    for database in databases.values():
        engine = database.open()
        migrate(engine)
        engine.dispose()
    yield databases
    for database in databases.values():
        database.drop()


from_either_to_the_other = pytest.mark.parametrize(
    ("host", "empty"), [("sqlite", "postgresql"), ("postgresql", "sqlite")], indirect=True
)
into_either = pytest.mark.parametrize(
    ("host", "empty"), [("sqlite", "sqlite"), ("sqlite", "postgresql")], indirect=True
)
"""Of a test about what becomes of the restored ledger, whatever the export was made from."""


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, empties: dict[str, Database]) -> Iterator[Ledger]:
    """An empty ledger, on the kind of database of the export and on the other kind."""
    copied = empties[request.param].copy()
    ledger = Ledger(copied.open())
    yield ledger
    ledger.engine.dispose()
    copied.drop()


def kept_rows(ledger: Ledger) -> list[Any]:
    """Every row of the log, of the sequencer and of the seal."""
    with read_transaction(ledger.engine) as connection:
        return [rows_of(connection, table) for table in (events, sequencer, publications, log_tiles)]


def is_empty(ledger: Ledger) -> bool:
    with read_transaction(ledger.engine) as connection:
        counted = connection.execute(select(func.count()).select_from(events)).scalar_one()
        return counted == 0 and ledger.head(connection) == 0 and rows_of(connection, publications) == []


@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_a_restored_ledger_is_the_one_that_was_exported_row_by_row(
    ledger: Ledger, empty: Ledger, tmp_path: Path, kind: str
) -> None:
    packed = kind == "packed"
    export(ledger, tmp_path / "out", packed=packed)
    assert restore(empty, ExportFolder(tmp_path / "out")) == EVENTS
    assert kept_rows(empty) == kept_rows(ledger)
    assert read_model_rows(empty) == read_model_rows(ledger)
    export(empty, tmp_path / "again", packed=packed)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_a_restored_ledger_answers_as_the_one_that_was_exported(
    ledger: Ledger, empty: Ledger, tmp_path: Path
) -> None:
    export(ledger, tmp_path / "out")
    restore(empty, ExportFolder(tmp_path / "out"))
    with Office(ledger) as before, Office(empty) as after:
        paths = [
            *(f"/v1/entitlements/{uscc}/{window}" for uscc, window in ACCOUNTS),
            *(f"/v1/returns/{code(n)}?year=2024" for n in (1, 2, 3, 4)),
            *(f"/v1/policies/yingkou-2024-14/versions/{version}" for version in (1, 2)),
            "/v1/events?limit=100",
            "/v1/entitlements?window=2024H1",
            f"/v1/entitlements/{code(1)}/2024H1?position=21",
        ]
        for path in paths:
            assert after.get(path).json() == before.get(path).json(), path
        assert before.entitlement(code(1))["assessed_fen"] > 0
        assert after.publish(policy(20_000).text.encode()).status_code == 202
        filed = after.file(trade(code(9), "2024-09", 110_000, 100_000))
    assert filed["filed"] == 1
    assert filed["position"] > EVENTS


@from_either_to_the_other
def test_a_part_of_the_log_is_restored_as_it_was_then(ledger: Ledger, empty: Ledger, tmp_path: Path) -> None:
    export(ledger, tmp_path / "out", until=26)
    assert restore(empty, ExportFolder(tmp_path / "out")) == 26
    with Office(ledger) as before, Office(empty) as after:
        for uscc, window in ACCOUNTS:
            path = f"/v1/entitlements/{uscc}/{window}"
            then, now = before.get(path, position=26), after.get(path)
            assert now.status_code == then.status_code
            if now.status_code == 200:
                assert {**now.json(), "as_of": None} == {**then.json(), "as_of": None}


@from_either_to_the_other
@pytest.mark.parametrize("until", [None, EVENTS + 1], ids=["whole", "part"])
def test_an_assessment_in_progress_continues_from_the_export(
    ledger: Ledger, empty: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: int | None
) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 1)
    publish(ledger, policy(20_000), actor="admin")
    with pytest.raises(KeyboardInterrupt):
        assess_published(ledger, stop)
    export(ledger, tmp_path / "out", until=until)
    restore(empty, ExportFolder(tmp_path / "out"))
    carried_on, before = unfinished_publication(empty), unfinished_publication(ledger)
    assert carried_on is not None
    assert before is not None
    assert (carried_on.done, before.done) == (2 if until is None else 0, 2)
    for target in (ledger, empty):
        assess_published(target)
    with Office(ledger) as exported, Office(empty) as restored:
        for uscc, window in ACCOUNTS:
            path = f"/v1/entitlements/{uscc}/{window}"
            amounts = [office.get(path).json().get("assessed_fen") for office in (exported, restored)]
            assert amounts[0] == amounts[1]


@from_either_to_the_other
def test_an_assessment_that_was_in_progress_at_the_end_of_an_export_continues(
    ledger: Ledger, empty: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The assessment is complete at the head, and only its progress at the head is recorded."""
    monkeypatch.setattr(publishing, "STREAMS_PER_CHUNK", 1)
    published = publish(ledger, policy(20_000), actor="admin")
    assess_published(ledger)
    with read_transaction(ledger.engine) as connection:
        head = ledger.head(connection)
    size = export(ledger, tmp_path / "out", until=head - 1).size
    assert published.position <= size < head
    restore(empty, ExportFolder(tmp_path / "out"))
    assert replay(empty, ReplayRange()).is_clean
    assess_published(empty)
    assert replay(empty, ReplayRange()).is_clean
    with Office(ledger) as exported, Office(empty) as restored:
        for uscc, window in ACCOUNTS:
            path = f"/v1/entitlements/{uscc}/{window}"
            amounts = [office.get(path).json().get("assessed_fen") for office in (exported, restored)]
            assert amounts[0] == amounts[1]


@into_either
def test_a_ledger_that_is_not_empty_is_refused_and_not_touched(
    ledger: Ledger, empty: Ledger, tmp_path: Path
) -> None:
    export(ledger, tmp_path / "out")
    assert isinstance(file(empty, trade(code(9), "2024-09", 110_000, 100_000)), FilingAnswer)
    before = kept_rows(empty)
    with pytest.raises(NotEmptyError):
        restore(empty, ExportFolder(tmp_path / "out"))
    assert kept_rows(empty) == before


@into_either
def test_an_empty_export_is_restored_to_an_empty_ledger(
    ledger: Ledger, empty: Ledger, tmp_path: Path
) -> None:
    export(ledger, tmp_path / "out", until=0)
    assert restore(empty, ExportFolder(tmp_path / "out")) == 0
    assert is_empty(empty)


@into_either
def test_an_interrupted_restore_leaves_the_ledger_empty(
    ledger: Ledger, empty: Ledger, tmp_path: Path
) -> None:
    def interrupt(done: int, _total: int) -> None:
        assert done == EVENTS
        raise KeyboardInterrupt

    export(ledger, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        restore(empty, ExportFolder(tmp_path / "out"), interrupt)
    assert is_empty(empty)
    assert restore(empty, ExportFolder(tmp_path / "out")) == EVENTS


CHANGES: dict[str, tuple[bytes, bytes]] = {
    "another row": (b'"actor":"admin"', b'"actor":"nimda"'),
    "no line": (b'"actor":"admin"', b'"actor" :"admin"'),
    "a row twice": (b'{"position":45,', b'{"position":44,'),
    "a time that no database holds": (b'"version":1,', b'"version":4294967296,'),
    "not packed as it says": (b"{", b"["),
}


@into_either
@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_after_it_was_verified_leaves_the_ledger_empty(
    ledger: Ledger, empty: Ledger, tmp_path: Path, name: str
) -> None:
    export(ledger, tmp_path / "out")
    folder = ExportFolder(tmp_path / "out")
    path = tmp_path / "out" / "events.ndjson"
    before, after = CHANGES[name]
    written = path.read_bytes()
    assert before in written
    path.write_bytes(written.replace(before, after, 1))
    with pytest.raises(ExportError):
        restore(empty, folder)
    assert is_empty(empty)
