"""A machine to start processes on, at a fresh database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Database
from tests.office import TestClock
from tests.processes.running import Machine
from tests.statements import own_connections


@pytest.fixture
def machine(database: Database, tmp_path: Path) -> Iterator[Machine]:
    """A machine; what runs on it ends with the test."""
    made = Machine(database, tmp_path)
    yield made
    made.close()


@pytest.fixture
def clock() -> TestClock:
    """A clock as that of the processes that are started here."""
    return TestClock.of_machine()


@pytest.fixture(autouse=True)
def _own_connections() -> Iterator[None]:
    """What happens to connections, and how many there are, is what these tests look at."""
    with own_connections():
        yield
