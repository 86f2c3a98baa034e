"""Alembic owns the schemas: it creates them, drops them entirely, and they equal those in the code.

The schema of the disclosures is in a second file on SQLite, and in the ledger's database on PostgreSQL.
"""

from collections.abc import Iterator

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, MetaData, Text, insert, inspect, select, text

from app.bootstrap import (
    NotMigratedError,
    Schema,
    alembic_config,
    complete,
    is_migrated,
    migrate,
    newest_revision,
    why_not_ready,
)
from app.ledger import tables as ledger_tables
from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.security import tables as security_tables
from app.security.disclosures import open_disclosures
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.upkeep.projecting import project_all
from projections import tables as projection_tables
from tests.databases import Database, only_on_postgresql, only_on_sqlite
from tests.golden.golden import (
    GOLDEN_LOG,
    GOLDEN_OF_LEDGER,
    GOLDEN_OF_POLICIES,
    read_golden,
    restore,
)
from tests.ledger.history import code, file, publish_whole, read_model_rows, trade

METADATA: dict[Schema, list[MetaData]] = {
    "ledger": [ledger_tables.metadata, projection_tables.metadata, security_tables.metadata],
    "disclosures": [security_tables.disclosure_metadata],
}
SCHEMAS: tuple[Schema, ...] = ("ledger", "disclosures")
VERSIONS: dict[Schema, str] = {"ledger": "alembic_version", "disclosures": "disclosures_version"}


@pytest.fixture
def engine(unmigrated: Database) -> Iterator[Engine]:
    """An engine on a database without tables."""
    opened = unmigrated.open()
    yield opened
    opened.dispose()


@pytest.fixture
def engines(engine: Engine) -> Iterator[dict[Schema, Engine]]:
    """The engine of each schema."""
    disclosures = open_disclosures(engine)
    yield {"ledger": engine, "disclosures": disclosures}
    disclosures.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"sqlite_sequence"}


def declared(schema: Schema) -> set[str]:
    return {VERSIONS[schema], *(name for metadata in METADATA[schema] for name in metadata.tables)}


def test_an_empty_database_gets_every_table_of_the_code_and_the_rows_it_starts_from(
    engines: dict[Schema, Engine],
) -> None:
    engine = engines["ledger"]
    assert not is_migrated(engine)
    migrate(engine)
    assert is_migrated(engine)
    if engine.dialect.name == "sqlite":
        assert {schema: tables(engines[schema]) for schema in SCHEMAS} == {
            schema: declared(schema) for schema in SCHEMAS
        }
    else:
        assert tables(engine) == declared("ledger") | declared("disclosures")
    with read_transaction(engine) as connection:
        assert connection.execute(select(ledger_tables.sequencer)).all() == [(1, 0, 0, 0)]
        assert connection.execute(select(projection_tables.checkpoint)).all() == [(1, 0)]


def test_a_downgrade_to_nothing_leaves_no_table_and_an_upgrade_makes_them_again(engine: Engine) -> None:
    migrate(engine)
    made = tables(engine)
    command.downgrade(alembic_config(engine), "base")
    assert tables(engine) == made - declared("ledger") | {VERSIONS["ledger"]}
    assert not is_migrated(engine)
    migrate(engine)
    assert tables(engine) == made
    ledger = Ledger(engine)
    publish_whole(ledger)
    assert file(ledger, trade(code(1), "2024-03", 110_000, 100_000)).entitlements_changed == 1


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_step_can_be_gone_back_and_forth(engines: dict[Schema, Engine], schema: Schema) -> None:
    engine = engines[schema]
    config = alembic_config(engine, schema)
    script = ScriptDirectory.from_config(config)
    for revision in reversed(list(script.walk_revisions())):
        command.upgrade(config, revision.revision)
        here = tables(engine)
        command.downgrade(config, "-1")
        command.upgrade(config, revision.revision)
        assert tables(engine) == here
    assert tables(engine) == declared(schema)


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    ledger = Ledger(engine)
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    migrate(engine)
    with read_transaction(engine) as connection:
        assert ledger.head(connection) == 1


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_migrations_make_what_the_code_says(engines: dict[Schema, Engine], schema: Schema) -> None:
    migrate(engines["ledger"])
    command.check(alembic_config(engines[schema], schema))


@only_on_postgresql
def test_text_on_postgresql_is_in_the_order_of_code_points_whatever_the_locale(engine: Engine) -> None:
    migrate(engine)
    ours = {
        (table.name, column.name)
        for metadata in METADATA.values()
        for schema in metadata
        for table in schema.tables.values()
        for column in table.c
        if isinstance(column.type, Text)
    }
    with read_transaction(engine) as connection:
        found = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'text' AND collation_name = 'C'"
        ).all()
    assert {tuple(row) for row in found} == ours


def test_the_check_would_notice_a_table_that_is_missing(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        projection_tables.totals.drop(connection)
    with pytest.raises(CommandError):
        command.check(alembic_config(engine))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_migrations_of_a_schema_are_one_line(engine: Engine, schema: Schema) -> None:
    script = ScriptDirectory.from_config(alembic_config(engine, schema))
    assert script.get_heads() == [newest_revision(schema)]
    assert len(script.get_bases()) == 1


def test_a_database_that_is_not_migrated_is_named_and_not_touched(engine: Engine) -> None:
    ledger = Ledger(engine)
    assert "duixian migrate" in str(why_not_ready(ledger))
    with pytest.raises(NotMigratedError, match="duixian migrate"):
        complete(ledger)
    assert tables(engine) == set()


@only_on_sqlite
def test_a_database_without_the_file_of_its_disclosures_is_named_and_the_file_not_made(
    engine: Engine, unmigrated: Database
) -> None:
    migrate(engine)
    file = unmigrated.files[1]
    file.unlink()
    assert "duixian migrate" in str(why_not_ready(Ledger(engine)))
    with pytest.raises(NotMigratedError, match="duixian migrate"):
        complete(Ledger(engine))
    assert not file.exists()
    migrate(engine)
    assert is_migrated(engine)


def test_a_database_of_half_years_keeps_its_log_and_its_keys_and_comes_to_the_same_amounts(
    engine: Engine, ledger: Ledger
) -> None:
    """A database of software that knew only half-years: its read models are rebuilt from the log."""
    golden = [
        event for path in (GOLDEN_LOG, GOLDEN_OF_LEDGER, GOLDEN_OF_POLICIES) for event in read_golden(path)
    ]
    command.upgrade(alembic_config(engine), "0008")
    old = Ledger(engine)
    restore(old, golden)
    head = golden[-1].position
    with engine.begin() as connection:
        connection.execute(text("UPDATE checkpoint SET position = :head"), {"head": head})
        connection.execute(
            text(
                "INSERT INTO totals VALUES"
                " ('yingkou-2024-14', '2024H1', 'period', '2024-03', 1, 5000000, 0, 0, 0, 0, 4, :forever)"
            ),
            {"forever": projection_tables.FOREVER},
        )
        made = insert(security_tables.api_keys).values(
            name="甲", sha256="ab" * 32, role="auditor", with_figures=False, created_at_us=1
        )
        connection.execute(made)
    migrate(engine)
    project_all(old)
    restore(ledger, golden)
    project_all(ledger)
    assert read_model_rows(old) == read_model_rows(ledger)
    with read_transaction(engine) as connection:
        assert old.head(connection) == head
        assert connection.scalars(select(security_tables.api_keys.c.name)).all() == ["甲"]
    assert replay(old, ReplayRange()).is_clean
