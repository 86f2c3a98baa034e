"""Bringing the read models up to the log."""

import pytest

from app.ledger.ledger import Ledger
from app.runtime import database as databases
from app.runtime.database import write_transaction
from app.use_cases.upkeep.projecting import project_all
from projections.projector import position_of
from tests.databases import Database
from tests.ledger.history import code, file, publish_whole, trade


def test_read_models_that_are_up_to_the_log_are_found_so_while_another_process_writes(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_whole(ledger)
    answer = file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    monkeypatch.setattr(databases, "LOCK_TIMEOUT_S", 1)
    reader, writer = Ledger(database.open()), database.open()
    with write_transaction(writer) as connection:
        position_of(connection, lock=True)
        assert project_all(reader) == answer.position
    reader.engine.dispose()
    writer.dispose()
