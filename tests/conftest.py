"""A fresh ledger for each test, on SQLite and on PostgreSQL, copied from one that was migrated once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from app import main
from app.bootstrap import migrate
from app.ledger import clock as clocks
from app.ledger.ledger import Ledger
from app.transparency.audit_key import make_audit_key
from tests.databases import KINDS, Database, Host, Hosts
from tests.office import Office, TestClock

settings.register_profile("duixian", deadline=None)
settings.load_profile("duixian")
"""No example fails by the time that it takes: machines differ, and others use them too."""

SLOW = ("importing", "processes", "demo")
"""Folders whose tests start processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out."""
    for item in items:
        if "host" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.database)
        if item.path.parent.name in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _caretaker_rests() -> Iterator[None]:
    """Within a test of the service nothing is sealed or finished but by what the test does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "CARETAKER_INTERVAL_S", 3600.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_come_after_any_rest() -> Iterator[None]:
    """A command, whose clock is the machine's, follows on what a test recorded by a clock of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clocks, "REST_MOST_US", 2**62)
        yield


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Where databases are made, by kind."""
    opened = Hosts(tmp_path_factory.mktemp("sqlite"), tmp_path_factory.getbasetemp().parent)
    yield opened
    opened.close()


@pytest.fixture(scope="session", params=KINDS)
def host(request: pytest.FixtureRequest, hosts: Hosts) -> Host:
    """Where the databases of this test are made."""
    return hosts.of(request.param)


@pytest.fixture(scope="session")
def migrated(host: Host) -> Iterator[Database]:
    """An empty migrated database, to copy."""
    made = host.empty()
    engine = made.open()
    migrate(engine)
    engine.dispose()
    yield made
    made.drop()


@pytest.fixture
def database(migrated: Database) -> Iterator[Database]:
    """A fresh database."""
    made = migrated.copy()
    yield made
    made.drop()


@pytest.fixture
def unmigrated(host: Host) -> Iterator[Database]:
    """A database without a table."""
    made = host.empty()
    yield made
    made.drop()


@pytest.fixture
def clock() -> TestClock:
    """A clock that the test sets."""
    return TestClock()


@pytest.fixture
def ledger(database: Database, clock: TestClock) -> Iterator[Ledger]:
    """A fresh ledger."""
    engine = database.open()
    yield Ledger(engine, clock)
    engine.dispose()


@pytest.fixture
def office(ledger: Ledger, tmp_path: Path) -> Iterator[Office]:
    """The service over a fresh ledger, with a key of every role and one that signs checkpoints."""
    audit_key_file = tmp_path / "audit.key"
    make_audit_key(audit_key_file, "duixian.example/log")
    with Office(ledger, audit_key_file) as opened:
        yield opened
