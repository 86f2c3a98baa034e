"""The month close: rows in, entitlements out, on SQLite; beside a bare insert and beside plain library use.

Whole path: validate the rows, read the streams, decide, append, project. The bare insert puts the same events
into the same table and nothing else. Plain use is the `eventsourcing` library as its documentation shows it:
its aggregates, its SQLite recorder, loaded through its repository, saved 1,000 at a time, no projection.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from sqlalchemy import insert, select

from app.bootstrap import migrate
from app.database import open_engine, reading, writing
from app.ledger.ledger import Ledger
from app.ledger.tables import events
from app.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from app.use_cases.filing import Refused, file_returns
from app.use_cases.importing import ROWS_PER_CHUNK
from app.use_cases.publishing import publish
from app.use_cases.rows import Draft, RowReader
from domain.account import EntitlementAccount
from domain.events import PolicyRef, Return
from domain.periods import period_of
from domain.policy import Policy, fingerprint
from domain.returns import AnnualReturns

PERIODS = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")
ACTOR = "bench"
AGGREGATES_PER_SAVE = 1_000
NAMESPACE = UUID("5f9f1e9e-52b0-4c3b-9a8e-0d7f3c4a1b2c")

Row = dict[str, Any]


def run(enterprises: int, months: int) -> None:
    """Measure the last of the months and print the three rates.

    The three take turns, a chunk each, so that what else the machine does weighs on all of them alike.
    """
    if not 1 <= months <= len(PERIODS):
        raise SystemExit(f"--months is from 1 to {len(PERIODS)}")
    months_of_rows = [_rows(enterprises, period) for period in PERIODS[:months]]
    with tempfile.TemporaryDirectory() as folder:
        ours, plain, bare = _Ours(Path(folder)), _Plain(Path(folder)), _Bare(Path(folder))
        for rows in months_of_rows[:-1]:
            for chunk in _chunks(rows):
                ours.close_month(chunk)
                plain.close_month(chunk)
        seconds = dict.fromkeys(("ours", "bare", "plain"), 0.0)
        for chunk in _chunks(months_of_rows[-1]):
            seconds["ours"] += _seconds(partial(ours.close_month, chunk))
            recorded = ours.events_of_last(chunk)
            seconds["bare"] += _seconds(partial(bare.put, recorded))
            seconds["plain"] += _seconds(partial(plain.close_month, chunk))
        for each in (ours, plain, bare):
            each.close()
    rates = {name: enterprises / taken for name, taken in seconds.items()}
    print(f"month close, SQLite, {enterprises} enterprises, period {PERIODS[months - 1]}")
    print(f"  whole path         {rates['ours']:>10,.0f} rows/s")
    print(f"  bare insert        {rates['bare']:>10,.0f} rows/s   {rates['bare'] / rates['ours']:.1f}x ours")
    against_plain = rates["ours"] / rates["plain"]
    print(f"  plain library use  {rates['plain']:>10,.0f} rows/s   ours is {against_plain:.1f}x")


def _chunks(rows: list[Row]) -> list[list[Row]]:
    return [rows[start : start + ROWS_PER_CHUNK] for start in range(0, len(rows), ROWS_PER_CHUNK)]


def _rows(enterprises: int, period: str) -> list[Row]:
    chance = random.Random(period)  # noqa: S311 - a benchmark is not a secret
    return [_row(number, period, chance) for number in range(enterprises)]


def _row(number: int, period: str, chance: random.Random) -> Row:
    prior = chance.randrange(50_000, 250_000)
    return {
        "form": "E204-1",
        "uscc": f"9121080{number % 10}MB{number:07d}0"[:18].ljust(18, "0"),
        "name": f"示例企业{number}",
        "region_code": ("210802", "210803", "210804", "210811", "210881", "210882")[number % 6],
        "industry_code": ("5111", "5211", "5261")[number % 3],
        "period": period,
        "in_database": True,
        "figures": {
            "sales": {"current": prior * 2, "prior_year": prior * 2},
            "retail_sales": {"current": prior * chance.randrange(80, 190) // 100, "prior_year": prior},
        },
        "source_row": {"sheet": "零售", "row": number + 2},
        "uscc_override": "benchmark",
    }


def _policy() -> LoadedPolicy:
    loaded = load_policy(YINGKOU_2024_14.read_bytes(), file=YINGKOU_2024_14.name)
    if not isinstance(loaded, LoadedPolicy):
        raise SystemExit(str(loaded))
    return loaded


def _drafts(rows: Sequence[Row]) -> list[Draft]:
    reader = RowReader(unit="qianyuan", stage="final", source=None)
    drafts = [reader.read(index, row) for index, row in enumerate(rows)]
    return [draft for draft in drafts if isinstance(draft, Draft)]


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class _Ours:
    """The ledger, whole path."""

    def __init__(self, folder: Path) -> None:
        engine = open_engine(f"sqlite:///{folder / 'ours.db'}")
        migrate(engine)
        self.ledger = Ledger(engine)
        publish(self.ledger, _policy(), actor=ACTOR)

    def close_month(self, rows: list[Row]) -> None:
        answer = file_returns(self.ledger, _drafts(rows), actor=ACTOR)
        if isinstance(answer, Refused) or answer.filed != len(rows):
            raise SystemExit(f"not recorded: {answer}")

    def events_of_last(self, rows: list[Row]) -> list[dict[str, Any]]:
        """The events that the last chunk recorded."""
        query = select(events).order_by(events.c.position.desc()).limit(2 * len(rows))
        with reading(self.ledger.engine) as connection:
            newest = [row._asdict() for row in connection.execute(query)]
        return [row for row in reversed(newest) if row["transaction_end"] == newest[0]["transaction_end"]]

    def close(self) -> None:
        self.ledger.engine.dispose()


class _Bare:
    """An empty table of events."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'bare.db'}")
        migrate(self.engine)

    def put(self, recorded: list[dict[str, Any]]) -> None:
        with writing(self.engine) as connection:
            connection.execute(insert(events), recorded)

    def close(self) -> None:
        self.engine.dispose()


class PlainReturns(Aggregate):
    """The returns of a year as the library would have them."""

    @classmethod
    def create_id(cls, uscc: str) -> UUID:
        """The id of an enterprise's year."""
        return uuid5(NAMESPACE, f"returns/{uscc}/2024")

    @event("Begun")
    def __init__(self, uscc: str) -> None:
        self.uscc = uscc
        self.filed: dict[str, Any] = {}

    @event("Filed")
    def file(self, period: str, registered: dict[str, Any]) -> None:
        """Register a return."""
        self.filed[period] = registered


class PlainAccount(Aggregate):
    """The half-year account as the library would have it."""

    @classmethod
    def create_id(cls, uscc: str) -> UUID:
        """The id of an enterprise's half-year."""
        return uuid5(NAMESPACE, f"entitlement/{uscc}/2024H1")

    @event("Begun")
    def __init__(self, uscc: str) -> None:
        self.uscc = uscc
        self.outcomes: dict[str, Any] = {}

    @event("Assessed")
    def assess(self, period: str, outcome: dict[str, Any]) -> None:
        """Record an outcome."""
        self.outcomes[period] = outcome


class _Plain:
    """The library as its documentation shows it."""

    def __init__(self, folder: Path) -> None:
        database = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "plain.db")}
        self.application: Application[UUID] = Application(env=database)
        loaded = _policy()
        self.policy = Policy(PolicyRef(loaded.typed.policy, 1, fingerprint(loaded.document)), loaded.typed)

    def close_month(self, rows: list[Row]) -> None:
        touched: list[Aggregate] = []
        for draft in _drafts(rows):
            touched += _plain_row(self.application, self.policy, draft)
            if len(touched) >= AGGREGATES_PER_SAVE:
                self.application.save(*touched)
                touched = []
        self.application.save(*touched)

    def close(self) -> None:
        self.application.close()


def _plain_row(application: Application[UUID], policy: Policy, draft: Draft) -> tuple[Aggregate, Aggregate]:
    returns = _load(application, PlainReturns, draft.uscc)
    account = _load(application, PlainAccount, draft.uscc)
    returns.file(draft.registered.period, msgspec.to_builtins(draft.registered))
    standing = AnnualReturns()
    for registered in returns.filed.values():
        standing.file(msgspec.convert(registered, Return))
    for assessed in EntitlementAccount(str(period_of(draft.registered.period).window)).reassess(
        policy, standing
    ):
        outcome = msgspec.to_builtins(assessed.outcome)
        if account.outcomes.get(assessed.period) != outcome:
            account.assess(assessed.period, outcome)
    return returns, account


def _load(application: Application[UUID], kind: Any, uscc: str) -> Any:
    try:
        return application.repository.get(kind.create_id(uscc))
    except AggregateNotFoundError:
        return kind(uscc=uscc)
