"""The read models of returns, enterprises, entitlements, accounts and totals: one half-year at a time."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import add
from typing import NamedTuple

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, select

from domain.events import EntitlementAssessed, LogEntry, Outcome, ReturnFiled, ReturnRevised, ReturnWithdrawn
from domain.forms import FORMS
from domain.periods import window_name
from projections import tables
from projections.history import History, chunks
from projections.tables import FOREVER

INDUSTRY_DIGITS = 2
LIST_DIMENSION = "list"
"""The totals of the list: by the account's region and the measures that its periods are awarded by."""

Half = tuple[str, str]
"""An enterprise's half-year: (uscc, window)."""

Totals = tuple[int, int, int, int, int, int]
"""Enterprises, assessed_fen, open_fen, preliminary_fen, month_ceiling, half_year_ceiling."""

_CODES: BindParameter[list[str]] = bindparam("codes", expanding=True)

NOTHING: Totals = (0, 0, 0, 0, 0, 0)


class ReturnRow(NamedTuple):
    """The values of `tables.returns`."""

    window: str
    type: str
    name: str
    region_code: str
    industry_code: str
    version: int
    current_fen: int | None
    actor: str
    recorded_at_us: int
    position: int
    state: bytes


class EntitlementRow(NamedTuple):
    """The values of `tables.entitlements`."""

    window: str
    stage: str
    status: str
    measure: str | None
    form: str | None
    assessed_fen: int
    open_fen: int
    month_ceiling: bool
    half_year_ceiling: bool
    region_code: str | None
    industry: str | None
    state: bytes
    position: int


class Enterprise(NamedTuple):
    """The values of `tables.enterprises`."""

    name: str
    region_code: str
    industry_code: str


class AccountRow(NamedTuple):
    """The values of `tables.accounts`."""

    name: str
    region_code: str
    industry_code: str
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    periods: int


Registered = dict[tuple[str, str], Enterprise]
"""The standing returns of a half-year by period and form, as far as they say who the enterprise is."""

Periods = dict[str, EntitlementRow]
"""The assessed periods of an account."""

TotalKey = tuple[str, str, str, str]
"""Policy, window, dimension and key of a total."""


class _Before(NamedTuple):
    """A half-year as it was before a transaction."""

    enterprise: Enterprise | None
    periods: dict[str, Periods]


class AccountsModel:
    """The rows of the half-years that a batch of entries touches.

    Enterprises, accounts and totals follow from the returns and the entitlements, which alone are read.

    Args:
        connection: In a transaction that writes.
        entries: The entries to come, to load their rows in bulk.
    """

    def __init__(self, connection: Connection, entries: Iterable[LogEntry]) -> None:
        self._connection = connection
        self._returns = History(tables.returns)
        self._enterprises = History(tables.enterprises)
        self._entitlements = History(tables.entitlements)
        self._accounts = History(tables.accounts)
        self._totals = History(tables.totals)
        self._known_returns: set[tuple[str, str, str]] = set()
        self._registered: dict[Half, Registered] = {}
        self._periods: dict[Half, dict[str, Periods]] = {}
        self._sums: dict[TotalKey, Totals] = {}
        self._before: dict[Half, _Before] = {}
        self._load(entries)

    def _load(self, entries: Iterable[LogEntry]) -> None:
        by_window: dict[str, set[str]] = {}
        for entry in entries:
            uscc, window = _half_of(entry)
            by_window.setdefault(window, set()).add(uscc)
        for window, codes in by_window.items():
            for chunk in chunks(sorted(codes)):
                self._load_returns(window, chunk)
                self._load_entitlements(window, chunk)
            held = tables.totals.c
            query = select(tables.totals).where(held.window == window, held.to_position == FOREVER)
            for row in self._connection.execute(query).all():
                self._sums[row[0], row[1], row[2], row[3]] = (row[4], row[5], row[6], row[7], row[8], row[9])

    def _load_returns(self, window: str, codes: list[str]) -> None:
        table = tables.returns.c
        query = select(
            table.uscc,
            table.period,
            table.form,
            table.type,
            table.name,
            table.region_code,
            table.industry_code,
        ).where(table.window == window, table.uscc.in_(_CODES), table.to_position == FOREVER)
        rows = self._connection.execute(query, {"codes": codes}).all()
        for uscc, period, form, kind, *enterprise in rows:
            self._known_returns.add((uscc, period, form))
            if kind != ReturnWithdrawn.__name__:
                self._registered.setdefault((uscc, window), {})[period, form] = Enterprise(*enterprise)

    def _load_entitlements(self, window: str, codes: list[str]) -> None:
        table = tables.entitlements.c
        columns = [table[name] for name in EntitlementRow._fields]
        query = select(table.uscc, table.policy, table.period, *columns).where(
            table.window == window, table.uscc.in_(_CODES), table.to_position == FOREVER
        )
        for uscc, policy, period, *row in self._connection.execute(query, {"codes": codes}).all():
            periods = self._periods.setdefault((uscc, window), {})
            periods.setdefault(policy, {})[period] = EntitlementRow(*row)

    def register(self, entry: LogEntry, event: ReturnFiled | ReturnRevised | ReturnWithdrawn) -> None:
        """A return was filed, revised or withdrawn."""
        half = _half_of(entry)
        self._touch(half)
        key = (half[0], event.period, event.form)
        registered = self._registered.setdefault(half, {})
        if isinstance(event, ReturnWithdrawn):
            enterprise, current_fen = registered.pop((event.period, event.form)), None
        else:
            enterprise = Enterprise(event.name, event.region_code, event.industry_code)
            registered[event.period, event.form] = enterprise
            current_fen = event.figures[FORMS[event.form].required_item].current_fen
        row = ReturnRow(
            half[1],
            entry.type,
            *enterprise,
            entry.version,
            current_fen,
            entry.actor,
            entry.recorded_at_us,
            entry.position,
            msgspec.json.encode(event),
        )
        self._returns.replace(key, row, entry.transaction_end, held=key in self._known_returns)
        self._known_returns.add(key)

    def assess(self, entry: LogEntry, event: EntitlementAssessed) -> None:
        """A period was assessed differently."""
        half = _half_of(entry)
        self._touch(half)
        periods = self._periods.setdefault(half, {}).setdefault(event.policy.id, {})
        if event.outcome is None:
            periods.pop(event.period)
        else:
            periods[event.period] = _entitlement_row(entry, event, event.outcome, half[1])

    def finish_transaction(self, at: int) -> None:
        """Bring the sums up to the end of the transaction that ends at `at`."""
        change: dict[TotalKey, list[int]] = {}
        for half, before in self._before.items():
            self._finish_half(half, before, at, change)
        for key, gained in change.items():
            if any(gained):
                held = self._sums.get(key)
                summed = _plus(held or NOTHING, gained)
                self._totals.replace(key, None if summed == NOTHING else summed, at, held=held is not None)
                if summed == NOTHING:
                    self._sums.pop(key, None)
                else:
                    self._sums[key] = summed
        self._before = {}

    def flush(self) -> None:
        """Write the changes."""
        for history in (
            self._returns,
            self._enterprises,
            self._entitlements,
            self._accounts,
            self._totals,
        ):
            history.flush(self._connection)

    def _touch(self, half: Half) -> None:
        if half not in self._before:
            periods = {policy: dict(rows) for policy, rows in self._periods.get(half, {}).items()}
            self._before[half] = _Before(latest(self._registered.get(half, {})), periods)

    def _finish_half(self, half: Half, before: _Before, at: int, change: dict[TotalKey, list[int]]) -> None:
        uscc, window = half
        registered = self._registered.get(half, {})
        enterprise = latest(registered)
        if enterprise != before.enterprise:
            held = before.enterprise is not None
            self._enterprises.replace((window, uscc), enterprise, at, held=held)
        for policy, periods in self._periods.get(half, {}).items():
            earlier = before.periods.get(policy, {})
            for period, row in periods.items():
                periods[period] = _placed(row, registered, period)
            changed = [
                period for period in {**earlier, **periods} if earlier.get(period) is not periods.get(period)
            ]
            for period in changed:
                key = (uscc, policy, period)
                self._entitlements.replace(key, periods.get(period), at, held=period in earlier)
            was, now = _account(before.enterprise, earlier), _account(enterprise, periods)
            if was != now:
                self._accounts.replace((uscc, window, policy), now, at, held=was is not None)
                _count_listed(change, policy, window, was, earlier, -1)
                _count_listed(change, policy, window, now, periods, 1)
            for period in changed:
                _count_groups(change, policy, window, period, earlier.get(period), -1)
                _count_groups(change, policy, window, period, periods.get(period), 1)
            _count_enterprises(change, policy, window, changed, earlier, periods)


def latest(registered: Mapping[tuple[str, str], Enterprise]) -> Enterprise | None:
    """The enterprise as its return of the latest period has it, `E204-1` first; None without a return."""
    if not registered:
        return None
    last = max(period for period, _ in registered)
    return next(registered[last, form] for form in FORMS if (last, form) in registered)


def _half_of(entry: LogEntry) -> Half:
    event = entry.event
    if isinstance(event, EntitlementAssessed):
        _, _, uscc, window = entry.stream.split("/")
        return uscc, window
    if isinstance(event, ReturnFiled | ReturnRevised | ReturnWithdrawn):
        return entry.stream.split("/")[1], window_name(event.period)
    raise TypeError(f"{entry.type} belongs to no half-year")


def _entitlement_row(
    entry: LogEntry, event: EntitlementAssessed, outcome: Outcome, window: str
) -> EntitlementRow:
    return EntitlementRow(
        window=window,
        stage=outcome.stage,
        status=outcome.status,
        measure=outcome.measure,
        form=next((each.form for each in outcome.measures if each.measure == outcome.measure), None),
        assessed_fen=outcome.assessed_fen,
        open_fen=outcome.open_fen,
        month_ceiling=outcome.selected_fen < outcome.rule_fen,
        half_year_ceiling=outcome.assessed_fen < outcome.selected_fen,
        region_code=None,
        industry=None,
        state=msgspec.json.encode(event),
        position=entry.position,
    )


def _placed(
    row: EntitlementRow, registered: Mapping[tuple[str, str], Enterprise], period: str
) -> EntitlementRow:
    """The row with the region and industry that its winning return has now."""
    if row.form is None:
        return row
    winner = registered[period, row.form]
    industry = winner.industry_code[:INDUSTRY_DIGITS]
    if (row.region_code, row.industry) == (winner.region_code, industry):
        return row
    return row._replace(region_code=winner.region_code, industry=industry)


@lru_cache(maxsize=4096)
def _groups(
    period: str, measure: str | None, region_code: str | None, industry: str | None
) -> tuple[tuple[str, str], ...]:
    """The groups of the summary that an awarded period counts in: dimension and key."""
    return (
        ("period", period),
        ("measure", measure or ""),
        ("region_code", region_code or ""),
        ("industry", industry or ""),
    )


def _account(enterprise: Enterprise | None, periods: Periods) -> AccountRow | None:
    """The sums of a half-year; None without a period."""
    if enterprise is None or not periods:
        return None
    assessed_fen = open_fen = preliminary_fen = 0
    for row in periods.values():
        assessed_fen += row.assessed_fen
        open_fen += row.open_fen
        if row.stage == "preliminary":
            preliminary_fen += row.assessed_fen
    return AccountRow(*enterprise, assessed_fen, open_fen, preliminary_fen, len(periods))


def _count_listed(  # noqa: PLR0913, PLR0917 - one side of a change
    change: dict[TotalKey, list[int]],
    policy: str,
    window: str,
    account: AccountRow | None,
    periods: Periods,
    sign: int,
) -> None:
    """Count an account in, or out of, the totals of the list."""
    if account is None:
        return
    measures = ",".join(sorted({row.measure for row in periods.values() if row.measure is not None}))
    key = (policy, window, LIST_DIMENSION, f"{account.region_code}|{measures}")
    fen = (sign * account.assessed_fen, sign * account.open_fen, sign * account.preliminary_fen)
    _add(change, key, (sign, *fen, 0, 0))


def _count_groups(  # noqa: PLR0913, PLR0917 - one side of a change
    change: dict[TotalKey, list[int]],
    policy: str,
    window: str,
    period: str,
    row: EntitlementRow | None,
    sign: int,
) -> None:
    """Count the amounts of a period in, or out of, its groups; enterprises are counted apart."""
    if row is None or row.measure is None:
        return
    assessed = sign * row.assessed_fen
    preliminary = assessed if row.stage == "preliminary" else 0
    ceilings = (sign * row.month_ceiling, sign * row.half_year_ceiling)
    amounts = (0, assessed, sign * row.open_fen, preliminary, *ceilings)
    for dimension, key in _groups(period, row.measure, row.region_code, row.industry):
        _add(change, (policy, window, dimension, key), amounts)


def _count_enterprises(  # noqa: PLR0913, PLR0917 - both sides of a change
    change: dict[TotalKey, list[int]],
    policy: str,
    window: str,
    changed: list[str],
    before: Periods,
    after: Periods,
) -> None:
    """An enterprise counts once in each group in which it has more than 0 assessed."""
    if changed:
        was, now = _assessed_groups(before), _assessed_groups(after)
        for dimension, key in was ^ now:
            one = 1 if (dimension, key) in now else -1
            _add(change, (policy, window, dimension, key), (one, 0, 0, 0, 0, 0))


def _assessed_groups(periods: Periods) -> set[tuple[str, str]]:
    groups: set[tuple[str, str]] = set()
    for period, row in periods.items():
        if row.assessed_fen > 0:
            groups.update(_groups(period, row.measure, row.region_code, row.industry))
    return groups


def _add(change: dict[TotalKey, list[int]], key: TotalKey, amounts: Iterable[int]) -> None:
    sums = change.get(key)
    if sums is None:
        change[key] = list(amounts)
    else:
        sums[:] = map(add, sums, amounts)


def _plus(left: Totals, right: Sequence[int]) -> Totals:
    return (
        left[0] + right[0],
        left[1] + right[1],
        left[2] + right[2],
        left[3] + right[3],
        left[4] + right[4],
        left[5] + right[5],
    )
