"""Small files that have many chunks, and worker processes on any machine."""

import os
from collections.abc import Iterator

import pytest

from app.ledger.ledger import Ledger
from app.use_cases.filing import importing
from tests.databases import Database
from tests.importing.files import ROWS_PER_CHUNK
from tests.office import TestClock


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has a chunk for every 20 rows, and this process works alone."""
    monkeypatch.setattr(importing, "ROWS_PER_CHUNK", ROWS_PER_CHUNK)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


@pytest.fixture
def helper(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - patched over
    """A process works beside."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture
def helpers(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - patched over
    """Two processes work beside."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})


@pytest.fixture
def other(migrated: Database, clock: TestClock) -> Iterator[Ledger]:
    """Another fresh ledger, to compare with."""
    database = migrated.copy()
    engine = database.open()
    yield Ledger(engine, clock)
    engine.dispose()
    database.drop()


@pytest.fixture
def clock() -> TestClock:
    """A clock as that of the processes that are started here."""
    return TestClock.of_machine()
