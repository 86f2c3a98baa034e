"""STRICT tables on SQLite, which refuse values of another type, as PostgreSQL always does.

The log and what belongs to it are copied within the database. The read models follow from the log: they are
emptied, and the next start, or `duixian projections rebuild`, fills them.
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op

from migrations.strict_tables import replace_empty, replace_with_rows

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

Columns = Iterator[sa.Column[str] | sa.Column[int] | sa.Column[bytes]]


def upgrade() -> None:
    """Make every table STRICT."""
    _replace(_Tables(sa.Integer(), strict=True))


def downgrade() -> None:
    """Make every table accept values of any type."""
    _replace(_Tables(sa.BigInteger(), strict=False))


class _Tables:
    """The tables of SQLite.

    Args:
        big: The type of integers of 64 bits; STRICT tables do not know BIGINT.
        strict: Whether the tables are STRICT.

    Attributes:
        recorded: The tables whose rows cannot be computed.
        read_models: The tables whose rows follow from the log.
    """

    def __init__(self, big: sa.types.TypeEngine[int], *, strict: bool) -> None:
        self._big = big
        self._strict = strict
        self._metadata = sa.MetaData()
        self.recorded = [*self._log(), *self._commands(), self._access()]
        self.read_models = [*self._shared_models(), *self._enterprise_models()]

    def _table(self, name: str, *parts: sa.schema.SchemaItem, key: Sequence[str]) -> sa.Table:
        primary_key = sa.PrimaryKeyConstraint(*key, name=f"pk_{name}")
        return sa.Table(name, self._metadata, *parts, primary_key, sqlite_strict=self._strict)

    def _bigs(self, *names: str, nullable: bool = False) -> Columns:
        return (sa.Column(name, self._big, nullable=nullable, autoincrement=False) for name in names)

    def _held(self) -> Columns:
        return self._bigs("from_position", "to_position")

    def _log(self) -> Iterator[sa.Table]:
        events = self._table(
            "events",
            *self._bigs("position"),
            *_texts("stream"),
            *_numbers("version"),
            *_texts("topic"),
            *self._bigs("recorded_at_us"),
            *_texts("actor", "batch_id"),
            *self._bigs("transaction_end"),
            *_bytes("state"),
            sa.UniqueConstraint("stream", "version", name="uq_events_stream_version"),
            key=["position"],
        )
        sa.Index("ix_events_recorded_at_us_position", events.c.recorded_at_us, events.c.position)
        yield events
        numbers = self._bigs("last", "recorded_at_us", "publication")
        yield self._table("sequencer", *_numbers("id"), *numbers, key=["id"])
        tile = (*_numbers("level"), *self._bigs("index"), *_bytes("hashes"))
        yield self._table("log_tiles", *tile, key=["level", "index"])
        yield self._table("log_seal", *_numbers("id"), *self._bigs("size"), key=["id"])
        yield self._table("write_probe", *_numbers("id"), *_bytes("bytes"), key=["id"])

    def _commands(self) -> Iterator[sa.Table]:
        yield self._table(
            "publications",
            *self._bigs("position"),
            *_texts("policy"),
            *_numbers("version"),
            *_texts("after_stream"),
            *self._bigs("done", "total"),
            *self._bigs("assessed_at", nullable=True),
            key=["position"],
        )
        yield self._table(
            "replays",
            *_texts("id"),
            sa.Column("running", sa.Integer()),
            *_texts("asked_by"),
            *self._bigs("asked_at_us", "first"),
            *self._bigs("last", nullable=True),
            *_texts("state"),
            *self._bigs("done", "total", "seen_at_us"),
            sa.Column("report", sa.LargeBinary()),
            *_texts("problem", nullable=True),
            sa.UniqueConstraint("running", name="uq_replays_running"),
            key=["id"],
        )
        answers = self._table(
            "idempotent_answers",
            *_texts("actor", "idempotency_key", "request_sha256"),
            *_bytes("answer"),
            *self._bigs("created_at_us"),
            key=["actor", "idempotency_key"],
        )
        sa.Index("ix_idempotent_answers_created_at_us", answers.c.created_at_us)
        yield answers

    def _access(self) -> sa.Table:
        return self._table(
            "api_keys",
            *_texts("name", "sha256", "role"),
            sa.Column("with_figures", sa.Integer() if self._strict else sa.Boolean(), nullable=False),
            *self._bigs("created_at_us"),
            *self._bigs("revoked_at_us", nullable=True),
            sa.UniqueConstraint("sha256", name="uq_api_keys_sha256"),
            key=["name"],
        )

    def _shared_models(self) -> Iterator[sa.Table]:
        yield self._table("checkpoint", *_numbers("id"), *self._bigs("position"), key=["id"])
        transactions = self._table(
            "transactions", *self._bigs("position", "recorded_at_us"), key=["position"]
        )
        by_time = (transactions.c.recorded_at_us, transactions.c.position)
        sa.Index("ix_transactions_recorded_at_us_position", *by_time)
        yield transactions
        yield self._table(
            "policies",
            *_texts("policy"),
            *_numbers("version"),
            *_texts("sha256", "title", "first_period", "last_period", "account_per", "actor", "text"),
            *_bytes("document"),
            *self._bigs("recorded_at_us", "position", "from_position"),
            key=["policy", "version"],
        )
        yield self._table(
            "policy_marks",
            *self._bigs("position"),
            *_texts("policy", "type"),
            *_numbers("version"),
            *_texts("actor"),
            *self._bigs("recorded_at_us"),
            *_texts("reason", "document", nullable=True),
            *self._bigs("from_position"),
            key=["position"],
        )
        yield self._table(
            "disagreements",
            *_texts("uscc", "window", "policy"),
            *self._bigs("position"),
            *_texts("stream", "type", "period", "reason"),
            *self._held(),
            key=["uscc", "window", "policy", "position", "from_position"],
        )
        totals = self._table(
            "totals",
            *_texts("policy", "window", "dimension", "key"),
            *self._bigs("counted", "assessed_fen", "open_fen", "preliminary_fen"),
            *self._held(),
            key=["policy", "window", "dimension", "key", "from_position"],
        )
        sa.Index("ix_totals_window_to_position", totals.c.window, totals.c.to_position)
        yield totals

    def _enterprise_models(self) -> Iterator[sa.Table]:
        yield self._table(
            "returns",
            *_texts("uscc", "period", "form", "type", "name", "region_code", "industry_code"),
            *_numbers("version"),
            *self._bigs("current_fen", nullable=True),
            *_texts("actor"),
            *self._bigs("recorded_at_us", "position"),
            *_bytes("state"),
            *self._held(),
            key=["uscc", "period", "form", "from_position"],
        )
        enterprises = self._table(
            "enterprises",
            *_texts("window", "uscc", "name", "region_code", "industry_code", "assessed_by"),
            *self._held(),
            key=["window", "uscc", "from_position"],
        )
        of = enterprises.c
        sa.Index("ix_enterprises_window_assessed_by_uscc", of.window, of.assessed_by, of.uscc)
        sa.Index("ix_enterprises_window_name", of.window, of.name)
        yield enterprises
        yield self._table(
            "entitlements",
            *_texts("policy", "uscc", "window", "period", "stage", "status"),
            *_texts("measure", "form", nullable=True),
            *self._bigs("assessed_fen", "open_fen", "selected_fen"),
            *_texts("capped_by"),
            *_texts("region_code", "industry", nullable=True),
            *_bytes("state"),
            *self._bigs("position"),
            *self._held(),
            key=["uscc", "policy", "window", "period", "from_position"],
        )
        yield self._accounts()

    def _accounts(self) -> sa.Table:
        accounts = self._table(
            "accounts",
            *_texts("policy", "window", "uscc", "name", "region_code", "industry_code"),
            *self._bigs("assessed_fen", "open_fen", "preliminary_fen"),
            *_numbers("periods"),
            *self._held(),
            key=["policy", "window", "uscc", "from_position"],
        )
        of = accounts.c
        by_amount = (of.assessed_fen.desc(), of.uscc)
        sa.Index("ix_accounts_by_amount", of.policy, of.window, *by_amount)
        sa.Index("ix_accounts_by_region", of.policy, of.window, of.region_code, *by_amount)
        return accounts


def _texts(*names: str, nullable: bool = False) -> Columns:
    return (sa.Column(name, sa.Text(), nullable=nullable) for name in names)


def _numbers(*names: str) -> Columns:
    return (sa.Column(name, sa.Integer(), nullable=False, autoincrement=False) for name in names)


def _bytes(*names: str) -> Columns:
    return (sa.Column(name, sa.LargeBinary(), nullable=False) for name in names)


def _replace(tables: _Tables) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    left = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%\\_rebuilt' ESCAPE '\\'"
    for name in connection.scalars(sa.text(left)).all():  # By a rebuild that was killed.
        op.drop_table(name)
    replace_empty(connection, tables.read_models)  # First, so that the copies take the pages that it frees.
    op.execute("INSERT INTO checkpoint (id, position) VALUES (1, 0)")
    replace_with_rows(connection, tables.recorded)
