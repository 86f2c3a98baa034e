"""Puts the parts together: settings, database, ledger."""

import gc
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from app.database import open_engine, reading
from app.ledger.ledger import Ledger
from app.ledger.recorder import now_us
from app.settings import Settings
from app.use_cases.projecting import project_all
from app.use_cases.publishing import assess_published
from projections.projector import position_of

_MIGRATIONS = Path(__file__).parents[1] / "migrations"


class NotMigratedError(Exception):
    """The database is not at the schema of this software."""


def open_ledger(settings: Settings, clock: Callable[[], int] = now_us) -> Ledger:
    """The ledger of the settings."""
    return Ledger(open_engine(settings.database_url), clock)


def alembic_config(engine: Engine) -> Config:
    """Alembic's configuration for an engine."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["engine"] = engine
    return config


def migrate(engine: Engine) -> None:
    """Bring the schema up to this software."""
    command.upgrade(alembic_config(engine), "head")


def is_migrated(engine: Engine) -> bool:
    """Whether the schema is that of this software."""
    wanted = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision() == wanted


def why_not_ready(ledger: Ledger) -> str | None:
    """Why the service cannot answer well now; None if it can.

    Raises:
        sqlalchemy.exc.OperationalError: The database is unavailable.
    """
    if not is_migrated(ledger.engine):
        return "The database is not migrated: run duixian migrate."
    with reading(ledger.engine) as connection:
        head, projected = ledger.head(connection), position_of(connection)
    if projected < head:
        return f"The read models are at position {projected} of {head}."
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


def spare_collections() -> None:
    """Look for cycles of garbage seldom: a batch makes a hundred thousand objects and no cycle.

    Measured: with the interpreter's default of 700 the collector took a quarter of the time of a month close.
    """
    gc.set_threshold(200_000, 20, 20)
