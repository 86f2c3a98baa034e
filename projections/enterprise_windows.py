"""The rows of the windows that entries touch: each transaction changes them in memory."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection

from domain.errors import LedgerIntegrityError
from domain.events import (
    AnyEvent,
    EnterpriseEvent,
    EntitlementAssessed,
    LogEntry,
    Outcome,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    UnreadableEvent,
    account_stream,
)
from domain.forms import FORMS
from domain.money import FEN_LIMIT
from domain.periods import PeriodError, is_window, period_of, window_of
from domain.policy.policy import MOST_ACCOUNT_FEN
from domain.text import is_storable_text
from domain.words import CEILINGS
from projections.account_windows import AccountWindows
from projections.policies import MISPLACED
from projections.rows import (
    AccountRow,
    DisputeKey,
    DisputeRow,
    Enterprise,
    EnterpriseRow,
    EntitlementRow,
    Periods,
    Registered,
    ReturnRow,
    account_row,
    latest,
)
from projections.sums import SumChanges, TotalKey, assessed_groups, list_key
from projections.tables import FOREVER, ReadModels, limit_set, policy_set
from projections.temporal_rows import TemporalTable

INDUSTRY_DIGITS = 2

TOO_LARGE: Final = "金额超出可以合计的范围"
"""The reason why an account under an old policy with a very high ceiling counts in no sum."""

WindowKey = tuple[str, str]
"""A window of an enterprise: (uscc, window); the window is "" if an event does not say it."""

StateOf = Callable[[str, str, str, str], bytes]
"""Reads the `state` of an entitlement by enterprise, policy, window and period."""


class Account:
    """An account under one policy: its current state, and the state of its periods before the transaction.

    Attributes:
        periods: The rows of the assessed periods.
        row: The sums of the account; None without a period.
        listed: The key of the list's totals that the account counts in; None without a period.
        groups: The groups of the summary in which its assessed amount is above 0.
        earlier: The earlier rows of the periods that the transaction has changed; None for no row.
        is_disputed: Whether the log contradicts the account: then it counts in no sum.
    """

    __slots__ = ("earlier", "groups", "is_disputed", "listed", "periods", "row")

    def __init__(self) -> None:
        self.periods: Periods = {}
        self.row: AccountRow | None = None
        self.listed: TotalKey | None = None
        self.groups: frozenset[TotalKey] = frozenset()
        self.earlier: dict[str, EntitlementRow | None] = {}
        self.is_disputed = False

    def change(self, period: str, row: EntitlementRow | None) -> None:
        """Replace the row of a period; None removes it.

        Raises:
            LedgerIntegrityError: The row to remove does not exist.
        """
        if row is None and period not in self.periods:
            raise LedgerIntegrityError(f"{period}没有测算，却记为不再测算")
        self.earlier.setdefault(period, self.periods.get(period))
        if row is None:
            del self.periods[period]
        else:
            self.periods[period] = row

    def before_transaction(self) -> Periods:
        """The rows of the periods before the transaction."""
        before = {**self.periods, **self.earlier}
        return {period: row for period, row in before.items() if row is not None}


class EnterpriseWindow:
    """A window of an enterprise, under every policy with accounts of this window.

    Args:
        periods: The periods of the window, the latest first; none if an event does not say the window.
        registered: The standing returns of the enterprise, of all loaded windows.

    Attributes:
        periods: The periods of the window.
        registered: The standing returns.
        row: The row of the enterprise at the end of the last transaction.
        accounts: The accounts by policy.
        moved: The periods whose returns the transaction has changed, each with the last entry about it.
        disputes: The entries that contradict the read models.
        disputes_before: The disputes before the transaction.
    """

    __slots__ = ("accounts", "disputes", "disputes_before", "moved", "periods", "registered", "row")

    def __init__(self, periods: Sequence[str], registered: Registered) -> None:
        self.periods = periods
        self.registered = registered
        self.row: EnterpriseRow | None = None
        self.accounts: dict[str, Account] = {}
        self.moved: dict[str, LogEntry] = {}
        self.disputes: dict[DisputeKey, DisputeRow] = {}
        self.disputes_before: dict[DisputeKey, DisputeRow] = {}

    def account(self, policy: str) -> Account:
        """The account under a policy; a new one is empty."""
        found = self.accounts.get(policy)
        if found is None:
            found = self.accounts[policy] = Account()
        return found

    def enterprise_row(self, enterprise: Enterprise | None) -> EnterpriseRow | None:
        """The current row of the enterprise; None without a standing return."""
        if enterprise is None:
            return None
        assessed_by = policy_set(tuple([name for name, account in self.accounts.items() if account.periods]))
        return EnterpriseRow(*enterprise, assessed_by)

    def dispute(self, entry: LogEntry, reason: str, *, policy: str, period: str) -> None:
        """Note that an entry contradicts the read models."""
        row = DisputeRow(entry.stream, entry.type, printable(period), printable(reason))
        self.disputes.setdefault(DisputeKey(policy, entry.position), row)

    def settle(self, policy: str, period: str) -> None:
        """Drop the disputes about a period of an account, which has a new assessment."""
        for key, row in list(self.disputes.items()):
            if key.policy == policy and row.period == period:
                del self.disputes[key]

    def judge_sum(self, policy: str, stream: str, account: Account, row: AccountRow | None) -> None:
        """Note whether the amount of an account is too large for the sums."""
        noted = [
            key
            for key, dispute in self.disputes.items()
            if key.policy == policy and dispute.reason == TOO_LARGE
        ]
        if row is None or row.assessed_fen <= MOST_ACCOUNT_FEN:
            for key in noted:
                del self.disputes[key]
        elif not noted:
            position = max(period.position for period in account.periods.values())
            self.disputes[DisputeKey(policy, position)] = DisputeRow(
                stream, EntitlementAssessed.__name__, "", TOO_LARGE
            )

    def is_disputed(self, policy: str) -> bool:
        """Whether the log contradicts an account, or the returns that all accounts of the window rest on."""
        return any(key.policy in {"", policy} for key in self.disputes)


class EnterpriseWindows:
    """The windows that entries touch, and the changes to their rows that are not yet written.

    The rows of enterprises, accounts and sums follow from the returns and the entitlements.

    Args:
        models: The tables.
        windows: The windows that a period counts in.
        state_of: Reads the `state` that was not loaded with a window.

    Attributes:
        registered: The standing returns of each enterprise, of all loaded windows.
        known_returns: The keys (uscc, period, form) of the returns that have a row in force.
    """

    def __init__(self, models: ReadModels, windows: AccountWindows, state_of: StateOf) -> None:
        self._returns = TemporalTable(models.returns)
        self._enterprises = TemporalTable(models.enterprises)
        self._entitlements = TemporalTable(models.entitlements)
        self._accounts = TemporalTable(models.accounts)
        self._disagreements = TemporalTable(models.disagreements)
        self._account_windows = windows
        self._touched: dict[WindowKey, EnterpriseWindow] = {}
        self._state_of = state_of
        self._windows: defaultdict[str, dict[str, EnterpriseWindow]] = defaultdict(dict)
        self.registered: defaultdict[str, Registered] = defaultdict(dict)
        self.known_returns: set[tuple[str, str, str]] = set()

    def window(self, uscc: str, text: str) -> EnterpriseWindow:
        """A window of an enterprise."""
        windows = self._windows[uscc]
        found = windows.get(text)
        if found is None:
            found = windows[text] = EnterpriseWindow(_latest_first(text), self.registered[uscc])
        return found

    def apply(self, entry: LogEntry) -> None:
        """Apply the next entry of returns or accounts; if it contradicts the rows, note a dispute."""
        try:
            match entry.event:
                case EntitlementAssessed() as event:
                    self._assess(entry, event)
                case ReturnFiled() | ReturnRevised() | ReturnWithdrawn() as event:
                    self._register(entry, event)
                case UnreadableEvent(reason):
                    self._dispute(entry, reason)
                case _:
                    self._dispute(entry, MISPLACED)
        except (LedgerIntegrityError, PeriodError) as error:
            self._dispute(entry, str(error))

    def _dispute(self, entry: LogEntry, reason: str) -> None:
        for key in touched_windows(entry, self._account_windows, at=entry.position):
            policy = entry.stream.split("/")[1] if entry.stream.startswith("entitlement/") else ""
            self._touch(key).dispute(entry, reason, policy=policy, period=period_text(entry.event))

    def _register(self, entry: LogEntry, event: ReturnFiled | ReturnRevised | ReturnWithdrawn) -> None:
        """Apply a return that was filed, revised or withdrawn."""
        period, form = event.period, event.form
        uscc, year = _returns_place(entry.stream)
        registered = self.registered[uscc]
        windows = self._account_windows.of_period(period, at=entry.position)
        if year != str(period_of(period).year) or form not in FORMS:
            raise LedgerIntegrityError(MISPLACED)
        if isinstance(event, ReturnWithdrawn):
            enterprise, current_fen = _standing(registered, period, form), None
        else:
            enterprise = Enterprise(event.name, event.region_code, event.industry_code)
            current_fen = _current_fen(event)
            if not is_storable_text(event.name + event.region_code + event.industry_code):
                raise LedgerIntegrityError("含有数据库不能保存的文字")
        contradiction = _contradiction(event, registered)
        for window in windows:
            touched = self._touch((uscc, window))
            touched.moved[period] = entry
            if contradiction is not None:
                touched.dispute(entry, contradiction, policy="", period=period)
        if isinstance(event, ReturnWithdrawn):
            del registered[period, form]
        else:
            registered[period, form] = enterprise
        name, region_code, industry_code = enterprise
        row = ReturnRow(
            entry.type,
            name,
            region_code,
            industry_code,
            entry.version,
            current_fen,
            entry.actor,
            entry.recorded_at_us,
            entry.position,
            entry.state,
        )
        key = (uscc, period, form)
        self._returns.replace(key, row, entry.transaction_end, held=key in self.known_returns)
        self.known_returns.add(key)

    def _assess(self, entry: LogEntry, event: EntitlementAssessed) -> None:
        """Apply a new assessment of a period."""
        policy, uscc, window = _account_place(entry.stream)
        windows = self._account_windows.of_period(event.period, at=entry.position)
        if policy != event.policy.id or window not in windows:
            raise LedgerIntegrityError(MISPLACED)
        touched = self._touch((uscc, window))
        outcome = event.outcome
        row = None if outcome is None else _entitlement_row(entry, event, outcome, touched)
        touched.account(policy).change(event.period, row)
        if touched.disputes:
            touched.settle(policy, event.period)
        if row is not None and row.measure is not None and row.region_code is None:
            reason = f"{event.period}的奖励没有有效的数据登记可依"
            touched.dispute(entry, reason, policy=policy, period=event.period)

    def finish_transaction(self, at: int) -> SumChanges:
        """Bring the rows up to the end of the transaction at `at`, and return the changes to the sums."""
        changes = SumChanges()
        for key, touched in self._touched.items():
            self._finish_window(key, touched, at, changes)
        self._touched = {}
        return changes

    def flush(self, connection: Connection) -> None:
        """Write the changes."""
        for history in self.histories:
            history.flush(connection)

    @property
    def histories(self) -> tuple[TemporalTable, ...]:
        """The changes to each table."""
        return self._returns, self._enterprises, self._entitlements, self._accounts, self._disagreements

    def _touch(self, key: WindowKey) -> EnterpriseWindow:
        found = self._touched[key] = self.window(*key)
        return found

    def _finish_window(self, key: WindowKey, touched: EnterpriseWindow, at: int, changes: SumChanges) -> None:
        uscc, window = key
        enterprise = latest(touched.registered, touched.periods)
        for policy, account in touched.accounts.items():
            for period, entry in touched.moved.items():
                self._place(key, policy, period, touched, account, entry)
            self._finish_account(key, policy, account, touched, enterprise, at, changes)
        row = touched.enterprise_row(enterprise)
        if row != touched.row:
            self._enterprises.replace((window, uscc), row, at, held=touched.row is not None)
            changes.filed(window, touched.row, -1)
            changes.filed(window, row, 1)
            touched.row = row
        if touched.disputes != touched.disputes_before:
            self._finish_disputes(key, touched, at)
        touched.moved.clear()

    def _finish_disputes(self, key: WindowKey, touched: EnterpriseWindow, at: int) -> None:
        uscc, window = key
        before, now = touched.disputes_before, touched.disputes
        for dispute in sorted({*before, *now}):
            if before.get(dispute) != now.get(dispute):
                place = (uscc, window, *dispute)
                self._disagreements.replace(place, now.get(dispute), at, held=dispute in before)
        touched.disputes_before = dict(now)

    def _place(  # noqa: PLR0913, PLR0917 - a period, and the entry that changed its returns
        self,
        key: WindowKey,
        policy: str,
        period: str,
        touched: EnterpriseWindow,
        account: Account,
        entry: LogEntry,
    ) -> None:
        """Give a period the current region and industry of its winning return.

        A period whose return was withdrawn without a new assessment keeps its last outcome, disputed.
        """
        row = account.periods.get(period)
        if row is None:
            return
        if row.form is None:
            if not any((period, form) in touched.registered for form in FORMS):
                touched.dispute(entry, _unassessed(period), policy=policy, period=period)
            return
        winner = touched.registered.get((period, row.form))
        if winner is None:
            touched.dispute(entry, _unassessed(period), policy=policy, period=period)
            return
        industry = winner.industry_code[:INDUSTRY_DIGITS]
        if row.region_code == winner.region_code and row.industry == industry:
            return
        state = row.state if row.state is not None else self._state_of(key[0], policy, key[1], period)
        account.change(period, row._replace(region_code=winner.region_code, industry=industry, state=state))

    def _finish_account(  # noqa: PLR0913, PLR0917 - an account, and where its changes go
        self,
        key: WindowKey,
        policy: str,
        account: Account,
        touched: EnterpriseWindow,
        enterprise: Enterprise | None,
        at: int,
        changes: SumChanges,
    ) -> None:
        uscc, window = key
        periods, before = account.periods, account.row
        is_changed = False
        for period, was in account.earlier.items():
            now = periods.get(period)
            if now is not was:
                is_changed = True
                self._entitlements.replace((uscc, policy, window, period), now, at, held=was is not None)
        row = account_row(enterprise, periods)
        if touched.disputes or (row is not None and row.assessed_fen > MOST_ACCOUNT_FEN):
            touched.judge_sum(policy, account_stream(policy, uscc, window), account, row)
        is_disputed = bool(touched.disputes) and touched.is_disputed(policy)
        if is_disputed or account.is_disputed:
            self._count_disputed(key, policy, account, changes, is_disputed=is_disputed, row=row)
        else:
            for period, was in account.earlier.items():
                now = periods.get(period)
                if now is not was:
                    changes.grouped(policy, key[1], period, was, -1)
                    changes.grouped(policy, key[1], period, now, 1)
            if is_changed or row != before:
                listed = list_key(policy, window, row, periods)
                changes.listed(account.listed, before, -1)
                changes.listed(listed, row, 1)
                account.listed = listed
            if is_changed:
                groups = assessed_groups(policy, window, periods)
                changes.enterprises(account.groups, groups)
                account.groups = groups
        if row != before:
            self._accounts.replace((policy, window, uscc), row, at, held=before is not None)
            account.row = row
        account.earlier = {}

    @staticmethod
    def _count_disputed(  # noqa: PLR0913 - an account before and after
        key: WindowKey,
        policy: str,
        account: Account,
        changes: SumChanges,
        *,
        is_disputed: bool,
        row: AccountRow | None,
    ) -> None:
        """Remove an account from the sums when it becomes disputed, and add it again when it no longer is."""
        if not account.is_disputed:
            for period, was in account.before_transaction().items():
                changes.grouped(policy, key[1], period, was, -1)
        if not is_disputed:
            for period, now in account.periods.items():
                changes.grouped(policy, key[1], period, now, 1)
        listed = None if is_disputed else list_key(policy, key[1], row, account.periods)
        groups = frozenset[TotalKey]() if is_disputed else assessed_groups(policy, key[1], account.periods)
        changes.listed(account.listed, account.row, -1)
        changes.listed(listed, row, 1)
        changes.enterprises(account.groups, groups)
        account.listed, account.groups, account.is_disputed = listed, groups, is_disputed


@lru_cache(maxsize=4096)
def _latest_first(window: str) -> tuple[str, ...]:
    """The periods of a window, the latest first; none of the window "" of an event that does not say it."""
    return tuple(map(str, reversed(window_of(window).periods))) if window else ()


def _unassessed(period: str) -> str:
    return f"{period}的数据登记已撤销，其测算没有重新进行"


def _standing(registered: Registered, period: str, form: str) -> Enterprise:
    """The standing return.

    Raises:
        LedgerIntegrityError: There is none, which happens only if the log was altered.
    """
    found = registered.get((period, form))
    if found is None:
        raise LedgerIntegrityError(f"{period}没有有效的{form}登记")
    return found


def _returns_place(stream: str) -> tuple[str, str]:
    """The enterprise and the year of a stream of returns.

    Raises:
        LedgerIntegrityError: The stream is not one of returns.
    """
    parts = stream.split("/")
    if len(parts) != 3 or parts[0] != "returns":  # noqa: PLR2004 - returns/{uscc}/{year}
        raise LedgerIntegrityError(MISPLACED)
    return parts[1], parts[2]


def _account_place(stream: str) -> tuple[str, str, str]:
    """The policy, the enterprise and the window of an account's stream.

    Raises:
        LedgerIntegrityError: The stream is not one of an account.
    """
    parts = stream.split("/")
    if len(parts) != 4 or parts[0] != "entitlement":  # noqa: PLR2004 - entitlement/{policy}/{uscc}/{window}
        raise LedgerIntegrityError(MISPLACED)
    return parts[1], parts[2], parts[3]


def is_of_enterprise(stream: str) -> bool:
    """Whether a stream belongs to an enterprise, by the beginning of its name."""
    return stream.startswith("returns/") or (stream.startswith("entitlement/") and stream.count("/") > 1)


def touched_windows(entry: LogEntry, windows: AccountWindows, *, at: int = FOREVER) -> list[WindowKey]:
    """The windows that an entry of an enterprise touches: all of its year if it does not say the period.

    Args:
        entry: The entry.
        windows: The windows that a period counts in.
        at: Only versions published before this position count.
    """
    kind, *rest = entry.stream.split("/")
    if kind == "entitlement":
        uscc, window = rest[1], rest[2] if len(rest) > 2 else ""  # noqa: PLR2004 - policy, enterprise, window
        return [(uscc, window if windows.has(window, at=at) else "")]
    period = period_text(entry.event)
    if period:
        with suppress(PeriodError):
            return [(rest[0], window) for window in windows.of_period(period, at=at)]
    year = window_of(rest[1]) if len(rest) > 1 and is_window(rest[1]) else None
    every = () if year is None else windows.of_year(year.first_year, at=at)
    return [(rest[0], window) for window in every] or [(rest[0], "")]


def _contradiction(
    event: ReturnFiled | ReturnRevised | ReturnWithdrawn, registered: Registered
) -> str | None:
    """Why an event contradicts the standing returns; None if it does not."""
    standing = (event.period, event.form) in registered
    if isinstance(event, ReturnFiled) and standing:
        return f"{event.period}的{event.form}已有登记，却又新登记"
    if isinstance(event, ReturnRevised) and not standing:
        return f"{event.period}没有有效的{event.form}登记，却记为更正"
    return None


def period_text(event: AnyEvent) -> str:
    """The period that an event names; "" if it names none."""
    return event.period if isinstance(event, EnterpriseEvent) and is_storable_text(event.period) else ""


def printable(text: str) -> str:
    """A text with `?` for each character that a database cannot store or a terminal cannot show."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _current_fen(event: ReturnFiled | ReturnRevised) -> int | None:
    """The current figure of the required item, in fen.

    Raises:
        LedgerIntegrityError: The item is missing, or its figure is too large.
    """
    figure = event.figures.get(FORMS[event.form].required_item)
    if figure is None:
        raise LedgerIntegrityError("缺少必报指标")
    if figure.current_fen is not None and abs(figure.current_fen) >= FEN_LIMIT:
        raise LedgerIntegrityError("数值超出范围")
    return figure.current_fen


def _entitlement_row(
    entry: LogEntry, event: EntitlementAssessed, outcome: Outcome, touched: EnterpriseWindow
) -> EntitlementRow:
    """The row of an outcome; region and industry are None without a standing return of the winning measure.

    Raises:
        LedgerIntegrityError: An amount is out of range, or a limit is unknown.
    """
    amounts = (outcome.open_fen, outcome.assessed_fen, outcome.selected_fen)
    if outcome.open_fen > outcome.assessed_fen or not all(
        0 <= amount_fen < FEN_LIMIT for amount_fen in amounts
    ):
        raise LedgerIntegrityError("金额超出范围")
    if not CEILINGS.keys() >= set(outcome.capped_by):
        raise LedgerIntegrityError("核减金额的上限无法识别")
    form: str | None = None
    region_code: str | None = None
    industry: str | None = None
    for award in outcome.measures:
        if award.measure == outcome.measure:
            form = award.form
            winner = touched.registered.get((event.period, form))
            if winner is not None:
                region_code, industry = winner.region_code, winner.industry_code[:INDUSTRY_DIGITS]
    values: tuple[Any, ...] = (
        outcome.stage,
        outcome.status,
        outcome.measure,
        form,
        outcome.assessed_fen,
        outcome.open_fen,
        outcome.selected_fen,
        limit_set(outcome.capped_by),
        region_code,
        industry,
        entry.state,
        entry.position,
    )
    return EntitlementRow._make(values)
