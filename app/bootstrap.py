"""Puts the parts together: settings, database, ledger."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from app.database import missing_file, open_engine, reading
from app.ledger.ledger import Ledger
from app.ledger.recorder import now_us
from app.limits import READY_LAG_S
from app.security.disclosures import open_disclosures
from app.settings import Settings
from app.use_cases.projecting import project_all
from app.use_cases.publishing import assess_published
from projections.projector import position_of

_MIGRATIONS = Path(__file__).parents[1] / "migrations"

Schema = Literal["ledger", "disclosures"]
_VERSIONS: Final[dict[Schema, str]] = {"ledger": "versions", "disclosures": "disclosures"}
"""Where the migrations of each lie."""


class NotMigratedError(Exception):
    """The database is not at the schema of this software."""


def open_ledger(settings: Settings, clock: Callable[[], int] = now_us) -> Ledger:
    """The ledger of the settings."""
    engine = open_engine(
        settings.database_url,
        pool_size=settings.pool_size,
        statement_timeout_s=settings.statement_timeout_s,
    )
    return Ledger(engine, clock)


def alembic_config(engine: Engine, schema: Schema = "ledger") -> Config:
    """Alembic's configuration for an engine, and the schema that its database has."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / _VERSIONS[schema]))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("schema", schema)
    config.attributes["engine"] = engine
    return config


def migrate(engine: Engine) -> None:
    """Bring the schemas up to this software: that of the ledger, and that of its disclosures."""
    command.upgrade(alembic_config(engine), "head")
    with _disclosures(engine) as disclosures:
        command.upgrade(alembic_config(disclosures, "disclosures"), "head")


def is_migrated(engine: Engine) -> bool:
    """Whether the schemas are those of this software."""
    return all(there == wanted for there, wanted in _revisions(engine))


def _revisions(engine: Engine) -> Iterator[tuple[str | None, str | None]]:
    """Of each schema the revision that is there, and the one of this software."""
    yield _revision(engine, "ledger")
    with _disclosures(engine) as disclosures:
        yield _revision(disclosures, "disclosures")


def _revision(engine: Engine, schema: Schema) -> tuple[str | None, str | None]:
    wanted = ScriptDirectory.from_config(alembic_config(engine, schema)).get_current_head()
    if schema == "disclosures" and missing_file(engine) is not None:
        return None, wanted  # Whoever opens it would make an empty one.
    options = {"version_table": "disclosures_version"} if schema == "disclosures" else {}
    with reading(engine) as connection:
        return MigrationContext.configure(connection, opts=options).get_current_revision(), wanted


@contextmanager
def _disclosures(engine: Engine) -> Iterator[Engine]:
    opened = open_disclosures(engine)
    try:
        yield opened
    finally:
        opened.dispose()


def why_not_ready(ledger: Ledger) -> str | None:
    """Why the service cannot answer well now; None if it can.

    Raises:
        sqlalchemy.exc.OperationalError: The database is unavailable.
    """
    for there, wanted in _revisions(ledger.engine):
        if there is None:
            return "The database is not migrated: run duixian migrate."
        if there != wanted:
            return f"The database is at revision {there}, this software at {wanted}: run duixian migrate."
    with reading(ledger.engine) as connection:
        head, projected = ledger.head(connection), position_of(connection)
    deadline = time.monotonic() + READY_LAG_S
    while projected < head:
        if time.monotonic() > deadline:
            return f"The read models are at position {projected} of {head}."
        time.sleep(READY_LAG_S / 10)
        with reading(ledger.engine) as connection:
            projected = position_of(connection)
    return None


def complete(ledger: Ledger) -> None:
    """Finish what a stop cut off: read models that lag, publications not yet assessed.

    Raises:
        NotMigratedError: The database is not migrated.
    """
    if not is_migrated(ledger.engine):
        raise NotMigratedError("The database is not migrated: run duixian migrate.")
    project_all(ledger)
    assess_published(ledger)
