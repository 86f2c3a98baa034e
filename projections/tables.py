"""The read models. Each row says from which position on it held, and at which it was replaced.

`from_position` and `to_position` are ends of transactions; a row holds at N when
from_position <= N < to_position.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

FOREVER = 2**63 - 1
"""The `to_position` of a row that still holds."""

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
)


def _held() -> tuple[Column[int], Column[int]]:
    return (
        Column("from_position", BigInteger, nullable=False),
        Column("to_position", BigInteger, nullable=False),
    )


def _text(*names: str) -> tuple[Column[str], ...]:
    return tuple(Column(name, Text, nullable=False) for name in names)


def _big(*names: str) -> tuple[Column[int], ...]:
    return tuple(Column(name, BigInteger, nullable=False) for name in names)


checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
)
"""One row: the end of the last transaction that the read models hold."""

transactions = Table(
    "transactions",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("recorded_at_us", BigInteger, nullable=False),
)
"""The end of each transaction and its time: what "as it stood at" is resolved by."""
Index(None, transactions.c.recorded_at_us, transactions.c.position)

policies = Table(
    "policies",
    metadata,
    Column("policy", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    *_text("sha256", "title", "first_window", "last_window", "actor", "text"),
    Column("document", LargeBinary, nullable=False),
    *_big("recorded_at_us", "position", "from_position"),
)

returns = Table(
    "returns",
    metadata,
    *_text("uscc", "period", "form", "window", "type", "name", "region_code", "industry_code"),
    Column("version", Integer, nullable=False),
    Column("current_fen", BigInteger),
    *_text("actor"),
    *_big("recorded_at_us", "position"),
    Column("state", LargeBinary, nullable=False),
    *_held(),
    PrimaryKeyConstraint("uscc", "period", "form", "from_position"),
)
"""Every version of every return; `state` is the event as JSON, `current_fen` that of the required item."""

enterprises = Table(
    "enterprises",
    metadata,
    *_text("window", "uscc", "name", "region_code", "industry_code"),
    *_held(),
    PrimaryKeyConstraint("window", "uscc", "from_position"),
)
"""The enterprises with a standing return in a window; name, region and industry as of their latest period."""

entitlements = Table(
    "entitlements",
    metadata,
    *_text("policy", "uscc", "window", "period", "stage", "status"),
    Column("measure", Text),
    Column("form", Text),
    *_big("assessed_fen", "open_fen"),
    Column("month_ceiling", Boolean, nullable=False),
    Column("half_year_ceiling", Boolean, nullable=False),
    Column("region_code", Text),
    Column("industry", Text),
    Column("state", LargeBinary, nullable=False),
    *_big("position"),
    *_held(),
    PrimaryKeyConstraint("uscc", "policy", "period", "from_position"),
)
"""What each period was assessed to; `state` is the event as JSON. Form, region and industry (two digits) are
those of the winning measure's return."""

accounts = Table(
    "accounts",
    metadata,
    *_text("policy", "window", "uscc", "name", "region_code", "industry_code"),
    *_big("assessed_fen", "open_fen", "preliminary_fen"),
    Column("periods", Integer, nullable=False),
    *_held(),
    PrimaryKeyConstraint("uscc", "window", "policy", "from_position"),
)
"""The sums of each half-year account."""
Index(
    None,
    accounts.c.policy,
    accounts.c.window,
    accounts.c.to_position,
    accounts.c.assessed_fen,
    accounts.c.uscc,
)

totals = Table(
    "totals",
    metadata,
    *_text("policy", "window", "dimension", "key"),
    *_big("enterprises", "assessed_fen", "open_fen", "preliminary_fen", "month_ceiling", "half_year_ceiling"),
    *_held(),
    PrimaryKeyConstraint("policy", "window", "dimension", "key", "from_position"),
)
"""The sums over a window, by each dimension of the summary and of the list."""
Index(None, totals.c.window, totals.c.to_position)
