"""The read models of returns, enterprises, entitlements, accounts and totals: one half-year at a time."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, and_

from domain.events import EntitlementAssessed, LogEntry, Outcome, ReturnFiled, ReturnRevised, ReturnWithdrawn
from domain.forms import FORMS
from domain.periods import window_name
from projections import tables
from projections.history import History, chunks

INDUSTRY_DIGITS = 2
LIST_DIMENSION = "list"
"""The totals of the list: by the account's region and the measures that its periods are awarded by."""

Half = tuple[str, str]
"""An enterprise's half-year: (uscc, window)."""

Account = tuple[str, str, str]
"""A half-year account: (policy, window, uscc)."""

Totals = tuple[int, int, int, int, int, int]
"""Enterprises, assessed_fen, open_fen, preliminary_fen, month_ceiling, half_year_ceiling."""

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


class AccountsModel:
    """The rows of the half-years that a batch of entries touches.

    Args:
        connection: In a transaction that writes.
        entries: The entries to come, to load their rows in bulk.
    """

    def __init__(self, connection: Connection, entries: Iterable[LogEntry]) -> None:
        self._connection = connection
        self._returns = History(tables.returns, unread=("state",))
        self._enterprises = History(tables.enterprises)
        self._entitlements = History(tables.entitlements)
        self._accounts = History(tables.accounts)
        self._totals = History(tables.totals)
        self._registered: dict[Half, dict[tuple[str, str], Enterprise]] = {}
        self._periods: dict[Half, dict[str, dict[str, EntitlementRow]]] = {}
        self._before: dict[Half, dict[tuple[str, str, str], Totals]] = {}
        self._load(entries)

    def _load(self, entries: Iterable[LogEntry]) -> None:
        by_window: dict[str, set[str]] = {}
        for entry in entries:
            uscc, window = _half_of(entry)
            by_window.setdefault(window, set()).add(uscc)
        for window, codes in by_window.items():
            for chunk in chunks(sorted(codes)):
                for history in (self._returns, self._enterprises, self._entitlements, self._accounts):
                    columns = history.table.c
                    history.load(self._connection, and_(columns.window == window, columns.uscc.in_(chunk)))
            self._totals.load(self._connection, tables.totals.c.window == window)
        for (uscc, period, form), row in self._returns.items():
            if row[1] != ReturnWithdrawn.__name__:
                registered = self._registered.setdefault((uscc, row[0]), {})
                registered[period, form] = Enterprise(*row[2:5])
        for (uscc, policy, period), row in self._entitlements.items():
            periods = self._periods.setdefault((uscc, row[0]), {})
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
        self._returns.put(key, row, entry.transaction_end)

    def assess(self, entry: LogEntry, event: EntitlementAssessed) -> None:
        """A period was assessed differently."""
        half = _half_of(entry)
        self._touch(half)
        policy = event.policy.id
        periods = self._periods.setdefault(half, {}).setdefault(policy, {})
        if event.outcome is None:
            periods.pop(event.period)
            self._entitlements.put((half[0], policy, event.period), None, entry.transaction_end)
        else:
            periods[event.period] = _entitlement_row(entry, event, event.outcome, half[1])

    def finish_transaction(self, at: int) -> None:
        """Bring the sums up to the end of the transaction that ends at `at`."""
        change: dict[tuple[str, str, str, str], Totals] = {}
        for half, before in self._before.items():
            after = self._finish_half(half, at)
            for key in before.keys() | after.keys():
                if before.get(key) != after.get(key):
                    total = (key[0], half[1], *key[1:])
                    gained = _minus(after.get(key, NOTHING), before.get(key, NOTHING))
                    change[total] = _plus(change.get(total, NOTHING), gained)
        for total, gained in change.items():
            summed = _plus(_totals(self._totals.get(total)), gained)
            self._totals.put(total, None if summed == NOTHING else summed, at)
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
            self._before[half] = self._contribution(half)

    def _finish_half(self, half: Half, at: int) -> dict[tuple[str, str, str], Totals]:
        uscc, window = half
        registered = self._registered.get(half, {})
        enterprise = latest(registered)
        self._enterprises.put((window, uscc), enterprise, at)
        for policy, periods in self._periods.get(half, {}).items():
            for period, row in periods.items():
                placed = _placed(row, registered, period)
                periods[period] = placed
                self._entitlements.put((uscc, policy, period), placed, at)
            account = None if enterprise is None or not periods else (*enterprise, *_sums(periods))
            self._accounts.put((uscc, window, policy), account, at)
        return self._contribution(half)

    def _contribution(self, half: Half) -> dict[tuple[str, str, str], Totals]:
        """What a half-year adds to the totals, by policy, dimension and key."""
        enterprise = latest(self._registered.get(half, {}))
        added: dict[tuple[str, str, str], Totals] = {}
        for policy, periods in self._periods.get(half, {}).items():
            if enterprise is None or not periods:
                continue
            for period, row in periods.items():
                if row.measure is not None:
                    amounts = _amounts(row)
                    for dimension, key in _groups(period, row):
                        group = (policy, dimension, key)
                        added[group] = _once(added.get(group), amounts)
            measures = ",".join(sorted({row.measure for row in periods.values() if row.measure is not None}))
            sums = _sums(periods)
            added[policy, LIST_DIMENSION, f"{enterprise.region_code}|{measures}"] = (1, *sums[:3], 0, 0)
        return added


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


def _groups(period: str, row: EntitlementRow) -> Iterator[tuple[str, str]]:
    """The groups of the summary that an awarded period counts in."""
    yield "period", period
    yield "measure", row.measure or ""
    yield "region_code", row.region_code or ""
    yield "industry", row.industry or ""


def _amounts(row: EntitlementRow) -> Totals:
    assessed = row.assessed_fen
    preliminary = assessed if row.stage == "preliminary" else 0
    return (
        int(assessed > 0),
        assessed,
        row.open_fen,
        preliminary,
        int(row.month_ceiling),
        int(row.half_year_ceiling),
    )


def _sums(periods: Mapping[str, EntitlementRow]) -> tuple[int, int, int, int]:
    """assessed_fen, open_fen, preliminary_fen and the number of periods."""
    rows = periods.values()
    return (
        sum(row.assessed_fen for row in rows),
        sum(row.open_fen for row in rows),
        sum(row.assessed_fen for row in rows if row.stage == "preliminary"),
        len(periods),
    )


def _once(group: Totals | None, amounts: Totals) -> Totals:
    """The sums of a group with one more period of the same enterprise, which counts once."""
    if group is None:
        return amounts
    summed = _plus(group, amounts)
    return (min(summed[0], 1), *summed[1:])


def _totals(values: tuple[int, ...] | None) -> Totals:
    return NOTHING if values is None else (values[0], values[1], values[2], values[3], values[4], values[5])


def _plus(left: Totals, right: Totals) -> Totals:
    return (
        left[0] + right[0],
        left[1] + right[1],
        left[2] + right[2],
        left[3] + right[3],
        left[4] + right[4],
        left[5] + right[5],
    )


def _minus(left: Totals, right: Totals) -> Totals:
    return _plus(left, (-right[0], -right[1], -right[2], -right[3], -right[4], -right[5]))
