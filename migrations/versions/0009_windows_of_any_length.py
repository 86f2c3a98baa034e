"""Accounts of any window and limits of any number; the read models are filled again from the log.

The migration empties them, and the next start, or `duixian projections rebuild`, fills them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from projections.column_types import TEXT

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MADE = ("policies", "returns", "entitlements", "totals")
_EMPTIED = ("transactions", "policy_marks", "disagreements", "enterprises", "accounts")
Columns = list[sa.Column[str] | sa.Column[int] | sa.Column[bool] | sa.Column[bytes]]


def upgrade() -> None:
    """Create the read models again, empty."""
    _empty()
    _make_policies("first_period", "last_period", "account_per")
    _make_returns()
    _make_entitlements(
        [*_numbers("selected_fen"), *_texts("capped_by")], key=("uscc", "policy", "window", "period")
    )
    _make_totals("counted", "assessed_fen", "open_fen", "preliminary_fen")


def downgrade() -> None:
    """Create the read models as they were, empty."""
    _empty()
    _make_policies("first_window", "last_window")
    _make_returns("window")
    _make_entitlements(_flags("month_ceiling", "half_year_ceiling"), key=("uscc", "policy", "period"))
    cuts = ("month_ceiling", "half_year_ceiling")
    _make_totals("enterprises", "assessed_fen", "open_fen", "preliminary_fen", *cuts)


def _empty() -> None:
    for table in _MADE:
        op.drop_table(table)
    for table in _EMPTIED:
        op.execute(sa.delete(sa.table(table)))
    op.execute("UPDATE checkpoint SET position = 0")


def _texts(*names: str, nullable: bool = False) -> Columns:
    return [sa.Column(name, TEXT, nullable=nullable) for name in names]


def _numbers(*names: str, nullable: bool = False) -> Columns:
    return [sa.Column(name, sa.BigInteger(), nullable=nullable) for name in names]


def _flags(*names: str) -> Columns:
    return [sa.Column(name, sa.Boolean(), nullable=False) for name in names]


def _make_policies(*coverage: str) -> None:
    op.create_table(
        "policies",
        *_texts("policy"),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        *_texts("sha256", "title", *coverage, "actor", "text"),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        *_numbers("recorded_at_us", "position", "from_position"),
        sa.PrimaryKeyConstraint("policy", "version", name=op.f("pk_policies")),
    )


def _make_returns(*more: str) -> None:
    op.create_table(
        "returns",
        *_texts("uscc", "period", "form", *more, "type", "name", "region_code", "industry_code"),
        sa.Column("version", sa.Integer(), nullable=False),
        *_numbers("current_fen", nullable=True),
        *_texts("actor"),
        *_numbers("recorded_at_us", "position"),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        *_numbers("from_position", "to_position"),
        sa.PrimaryKeyConstraint("uscc", "period", "form", "from_position", name=op.f("pk_returns")),
    )


def _make_entitlements(cut: Columns, *, key: tuple[str, ...]) -> None:
    op.create_table(
        "entitlements",
        *_texts("policy", "uscc", "window", "period", "stage", "status"),
        *_texts("measure", "form", nullable=True),
        *_numbers("assessed_fen", "open_fen"),
        *cut,
        *_texts("region_code", "industry", nullable=True),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        *_numbers("position", "from_position", "to_position"),
        sa.PrimaryKeyConstraint(*key, "from_position", name=op.f("pk_entitlements")),
    )


def _make_totals(*sums: str) -> None:
    op.create_table(
        "totals",
        *_texts("policy", "window", "dimension", "key"),
        *_numbers(*sums, "from_position", "to_position"),
        sa.PrimaryKeyConstraint(
            "policy", "window", "dimension", "key", "from_position", name=op.f("pk_totals")
        ),
    )
    op.create_index(op.f("ix_totals_window_to_position"), "totals", ["window", "to_position"])
