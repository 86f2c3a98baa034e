"""What takes too long is ended, told to come again, and leaves nothing half-done."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import Connection, Engine, event, text

from app.bootstrap import open_ledger
from app.ledger.ledger import Ledger
from app.runtime import database as app_database
from app.runtime.database import disable_timeouts, open_engine, read_transaction, write_transaction
from app.runtime.settings import Settings
from app.use_cases.filing import file_returns as filing
from app.use_cases.upkeep.rebuilding import rebuild
from tests.api.rows import refused, trade
from tests.databases import Database
from tests.faults.conftest import ON_POSTGRESQL
from tests.faults.test_uncertain_commit import check_read_models, recorded
from tests.ledger.history import code, file, publish_whole
from tests.ledger.history import trade as row
from tests.office import Office, TestClock

KEY = {"Idempotency-Key": "march"}
MONTHS = ("2024-03", "2024-04")


def with_options(database: Database, options: str) -> Engine:
    """An engine whose URL says something to the server."""
    joint = "&" if "?" in database.url else "?"
    return open_engine(f"{database.url}{joint}options={options.replace(' ', '%20')}")


@contextmanager
def office_of(engine: Engine) -> Iterator[Office]:
    try:
        with Office(Ledger(engine, TestClock())) as office:
            yield office
    finally:
        engine.dispose()


def post(office: Office) -> Response:
    return office.client.post(
        "/v1/returns",
        json={"unit": "qianyuan", "returns": [trade(120_000)]},
        headers={**office.headers("statistics"), **KEY},
    )


def is_told_to_come_again(response: Response) -> None:
    refused(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) > 0


@contextmanager
def holding(engine: Engine) -> Iterator[Connection]:
    """Another one holds what every writer needs."""
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE sequencer SET last = last"))
        yield connection


def server_setting(connection: Connection, name: str) -> Any:
    return connection.execute(text(f"SHOW {name}")).scalar_one()


@ON_POSTGRESQL
@pytest.mark.parametrize("option", ["statement_timeout", "lock_timeout"])
def test_a_filing_that_waits_too_long_on_postgresql_is_told_to_come_again(
    database: Database, ledger: Ledger, option: str
) -> None:
    with office_of(with_options(database, f"-c {option}=200")) as office:
        with holding(ledger.engine):
            is_told_to_come_again(post(office))
        assert recorded(ledger) == {}
        answer = post(office)
        assert (answer.status_code, answer.json()["filed"]) == (201, 1)
        assert "Idempotency-Replayed" not in answer.headers
    assert recorded(ledger) == {"ReturnFiled": 1}
    check_read_models(ledger)


@pytest.mark.parametrize("host", ["sqlite"], indirect=True)
def test_a_filing_that_waits_too_long_on_sqlite_is_told_to_come_again(
    database: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_database, "LOCK_TIMEOUT_S", 0.2)
    with office_of(database.open()) as office:
        with holding(ledger.engine):
            is_told_to_come_again(post(office))
        assert recorded(ledger) == {}
        assert post(office).json()["filed"] == 1
    assert recorded(ledger) == {"ReturnFiled": 1}
    check_read_models(ledger)


@pytest.mark.parametrize("host", ["sqlite"], indirect=True)
def test_a_filing_whose_turn_on_sqlite_does_not_come_is_told_to_come_again(
    office: Office, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_database, "LOCK_TIMEOUT_S", 0.2)
    with holding(ledger.engine):
        is_told_to_come_again(post(office))
    assert post(office).json()["filed"] == 1
    assert recorded(ledger) == {"ReturnFiled": 1}


def test_a_long_filing_that_waits_too_long_for_others_is_told_to_come_again(
    office: Office, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "LONG_BATCH_ROWS", 1)
    monkeypatch.setattr(filing, "LONG_BATCH_WAIT_S", 0.2)
    with ledger.long_batches.taken(0), ledger.long_batches.taken(0):
        is_told_to_come_again(post(office))
    assert post(office).json()["filed"] == 1
    assert recorded(ledger) == {"ReturnFiled": 1}


def test_a_read_does_not_wait_for_a_writer(database: Database, ledger: Ledger) -> None:
    with office_of(database.open()) as office, holding(ledger.engine):
        assert office.get("/v1/events").status_code == 200


@ON_POSTGRESQL
def test_a_read_that_takes_too_long_is_told_to_come_again(database: Database, ledger: Ledger) -> None:
    with office_of(with_options(database, "-c lock_timeout=200")) as office:
        with write_transaction(ledger.engine) as connection:
            connection.execute(text("LOCK TABLE events IN ACCESS EXCLUSIVE MODE"))
            is_told_to_come_again(office.get("/v1/events"))
        assert office.get("/v1/events").status_code == 200


def test_a_caller_who_gets_no_connection_in_time_is_told_to_come_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_database, "POOL_TIMEOUT_S", 0.2)
    engine = open_engine(database.url, pool_size=1)
    with office_of(engine) as office:
        with read_transaction(engine):
            is_told_to_come_again(office.get("/v1/events"))
            assert office.client.get("/healthz").status_code == 200
        assert office.get("/v1/events").status_code == 200


@ON_POSTGRESQL
def test_writers_that_meet_serialisation_failures_all_get_through(database: Database, ledger: Ledger) -> None:
    engine = with_options(database, r"-c default_transaction_isolation=repeatable\ read")
    far = Ledger(engine, TestClock())
    threads = [
        Thread(target=lambda n=n: [file(far, row(code(n), month, 120_000, 100_000)) for month in MONTHS])
        for n in range(3)
    ]
    met = states_met(engine)
    with holding(ledger.engine):
        for thread in threads:
            thread.start()
        wait_for_waiting(ledger, len(threads))
    for thread in threads:
        thread.join()
    engine.dispose()
    assert met.count("40001") >= len(threads)
    assert recorded(ledger) == {"ReturnFiled": len(threads) * len(MONTHS)}
    check_read_models(ledger)


def states_met(engine: Engine) -> list[str]:
    """The SQLSTATEs of the errors that an engine meets from now on."""
    met: list[str] = []
    event.listen(engine, "handle_error", lambda context: met.append(context.original_exception.sqlstate))
    return met


def wait_for_waiting(ledger: Ledger, count: int) -> None:
    """Until so many of this database wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    seen = -1
    while seen < count:
        with read_transaction(ledger.engine) as connection:
            seen = connection.execute(waiting).scalar_one()


@ON_POSTGRESQL
def test_a_filing_that_the_server_ends_in_a_deadlock_is_decided_again(
    database: Database, ledger: Ledger
) -> None:
    with office_of(database.open()) as office:
        first = office.client.post(
            "/v1/returns",
            json={"unit": "qianyuan", "returns": []},
            headers={**office.headers("statistics"), "Idempotency-Key": "old"},
        )
        assert first.status_code == 201
        office.ledger.clock.now_us += 25 * 3600 * 1_000_000  # type: ignore[attr-defined]
        answers: list[Response] = []
        met = states_met(office.ledger.engine)
        filing = Thread(target=lambda: answers.append(post(office)))
        with write_transaction(ledger.engine) as connection:
            connection.execute(text("SELECT 1 FROM idempotent_answers FOR UPDATE"))
            filing.start()  # It takes the sequencer, and then wants to let go the answer that is old.
            wait_for_waiting(ledger, 1)
            connection.execute(text("UPDATE sequencer SET last = last"))
        filing.join()
        assert met == ["40P01"]
        assert [each.json()["filed"] for each in answers] == [1]
    assert recorded(ledger) == {"ReturnFiled": 1}


@ON_POSTGRESQL
def test_a_rebuild_and_a_migration_take_as_long_as_they_need(database: Database, ledger: Ledger) -> None:
    publish_whole(ledger)
    file(ledger, row(code(1), "2024-03", 120_000, 100_000))
    engine = with_options(database, "-c statement_timeout=1000")
    hurried = Ledger(engine, TestClock())
    with write_transaction(engine) as connection:
        assert server_setting(connection, "statement_timeout") == "1s"
        disable_timeouts(connection)
        assert server_setting(connection, "statement_timeout") == "0"
        assert server_setting(connection, "idle_in_transaction_session_timeout") == "0"
        assert server_setting(connection, "lock_timeout") != "0"
        connection.execute(text("SELECT pg_sleep(1.5)"))
    with read_transaction(engine) as connection:
        assert server_setting(connection, "statement_timeout") == "1s"
    rebuild(hurried)
    engine.dispose()


@ON_POSTGRESQL
def test_a_connection_tells_the_server_who_it_is_and_how_long_it_waits(database: Database) -> None:
    ledger = open_ledger(Settings(database_url=database.url, statement_timeout_s=7, pool_size=3))
    with read_transaction(ledger.engine) as connection:
        assert server_setting(connection, "application_name") == "duixian"
        assert server_setting(connection, "statement_timeout") == "7s"
        assert server_setting(connection, "lock_timeout") == "30s"
        assert server_setting(connection, "idle_in_transaction_session_timeout") == "5min"
    ledger.engine.dispose()
