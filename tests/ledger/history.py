"""Histories to record: invented enterprises, rows of returns, and random years of them."""

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Table, select, update
from stdnum.cn import uscc as stdnum_uscc

from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.use_cases.filing.deciding import Refused, Withdrawal
from app.use_cases.filing.file_returns import FilingAnswer, file_returns, withdraw_return
from app.use_cases.filing.rows import Draft, RowReader
from app.use_cases.policies import publishing
from app.use_cases.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from app.use_cases.policies.publishing import assess_published, publish
from domain.events import LogEntry, Stage
from domain.identifiers import organisation_check_character
from projections.tables import LIVE
from projections.tables import metadata as read_models
from tests.builders import loaded as loaded_text
from tests.builders import text_with_limits
from tests.databases import Database
from tests.office import TestClock

PERIODS = ("2024-01~02", *(f"2024-{month:02d}" for month in range(3, 13)))
REGIONS = ("210802", "210803", "210881")
Row = dict[str, Any]


def code(n: int) -> str:
    """The n-th invented code, whose check characters are right."""
    organisation = f"MA{n:06d}"
    head = f"91210802{organisation}{organisation_check_character(organisation)}"
    return head + str(stdnum_uscc.calc_check_digit(head))


def trade(uscc: str, period: str, current: int | None, prior_year: int | None, **changed: Any) -> Row:
    """A row of E204-1, in 千元."""
    return _row("E204-1", "retail_sales", "5211", uscc, period, (current, prior_year), changed)


def catering(uscc: str, period: str, current: int | None, prior_year: int | None, **changed: Any) -> Row:
    """A row of S204-1, in 千元."""
    return _row("S204-1", "catering_revenue", "6210", uscc, period, (current, prior_year), changed)


def _row(  # noqa: PLR0913, PLR0917 - what the forms differ in, then what a test says
    form: str,
    item: str,
    industry_code: str,
    uscc: str,
    period: str,
    amounts: tuple[int | None, int | None],
    changed: Row,
) -> Row:
    return {
        "form": form,
        "uscc": uscc,
        "name": f"示例企业{uscc[-5:]}",
        "region_code": "210802",
        "industry_code": industry_code,
        "period": period,
        "in_database": True,
        "figures": {item: {"current": amounts[0], "prior_year": amounts[1]}},
        **changed,
    }


def drafts(rows: Iterable[Row], stage: Stage = "final") -> list[Draft]:
    """The rows as drafts; each must be valid in itself."""
    reader = RowReader(unit="qianyuan", stage=stage, source=None)
    found = []
    for index, row in enumerate(rows):
        draft = reader.read(index, row)
        assert isinstance(draft, Draft), draft
        found.append(draft)
    return found


def file(ledger: Ledger, *rows: Row, stage: Stage = "final") -> FilingAnswer:
    """File a batch, which must be accepted."""
    answer = file_returns(ledger, drafts(rows, stage), actor="statistics")
    assert isinstance(answer, FilingAnswer), answer
    return answer


def withdraw(ledger: Ledger, uscc: str, period: str, form: str) -> FilingAnswer | Refused | None:
    """Withdraw a registration; None without a standing return."""
    wanted = Withdrawal(uscc=uscc, form=form, period=period, reason="重复登记", origin=None, document=None)
    return withdraw_return(ledger, wanted, actor="statistics")


def policy(step_award_yuan: int = 50_000, half_year_yuan: int = 2_000_000) -> LoadedPolicy:
    """The shipped policy with another amount for each step, or another half-year ceiling."""
    text = YINGKOU_2024_14.read_text(encoding="utf-8")
    award, ceiling = "award: {yuan: 50000,", "ceiling: {yuan: 2000000,"
    assert text.count(award) == text.count(ceiling) == 1
    text = text.replace(award, f"award: {{yuan: {step_award_yuan},")
    text = text.replace(ceiling, f"ceiling: {{yuan: {half_year_yuan},")
    loaded = load_policy(text, file="policy.yaml")
    assert isinstance(loaded, LoadedPolicy), loaded
    return loaded


def with_limits(*limits: tuple[str, int], policy_id: str = "yingkou-2024-14-limits") -> LoadedPolicy:
    """The shipped policy under another id, with these limits: the length of a window, an amount in yuan."""
    return loaded_text(text_with_limits(*limits, policy_id=policy_id))


def publish_whole(ledger: Ledger, loaded: LoadedPolicy | None = None) -> None:
    """Publish a policy, and assess everything filed before."""
    publish(ledger, policy() if loaded is None else loaded, actor="admin")
    assess_published(ledger)


def with_seeds(*, sqlite: int, postgresql: int, first: int = 0) -> pytest.MarkDecorator:
    """Give a test so many seeds on each database: most where it is fastest, some where the other differs."""
    numbers = {"sqlite": sqlite, "postgresql": postgresql}
    cases = [(host, seed) for host, number in numbers.items() for seed in range(first, first + number)]
    return pytest.mark.parametrize(("host", "seed"), cases, indirect=["host"])


class RandomYear:
    """A year of filings, corrections, withdrawals and publications, the same for the same seed.

    Args:
        seed: The seed of the random choices.
        enterprises: The number of enterprises.
    """

    def __init__(self, seed: int, enterprises: int = 6) -> None:
        self.random = random.Random(seed)  # noqa: S311 - nothing is secret here
        self.codes = [code(n) for n in range(1, enterprises + 1)]
        self._published = 0

    def play(self, ledger: Ledger, steps: int, *, published_at: Sequence[int] = (4, 14)) -> None:
        """Record a number of steps."""
        for step in range(steps):
            if step in published_at:
                self._publish(ledger)
            elif self.random.random() < 0.15:
                self._withdraw(ledger)
            else:
                self._file(ledger)

    def _publish(self, ledger: Ledger) -> None:
        loaded = [policy(), policy(30_000, 900_000), policy(40_000)][self._published % 3]
        self._published += 1
        publish_whole(ledger, loaded)

    def _withdraw(self, ledger: Ledger) -> None:
        form = self.random.choice(["E204-1", "S204-1"])
        withdraw(ledger, self.random.choice(self.codes), self.random.choice(PERIODS), form)

    def _file(self, ledger: Ledger) -> None:
        stage: Stage = self.random.choice(["final", "final", "preliminary"])
        wanted = [
            (uscc, period, form)
            for uscc in self.codes
            for period in self.random.sample(PERIODS, 2)
            for form in ("E204-1", "S204-1")
            if self.random.random() < 0.4
        ]
        batch = drafts((self._row(*row) for row in wanted), stage)
        answer = file_returns(ledger, batch, actor="statistics")
        if isinstance(answer, Refused):
            refused = {problem.row for problem in answer.problems}
            rest = [draft for draft in batch if draft.row not in refused]
            assert isinstance(file_returns(ledger, rest, actor="statistics"), FilingAnswer)

    def _row(self, uscc: str, period: str, form: str) -> Row:
        draw = self.random
        prior = draw.choice([None, 0, *[draw.randrange(1_000, 200_000) for _ in range(8)]])
        current = (prior or 10_000) + draw.randrange(-5_000, 140_000 if form == "E204-1" else 9_000)
        make, industries = (trade, ["5211", "5123"]) if form == "E204-1" else (catering, ["6110", "6210"])
        return make(
            uscc,
            period,
            current,
            prior,
            region_code=draw.choice(REGIONS),
            industry_code=draw.choice([*industries * 4, "4813"]),
            in_database=draw.random() < 0.9,
            name=f"示例企业{uscc[-5:]}{draw.choice(['', '(新)'])}",
            reason=draw.choice(["企业改报", "企业改报", None]),
        )


@contextmanager
def played_in(
    migrated: Database, year: RandomYear, steps: int, *, streams_per_chunk: int
) -> Iterator[Database]:
    """A database with a random year, whose publications were assessed in chunks of this many streams."""
    database = migrated.copy()
    engine = database.open()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "STREAMS_PER_CHUNK", streams_per_chunk)
        year.play(Ledger(engine, TestClock()), steps)
    engine.dispose()
    yield database
    database.drop()


@contextmanager
def opened_copy(of: Database, clock: TestClock) -> Iterator[Ledger]:
    """The ledger of a copy of a database, as another process opens it."""
    database = of.copy()
    engine = database.open()
    yield Ledger(engine, clock)
    engine.dispose()
    database.drop()


def log(ledger: Ledger) -> list[LogEntry]:
    """The whole log."""
    with read_transaction(ledger.engine) as connection:
        return list(ledger.entries(connection, after=0, limit=1_000_000))


def transaction_ends(ledger: Ledger) -> list[int]:
    """The ends of all transactions, in order."""
    return sorted({entry.transaction_end for entry in log(ledger)})


def empty_read_models(connection: Connection) -> None:
    """Reset the read models to their state before the first event."""
    for table in LIVE:
        if table is not LIVE.checkpoint:
            connection.execute(table.delete())
    connection.execute(update(LIVE.checkpoint).values(position=0))


def rows_of(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    """The rows of a table in the order of its primary key."""
    return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]


def read_model_rows(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every read model."""
    with read_transaction(ledger.engine) as connection:
        return {table.name: rows_of(connection, table) for table in read_models.sorted_tables}


def held(connection: Connection, table: Table, at: int) -> Iterator[Any]:
    """The rows in force at a position."""
    return iter(
        connection.execute(select(table).where(table.c.from_position <= at, table.c.to_position > at)).all()
    )


def as_json(value: Any) -> Any:
    """A value after a round trip through JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))
