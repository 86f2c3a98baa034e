"""A fresh ledger for each test, copied from one that was migrated once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bootstrap import migrate
from app.database import open_engine
from app.ledger.ledger import Ledger
from tests.office import Office, TestClock


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated database, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    """The file of a fresh database."""
    return Path(shutil.copy(migrated, tmp_path / "ledger.db"))


@pytest.fixture
def clock() -> TestClock:
    """A clock that the test sets."""
    return TestClock()


@pytest.fixture
def ledger(database: Path, clock: TestClock) -> Iterator[Ledger]:
    """A fresh ledger."""
    engine = open_engine(f"sqlite:///{database}")
    yield Ledger(engine, clock)
    engine.dispose()


@pytest.fixture
def office(ledger: Ledger) -> Iterator[Office]:
    """The service over a fresh ledger, with a key of every role."""
    with Office(ledger) as opened:
        yield opened
