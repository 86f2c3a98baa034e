"""The tables of the read models. Each row has the position from which it holds and the one at which it ends.

`from_position` and `to_position` are ends of transactions; a row holds at position N if
from_position <= N < to_position.
"""

from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
)

from projections.column_types import BIG_INTEGER, TEXT

FOREVER = 2**63 - 1
"""The `to_position` of a row that still holds."""

NAMING_CONVENTION = {"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
metadata = MetaData(naming_convention=NAMING_CONVENTION)


def _held() -> tuple[Column[int], Column[int]]:
    return (
        Column("from_position", BIG_INTEGER, nullable=False),
        Column("to_position", BIG_INTEGER, nullable=False),
    )


def _text(*names: str) -> tuple[Column[str], ...]:
    return tuple(Column(name, TEXT, nullable=False) for name in names)


def _big(*names: str) -> tuple[Column[int], ...]:
    return tuple(Column(name, BIG_INTEGER, nullable=False) for name in names)


checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BIG_INTEGER, nullable=False),
    sqlite_strict=True,
)
"""One row: the end of the last transaction in the read models."""

transactions = Table(
    "transactions",
    metadata,
    Column("position", BIG_INTEGER, primary_key=True, autoincrement=False),
    Column("recorded_at_us", BIG_INTEGER, nullable=False),
    sqlite_strict=True,
)
"""The end of each transaction and its time, by which the ledger finds the position of a moment."""
Index(None, transactions.c.recorded_at_us, transactions.c.position)

policies = Table(
    "policies",
    metadata,
    Column("policy", TEXT, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    *_text("sha256", "title", "first_period", "last_period", "account_per", "actor", "text"),
    Column("document", LargeBinary, nullable=False),
    *_big("recorded_at_us", "position", "from_position"),
    sqlite_strict=True,
)
"""The published versions; `account_per` is the length of their accounts (`domain.policy.reach`)."""

policy_marks = Table(
    "policy_marks",
    metadata,
    Column("position", BIG_INTEGER, primary_key=True, autoincrement=False),
    *_text("policy", "type"),
    Column("version", Integer, nullable=False),
    *_text("actor"),
    *_big("recorded_at_us"),
    Column("reason", TEXT),
    Column("document", TEXT),
    *_big("from_position"),
    sqlite_strict=True,
)
"""The later events of published versions: a `PolicyAssessed` ends an assessment; a `PolicyWithdrawn`, with
its reason and document, starts one."""

disagreements = Table(
    "disagreements",
    metadata,
    *_text("uscc", "window", "policy"),
    *_big("position"),
    *_text("stream", "type", "period", "reason"),
    *_held(),
    PrimaryKeyConstraint("uscc", "window", "policy", "position", "from_position"),
    sqlite_strict=True,
)
"""The recorded events that contradict the read models, for as long as they do, and why, in Chinese.

`uscc` and `window` are "" if the event belongs to no window of an enterprise; `policy` is "" if every account
of the window rests on the event; `period` is "" if the event is not about a single one.
"""

returns = Table(
    "returns",
    metadata,
    *_text("uscc", "period", "form", "type", "name", "region_code", "industry_code"),
    Column("version", Integer, nullable=False),
    Column("current_fen", BIG_INTEGER),
    *_text("actor"),
    *_big("recorded_at_us", "position"),
    Column("state", LargeBinary, nullable=False),
    *_held(),
    PrimaryKeyConstraint("uscc", "period", "form", "from_position"),
    sqlite_strict=True,
)
"""Every version of every return; `state` is the event as JSON, `current_fen` the current figure of the
required item. The texts of periods sort in the order of time."""

enterprises = Table(
    "enterprises",
    metadata,
    *_text("window", "uscc", "name", "region_code", "industry_code", "assessed_by"),
    *_held(),
    PrimaryKeyConstraint("window", "uscc", "from_position"),
    sqlite_strict=True,
)
"""The enterprises with a standing return in a window; name, region and industry are those of their latest
period. `assessed_by` has the policies under which there is an account, as `policy_set` writes them."""
Index(None, enterprises.c.window, enterprises.c.assessed_by, enterprises.c.uscc)
Index(None, enterprises.c.window, enterprises.c.name)

entitlements = Table(
    "entitlements",
    metadata,
    *_text("policy", "uscc", "window", "period", "stage", "status"),
    Column("measure", TEXT),
    Column("form", TEXT),
    *_big("assessed_fen", "open_fen"),
    *_big("selected_fen"),
    *_text("capped_by"),
    Column("region_code", TEXT),
    Column("industry", TEXT),
    Column("state", LargeBinary, nullable=False),
    *_big("position"),
    *_held(),
    PrimaryKeyConstraint("uscc", "policy", "window", "period", "from_position"),
    sqlite_strict=True,
)
"""The assessment of each period; `state` is the event as JSON. Form, region and industry (two digits) are
those of the winning measure's return; `capped_by` has the limits that cut, as `limit_set` writes them."""

accounts = Table(
    "accounts",
    metadata,
    *_text("policy", "window", "uscc", "name", "region_code", "industry_code"),
    *_big("assessed_fen", "open_fen", "preliminary_fen"),
    Column("periods", Integer, nullable=False),
    *_held(),
    PrimaryKeyConstraint("policy", "window", "uscc", "from_position"),
    postgresql_with={"fillfactor": 50},
    sqlite_strict=True,
)
"""The sums of each account.

Every row is closed once, by the next month. If its page has room for that (half of it), PostgreSQL changes no
index; this took 5 microseconds a row in a measurement, instead of 18.
"""
Index(
    "ix_accounts_by_amount",
    accounts.c.policy,
    accounts.c.window,
    accounts.c.assessed_fen.desc(),
    accounts.c.uscc,
)
Index(
    "ix_accounts_by_region",
    accounts.c.policy,
    accounts.c.window,
    accounts.c.region_code,
    accounts.c.assessed_fen.desc(),
    accounts.c.uscc,
)

totals = Table(
    "totals",
    metadata,
    *_text("policy", "window", "dimension", "key"),
    *_big("counted", "assessed_fen", "open_fen", "preliminary_fen"),
    *_held(),
    PrimaryKeyConstraint("policy", "window", "dimension", "key", "from_position"),
    sqlite_strict=True,
)
"""The sums over a window, by each dimension of the summary and of the list; `counted` is the number of
enterprises, or of the periods that a limit cut (`projections.sums.capped_dimension`)."""
Index(None, totals.c.window, totals.c.to_position)


class ReadModels(NamedTuple):
    """A set of the tables: the live one, or the shadow tables that a rebuild fills."""

    checkpoint: Table
    transactions: Table
    policies: Table
    policy_marks: Table
    disagreements: Table
    returns: Table
    enterprises: Table
    entitlements: Table
    accounts: Table
    totals: Table


LIVE = ReadModels(
    checkpoint,
    transactions,
    policies,
    policy_marks,
    disagreements,
    returns,
    enterprises,
    entitlements,
    accounts,
    totals,
)
"""The live tables, which queries read."""


def limit_set(limits: tuple[str, ...]) -> str:
    """The limits that cut an amount as one text: their ids in the order in which they apply."""
    return ",".join(limits)


def parse_limit_set(text: str) -> list[str]:
    """The ids in a text that `limit_set` wrote."""
    return text.split(",") if text else []


@lru_cache(maxsize=4096)
def policy_set(policies_of: tuple[str, ...]) -> str:
    """Several policies as one text, to compare and to group by: their ids in order, `,a,b,`; "" for none."""
    joined = ",".join(sorted(policies_of))
    return f",{joined}," if joined else ""
