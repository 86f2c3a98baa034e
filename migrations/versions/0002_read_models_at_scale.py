"""Read models for a country: indexes for the list, and text in the same order on every database.

The read models follow from the log: the migration drops and creates them, and the next start fills them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEPT_TEXTS = {
    "events": ("stream", "topic", "actor", "batch_id"),
    "publications": ("policy", "after_stream"),
    "api_keys": ("name", "sha256", "role"),
    "idempotent_answers": ("actor", "idempotency_key", "request_sha256"),
}
Columns = list[sa.Column[str] | sa.Column[int] | sa.Column[bool] | sa.Column[bytes]]


def upgrade() -> None:
    """Create the read models again, empty."""
    _drop()
    _order_texts(ORDERED, sa.Text())
    _make_facts(ORDERED)
    _make_enterprises(ORDERED, "assessed_by")
    _make_decisions(ORDERED, account_key=("policy", "window", "uscc"))
    op.create_index(
        op.f("ix_enterprises_window_assessed_by_uscc"), "enterprises", ["window", "assessed_by", "uscc"]
    )
    op.create_index(op.f("ix_enterprises_window_name"), "enterprises", ["window", "name"])
    by_amount: list[str | sa.TextClause] = [sa.text("assessed_fen DESC"), "uscc"]
    op.create_index("ix_accounts_by_amount", "accounts", ["policy", "window", *by_amount])
    op.create_index("ix_accounts_by_region", "accounts", ["policy", "window", "region_code", *by_amount])


def downgrade() -> None:
    """Create the read models as they were, empty."""
    _drop()
    _order_texts(sa.Text(), ORDERED)
    _make_facts(sa.Text())
    _make_enterprises(sa.Text())
    _make_decisions(sa.Text(), account_key=("uscc", "window", "policy"))
    op.create_index(
        op.f("ix_accounts_policy_window_to_position_assessed_fen_uscc"),
        "accounts",
        ["policy", "window", "to_position", "assessed_fen", "uscc"],
    )


def _drop() -> None:
    for table in ("accounts", "enterprises", "entitlements", "policies", "returns", "totals", "transactions"):
        op.drop_table(table)
    op.execute("UPDATE checkpoint SET position = 0")


def _order_texts(to: sa.types.TypeEngine[str], before: sa.types.TypeEngine[str]) -> None:
    """Set the order of the texts of the log and of access; SQLite orders by code points anyway."""
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _KEPT_TEXTS.items():
            for column in columns:
                op.alter_column(table, column, type_=to, existing_type=before)


def _texts(kind: sa.types.TypeEngine[str], *names: str, nullable: bool = False) -> Columns:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _numbers(*names: str, nullable: bool = False) -> Columns:
    return [sa.Column(name, sa.BigInteger(), nullable=nullable) for name in names]


def _held() -> Columns:
    return _numbers("from_position", "to_position")


def _make_facts(text: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "transactions",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        *_numbers("recorded_at_us"),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_transactions")),
    )
    op.create_index(
        op.f("ix_transactions_recorded_at_us_position"), "transactions", ["recorded_at_us", "position"]
    )
    op.create_table(
        "policies",
        *_texts(text, "policy"),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        *_texts(text, "sha256", "title", "first_window", "last_window", "actor", "text"),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        *_numbers("recorded_at_us", "position", "from_position"),
        sa.PrimaryKeyConstraint("policy", "version", name=op.f("pk_policies")),
    )
    op.create_table(
        "returns",
        *_texts(text, "uscc", "period", "form", "window", "type", "name", "region_code", "industry_code"),
        sa.Column("version", sa.Integer(), nullable=False),
        *_numbers("current_fen", nullable=True),
        *_texts(text, "actor"),
        *_numbers("recorded_at_us", "position"),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        *_held(),
        sa.PrimaryKeyConstraint("uscc", "period", "form", "from_position", name=op.f("pk_returns")),
    )


def _make_enterprises(text: sa.types.TypeEngine[str], *more: str) -> None:
    op.create_table(
        "enterprises",
        *_texts(text, "window", "uscc", "name", "region_code", "industry_code", *more),
        *_held(),
        sa.PrimaryKeyConstraint("window", "uscc", "from_position", name=op.f("pk_enterprises")),
    )


def _make_decisions(text: sa.types.TypeEngine[str], *, account_key: tuple[str, ...]) -> None:
    op.create_table(
        "entitlements",
        *_texts(text, "policy", "uscc", "window", "period", "stage", "status"),
        *_texts(text, "measure", "form", nullable=True),
        *_numbers("assessed_fen", "open_fen"),
        sa.Column("month_ceiling", sa.Boolean(), nullable=False),
        sa.Column("half_year_ceiling", sa.Boolean(), nullable=False),
        *_texts(text, "region_code", "industry", nullable=True),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        *_numbers("position"),
        *_held(),
        sa.PrimaryKeyConstraint("uscc", "policy", "period", "from_position", name=op.f("pk_entitlements")),
    )
    op.create_table(
        "accounts",
        *_texts(text, "policy", "window", "uscc", "name", "region_code", "industry_code"),
        *_numbers("assessed_fen", "open_fen", "preliminary_fen"),
        sa.Column("periods", sa.Integer(), nullable=False),
        *_held(),
        sa.PrimaryKeyConstraint(*account_key, "from_position", name=op.f("pk_accounts")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "totals",
        *_texts(text, "policy", "window", "dimension", "key"),
        *_numbers("enterprises", "assessed_fen", "open_fen", "preliminary_fen"),
        *_numbers("month_ceiling", "half_year_ceiling"),
        *_held(),
        sa.PrimaryKeyConstraint(
            "policy", "window", "dimension", "key", "from_position", name=op.f("pk_totals")
        ),
    )
    op.create_index(op.f("ix_totals_window_to_position"), "totals", ["window", "to_position"])
