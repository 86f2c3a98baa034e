"""The rows of the half-years that entries touch: what follows from each transaction, in memory."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from domain.errors import LedgerIntegrityError
from domain.events import (
    EntitlementAssessed,
    LedgerEvent,
    LogEntry,
    Outcome,
    PolicyPublished,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
)
from domain.forms import FORMS
from domain.periods import window_name
from projections.history import History
from projections.rows import (
    AccountRow,
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
from projections.tables import ReadModels, policy_set

INDUSTRY_DIGITS = 2

Half = tuple[str, str]
"""An enterprise's half-year: (uscc, window)."""

StateOf = Callable[[str, str, str], bytes]
"""Reads the `state` of an entitlement by enterprise, policy and period."""


class Account:
    """An account under one policy: how it is, and how its periods were before the transaction.

    Attributes:
        periods: What is assessed.
        row: The sums; None without a period.
        listed: The totals of the list in which it counts; None without a period.
        groups: The groups of the summary in which more than 0 is assessed.
        earlier: The periods that the transaction has changed, as they were before it.
    """

    __slots__ = ("earlier", "groups", "listed", "periods", "row")

    def __init__(self) -> None:
        self.periods: Periods = {}
        self.row: AccountRow | None = None
        self.listed: TotalKey | None = None
        self.groups: frozenset[TotalKey] = frozenset()
        self.earlier: dict[str, EntitlementRow | None] = {}

    def change(self, period: str, row: EntitlementRow | None) -> None:
        """Put another row in the place of a period's, or none."""
        self.earlier.setdefault(period, self.periods.get(period))
        if row is None:
            if self.periods.pop(period, None) is None:
                raise LedgerIntegrityError(f"{period}没有测算,却记为不再测算")
        else:
            self.periods[period] = row


class HalfYear:
    """A half-year of an enterprise, under every policy.

    Attributes:
        registered: The standing returns.
        row: Who the enterprise is, as of the end of the last transaction.
        accounts: By policy.
        moved: The periods whose returns the transaction has changed.
    """

    __slots__ = ("accounts", "moved", "registered", "row")

    def __init__(self) -> None:
        self.registered: Registered = {}
        self.row: EnterpriseRow | None = None
        self.accounts: dict[str, Account] = {}
        self.moved: set[str] = set()

    def account(self, policy: str) -> Account:
        """The account under a policy, empty where there was none."""
        found = self.accounts.get(policy)
        if found is None:
            found = self.accounts[policy] = Account()
        return found

    def enterprise_row(self, enterprise: Enterprise | None) -> EnterpriseRow | None:
        """The row of the enterprise as it is now; None without a standing return."""
        if enterprise is None:
            return None
        assessed_by = policy_set(tuple([name for name, account in self.accounts.items() if account.periods]))
        return EnterpriseRow(*enterprise, assessed_by)


class HalfYears:
    """The half-years that entries touch, and the changes to their rows that are not yet written.

    Enterprises, accounts and sums follow from the returns and the entitlements.

    Args:
        models: The tables.
        state_of: Reads what was left out when the half-years were loaded.

    Attributes:
        halves: As they are; one that was never touched is empty.
        known_returns: The returns (uscc, period, form) of which a row holds.
    """

    def __init__(self, models: ReadModels, state_of: StateOf) -> None:
        self._returns = History(models.returns)
        self._enterprises = History(models.enterprises)
        self._entitlements = History(models.entitlements)
        self._accounts = History(models.accounts)
        self._touched: dict[Half, HalfYear] = {}
        self._state_of = state_of
        self.halves: defaultdict[Half, HalfYear] = defaultdict(HalfYear)
        self.known_returns: set[tuple[str, str, str]] = set()

    def apply(self, entry: LogEntry) -> None:
        """Apply the next entry of returns or accounts.

        Raises:
            TypeError: The read models do not know events of its type.
        """
        match entry.event:
            case EntitlementAssessed() as event:
                self._assess(entry, event)
            case ReturnFiled() | ReturnRevised() | ReturnWithdrawn() as event:
                self._register(entry, event)
            case _:
                raise TypeError(f"no read model knows {entry.type} at {entry.position}")

    def _register(self, entry: LogEntry, event: ReturnFiled | ReturnRevised | ReturnWithdrawn) -> None:
        """A return was filed, revised or withdrawn."""
        half = uscc, window = half_of(entry)
        period, form = event.period, event.form
        half_year = self._touch(half)
        half_year.moved.add(period)
        registered = half_year.registered
        if isinstance(event, ReturnWithdrawn):
            enterprise, current_fen = _standing(registered, period, form), None
            del registered[period, form]
        else:
            enterprise = Enterprise(event.name, event.region_code, event.industry_code)
            registered[period, form] = enterprise
            current_fen = event.figures[FORMS[form].required_item].current_fen
        name, region_code, industry_code = enterprise
        row = ReturnRow(
            window,
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
        """A period was assessed differently."""
        half = half_of(entry)
        half_year = self._touch(half)
        outcome = event.outcome
        row = None if outcome is None else _entitlement_row(entry, event, outcome, half[1], half_year)
        half_year.account(event.policy.id).change(event.period, row)

    def finish_transaction(self, at: int) -> SumChanges:
        """Bring the rows up to the end of the transaction that ends at `at`; what changes in the sums."""
        changes = SumChanges()
        for half, half_year in self._touched.items():
            self._finish_half(half, half_year, at, changes)
        self._touched = {}
        return changes

    def flush(self, connection: Connection) -> None:
        """Write the changes."""
        for history in self.histories:
            history.flush(connection)

    @property
    def histories(self) -> tuple[History, History, History, History]:
        """The changes to each table."""
        return self._returns, self._enterprises, self._entitlements, self._accounts

    def _touch(self, half: Half) -> HalfYear:
        found = self._touched[half] = self.halves[half]
        return found

    def _finish_half(self, half: Half, half_year: HalfYear, at: int, changes: SumChanges) -> None:
        uscc, window = half
        enterprise = latest(half_year.registered)
        for policy, account in half_year.accounts.items():
            for period in half_year.moved:
                self._place(uscc, policy, period, half_year, account)
            self._finish_account(half, policy, account, enterprise, at, changes)
        row = half_year.enterprise_row(enterprise)
        if row != half_year.row:
            self._enterprises.replace((window, uscc), row, at, held=half_year.row is not None)
            changes.filed(window, half_year.row, -1)
            changes.filed(window, row, 1)
            half_year.row = row
        half_year.moved.clear()

    def _place(self, uscc: str, policy: str, period: str, half_year: HalfYear, account: Account) -> None:
        """Give a period the region and industry that its winning return has now."""
        row = account.periods.get(period)
        if row is None or row.form is None:
            return
        winner = _standing(half_year.registered, period, row.form)
        industry = winner.industry_code[:INDUSTRY_DIGITS]
        if row.region_code == winner.region_code and row.industry == industry:
            return
        state = row.state if row.state is not None else self._state_of(uscc, policy, period)
        account.change(period, row._replace(region_code=winner.region_code, industry=industry, state=state))

    def _finish_account(  # noqa: PLR0913, PLR0917 - an account, and where its changes go
        self,
        half: Half,
        policy: str,
        account: Account,
        enterprise: Enterprise | None,
        at: int,
        changes: SumChanges,
    ) -> None:
        uscc, window = half
        periods, before = account.periods, account.row
        is_changed = False
        for period, was in account.earlier.items():
            now = periods.get(period)
            if now is not was:
                is_changed = True
                self._entitlements.replace((uscc, policy, period), now, at, held=was is not None)
                changes.grouped(policy, period, was, -1)
                changes.grouped(policy, period, now, 1)
        row = account_row(enterprise, periods)
        if is_changed or row != before:
            listed = list_key(policy, window, row, periods)
            changes.listed(account.listed, before, -1)
            changes.listed(listed, row, 1)
            account.listed = listed
        if row != before:
            self._accounts.replace((policy, window, uscc), row, at, held=before is not None)
            account.row = row
        if is_changed:
            groups = assessed_groups(policy, periods)
            changes.enterprises(account.groups, groups)
            account.groups = groups
        account.earlier = {}


def _standing(registered: Registered, period: str, form: str) -> Enterprise:
    """The return that stands.

    Raises:
        LedgerIntegrityError: None does, which only a log that was altered says of one that is needed.
    """
    found = registered.get((period, form))
    if found is None:
        raise LedgerIntegrityError(f"{period}没有有效的{form}登记")
    return found


def half_of(entry: LogEntry) -> Half:
    """The half-year that an entry belongs to.

    Raises:
        TypeError: It belongs to none.
    """
    event = entry.event
    if isinstance(event, PolicyPublished | LedgerEvent):
        raise TypeError(f"{entry.type} belongs to no half-year")
    if isinstance(event, EntitlementAssessed):
        _, _, uscc, window = entry.stream.split("/")
        return uscc, window
    return entry.stream.split("/", 2)[1], window_name(event.period)


def _entitlement_row(
    entry: LogEntry, event: EntitlementAssessed, outcome: Outcome, window: str, half_year: HalfYear
) -> EntitlementRow:
    form: str | None = None
    region_code: str | None = None
    industry: str | None = None
    for each in outcome.measures:
        if each.measure == outcome.measure:
            form = each.form
            winner = _standing(half_year.registered, event.period, form)
            region_code, industry = winner.region_code, winner.industry_code[:INDUSTRY_DIGITS]
    values: tuple[Any, ...] = (
        window,
        outcome.stage,
        outcome.status,
        outcome.measure,
        form,
        outcome.assessed_fen,
        outcome.open_fen,
        outcome.selected_fen < outcome.rule_fen,
        outcome.assessed_fen < outcome.selected_fen,
        region_code,
        industry,
        entry.state,
        entry.position,
    )
    return EntitlementRow._make(values)
