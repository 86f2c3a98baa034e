"""The seal of the log: the tiles of its Merkle tree, and the number of events in them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the empty tables: the service, a worker or a command that needs a proof seals the log."""
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "index", name=op.f("pk_log_tiles")),
    )
    seal = op.create_table(
        "log_seal",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_seal")),
    )
    op.bulk_insert(seal, [{"id": 1, "size": 0}])


def downgrade() -> None:
    """Drop the tables; they follow from the log."""
    op.drop_table("log_seal")
    op.drop_table("log_tiles")
