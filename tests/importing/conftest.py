"""Fixtures for small files with many chunks, and for worker processes on any machine."""

from collections.abc import Iterator

import pytest

from app.ledger.ledger import Ledger
from app.use_cases.filing import importing
from tests.databases import Database
from tests.importing.files import ROWS_PER_CHUNK, have_workers
from tests.office import TestClock


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk has 20 rows, and there are no worker processes."""
    monkeypatch.setattr(importing, "ROWS_PER_CHUNK", ROWS_PER_CHUNK)
    have_workers(monkeypatch, 0)


@pytest.fixture
def one_worker(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - patched over
    """There is one worker process."""
    have_workers(monkeypatch, 1)


@pytest.fixture
def two_workers(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - patched over
    """There are two worker processes."""
    have_workers(monkeypatch, 2)


@pytest.fixture
def other(migrated: Database, clock: TestClock) -> Iterator[Ledger]:
    """A second new ledger, for comparison."""
    database = migrated.copy()
    engine = database.open()
    yield Ledger(engine, clock)
    engine.dispose()
    database.drop()


@pytest.fixture
def clock() -> TestClock:
    """A clock that agrees with the processes that the tests start."""
    return TestClock.of_machine()
