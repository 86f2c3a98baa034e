"""Any run of filings, corrections, withdrawals, publications and restarts ends where article 14 says.

Publications cover more, less or other periods than the version before, and policies are withdrawn. After
each step every read answers; at the end the past is answered as it was, differences sum up, the replay
derives every assessment, and a rebuild makes the same rows.
"""

from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.ledger.ledger import Ledger
from app.main import create_app
from app.transparency.sealing import seal
from app.use_cases.audit.replaying import ReplayRange, replay
from app.use_cases.policies.loader import YINGKOU_2024_14
from app.use_cases.upkeep.rebuilding import rebuild
from tests import oracle
from tests.api.rows import CATERING, TRADE, catering, code, trade
from tests.databases import Database
from tests.office import Office, TestClock

FEN_PER_QIANYUAN = 100_000
WINDOWS = ("2024H1", "2024H2")
PERIODS = (*oracle.PERIODS_OF_WINDOW["2024H1"], "2024-07", "2024-12")
POLICY = YINGKOU_2024_14.read_text(encoding="utf-8")
STEP_AMOUNT = 'award: {yuan: 50000, cite: "14.1", reading: step-amount}'
COVERS = 'first: "2024-01~02"', 'last: "2024-12"'
POLICY_ID = "yingkou-2024-14"
MEANT = {"reason": "口径调整", "document": "营商发〔2024〕1号"}

Key = tuple[str, str, str]
"""An enterprise, a form, a period."""


class RowFacts(NamedTuple):
    """What a row says: what decides whether a later one is a change."""

    stage: str
    in_database: bool
    industry_code: str
    current: int
    prior_year: int | None


KEYS = st.tuples(
    st.sampled_from([code(1), code(2)]), st.sampled_from([TRADE, TRADE, CATERING]), st.sampled_from(PERIODS)
)
BASES = [100_000, 100_000, 100_000, 100_000, 100_000, None, 0, -1]
INCREASES = {
    TRADE: [100_000, 150_000, 50_000, 20_000, 10_000, 9_999, 8_001, 8_000, -1],
    CATERING: [1_000, 1_999, 2_000, 3_000, 5_000, 25_000, 80_000, 999, -1],
}
INDUSTRIES = {TRADE: ["5211", "5112", "5299", "6210"], CATERING: ["6210", "6110", "6299", "5211"]}


@st.composite
def said_rows(draw: st.DrawFn) -> tuple[Key, Any]:
    """A row that more often than not earns something, and stands close to a gate, a step or a ceiling."""
    key = draw(KEYS)
    form = key[1]
    prior_year = draw(st.sampled_from(BASES))
    current = (prior_year or 100_000) + draw(st.sampled_from(INCREASES[form]))
    in_database = draw(st.sampled_from([True, True, True, True, False]))
    return key, (in_database, draw(st.sampled_from(INDUSTRIES[form])), current, prior_year)


BATCHES = st.lists(said_rows(), min_size=1, max_size=6, unique_by=lambda row: row[0])
CARELESS_BATCHES = st.lists(said_rows(), min_size=2, max_size=4)
STEP_AMOUNTS = st.sampled_from([50_000, 40_000, 10_000])
COVERAGES = st.sampled_from(
    [
        *[("2024-01~02", "2024-12")] * 3,
        ("2024-07", "2024-12"),
        ("2024-01~02", "2024-06"),
        ("2024-04", "2024-08"),
        ("2025-01~02", "2025-12"),
    ]
)


class LedgerMachine(RuleBasedStateMachine):
    """The service over a database, beside a model of what stands."""

    migrated: Database

    def __init__(self) -> None:
        super().__init__()
        self.database = self.migrated.copy()
        self.clock = TestClock()
        self.standing: dict[Key, RowFacts] = {}
        self.ever: set[tuple[str, str]] = set()
        self.step_yuan: int | None = None
        self.covers: tuple[str, str] | None = None  # None while nothing is in force.
        self.totals: list[tuple[int, int]] = []
        self.head = 0
        self.seen: list[tuple[int, dict[tuple[str, str], Any]]] = []
        self.office = Office(self._ledger())
        self.office.__enter__()

    def _ledger(self) -> Ledger:
        return Ledger(self.database.open(), self.clock)

    @initialize(uscc=st.sampled_from([code(1), code(2)]), step_yuan=STEP_AMOUNTS, first=st.booleans())
    def begin(self, uscc: str, step_yuan: int, *, first: bool) -> None:
        """A half-year that comes close to its ceiling, with the policy before or after it."""
        if first:
            self.publish(step_yuan, ("2024-01~02", "2024-12"))
        months = oracle.PERIODS_OF_WINDOW["2024H1"]
        said = (True, "5211", 210_000, 100_000)
        self.file([((uscc, TRADE, month), said) for month in months], "final", with_reason=False)
        self.every_account_is_what_article_14_gives()
        if not first:
            self.publish(step_yuan, ("2024-01~02", "2024-12"))

    @rule(
        batch=BATCHES | CARELESS_BATCHES,
        stage=st.sampled_from(["final", "final", "preliminary"]),
        with_reason=st.booleans(),
    )
    def file(self, batch: list[tuple[Key, Any]], stage: str, *, with_reason: bool) -> None:
        rows = [(key, RowFacts(stage, *said)) for key, said in batch]
        reason = {"reason": "企业改报", "origin": "enterprise"} if with_reason else {}
        body = {"unit": "qianyuan", "stage": stage, "returns": [as_json(*row) | reason for row in rows]}
        response = self.office.post(body)
        if len({key for key, _ in rows}) < len(rows):
            assert response.status_code == 422, response.text
        elif any(self._conflicts(key, kept, with_reason=with_reason) for key, kept in rows):
            assert response.status_code == 409, response.text
        else:
            assert response.status_code == 201, response.text
            answer = response.json()
            new = [key for key, _ in rows if key not in self.standing]
            same = [key for key, kept in rows if self.standing.get(key) == kept]
            assert (answer["filed"], answer["unchanged"]) == (len(new), len(same))
            assert answer["revised"] == len(rows) - len(new) - len(same)
            assert answer["position"] == self.head + len(rows) - len(same) + answer["entitlements_changed"]
            self.head = answer["position"]
            self.standing.update(rows)
            self.ever |= {(uscc, window_of(period)) for (uscc, _, period), _ in rows}

    def _conflicts(self, key: Key, kept: RowFacts, *, with_reason: bool) -> bool:
        before = self.standing.get(key)
        if before is None or before.stage == "preliminary":
            return False
        return kept.stage == "preliminary" or (kept != before and not with_reason)

    @rule(data=st.data(), any_key=st.booleans())
    def withdraw(self, data: st.DataObject, *, any_key: bool) -> None:
        known = sorted(self.standing)
        unknown = (code(3), TRADE, "2024-03")
        key = unknown if any_key or not known else data.draw(st.sampled_from(known))
        uscc, form, period = key
        response = self.office.withdraw({"uscc": uscc, "form": form, "period": period}, reason="登记有误")
        if key not in self.standing:
            assert response.status_code == 404, response.text
            return
        assert response.status_code == 200, response.text
        del self.standing[key]
        self.head += 1 + response.json()["entitlements_changed"]
        assert response.json()["position"] == self.head

    @rule(step_yuan=STEP_AMOUNTS, covers=COVERAGES)
    def publish(self, step_yuan: int, covers: tuple[str, str]) -> None:
        text = POLICY.replace(STEP_AMOUNT, STEP_AMOUNT.replace("50000", str(step_yuan)))
        text = text.replace(COVERS[0], f'first: "{covers[0]}"').replace(COVERS[1], f'last: "{covers[1]}"')
        tried = self.office.publish(text.encode(), dry_run=True)
        before = self._assessed_fen()
        response = self.office.publish(text.encode())
        if self.covers is not None and not (covers[0] <= self.covers[0] and self.covers[1] <= covers[1]):
            assert response.status_code == 409, response.text
            assert response.json()["code"] == "coverage-narrows"
            assert response.json()["lost"] == tried.json()["lost"] != []
            response = self.office.publish(text.encode(), drop=True, **MEANT)
        assert response.status_code == 202, response.text
        self.step_yuan, self.covers = step_yuan, covers
        self._has_happened_as_tried(before, tried.json())

    @rule()
    def withdraw_the_policy(self) -> None:
        tried = self.office.withdraw_policy(POLICY_ID, MEANT, dry_run=True)
        before = self._assessed_fen()
        response = self.office.withdraw_policy(POLICY_ID, MEANT)
        if self.covers is None:
            assert (tried.status_code, response.status_code) == (404, 404)
            return
        assert response.status_code == 202, response.text
        self.covers = None
        self._has_happened_as_tried(before, tried.json())

    def _has_happened_as_tried(self, before_fen: int, tried: Any) -> None:
        """What was published has changed what its dry run said, and all of it is assessed."""
        old_head = self.head
        page = self.office.read("/v1/entitlements", window="2024H1")
        self.head = page["as_of"]["position"]
        assert page["assessment"] is None
        log = self.office.read("/v1/events", after=old_head, limit=1000)["items"]
        changed = sum(each["type"] == "EntitlementAssessed" for each in log)
        assert changed == tried["entitlements_changed"]
        assert self._assessed_fen() - before_fen == tried["after_fen"] - tried["before_fen"]

    def _assessed_fen(self) -> int:
        return sum(self.office.entitlement(*half, **self._policy())["assessed_fen"] for half in self.ever)

    def _policy(self) -> dict[str, str]:
        return {} if self.step_yuan is None else {"policy": POLICY_ID}

    @rule(hours=st.sampled_from([-5, 1, 48]))
    def time_goes_by_or_the_clock_is_set_back(self, hours: int) -> None:
        self.clock.now_us += hours * 3_600_000_000

    @rule()
    def stop_and_start_again(self) -> None:
        self.office.__exit__(None, None, None)
        self.office.ledger.engine.dispose()
        self.office.ledger = self._ledger()
        self.office.client = TestClient(create_app(self.office.ledger))
        self.office.__enter__()

    @invariant()
    def every_account_is_what_article_14_gives(self) -> None:
        seal(self.office.ledger)  # The checkpoint of a moment is part of its answer, once and for ever.
        found = {half: self.office.entitlement(*half, **self._policy()) for half in sorted(self.ever)}
        for (uscc, window), account in found.items():
            expected = self._expected(uscc, window)
            assert [comparable(period) for period in account["periods"]] == list(expected)
            assert account["assessed_fen"] == sum(period.assessed_fen for period in expected)
            assert account["open_fen"] == sum(period.open_fen for period in expected)
            assert account["as_of"]["position"] == self.head
        for window in WINDOWS:
            halves = [account for (_, each), account in found.items() if each == window]
            page = self.office.read("/v1/entitlements", window=window, **self._policy())
            groups = self.office.read("/v1/summary", window=window, group_by="period", **self._policy())
            assert page["assessed_fen"] == sum(account["assessed_fen"] for account in halves)
            assert groups["assessed_fen"] == page["assessed_fen"]
            assert page["disputed"] == groups["disputed"] == 0
            assert page["total"] == len({key[0] for key in self.standing if window_of(key[2]) == window})
            for period in account_periods(halves):
                path = f"/v1/entitlements/{period[0]}/{window}/{period[1]}"
                explained = self.office.read(path, **self._policy())
                assert explained["steps"]
        self.seen.append((self.head, found))
        self.totals.append((self.head, sum(account["assessed_fen"] for account in found.values())))

    def _expected(self, uscc: str, window: str) -> list[oracle.OraclePeriod]:
        if self.step_yuan is None or self.covers is None:
            return []
        first, last = self.covers
        returns = [
            oracle.OracleReturn(
                form=form,
                period=period,
                in_database=kept.in_database,
                industry_code=kept.industry_code,
                stage=kept.stage,
                current_fen=kept.current * FEN_PER_QIANYUAN,
                prior_year_fen=None if kept.prior_year is None else kept.prior_year * FEN_PER_QIANYUAN,
            )
            for (of, form, period), kept in self.standing.items()
            if of == uscc and first <= period <= last
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(oracle, "TRADE_STEP_AWARD_YUAN", Fraction(self.step_yuan))
            return list(oracle.entitlements(returns, window).values())

    def teardown(self) -> None:
        self._check_the_past()
        self._check_the_log()
        self._check_the_differences()
        self._check_the_replay()
        self.office.__exit__(None, None, None)
        self.office.ledger.engine.dispose()
        self.database.drop()

    def _check_the_past(self) -> None:
        """What was answered during the run is answered again, asked for by its position."""
        for position, found in self.seen[:: max(1, len(self.seen) // 3)]:
            for half, account in found.items():
                again = self.office.entitlement(*half, position=position, **self._policy())
                assert again == account | ({} if account["policy"] else {"policy": again["policy"]})

    def _check_the_log(self) -> None:
        """Positions have no gap, versions have none in any stream, time does not run back."""
        items = self.office.read("/v1/events", limit=1000)["items"]
        assert [item["position"] for item in items] == list(range(1, self.head + 1))
        assert [item["recorded_at"] for item in items] == sorted(item["recorded_at"] for item in items)
        versions: dict[str, int] = {}
        for item in items:
            assert item["version"] == versions.get(item["stream"], 0) + 1
            versions[item["stream"]] = item["version"]

    def _check_the_differences(self) -> None:
        """The differences between two moments sum up to the difference of their sums."""
        for (first, before_fen), (last, after_fen) in pairwise(self.totals[:: max(1, len(self.totals) // 4)]):
            asked: dict[str, Any] = {"from": first, "to": last}
            found = self.office.read("/v1/audit/differences", **asked)
            assert sum(each["difference_fen"] for each in found["items"]) == after_fen - before_fen
            assert found["difference_fen"] == after_fen - before_fen

    def _check_the_replay(self) -> None:
        """Everything that was recorded follows, and a rebuild makes the rows that the run has made."""
        ledger = self.office.ledger
        report = replay(ledger, ReplayRange())
        assert report.is_clean, report.found
        rebuild(ledger)
        assert replay(ledger, ReplayRange()).is_clean


def account_periods(accounts: list[Any]) -> list[tuple[str, str]]:
    """Enterprise and period of all that is assessed."""
    return [(account["uscc"], period["period"]) for account in accounts for period in account["periods"]]


def window_of(period: str) -> str:
    return next(window for window, periods in oracle.PERIODS_OF_WINDOW.items() if period in periods)


def as_json(key: Key, kept: RowFacts) -> dict[str, Any]:
    uscc, form, period = key
    row = {TRADE: trade, CATERING: catering}[form](kept.current, kept.prior_year, period=period)
    return row | {
        "uscc": uscc,
        "name": "示例企业",
        "in_database": kept.in_database,
        "industry_code": kept.industry_code,
    }


def comparable(period: dict[str, Any]) -> oracle.OraclePeriod:
    """The answer's period as the oracle has it."""
    names = ("period", "stage", "status", "measure", "rule_fen", "selected_fen", "assessed_fen", "open_fen")
    return oracle.OraclePeriod(
        **{name: period[name] for name in names},
        bound_by=tuple(period["bound_by"]),
        open_readings=tuple(period["open_readings"]),
    )


EXAMPLES = {"sqlite": 6, "postgresql": 2}
"""The first two runs are the same on both: what is asked of the rules need not be asked twice."""


def test_any_run_of_the_ledger_ends_where_article_14_says(migrated: Database) -> None:
    LedgerMachine.migrated = migrated
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES[migrated.host.kind],
            stateful_step_count=15,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
