"""A STRICT table on SQLite, which refuses values of another type, as PostgreSQL always does."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations.strict_tables import replace_with_rows

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Make the table STRICT."""
    _replace(sa.Integer(), strict=True)


def downgrade() -> None:
    """Make the table accept values of any type."""
    _replace(sa.BigInteger(), strict=False)


def _replace(big: sa.types.TypeEngine[int], *, strict: bool) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    table = sa.Table(
        "disclosures",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at_us", big, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("uscc", sa.Text()),
        sa.Column("query", sa.Text()),
        sa.Column("count", big),
        sa.Column("first_use_of", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_disclosures"),
        sa.UniqueConstraint("first_use_of", name="uq_disclosures_first_use_of"),
        sqlite_strict=strict,
        sqlite_autoincrement=True,
    )
    sa.Index("ix_disclosures_at_us", table.c.at_us)
    sa.Index("ix_disclosures_actor_at_us", table.c.actor, table.c.at_us)
    sa.Index("ix_disclosures_uscc_at_us", table.c.uscc, table.c.at_us)
    # The number of a removed row is never used again, not even after the table is replaced.
    numbers = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    last = connection.scalar(sa.select(numbers.c.seq).where(numbers.c.name == table.name))
    replace_with_rows(connection, [table])
    connection.execute(sa.delete(numbers).where(numbers.c.name == table.name))
    if last is not None:
        connection.execute(sa.insert(numbers).values(name=table.name, seq=last))
