"""Alembic's environment for two schemas: that of the log, the read models and access, and the disclosures.

Each schema has a line of migrations of its own, since on SQLite they are in two files; the main option
`schema` selects one.
"""

from typing import Any, Final

from alembic import context

from app.ledger.tables import metadata as ledger
from app.runtime.database import detecting_damage, disable_timeouts, open_engine
from app.runtime.settings import read_settings
from app.security.disclosures import open_disclosures
from app.security.tables import disclosure_metadata
from app.security.tables import metadata as security
from projections.tables import metadata as projections

METADATA: Final = {"ledger": [ledger, projections, security], "disclosures": [disclosure_metadata]}
VERSIONS: Final = {"ledger": "alembic_version", "disclosures": "disclosures_version"}
"""The table that holds the revision."""


def _migrate() -> None:
    schema = context.config.get_main_option("schema", "ledger")
    given: Any = context.config.attributes.get("engine")
    engine = given if given is not None else _open(schema)
    others = {
        name
        for other in METADATA
        if other != schema
        for name in (VERSIONS[other], *(table for metadata in METADATA[other] for table in metadata.tables))
    }
    with detecting_damage(), engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=METADATA[schema],
            version_table=VERSIONS[schema],
            include_name=lambda name, kind, _: kind != "table" or name not in others,
            render_as_batch=connection.dialect.name == "sqlite",
            transactional_ddl=True,
        )
        with context.begin_transaction():
            disable_timeouts(connection)  # An index of millions of rows takes minutes.
            context.run_migrations()
        connection.commit()
    if given is None:
        engine.dispose()


def _open(schema: str | None) -> Any:
    engine = open_engine(read_settings().database_url)
    return engine if schema == "ledger" else open_disclosures(engine)


if context.is_offline_mode():
    raise SystemExit("Migrations run on a live database: set DUIXIAN_DATABASE_URL and run without --sql.")
_migrate()
