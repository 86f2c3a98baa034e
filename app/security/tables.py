"""The tables of access: the API keys, and the disclosures of figures."""

from sqlalchemy import (
    Column,
    Index,
    Table,
    UniqueConstraint,
)

from app.runtime.database import new_metadata
from projections.column_types import BIG_INTEGER, FLAG, TEXT

metadata = new_metadata()

api_keys = Table(
    "api_keys",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("sha256", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("with_figures", FLAG, nullable=False),
    Column("created_at_us", BIG_INTEGER, nullable=False),
    Column("revoked_at_us", BIG_INTEGER),
    UniqueConstraint("sha256"),
    sqlite_strict=True,
)
"""A key itself is shown once and never stored. A name is never used again, since the log refers to it."""

disclosure_metadata = new_metadata()
"""Disclosures have their own database: on SQLite a second file, which can be written during a filing."""

disclosures = Table(
    "disclosures",
    disclosure_metadata,
    Column("id", BIG_INTEGER, primary_key=True),
    Column("at_us", BIG_INTEGER, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("key", TEXT),
    Column("route", TEXT, nullable=False),
    Column("uscc", TEXT),
    Column("query", TEXT),
    Column("count", BIG_INTEGER),
    Column("first_use_of", TEXT),
    UniqueConstraint("first_use_of"),
    sqlite_strict=True,
    sqlite_autoincrement=True,  # The number of a removed row is never used again.
)
"""Who saw single-unit statistics, and what happened to keys. Rows are inserted and never changed. Old rows of
kind `figures` may be removed, which inserts a row. `first_use_of` is the name of a key in the row of its
first use, and NULL in all others, so that a key has only one such row."""

Index(None, disclosures.c.at_us)
Index(None, disclosures.c.actor, disclosures.c.at_us)
Index(None, disclosures.c.uscc, disclosures.c.at_us)
