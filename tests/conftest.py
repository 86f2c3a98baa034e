"""A fresh ledger for each test, on SQLite and on PostgreSQL, copied from one that was migrated once."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from app import main
from app.api.routes import policies
from app.bootstrap import migrate
from app.ledger import clock as clocks
from app.ledger.ledger import Ledger
from app.runtime import database as database_module
from app.transparency.audit_key import make_audit_key
from app.use_cases.policies.loader import load_policy
from projections.rebuild import side_file
from tests.databases import KINDS, Database, Host, Hosts
from tests.ledger.history import opened_copy
from tests.office import NewOffice, Office, TestClock, make_keys, unchanged
from tests.statements import create_engine_sharing

settings.register_profile("duixian", deadline=None)
settings.load_profile("duixian")
"""No example fails by the time that it takes: machines differ, and others use them too."""

SLOW = ("importing", "processes", "demo")
"""Folders whose tests start processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out."""
    for item in items:
        if {"host", "hosts"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.database)
        if isinstance(item, pytest.Function) and _host_of(item) == "postgresql":
            item.add_marker(pytest.mark.postgresql)
        if item.path.parent.name in SLOW:
            item.add_marker(pytest.mark.slow)


def _host_of(item: pytest.Function) -> object:
    """The kind of database that a test runs on; None if it needs none."""
    return item.callspec.params.get("host") if hasattr(item, "callspec") else None


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


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_worked_out_for_each_test_anew() -> Iterator[None]:
    """What a process works out once for its one database, or one document, is kept from test to test."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (database_module, side_file):
            patch.setattr(module, "create_engine", create_engine_sharing)
        patch.setattr(policies, "load_policy", cache(load_policy))
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


class Staffed(NamedTuple):
    """A migrated database with nothing in it but keys, to copy, and those keys by their holders."""

    database: Database
    keys: dict[str, str]


@pytest.fixture(scope="session")
def staffed(migrated: Database) -> Iterator[Staffed]:
    """The keys of all callers, made once: to make them takes longer than most of what a test asks."""
    made = migrated.copy()
    engine = made.open()
    keys = make_keys(engine)
    engine.dispose()
    yield Staffed(made, keys)
    made.drop()


@pytest.fixture
def database(request: pytest.FixtureRequest, migrated: Database) -> Iterator[Database]:
    """A fresh database, with keys in it only where the test has an office."""
    has_keys = "office" in request.fixturenames
    made = request.getfixturevalue("staffed").database.copy() if has_keys else migrated.copy()
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
def office(ledger: Ledger, staffed: Staffed, tmp_path: Path) -> Iterator[Office]:
    """The service over a fresh ledger, with a key of every role and one that signs checkpoints."""
    with Office(ledger, _audit_key(tmp_path), staffed.keys) as opened:
        yield opened


@pytest.fixture(scope="module")
def new_office(staffed: Staffed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewOffice]:
    """Opens the service over a fresh ledger for all tests of a module, which only read."""
    with ExitStack() as opened:
        yield lambda clock: opened.enter_context(_opened(staffed, clock, tmp_path_factory.mktemp("office")))


@pytest.fixture(scope="session")
def _idle_office(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = hosts.of("sqlite").empty()
    engine = made.open()
    migrate(engine)
    staffed = Staffed(made, make_keys(engine))
    engine.dispose()
    with _opened(staffed, TestClock(), tmp_path_factory.mktemp("idle")) as opened:
        yield opened
    made.drop()


@pytest.fixture
def idle(_idle_office: Office) -> Iterator[Office]:
    """The service over an empty ledger, on SQLite, for what is refused before any database is asked."""
    with unchanged(_idle_office) as opened:
        yield opened


@contextmanager
def _opened(staffed: Staffed, clock: TestClock, folder: Path) -> Iterator[Office]:
    with (
        opened_copy(staffed.database, clock) as ledger,
        Office(ledger, _audit_key(folder), staffed.keys) as opened,
    ):
        yield opened


def _audit_key(folder: Path) -> Path:
    file = folder / "audit.key"
    make_audit_key(file, "duixian.example/log")
    return file
