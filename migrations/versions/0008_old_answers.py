"""An index of the kept answers by age: each filing under a key deletes old ones under the write lock."""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NAME = "ix_idempotent_answers_created_at_us"


def upgrade() -> None:
    """Create the index."""
    op.create_index(op.f(_NAME), "idempotent_answers", ["created_at_us"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(op.f(_NAME), "idempotent_answers")
