"""Writes the golden logs, once: `python -m tests.golden.make`. It refuses to overwrite an existing one."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import select

from app.bootstrap import migrate
from app.ledger.ledger import Ledger
from app.ledger.tables import events
from app.runtime.database import open_engine, read_transaction
from app.use_cases.filing.deciding import Withdrawal
from app.use_cases.filing.file_returns import FilingAnswer, file_returns, withdraw_return
from app.use_cases.filing.rows import Draft, RowReader
from app.use_cases.policies.loader import LoadedPolicy, load_policy
from app.use_cases.policies.publishing import Drop, assess_published, publish, withdraw_policy
from app.use_cases.upkeep.projecting import project_all
from domain.events import Source, Stage
from tests.golden.golden import (
    GOLDEN_LOG,
    GOLDEN_OF_LEDGER,
    GOLDEN_OF_POLICIES,
    GOLDEN_OF_WINDOWS,
    GoldenEvent,
    read_golden,
    restore,
)
from tests.ledger.history import Row, catering, code, policy, publish_whole, trade, with_limits
from tests.office import TestClock

A, B, C, D = (code(n) for n in (1, 2, 3, 4))
EARLY_PILOT = "91350211M00013FA1N"


def play(ledger: Ledger, clock: TestClock) -> None:
    """The history: amounts in 千元, two versions of the policy, corrections and withdrawals."""
    clock.set("2024-04-10T08:00:00Z")
    rows = [
        trade(A, "2024-03", 150_000, 100_000, name="甲商贸有限公司"),
        catering(B, "2024-03", 3_500, 2_000, name="乙餐饮有限公司", industry_code="6210"),
        trade(C, "2024-03", 110_000, None, name="丙商贸有限公司", region_code="210803"),
    ]
    _file(ledger, rows, stage="preliminary", source=Source(name="2024-03 预估.xlsx", sha256="5e" * 32))
    clock.set("2024-04-12T01:30:00Z")
    _withdraw(ledger, C, "2024-03", "E204-1", reason="误登记")
    clock.set("2024-04-20T08:00:00.000001Z")
    source_row = {"sheet": "批发", "row": 7}
    final = trade(A, "2024-03", 160_000, 100_000, name="甲商贸有限公司", source_row=source_row)
    _file(ledger, [{**final, "reported_at": "2024-04-18T17:05:00+08:00"}], source=Source(name="2024-03.csv"))
    clock.set("2024-05-31T00:00:00Z")
    publish_whole(ledger, policy())
    clock.set("2024-07-10T08:00:00Z")
    _file(
        ledger,
        [
            trade(A, "2024-01~02", 300_000, 100_000, name="甲商贸有限公司"),
            *(
                trade(A, f"2024-{month}", 200_000, 100_000, name="甲商贸有限公司")
                for month in ("04", "05", "06")
            ),
            trade(D, "2024-05", 120_000, 100_000, name="丁商贸有限公司"),
            trade(
                EARLY_PILOT,
                "2024-06",
                101_000,
                100_000,
                name="早期试点有限公司",
                region_code="210899",
                uscc_override="登记机关所发早期代码",
            ),
        ],
    )
    _file(
        ledger,
        [
            catering(B, "2024-04", 5_300, 2_000, name="乙餐饮有限公司"),
            trade(B, "2024-04", 113_000, 100_000, name="乙餐饮有限公司"),
        ],
    )
    clock.set("2024-08-10T08:00:00Z")
    _file(ledger, [trade(C, "2024-07", 108_000, 100_000, name="丙商贸有限公司", region_code="210803")])
    clock.set("2024-08-12T08:00:00Z")
    publish_whole(ledger, policy(step_award_yuan=30_000, half_year_yuan=1_200_000))
    clock.set("2024-08-20T08:00:00Z")
    correction = {"reason": "企业改报", "origin": "enterprise", "document": "营统核〔2024〕7号"}
    _file(ledger, [trade(A, "2024-03", 107_000, 100_000, name="甲商贸有限公司", **correction)])
    _withdraw(ledger, B, "2024-04", "E204-1", reason="不填报该表")
    _withdraw(ledger, D, "2024-05", "E204-1", reason="重复登记")
    undetermined = catering(C, "2024-07", 3_000, 0, name="丙商贸有限公司", industry_code="6220")
    _file(ledger, [{**undetermined, "region_code": "210803"}])


def _file(ledger: Ledger, rows: list[Row], *, stage: Stage = "final", source: Source | None = None) -> None:
    reader = RowReader(unit="qianyuan", stage=stage, source=source)
    drafts = [reader.read(index, row) for index, row in enumerate(rows)]
    read = [draft for draft in drafts if isinstance(draft, Draft)]
    if read != drafts or not isinstance(file_returns(ledger, read, actor="statistics"), FilingAnswer):
        raise SystemExit("the history is refused")


def _withdraw(ledger: Ledger, uscc: str, period: str, form: str, *, reason: str) -> None:
    wanted = Withdrawal(uscc=uscc, form=form, period=period, reason=reason, origin="returned", document=None)
    if withdraw_return(ledger, wanted, actor="statistics") is None:
        raise SystemExit("there is no standing return to withdraw")


def play_policies(ledger: Ledger, clock: TestClock) -> None:
    """The events after the other golden logs: a version for the first half-year alone; then a repeal."""
    restore(ledger, [*read_golden(), *read_golden(GOLDEN_OF_LEDGER)])
    project_all(ledger)
    clock.set("2025-02-10T08:00:00Z")
    text = policy(step_award_yuan=30_000, half_year_yuan=1_200_000).text
    loaded = load_policy(text.replace('last: "2024-12"', 'last: "2024-06"'), file="policy.yaml")
    if not isinstance(loaded, LoadedPolicy):
        raise SystemExit("the policy is refused")
    drop = Drop("下半年另行发文", "营商发〔2025〕2号")
    if not publish(ledger, loaded, actor="admin", drop=drop).is_new:
        raise SystemExit("the policy is no new version")
    assess_published(ledger)
    clock.set("2025-03-10T08:00:00Z")
    withdraw_policy(ledger, loaded.typed.policy, Drop("政策废止", "营商发〔2025〕5号"), actor="admin")
    assess_published(ledger)


def play_windows(ledger: Ledger, clock: TestClock) -> None:
    """The events after the golden logs: a policy with a limit of each quarter, then of each year."""
    before = [*read_golden(), *read_golden(GOLDEN_OF_LEDGER), *read_golden(GOLDEN_OF_POLICIES)]
    restore(ledger, before)
    project_all(ledger)
    clock.set("2025-04-10T08:00:00Z")
    publish_whole(ledger, with_limits(("month", 500_000), ("quarter", 900_000)))
    clock.set("2025-04-11T08:00:00Z")
    correction = {"reason": "审核退回", "origin": "returned"}
    _file(ledger, [trade(A, "2024-05", 140_000, 100_000, name="甲商贸有限公司", **correction)])
    clock.set("2025-04-12T08:00:00Z")
    publish_whole(ledger, with_limits(("month", 500_000), ("half-year", 1_200_000), ("year", 1_500_000)))
    _withdraw(ledger, A, "2024-03", "E204-1", reason="重复登记")


def write(path: Path, history: Callable[[Ledger, TestClock], None] = play, after: int = 0) -> None:
    """Play a history on a fresh ledger and write its log, after a position.

    Raises:
        FileExistsError: The golden log exists already.
    """
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'ledger.db'}")
        migrate(engine)
        clock = TestClock()
        ledger = Ledger(engine, clock)
        history(ledger, clock)
        with read_transaction(engine) as connection:
            query = select(events).where(events.c.position > after).order_by(events.c.position)
            rows = connection.execute(query).mappings().all()
        engine.dispose()
    golden = [GoldenEvent(**{**row, "state": msgspec.Raw(row["state"])}) for row in rows]
    with path.open("xb") as opened:
        opened.writelines(msgspec.json.encode(event) + b"\n" for event in golden)


if __name__ == "__main__":
    for golden_log, golden_history, position in (
        (GOLDEN_LOG, play, 0),
        (GOLDEN_OF_POLICIES, play_policies, read_golden(GOLDEN_OF_LEDGER)[-1].position),
        (GOLDEN_OF_WINDOWS, play_windows, read_golden(GOLDEN_OF_POLICIES)[-1].position),
    ):
        if golden_log.exists():
            print(f"{golden_log.name} is there already, and stays as it is", file=sys.stderr)  # noqa: T201
        else:
            write(golden_log, golden_history, position)
