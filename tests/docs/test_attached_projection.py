"""The example of a projection that another team attaches."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from eventsourcing.application import AggregateNotFoundError
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from app.ledger.ledger import Ledger
from app.ledger.library import DATABASE_URL, LedgerApplication, LedgerEvent, LibraryMapper
from domain.events import ReturnWithdrawn
from tests.databases import Database, on_one_database, only_on_sqlite
from tests.docs.codes import ROOT
from tests.ledger.history import catering, code, file, publish_whole, trade, withdraw

SCRIPT = ROOT / "docs" / "attached_projection.py"
USCC = code(1)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attached_projection", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def filed(ledger: Ledger) -> Ledger:
    """Three filings in one region, one in another; a correction and a withdrawal, which are none."""
    publish_whole(ledger)
    file(ledger, trade(USCC, "2024-03", 120_000, 100_000), trade(code(2), "2024-03", 120_000, 100_000))
    file(ledger, trade(USCC, "2024-03", 150_000, 100_000, reason="企业改报"))
    file(
        ledger, catering(USCC, "2024-04", 4_000, 2_000), trade(code(3), "2024-04", 1, 1, region_code="210811")
    )
    withdraw(ledger, code(2), "2024-03", "E204-1")
    return ledger


def counted(example: ModuleType, database: Database, counts: Path) -> dict[str, int]:
    """What it has counted when it has read all that the ledger holds."""
    with example.attached(database.url, str(counts)) as runner:
        filings = runner.app.recorder.select_notifications(None, 1_000, topics=("ReturnFiled",))
        runner.wait(filings[-1].id, timeout=example.PATIENCE_S)
        found: dict[str, int] = runner.projection.view.by_region()
        return found


@pytest.mark.usefixtures("filed")
def test_it_counts_the_filings_of_each_region(
    example: ModuleType, database: Database, tmp_path: Path
) -> None:
    assert counted(example, database, tmp_path / "counts.db") == {"210802": 3, "210811": 1}


@on_one_database
def test_it_goes_on_where_it_stopped(
    example: ModuleType, filed: Ledger, database: Database, tmp_path: Path
) -> None:
    counted(example, database, tmp_path / "counts.db")
    file(filed, trade(code(4), "2024-04", 120_000, 100_000))
    assert counted(example, database, tmp_path / "counts.db") == {"210802": 4, "210811": 1}


@only_on_sqlite
@pytest.mark.usefixtures("filed")
def test_it_runs_as_a_program(database: Database, tmp_path: Path) -> None:
    program = [sys.executable, str(SCRIPT), database.url, str(tmp_path / "counts.db")]
    ran = subprocess.run(program, check=True, capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.split() == ["210802", "3", "210811", "1"]


@pytest.fixture
def application(database: Database) -> Iterator[LedgerApplication]:
    opened = LedgerApplication({DATABASE_URL: database.url})
    yield opened
    opened.close()


@pytest.mark.usefixtures("filed")
def test_the_returns_of_a_year_are_an_aggregate_of_the_repository(
    example: ModuleType, application: LedgerApplication
) -> None:
    returns = example.read_returns(application, USCC, 2024)
    assert sorted(returns.standing) == [("E204-1", "2024-03"), ("S204-1", "2024-04")]
    assert returns.version == 3


@on_one_database
@pytest.mark.usefixtures("filed")
def test_an_enterprise_that_never_filed_has_no_aggregate(
    example: ModuleType, application: LedgerApplication
) -> None:
    with pytest.raises(AggregateNotFoundError):
        example.read_returns(application, USCC, 2023)


def test_the_application_has_to_be_told_the_database() -> None:
    with pytest.raises(OSError, match=DATABASE_URL):
        LedgerApplication({})


def test_an_event_is_mapped_to_the_library_and_back() -> None:
    event = ReturnWithdrawn(form="E204-1", period="2024-03", reason="重复")
    stored = LibraryMapper().to_stored_event(LedgerEvent("returns/1/2024", 7, event))
    assert (stored.originator_id, stored.originator_version) == ("returns/1/2024", 7)
    assert LibraryMapper().to_domain_event(stored) == LedgerEvent("returns/1/2024", 7, event)


def test_only_events_with_a_place_in_a_stream_are_mapped() -> None:
    with pytest.raises(TypeError, match="not a LedgerEvent"):
        LibraryMapper().to_stored_event(ReturnWithdrawn(form="E204-1", period="2024-03", reason="x"))  # type: ignore[arg-type]


def test_an_event_that_this_program_cannot_read_is_the_librarys_error() -> None:
    with pytest.raises(MapperDeserialisationError, match="ReturnShredded"):
        LibraryMapper().to_domain_event(StoredEvent("returns/1/2024", 1, "ReturnShredded", b"{}"))
