"""A log with every type of event, recorded once for each kind of database, to copy and to alter."""

from collections.abc import Iterator

import pytest

from app.ledger.ledger import Ledger
from app.transparency.sealing import seal
from app.use_cases.upkeep.projecting import project_all
from tests.databases import Database
from tests.golden.make import play
from tests.office import TestClock


@pytest.fixture(scope="session")
def played(migrated: Database) -> Iterator[Database]:
    """The history of the golden log, recorded by the current software."""
    copied = migrated.copy()
    clock = TestClock()
    ledger = Ledger(copied.open(), clock)
    play(ledger, clock)
    project_all(ledger)
    seal(ledger)
    ledger.engine.dispose()
    yield copied
    copied.drop()


@pytest.fixture
def database(played: Database) -> Iterator[Database]:
    """A copy of the recorded history."""
    copied = played.copy()
    yield copied
    copied.drop()
