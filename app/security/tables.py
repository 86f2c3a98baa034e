"""The tables of access: the API keys, and the answers kept for requests that are sent again."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from app.database import TEXT, new_metadata

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

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("actor", TEXT, nullable=False),
    Column("idempotency_key", TEXT, nullable=False),
    Column("request_sha256", TEXT, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("actor", "idempotency_key"),
)
Index(None, idempotent_answers.c.created_at_us)
