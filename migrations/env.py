"""Alembic's environment: the schema of the log, of the read models and of access, on every database."""

from typing import Any

from alembic import context

from app.database import lift_time_outs, open_engine
from app.ledger.tables import metadata as ledger
from app.security.tables import metadata as security
from app.settings import Settings
from projections.tables import metadata as projections


def _migrate() -> None:
    given: Any = context.config.attributes.get("engine")
    engine = given if given is not None else open_engine(Settings().database_url)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=[ledger, projections, security],
            render_as_batch=connection.dialect.name == "sqlite",
            transactional_ddl=True,
        )
        with context.begin_transaction():
            lift_time_outs(connection)  # An index of millions of rows takes minutes.
            context.run_migrations()
        connection.commit()
    if given is None:
        engine.dispose()


if context.is_offline_mode():
    raise SystemExit("Migrations run on a live database: set DUIXIAN_DATABASE_URL and run without --sql.")
_migrate()
