"""The replays that clients requested from the service."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from projections.column_types import TEXT

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "replays",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("running", sa.Integer(), nullable=True),
        sa.Column("asked_by", TEXT, nullable=False),
        sa.Column("asked_at_us", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("seen_at_us", sa.BigInteger(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=True),
        sa.Column("problem", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
        sa.UniqueConstraint("running", name=op.f("uq_replays_running")),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("replays")
