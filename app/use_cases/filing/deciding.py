"""Decides on a filing or a withdrawal: reads the streams of the batch, and records nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent, StoredEvent
from app.ledger.recorder import AppendCondition
from app.runtime.database import read_transaction
from app.runtime.limits import PROBLEMS_MOST_KEPT
from app.use_cases.filing import wording
from app.use_cases.filing.first import First
from app.use_cases.filing.row_warnings import find_warnings, own_figure
from app.use_cases.filing.rows import Draft
from app.use_cases.filing.working_set import AccountKey, PeriodChange, WorkingSet, accounts_touched
from domain.errors import FilingWarning, LedgerIntegrityError, Problem
from domain.events import Origin, Return, ReturnFiled, ReturnRevised
from domain.periods import period_of, year_before
from domain.policy.policy import Policy
from domain.returns import REVISION_NEEDS_REASON, Conflict, find_conflict
from projections.queries.returns import own_figures, standing_returns


class Refused(msgspec.Struct, frozen=True):
    """A refusal, for which nothing was recorded: the first problems, and the number of further ones."""

    problems: list[Problem]
    more: int = 0


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A request to withdraw a wrong registration."""

    uscc: str
    form: str
    period: str
    reason: str
    origin: Origin | None
    document: str | None


class FilingDecision(NamedTuple):
    """The events of a batch, the condition under which they may be appended, and the counts of the answer."""

    condition: AppendCondition
    events: list[StoredEvent]
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int
    changes: list[PeriodChange]
    warnings: list[FilingWarning]
    warnings_total: int


def batch_problems(ledger: Ledger, drafts: Sequence[Draft]) -> list[Problem]:
    """Find the problems of rows that are valid by themselves: duplicates, and conflicts of the other rows."""
    duplicates = duplicate_rows(drafts)
    twice = {problem.row for problem in duplicates}
    return [*duplicates, *conflicts(ledger, [draft for draft in drafts if draft.row not in twice])]


def conflicts(ledger: Ledger, drafts: Sequence[Draft]) -> list[Problem]:
    """Find conflicts of the drafts with the registered returns, according to the read models.

    This is the check before anything is recorded. `decide` compares the drafts with the log itself.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for draft in drafts:
        wanted.setdefault((draft.registered.form, draft.registered.period), []).append(draft.uscc)
    with read_transaction(ledger.engine) as connection:
        standing = standing_returns(connection, wanted)
    found = []
    for draft in drafts:
        before = standing.get((draft.uscc, draft.registered.form, draft.registered.period))
        conflict = None if before is None else find_conflict(before, draft.registered)
        if conflict is not None:
            found.append(_conflict_problem(draft, conflict))
    return found


def duplicate_rows(drafts: Iterable[Draft]) -> list[Problem]:
    """Find rows that repeat the enterprise, form and period of an earlier row."""
    first: dict[tuple[str, str, str], RowPlace] = {}
    problems = []
    for draft in drafts:
        key = (draft.uscc, draft.registered.form, draft.registered.period)
        place = row_place(draft)
        other = first.setdefault(key, place)
        if other is not place:
            problems.append(duplicate_row(other, place))
    return problems


class RowPlace(NamedTuple):
    """The place of a row: its index in the batch, its number in the source, and its sheet there."""

    row: int
    number: int
    sheet: str | None


def row_place(draft: Draft) -> RowPlace:
    """The place of a draft."""
    source = draft.registered.source
    return RowPlace(draft.row, row_number(draft), None if source is None else source.sheet)


def duplicate_row(first: RowPlace, again: RowPlace) -> Problem:
    """The problem of a row that repeats the enterprise, form and period of an earlier one."""
    message = wording.duplicate_row(first.number, first.sheet if first.sheet != again.sheet else None)
    return Problem(row=again.row, field=None, code="duplicate-row", message=message)


def row_number(draft: Draft) -> int:
    """The number of the row in its source: the row of the sheet for a file, the index from 0 for JSON."""
    source = draft.registered.source
    return draft.row if source is None or source.row is None else source.row


def decide(ledger: Ledger, connection: Connection, drafts: Sequence[Draft]) -> FilingDecision | Refused:
    """Decide on registering the drafts; nothing is recorded."""
    touched = {(draft.uscc, draft.registered.period) for draft in drafts}
    accounts = accounts_touched(ledger.policies(connection), touched)
    working_set = _read(ledger, connection, accounts)
    new: list[NewEvent] = []
    changed: set[AccountKey] = set()
    problems = []
    filed = revised = 0
    for draft in drafts:
        try:
            returns = working_set.returns(draft.uscc, period_of(draft.registered.period).year)
        except LedgerIntegrityError as error:
            problems.append(_disputed_problem(draft, str(error)))
            continue
        event = returns.file(draft.registered)
        if isinstance(event, Conflict):
            problems.append(_conflict_problem(draft, event))
        elif event is not None:
            new.append(NewEvent(returns.stream, returns.version, event))
            changed.update(accounts[draft.uscc, draft.registered.period])
            filed += isinstance(event, ReturnFiled)
            revised += isinstance(event, ReturnRevised)
    if problems:
        return Refused(problems)
    assessed, changes, contradictions = working_set.reassess(changed)
    if contradictions:
        disputed = [draft for draft in drafts if draft.uscc in contradictions]
        return Refused([_disputed_problem(draft, contradictions[draft.uscc]) for draft in disputed])
    found = _find_warnings(connection, drafts, working_set)
    return FilingDecision(
        condition=AppendCondition(working_set.read_at, working_set.streams),
        events=ledger.stored(new + assessed),
        filed=filed,
        revised=revised,
        unchanged=len(drafts) - filed - revised,
        entitlements_changed=len(changes),
        changes=changes,
        warnings=found.kept,
        warnings_total=found.total,
    )


def _read(
    ledger: Ledger,
    connection: Connection,
    accounts: Mapping[tuple[str, str], Mapping[AccountKey, Policy]],
) -> WorkingSet:
    """Read the aggregates of facts and of the accounts that they touch (see `accounts_touched`)."""
    enterprises = [(uscc, period_of(period).year) for uscc, period in accounts]
    every = {key: policy for of_fact in accounts.values() for key, policy in of_fact.items()}
    return WorkingSet(ledger, connection, enterprises, every)


def _conflict_problem(draft: Draft, conflict: Conflict) -> Problem:
    registered, field = draft.registered, None
    period = period_of(registered.period)
    message = wording.stage_regresses(registered.name, period)
    if conflict == REVISION_NEEDS_REASON:
        field = "reason"
        message = wording.revision_needs_reason(registered.name, period, missing_in_correction(registered))
    return Problem(row=draft.row, field=field, code=conflict.code, message=message, conflict=True)


def missing_in_correction(registered: Return) -> list[str]:
    """List the required parts of a correction that are missing, in Chinese."""
    return [
        name
        for name, is_missing in (
            ("更正原因", registered.reason is None),
            ("更正来源", registered.origin is None),
            ("依据文号", registered.origin == "enforcement" and registered.document is None),
        )
        if is_missing
    ]


def _disputed_problem(draft: Draft, reason: str) -> Problem:
    """The problem of an enterprise whose records contradict each other, so that they decide nothing."""
    message = wording.records_disputed(draft.registered.name, reason)
    return Problem(row=draft.row, field=None, code="records-disputed", message=message, conflict=True)


def _find_warnings(
    connection: Connection, drafts: Sequence[Draft], working_set: WorkingSet
) -> First[FilingWarning]:
    wanted: dict[tuple[str, str], list[str]] = {}
    batch: dict[tuple[str, str, str], int | None] = {}
    for draft in drafts:
        form, period = draft.registered.form, draft.registered.period
        batch[draft.uscc, form, period] = own_figure(draft.registered)
        wanted.setdefault((form, year_before(period)), []).append(draft.uscc)
    recorded = own_figures(connection, wanted)
    found: First[FilingWarning] = First(PROBLEMS_MOST_KEPT)
    for draft in drafts:
        form, period = draft.registered.form, draft.registered.period
        base = (draft.uscc, form, year_before(period))
        own = batch[base] if base in batch else recorded.get(base)
        returns = working_set.returns(draft.uscc, period_of(period).year)
        found.extend(find_warnings(draft, returns, own))
    return found


def decide_withdrawal(
    ledger: Ledger, connection: Connection, withdrawal: Withdrawal
) -> FilingDecision | Refused:
    """Decide on a withdrawal; without a registered return it is refused, with no problem."""
    touched = (withdrawal.uscc, withdrawal.period)
    accounts = accounts_touched(ledger.policies(connection), [touched])
    working_set = _read(ledger, connection, accounts)
    try:
        returns = working_set.returns(withdrawal.uscc, period_of(withdrawal.period).year)
    except LedgerIntegrityError as error:
        return Refused([_disputed_withdrawal(withdrawal, str(error))])
    event = returns.withdraw(
        form=withdrawal.form,
        period=withdrawal.period,
        reason=withdrawal.reason,
        origin=withdrawal.origin,
        document=withdrawal.document,
    )
    if event is None:
        return Refused([])
    assessed, changes, contradictions = working_set.reassess(accounts[touched])
    if contradictions:
        return Refused([_disputed_withdrawal(withdrawal, contradictions[withdrawal.uscc])])
    return FilingDecision(
        condition=AppendCondition(working_set.read_at, working_set.streams),
        events=ledger.stored([NewEvent(returns.stream, returns.version, event), *assessed]),
        filed=0,
        revised=0,
        unchanged=0,
        entitlements_changed=len(changes),
        changes=changes,
        warnings=[],
        warnings_total=0,
    )


def _disputed_withdrawal(withdrawal: Withdrawal, reason: str) -> Problem:
    message = wording.records_disputed(withdrawal.uscc, reason)
    return Problem(row=0, field=None, code="records-disputed", message=message, conflict=True)
