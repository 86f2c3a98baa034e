"""Puts the parts together: settings, database, ledger."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from app.database import open_engine, reading
from app.ledger import publications
from app.ledger.ledger import Ledger
from app.ledger.recorder import now_us
from app.limits import READY_LAG_S
from app.settings import Settings
from app.use_cases.projecting import project_all
from app.use_cases.publishing import assess_published
from projections.projector import position_of
from projections.queries import disagreements

_MIGRATIONS = Path(__file__).parents[1] / "migrations"


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
    there, wanted = _revisions(engine)
    return there == wanted


def _revisions(engine: Engine) -> tuple[str | None, str | None]:
    """The revision of the schema that is there, and the one of this software."""
    wanted = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision(), wanted


def why_not_ready(ledger: Ledger) -> str | None:
    """Why the service cannot answer well now; None if it can.

    Raises:
        sqlalchemy.exc.OperationalError: The database is unavailable.
    """
    there, wanted = _revisions(ledger.engine)
    if there is None:
        return "The database is not migrated: run duixian migrate."
    if there != wanted:
        return f"The database is at revision {there}, this software at {wanted}: run duixian migrate."
    with reading(ledger.engine) as connection:
        head, projected = ledger.head(connection), position_of(connection)
        unknown = ledger.unknown_type(connection, after=projected)
    if unknown is not None:
        return f"The log holds events of the type {unknown}, unknown to this program: a newer one is needed."
    deadline = time.monotonic() + READY_LAG_S
    while projected < head:
        if time.monotonic() > deadline:
            return f"The read models are at position {projected} of {head}."
        time.sleep(READY_LAG_S / 10)
        with reading(ledger.engine) as connection:
            projected = position_of(connection)
    return None


def state_of(ledger: Ledger) -> dict[str, Any]:
    """What somebody should look after although the service answers: disputed events, open assessments."""
    with reading(ledger.engine) as connection:
        disputed = disagreements.count(connection, position_of(connection))
        unfinished = publications.all_unfinished(connection)
    return {
        "disputed": disputed,
        "assessments": [
            {
                "policy": each.policy,
                "version": each.version,
                "done": each.done_before_end,
                "total": each.total,
            }
            for each in unfinished
        ],
    }


def complete(ledger: Ledger) -> None:
    """Finish what a stop cut off: read models that lag, publications not yet assessed.

    Raises:
        NotMigratedError: The database is not migrated.
    """
    if not is_migrated(ledger.engine):
        raise NotMigratedError("The database is not migrated: run duixian migrate.")
    project_all(ledger)
    assess_published(ledger)
