"""A database that takes no writing is said to take none, and why; when it does again, all goes on."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, event, make_url, text, update

from app.background.caretaker import Caretaker
from app.ledger import write_probe as probing
from app.ledger.ledger import Ledger
from app.ledger.tables import write_probe
from app.main import create_app
from app.runtime.database import open_engine, write_transaction
from app.runtime.reasons import REFUSALS, Refusal
from app.security.disclosures import SUFFIX
from app.use_cases.policies.publishing import publish
from tests.api.rows import refused
from tests.databases import Database, Host, PostgresHost
from tests.faults.test_uncertain_commit import recorded
from tests.ledger.history import code, empty_read_models, file, policy, trade
from tests.office import Office, TestClock

NOBODY = 65_534
ROWS = [trade(code(n), "2024-03", 120_000, 100_000) for n in range(1, 100)]


@pytest.fixture(autouse=True)
def _asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "WRITE_PROBE_INTERVAL_S", 0.0)


class Service:
    """A service, as it stands before its start, and the keys of its callers."""

    def __init__(self, url: str, keys: Office) -> None:
        self.engine: Engine = open_engine(url)
        self.ledger = Ledger(self.engine, TestClock())
        self.client = TestClient(create_app(self.ledger))
        self._keys = keys

    def file(self) -> Response:
        body = {"unit": "qianyuan", "returns": ROWS}
        return self.client.post("/v1/returns", json=body, headers=self._keys.headers("statistics"))

    def check_refused(self, refusal: Refusal) -> None:
        reason = REFUSALS[refusal]
        assert reason in refused(self.client.get("/readyz"), 503, "unavailable")["detail"]
        assert reason in refused(self.file(), 503, "unavailable")["detail"]
        read = self.client.get("/v1/policies", headers=self._keys.headers("auditor"))
        assert read.json()["items"] == []

    def check_well(self) -> None:
        assert self.client.get("/readyz").json()["status"] == "ready"
        assert self.file().status_code == 201


class OnServer:
    """A database that is read-only by a setting, which each session takes over when it begins."""

    def __init__(self, host: PostgresHost, database: Database) -> None:
        self.url = database.url
        self._host = host
        self._name = make_url(database.url).database

    def make_read_only(self) -> None:
        self._host.order(f'ALTER DATABASE "{self._name}" SET default_transaction_read_only = on')

    def make_writable(self) -> None:
        self._host.order(f'ALTER DATABASE "{self._name}" RESET default_transaction_read_only')

    def as_user(self) -> AbstractContextManager[None]:
        return nullcontext()


class InFolder:
    """A database that is read-only by the permissions of its file."""

    def __init__(self, database: Database, folder: Path) -> None:
        folder.chmod(0o777)
        self._path = folder / "ledger.db"
        for suffix in ("", SUFFIX):
            shutil.copy(f"{database.path}{suffix}", f"{self._path}{suffix}")
        self.url = f"sqlite:///{self._path}"
        self.make_writable()

    def make_read_only(self) -> None:
        self._path.chmod(0o444)

    def make_writable(self) -> None:
        for each in self._path.parent.iterdir():  # SQLite makes the files beside with the same permissions.
            each.chmod(0o666)

    @contextmanager
    def as_user(self) -> Iterator[None]:
        """As one whom permissions stop: they do not stop root.

        Both users are changed: SQLite asks for the real one where it may put a temporary file.
        """
        is_root = os.geteuid() == 0
        if is_root:
            os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield
        finally:
            if is_root:
                os.setresuid(0, 0, 0)


Place = OnServer | InFolder


@pytest.fixture
def place(host: Host, database: Database) -> Iterator[Place]:
    """The database of the test, where it can be made read-only."""
    if isinstance(host, PostgresHost):
        yield OnServer(host, database)
        return
    with tempfile.TemporaryDirectory(prefix="duixian-") as folder:  # Others may not enter those of a test.
        yield InFolder(database, Path(folder))


@pytest.fixture
def keys(place: Place) -> Iterator[Office]:
    """Keys, made while the database could be written."""
    engine = open_engine(place.url)
    office = Office(Ledger(engine, TestClock()))
    for who in ("auditor", "statistics"):
        office.get("/v1/policies", who)  # The first use of a key is noted, which takes writing.
    yield office
    engine.dispose()


def test_a_service_that_starts_on_a_read_only_database_files_when_it_is_writable_again(
    place: Place, keys: Office
) -> None:
    keys.ledger.engine.dispose()
    place.make_read_only()
    with place.as_user():
        service = Service(place.url, keys)
        with service.client:
            service.check_refused("read-only")
            service.check_refused("read-only")
    place.make_writable()
    with place.as_user():
        service.check_well()
        service.engine.dispose()


def test_what_a_stop_cut_off_is_left_by_a_start_that_cannot_write_and_done_when_it_can(
    place: Place, keys: Office
) -> None:
    file(keys.ledger, ROWS[0])
    with write_transaction(keys.ledger.engine) as connection:
        empty_read_models(connection)
    keys.ledger.engine.dispose()
    place.make_read_only()
    with place.as_user():
        service = Service(place.url, keys)
        with service.client:
            service.check_refused("read-only")
    place.make_writable()
    with place.as_user():
        assert "查询表更新至台账序号0" in refused(service.client.get("/readyz"), 503, "unavailable")["detail"]
        Caretaker(service.ledger, interval_s=1).look()
        service.check_well()
        service.engine.dispose()


def test_an_assessment_that_a_stop_cut_off_is_left_by_a_start_that_cannot_write(
    place: Place, keys: Office
) -> None:
    file(keys.ledger, ROWS[0])
    publish(keys.ledger, policy(), actor="admin")
    keys.ledger.engine.dispose()
    place.make_read_only()
    with place.as_user():
        service = Service(place.url, keys)
        with service.client:
            reason = refused(service.client.get("/readyz"), 503, "unavailable")["detail"]
            assert REFUSALS["read-only"] in reason
    place.make_writable()
    with place.as_user():
        assert service.client.get("/readyz").json()["status"] == "ready"
        caretaker = Caretaker(service.ledger, interval_s=1)
        caretaker.look()
        caretaker.look()  # Nobody else has gone on with it.
        assert recorded(service.ledger)["EntitlementAssessed"] == 1
        service.engine.dispose()


class Disk:
    """The disk of a database, which can be full.

    SQLite is told that the file may have no more pages. A server answers every writing as it does where its
    disk is full.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._most_pages = 1_000_000
        if engine.dialect.name == "sqlite":
            event.listen(engine, "checkout", self._limit)

    def _limit(self, connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={self._most_pages}")

    def fill(self) -> None:
        self._most_pages = 1  # No less than there are.
        self._order(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$",
            "CREATE TRIGGER full_disk BEFORE INSERT ON events EXECUTE FUNCTION full_disk()",
            "CREATE TRIGGER full_disk BEFORE UPDATE ON write_probe EXECUTE FUNCTION full_disk()",
        )

    def empty(self) -> None:
        self._most_pages = 1_000_000
        self._order("DROP FUNCTION full_disk CASCADE")

    def _order(self, *statements: str) -> None:
        if self._engine.dialect.name == "postgresql":
            with write_transaction(self._engine) as connection:
                for each in statements:
                    connection.execute(text(each))


def test_a_full_disk_is_called_so_until_there_is_room(database: Database, office: Office) -> None:
    service = Service(database.url, office)
    disk = Disk(service.engine)
    disk.fill()
    with service.client:
        service.check_refused("full")
        disk.empty()
        service.check_well()
    service.engine.dispose()


def test_a_database_that_somebody_else_writes_to_is_writable(database: Database, office: Office) -> None:
    service = Service(database.url, office)
    with write_transaction(office.ledger.engine) as connection:
        connection.execute(update(write_probe).values(bytes=b"of another worker"))
        assert service.client.get("/readyz").json()["status"] == "ready"
    service.check_well()
    service.engine.dispose()


def test_readiness_writes_once_in_a_while_however_often_it_is_asked(
    database: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "WRITE_PROBE_INTERVAL_S", 3600.0)
    service = Service(database.url, office)
    written: list[str] = []
    event.listen(
        service.engine,
        "before_cursor_execute",
        lambda *given: written.append(given[2]) if given[2].startswith("UPDATE write_probe") else None,
    )
    for _ in range(3):
        assert service.client.get("/readyz").json()["status"] == "ready"
    assert len(written) == 1
    service.engine.dispose()
