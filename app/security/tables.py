"""The tables of access: the API keys, who saw figures."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Table,
    UniqueConstraint,
)

from app.runtime.database import TEXT, new_metadata

metadata = new_metadata()

api_keys = Table(
    "api_keys",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("sha256", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("with_figures", Boolean, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("revoked_at_us", BigInteger),
    UniqueConstraint("sha256"),
)
"""A key itself is shown once and never stored; a name is never given again, since the log names it."""

disclosure_metadata = new_metadata()
"""Of a database of its own: on SQLite a second file, which is written while a filing holds the first."""

disclosures = Table(
    "disclosures",
    disclosure_metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("key", TEXT),
    Column("route", TEXT, nullable=False),
    Column("uscc", TEXT),
    Column("query", TEXT),
    Column("count", BigInteger),
    Column("first_use_of", TEXT),
    UniqueConstraint("first_use_of"),
    sqlite_autoincrement=True,  # A number that was removed is never given again.
)
"""Who saw figures of single units, and what became of keys. A row is inserted and never changed; those of
figures may be removed when they are old, which leaves a row. `first_use_of` is the name of a key in the row
of its first use, else NULL: there is one such row."""

Index(None, disclosures.c.at_us)
Index(None, disclosures.c.actor, disclosures.c.at_us)
Index(None, disclosures.c.uscc, disclosures.c.at_us)
