"""Assessments and withdrawals of policies, disagreements; a publication has its position as its key.

Earlier software left half-years that a newer version no longer covers as they were. If a policy has such a
half-year, the next start assesses everything by its newest version again; otherwise it only records that this
is done.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from projections.column_types import TEXT

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LAST_STREAM = "returns/ZZZZZZZZZZZZZZZZZZ/2099"
"""No stream of returns comes after it."""


def upgrade() -> None:
    """Create the tables, and key the publications by their positions."""
    op.create_table(
        "policy_marks",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("recorded_at_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("document", TEXT, nullable=True),
        sa.Column("from_position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_policy_marks")),
    )
    op.create_table(
        "disagreements",
        sa.Column("uscc", TEXT, nullable=False),
        sa.Column("window", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("period", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("from_position", sa.BigInteger(), nullable=False),
        sa.Column("to_position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "uscc", "window", "policy", "position", "from_position", name=op.f("pk_disagreements")
        ),
    )
    noted = _noted()
    op.drop_table("publications")
    table = _make_publications("position", sa.Column("assessed_at", sa.BigInteger(), nullable=True))
    newest = {each["policy"]: each for each in noted}
    op.bulk_insert(
        table, [_to_finish(each) if newest[each["policy"]] is each else dict(each) for each in noted]
    )


def downgrade() -> None:
    """Drop the tables, and key the publications by policy and version."""
    noted = _noted()
    op.drop_table("publications")
    table = _make_publications("policy", "version")
    by_version = {(each["policy"], each["version"]): dict(each) for each in reversed(noted)}
    for each in by_version.values():
        each.pop("assessed_at", None)
    op.bulk_insert(table, list(by_version.values()))
    op.drop_table("disagreements")
    op.drop_table("policy_marks")


def _noted() -> list[Mapping[str, Any]]:
    """The publications, in the order of the log."""
    query = sa.text("SELECT * FROM publications ORDER BY position")
    return [dict(each) for each in op.get_bind().execute(query).mappings()]


def _make_publications(*parts: str | sa.Column[int]) -> sa.Table:
    """Create the table with a primary key of these columns, and with further columns."""
    key = [each for each in parts if isinstance(each, str)]
    return op.create_table(
        "publications",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("after_stream", TEXT, nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        *(each for each in parts if not isinstance(each, str)),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_publications")),
    )


def _to_finish(noted: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a policy's newest publication with the work that is left to do."""
    if _covers_what_any_covered(noted):
        is_done = noted["done"] >= noted["total"]
        return dict(noted) | ({"after_stream": LAST_STREAM} if is_done else {})
    filed = sa.text(
        "SELECT count(*) FROM events WHERE version = 1 AND stream >= 'returns/' AND stream < 'returns0'"
    )
    return dict(noted) | {"after_stream": "", "done": 0, "total": op.get_bind().scalar(filed)}


def _covers_what_any_covered(noted: Mapping[str, Any]) -> bool:
    """Whether the newest version covers each half-year that an earlier one did, as far as this is known."""
    query = sa.text(
        "SELECT version, first_window, last_window FROM policies WHERE policy = :policy ORDER BY version"
    )
    versions = op.get_bind().execute(query, {"policy": noted["policy"]}).all()
    if [each[0] for each in versions] != list(range(1, noted["version"] + 1)):
        return False
    _, first, last = versions[-1]
    return all(first <= each[1] and each[2] <= last for each in versions)
