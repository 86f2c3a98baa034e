"""The rows of the half-years that entries touch: what follows from each transaction, in memory."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
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
from domain.periods import PeriodError, is_window, window_name
from domain.policy.policy import MOST_ACCOUNT_FEN
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
from projections.tables import ReadModels, policy_set
from projections.temporal_rows import TemporalTable

INDUSTRY_DIGITS = 2

TOO_LARGE: Final = "金额超出可以合计的范围"
"""Why an account that was assessed by an old policy with a very high ceiling counts in no sum."""

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
        is_disputed: Whether the log contradicts it: then no sum counts it.
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
        """Put another row in the place of a period's, or none.

        Raises:
            LedgerIntegrityError: There is none to be taken away.
        """
        if row is None and period not in self.periods:
            raise LedgerIntegrityError(f"{period}没有测算，却记为不再测算")
        self.earlier.setdefault(period, self.periods.get(period))
        if row is None:
            del self.periods[period]
        else:
            self.periods[period] = row

    def before_transaction(self) -> Periods:
        """The periods as they were before the transaction."""
        before = {**self.periods, **self.earlier}
        return {period: row for period, row in before.items() if row is not None}


class HalfYear:
    """A half-year of an enterprise, under every policy.

    Attributes:
        registered: The standing returns.
        row: Who the enterprise is, as of the end of the last transaction.
        accounts: By policy.
        moved: The periods whose returns the transaction has changed, each with the last entry about it.
        disputes: What the log says and the read models cannot follow.
        disputes_before: The same before the transaction, with the values of their rows.
    """

    __slots__ = ("accounts", "disputes", "disputes_before", "moved", "registered", "row")

    def __init__(self) -> None:
        self.registered: Registered = {}
        self.row: EnterpriseRow | None = None
        self.accounts: dict[str, Account] = {}
        self.moved: dict[str, LogEntry] = {}
        self.disputes: dict[DisputeKey, DisputeRow] = {}
        self.disputes_before: dict[DisputeKey, DisputeRow] = {}

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

    def dispute(self, entry: LogEntry, reason: str, *, policy: str, period: str) -> None:
        """Note that an entry cannot be followed."""
        row = DisputeRow(entry.stream, entry.type, printable(period), printable(reason))
        self.disputes.setdefault(DisputeKey(policy, entry.position), row)

    def settle(self, policy: str, period: str) -> None:
        """Drop what was noted of a period of an account, which is assessed anew."""
        for key, row in list(self.disputes.items()):
            if key.policy == policy and row.period == period:
                del self.disputes[key]

    def judge_sum(self, policy: str, stream: str, account: Account, row: AccountRow | None) -> None:
        """Note that an account has more than any sum can hold, or no longer has."""
        noted = [
            key for key, each in self.disputes.items() if key.policy == policy and each.reason == TOO_LARGE
        ]
        if row is None or row.assessed_fen <= MOST_ACCOUNT_FEN:
            for key in noted:
                del self.disputes[key]
        elif not noted:
            position = max(each.position for each in account.periods.values())
            self.disputes[DisputeKey(policy, position)] = DisputeRow(
                stream, EntitlementAssessed.__name__, "", TOO_LARGE
            )

    def is_disputed(self, policy: str) -> bool:
        """Whether the log contradicts an account, or what all accounts of the half-year rest on."""
        return any(key.policy in {"", policy} for key in self.disputes)


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
        self._returns = TemporalTable(models.returns)
        self._enterprises = TemporalTable(models.enterprises)
        self._entitlements = TemporalTable(models.entitlements)
        self._accounts = TemporalTable(models.accounts)
        self._disagreements = TemporalTable(models.disagreements)
        self._touched: dict[Half, HalfYear] = {}
        self._state_of = state_of
        self.halves: defaultdict[Half, HalfYear] = defaultdict(HalfYear)
        self.known_returns: set[tuple[str, str, str]] = set()

    def apply(self, entry: LogEntry) -> None:
        """Apply the next entry of returns or accounts; note what cannot be followed."""
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
        for half in halves_of(entry):
            policy = entry.stream.split("/")[1] if entry.stream.startswith("entitlement/") else ""
            self._touch(half).dispute(entry, reason, policy=policy, period=period_text(entry.event))

    def _register(self, entry: LogEntry, event: ReturnFiled | ReturnRevised | ReturnWithdrawn) -> None:
        """A return was filed, revised or withdrawn."""
        period, form = event.period, event.form
        uscc, year = _returns_place(entry.stream)
        window = window_name(period)
        half = (uscc, window)
        registered = self.halves[half].registered
        if year != period[:4] or form not in FORMS:
            raise LedgerIntegrityError(MISPLACED)
        if isinstance(event, ReturnWithdrawn):
            enterprise, current_fen = _standing(registered, period, form), None
        else:
            enterprise = Enterprise(event.name, event.region_code, event.industry_code)
            current_fen = _current_fen(event)
            if not is_storable(event.name + event.region_code + event.industry_code):
                raise LedgerIntegrityError("含有数据库不能保存的文字")
        half_year = self._touch(half)
        half_year.moved[period] = entry
        if isinstance(event, ReturnFiled) and (period, form) in registered:
            half_year.dispute(entry, f"{period}的{form}已有登记，却又新登记", policy="", period=period)
        elif isinstance(event, ReturnRevised) and (period, form) not in registered:
            half_year.dispute(entry, f"{period}没有有效的{form}登记，却记为更正", policy="", period=period)
        if isinstance(event, ReturnWithdrawn):
            del registered[period, form]
        else:
            registered[period, form] = enterprise
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
        policy, uscc, window = _account_place(entry.stream)
        if policy != event.policy.id or window != window_name(event.period):
            raise LedgerIntegrityError(MISPLACED)
        half_year = self._touch((uscc, window))
        outcome = event.outcome
        row = None if outcome is None else _entitlement_row(entry, event, outcome, window, half_year)
        half_year.account(policy).change(event.period, row)
        if half_year.disputes:
            half_year.settle(policy, event.period)
        if row is not None and row.measure is not None and row.region_code is None:
            reason = f"{event.period}的奖励没有有效的数据登记可依"
            half_year.dispute(entry, reason, policy=policy, period=event.period)

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
    def histories(self) -> tuple[TemporalTable, ...]:
        """The changes to each table."""
        return self._returns, self._enterprises, self._entitlements, self._accounts, self._disagreements

    def _touch(self, half: Half) -> HalfYear:
        found = self._touched[half] = self.halves[half]
        return found

    def _finish_half(self, half: Half, half_year: HalfYear, at: int, changes: SumChanges) -> None:
        uscc, window = half
        enterprise = latest(half_year.registered)
        for policy, account in half_year.accounts.items():
            for period, entry in half_year.moved.items():
                self._place(uscc, policy, period, half_year, account, entry)
            self._finish_account(half, policy, account, half_year, enterprise, at, changes)
        row = half_year.enterprise_row(enterprise)
        if row != half_year.row:
            self._enterprises.replace((window, uscc), row, at, held=half_year.row is not None)
            changes.filed(window, half_year.row, -1)
            changes.filed(window, row, 1)
            half_year.row = row
        if half_year.disputes != half_year.disputes_before:
            self._finish_disputes(half, half_year, at)
        half_year.moved.clear()

    def _finish_disputes(self, half: Half, half_year: HalfYear, at: int) -> None:
        uscc, window = half
        before, now = half_year.disputes_before, half_year.disputes
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                place = (uscc, window, *key)
                self._disagreements.replace(place, now.get(key), at, held=key in before)
        half_year.disputes_before = dict(now)

    def _place(  # noqa: PLR0913, PLR0917 - a period, and the entry that changed its returns
        self, uscc: str, policy: str, period: str, half_year: HalfYear, account: Account, entry: LogEntry
    ) -> None:
        """Give a period the region and industry that its winning return has now.

        A period whose return was withdrawn and that nobody assessed again keeps its last outcome, disputed.
        """
        row = account.periods.get(period)
        if row is None:
            return
        if row.form is None:
            if not any((period, form) in half_year.registered for form in FORMS):
                half_year.dispute(entry, _unassessed(period), policy=policy, period=period)
            return
        winner = half_year.registered.get((period, row.form))
        if winner is None:
            half_year.dispute(entry, _unassessed(period), policy=policy, period=period)
            return
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
        half_year: HalfYear,
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
        row = account_row(enterprise, periods)
        if half_year.disputes or (row is not None and row.assessed_fen > MOST_ACCOUNT_FEN):
            half_year.judge_sum(policy, account_stream(policy, uscc, window), account, row)
        is_disputed = bool(half_year.disputes) and half_year.is_disputed(policy)
        if is_disputed or account.is_disputed:
            self._count_disputed(half, policy, account, changes, is_disputed=is_disputed, row=row)
        else:
            for period, was in account.earlier.items():
                now = periods.get(period)
                if now is not was:
                    changes.grouped(policy, period, was, -1)
                    changes.grouped(policy, period, now, 1)
            if is_changed or row != before:
                listed = list_key(policy, window, row, periods)
                changes.listed(account.listed, before, -1)
                changes.listed(listed, row, 1)
                account.listed = listed
            if is_changed:
                groups = assessed_groups(policy, periods)
                changes.enterprises(account.groups, groups)
                account.groups = groups
        if row != before:
            self._accounts.replace((policy, window, uscc), row, at, held=before is not None)
            account.row = row
        account.earlier = {}

    @staticmethod
    def _count_disputed(  # noqa: PLR0913 - an account before and after
        half: Half,
        policy: str,
        account: Account,
        changes: SumChanges,
        *,
        is_disputed: bool,
        row: AccountRow | None,
    ) -> None:
        """Count an account that is or was disputed out of the sums, or in again."""
        if not account.is_disputed:
            for period, was in account.before_transaction().items():
                changes.grouped(policy, period, was, -1)
        if not is_disputed:
            for period, now in account.periods.items():
                changes.grouped(policy, period, now, 1)
        listed = None if is_disputed else list_key(policy, half[1], row, account.periods)
        groups = frozenset[TotalKey]() if is_disputed else assessed_groups(policy, account.periods)
        changes.listed(account.listed, account.row, -1)
        changes.listed(listed, row, 1)
        changes.enterprises(account.groups, groups)
        account.listed, account.groups, account.is_disputed = listed, groups, is_disputed


def _unassessed(period: str) -> str:
    return f"{period}的数据登记已撤销，其测算没有重新进行"


def _standing(registered: Registered, period: str, form: str) -> Enterprise:
    """The return that stands.

    Raises:
        LedgerIntegrityError: None does, which only a log that was altered says of one that is needed.
    """
    found = registered.get((period, form))
    if found is None:
        raise LedgerIntegrityError(f"{period}没有有效的{form}登记")
    return found


def _returns_place(stream: str) -> tuple[str, str]:
    """Enterprise and year of a stream of returns.

    Raises:
        LedgerIntegrityError: It is none.
    """
    parts = stream.split("/")
    if len(parts) != 3 or parts[0] != "returns":  # noqa: PLR2004 - returns/{uscc}/{year}
        raise LedgerIntegrityError(MISPLACED)
    return parts[1], parts[2]


def _account_place(stream: str) -> tuple[str, str, str]:
    """Policy, enterprise and window of an account's stream.

    Raises:
        LedgerIntegrityError: It is none.
    """
    parts = stream.split("/")
    if len(parts) != 4 or parts[0] != "entitlement":  # noqa: PLR2004 - entitlement/{policy}/{uscc}/{window}
        raise LedgerIntegrityError(MISPLACED)
    return parts[1], parts[2], parts[3]


def is_of_enterprise(stream: str) -> bool:
    """Whether a stream is read with those of an enterprise, by how its name begins."""
    return stream.startswith("returns/") or (stream.startswith("entitlement/") and stream.count("/") > 1)


def halves_of(entry: LogEntry) -> list[Half]:
    """The half-years that an entry of an enterprise is about: both of a year where it does not say which."""
    kind, *rest = entry.stream.split("/")
    if kind == "entitlement":
        uscc, window = rest[1], rest[2] if len(rest) > 2 else ""  # noqa: PLR2004 - policy, enterprise, window
        return [(uscc, window if is_window(window) else "")]
    period = period_text(entry.event)
    if period:
        with suppress(PeriodError):
            return [(rest[0], window_name(period))]
    both = [f"{rest[1]}H{half}" for half in (1, 2)] if len(rest) > 1 else []
    return [(rest[0], window) for window in both if is_window(window)] or [(rest[0], "")]


def period_text(event: AnyEvent) -> str:
    """The period that an event names; "" if it names none."""
    return event.period if isinstance(event, EnterpriseEvent) and is_storable(event.period) else ""


def printable(text: str) -> str:
    """A text as every database can hold it and every terminal can show it."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _current_fen(event: ReturnFiled | ReturnRevised) -> int | None:
    """The required item.

    Raises:
        LedgerIntegrityError: It is not reported, or is more than any figure.
    """
    figure = event.figures.get(FORMS[event.form].required_item)
    if figure is None:
        raise LedgerIntegrityError("缺少必报指标")
    if figure.current_fen is not None and abs(figure.current_fen) >= FEN_LIMIT:
        raise LedgerIntegrityError("数值超出范围")
    return figure.current_fen


def is_storable(text: str) -> bool:
    """Whether every database can hold a text."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _entitlement_row(
    entry: LogEntry, event: EntitlementAssessed, outcome: Outcome, window: str, half_year: HalfYear
) -> EntitlementRow:
    """The row of an outcome; region and industry are None where the winning return does not stand.

    Raises:
        LedgerIntegrityError: The amounts are more than any.
    """
    if not 0 <= outcome.open_fen <= outcome.assessed_fen < FEN_LIMIT:
        raise LedgerIntegrityError("金额超出范围")
    form: str | None = None
    region_code: str | None = None
    industry: str | None = None
    for each in outcome.measures:
        if each.measure == outcome.measure:
            form = each.form
            winner = half_year.registered.get((event.period, form))
            if winner is not None:
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
