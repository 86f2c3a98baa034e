"""Alembic owns the schema: it comes from nothing, goes away whole, and is what the code says."""

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, Text, inspect, select

from app.bootstrap import NotMigratedError, alembic_config, complete, is_migrated, migrate, why_not_ready
from app.database import reading
from app.ledger import tables as ledger_tables
from app.ledger.ledger import Ledger
from app.security import tables as security_tables
from projections import tables as projection_tables
from tests.databases import Database, only_on_postgresql
from tests.ledger.history import code, file, publish_whole, trade

METADATA = [ledger_tables.metadata, projection_tables.metadata, security_tables.metadata]
ALEMBIC = "alembic_version"


@pytest.fixture
def engine(unmigrated: Database) -> Iterator[Engine]:
    """An engine at a database without a table."""
    opened = unmigrated.open()
    yield opened
    opened.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_an_empty_database_gets_every_table_of_the_code_and_the_rows_it_starts_from(engine: Engine) -> None:
    assert not is_migrated(engine)
    migrate(engine)
    assert is_migrated(engine)
    assert tables(engine) == {ALEMBIC, *(name for each in METADATA for name in each.tables)}
    with reading(engine) as connection:
        assert connection.execute(select(ledger_tables.sequencer)).all() == [(1, 0, 0, 0)]
        assert connection.execute(select(projection_tables.checkpoint)).all() == [(1, 0)]


def test_a_downgrade_to_nothing_leaves_no_table_and_an_upgrade_makes_them_again(engine: Engine) -> None:
    migrate(engine)
    made = tables(engine)
    command.downgrade(alembic_config(engine), "base")
    assert tables(engine) == {ALEMBIC}
    assert not is_migrated(engine)
    migrate(engine)
    assert tables(engine) == made
    ledger = Ledger(engine)
    publish_whole(ledger)
    assert file(ledger, trade(code(1), "2024-03", 110_000, 100_000)).entitlements_changed == 1


def test_every_step_can_be_gone_back_and_forth(engine: Engine) -> None:
    config = alembic_config(engine)
    script = ScriptDirectory.from_config(config)
    for revision in reversed(list(script.walk_revisions())):
        command.upgrade(config, revision.revision)
        here = tables(engine)
        command.downgrade(config, "-1")
        command.upgrade(config, revision.revision)
        assert tables(engine) == here
    assert is_migrated(engine)


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    ledger = Ledger(engine)
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    migrate(engine)
    with reading(engine) as connection:
        assert ledger.head(connection) == 1


def test_the_migrations_make_what_the_code_says(engine: Engine) -> None:
    migrate(engine)
    command.check(alembic_config(engine))


@only_on_postgresql
def test_text_on_postgresql_is_in_the_order_of_code_points_whatever_the_locale(engine: Engine) -> None:
    migrate(engine)
    declared = {
        (table.name, column.name)
        for each in METADATA
        for table in each.tables.values()
        for column in table.c
        if isinstance(column.type, Text)
    }
    with reading(engine) as connection:
        found = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'text' AND collation_name = 'C'"
        ).all()
    assert {tuple(row) for row in found} == declared


def test_the_check_would_notice_a_table_that_is_missing(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        projection_tables.totals.drop(connection)
    with pytest.raises(CommandError):
        command.check(alembic_config(engine))


def test_the_migrations_are_one_line(engine: Engine) -> None:
    script = ScriptDirectory.from_config(alembic_config(engine))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_a_database_that_is_not_migrated_is_named_and_not_touched(engine: Engine) -> None:
    ledger = Ledger(engine)
    assert "duixian migrate" in str(why_not_ready(ledger))
    with pytest.raises(NotMigratedError, match="duixian migrate"):
        complete(ledger)
    assert tables(engine) == set()
