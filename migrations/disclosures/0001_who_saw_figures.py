"""The disclosures: who saw figures of single units, and the changes of keys."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from projections.column_types import TEXT

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "disclosures",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=True),
        sa.Column("route", TEXT, nullable=False),
        sa.Column("uscc", TEXT, nullable=True),
        sa.Column("query", TEXT, nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("first_use_of", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disclosures")),
        sa.UniqueConstraint("first_use_of", name=op.f("uq_disclosures_first_use_of")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_disclosures_at_us"), "disclosures", ["at_us"])
    op.create_index(op.f("ix_disclosures_actor_at_us"), "disclosures", ["actor", "at_us"])
    op.create_index(op.f("ix_disclosures_uscc_at_us"), "disclosures", ["uscc", "at_us"])


def downgrade() -> None:
    """Drop the table with its rows."""
    op.drop_table("disclosures")
