"""Registering returns: one row and a month of a country take the same path.

Read all streams of the batch, decide, append in one transaction, bring the read models up to it, answer.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import msgspec
from eventsourcing.persistence import StoredEvent
from sqlalchemy import Connection

from app.ledger.ledger import Batch, Ledger
from app.ledger.mapper import NewEvent
from app.ledger.recorder import UNATTENDED, AppendCondition, AppendRequest
from app.runtime.database import read_transaction, with_retries
from app.runtime.limits import LONG_BATCH_ROWS, LONG_BATCH_WAIT_S, PROBLEMS_MOST_KEPT
from app.use_cases.filing import wording
from app.use_cases.filing.first import First
from app.use_cases.filing.notices import notices, own_figure
from app.use_cases.filing.rows import Draft
from app.use_cases.filing.working_set import Change, WorkingSet
from app.use_cases.recording import commit_with_retries
from app.use_cases.upkeep.projecting import project_until
from domain.errors import LedgerIntegrityError, Notice, Problem
from domain.events import Origin, Return, ReturnFiled, ReturnRevised, returns_stream
from domain.periods import period_of, window_name, year_before
from domain.returns import REVISION_NEEDS_REASON, Conflict, conflict_of
from projections.queries.returns import own_figures, standing_returns

InSameTransaction = Callable[[Connection, "FilingAnswer"], None]
"""Called in the transaction of the append, with the answer that will be given."""


class FilingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded. The fields are those of the contract."""

    batch_id: str
    position: int
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int
    warnings: list[Notice]
    warnings_total: int
    preview: list[Change] | None = None


class Refused(msgspec.Struct, frozen=True):
    """Nothing was recorded, for these reasons, and for more that are only counted."""

    problems: list[Problem]
    more: int = 0


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A wrong registration to be withdrawn."""

    uscc: str
    form: str
    period: str
    reason: str
    origin: Origin | None
    document: str | None


class Decision(NamedTuple):
    """What a batch comes to, and what that rests on."""

    guard: AppendCondition
    events: list[StoredEvent]
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int
    changes: list[Change]
    notices: list[Notice]
    notices_total: int


def file_returns(
    ledger: Ledger,
    drafts: Sequence[Draft],
    *,
    actor: str,
    dry_run: bool = False,
    in_same_transaction: InSameTransaction | None = None,
) -> FilingAnswer | Refused:
    """Register returns: all of them or none.

    Args:
        ledger: The ledger.
        drafts: Rows that are in order by themselves.
        actor: The name of the key, or of the command.
        dry_run: Whether only to say what would happen.
        in_same_transaction: Called with the answer in the transaction that records.
    """
    if duplicate_rows(drafts):
        return Refused(problems_between(ledger, drafts))
    command = _Command(actor, lambda connection: decide(ledger, connection, drafts), in_same_transaction)
    is_long = len(drafts) >= LONG_BATCH_ROWS
    with ledger.long_batches.taken(LONG_BATCH_WAIT_S) if is_long else nullcontext():
        return with_retries(lambda: command.preview(ledger)) if dry_run else command.carry_out(ledger)


def withdraw_return(ledger: Ledger, withdrawal: Withdrawal, *, actor: str) -> FilingAnswer | Refused | None:
    """Withdraw a registration; None where none stands."""
    command = _Command(actor, lambda connection: _decide_withdrawal(ledger, connection, withdrawal))
    answer = command.carry_out(ledger)
    return None if isinstance(answer, Refused) and not answer.problems else answer


def problems_between(ledger: Ledger, drafts: Sequence[Draft]) -> list[Problem]:
    """What is wrong with rows that are in order by themselves: duplicates, and conflicts of the others."""
    duplicates = duplicate_rows(drafts)
    twice = {each.row for each in duplicates}
    return [*duplicates, *conflicts(ledger, [draft for draft in drafts if draft.row not in twice])]


def conflicts(ledger: Ledger, drafts: Sequence[Draft]) -> list[Problem]:
    """What conflicts with what stands, as far as the read models know: the check before anything is recorded.

    The decision that is recorded looks at the log itself.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for draft in drafts:
        wanted.setdefault((draft.registered.form, draft.registered.period), []).append(draft.uscc)
    with read_transaction(ledger.engine) as connection:
        standing = standing_returns(connection, wanted)
    found = []
    for draft in drafts:
        before = standing.get((draft.uscc, draft.registered.form, draft.registered.period))
        conflict = None if before is None else conflict_of(before, draft.registered)
        if conflict is not None:
            found.append(_conflict_problem(draft, conflict))
    return found


def duplicate_rows(drafts: Iterable[Draft]) -> list[Problem]:
    """Rows that stand twice: for one enterprise, form and period there is one row."""
    first: dict[tuple[str, str, str], Draft] = {}
    problems = []
    for draft in drafts:
        key = (draft.uscc, draft.registered.form, draft.registered.period)
        other = first.setdefault(key, draft)
        if other is not draft:
            message = wording.duplicate_row(str(row_number(other)))
            problems.append(Problem(row=draft.row, field=None, code="duplicate-row", message=message))
    return problems


def row_number(draft: Draft) -> int:
    """The row as its batch counts it: the sheet's own number for a file, from 0 for JSON."""
    source = draft.registered.source
    return draft.row if source is None or source.row is None else source.row


def record_decision(
    ledger: Ledger, decision: Decision | Refused, drafts: Callable[[], Sequence[Draft]], *, actor: str
) -> FilingAnswer | Refused:
    """Record what another process has decided; it is decided again here where others recorded in between.

    The read models are left to the caller.

    Args:
        ledger: The ledger.
        decision: What the drafts came to.
        drafts: Gives the drafts.
        actor: The name of the key, or of the command.
    """
    command = _Command(actor, lambda connection: decide(ledger, connection, drafts()))
    return command.answer(*commit_with_retries(ledger, command.batch, command.batch_of(decision)))


class _Command:
    """A batch to be recorded, under one number however often it is decided on.

    Args:
        actor: The name of the key, or of the command.
        decide: What it comes to.
        in_same_transaction: What is written in the transaction that records it.
    """

    def __init__(
        self,
        actor: str,
        decide: Callable[[Connection], Decision | Refused],
        in_same_transaction: InSameTransaction | None = None,
    ) -> None:
        self._batch_id = uuid.uuid4().hex
        self._actor = actor
        self._decide = decide
        self._in_same_transaction = in_same_transaction

    def preview(self, ledger: Ledger) -> FilingAnswer | Refused:
        """What it would come to; nothing is recorded."""
        with read_transaction(ledger.engine) as connection:
            decision = self._decide(connection)
        if isinstance(decision, Refused):
            return decision
        return _answer(decision, self._batch_id, decision.guard.read_at, preview=decision.changes)

    def carry_out(self, ledger: Ledger) -> FilingAnswer | Refused:
        """Record it, and bring the read models up to it."""
        decision, position = commit_with_retries(ledger, self.batch)
        project_until(ledger, position)
        return self.answer(decision, position)

    def batch(self, connection: Connection) -> Batch[Decision | Refused]:
        """What it comes to."""
        return self.batch_of(self._decide(connection))

    def batch_of(self, decision: Decision | Refused) -> Batch[Decision | Refused]:
        """What is recorded of a decision."""
        if isinstance(decision, Refused):
            return Batch(decision, (), UNATTENDED)
        keep = self._in_same_transaction

        def keep_answer(connection: Connection, position: int) -> None:
            if keep is not None:
                keep(connection, _answer(decision, self._batch_id, position))

        recording = AppendRequest(
            self._actor, self._batch_id, decision.guard, None if keep is None else keep_answer
        )
        return Batch(decision, decision.events, recording)

    def answer(self, decision: Decision | Refused, position: int) -> FilingAnswer | Refused:
        """What was recorded."""
        return decision if isinstance(decision, Refused) else _answer(decision, self._batch_id, position)


def _answer(
    decision: Decision, batch_id: str, position: int, preview: list[Change] | None = None
) -> FilingAnswer:
    return FilingAnswer(
        batch_id=batch_id,
        position=position,
        filed=decision.filed,
        revised=decision.revised,
        unchanged=decision.unchanged,
        entitlements_changed=decision.entitlements_changed,
        warnings=decision.notices,
        warnings_total=decision.notices_total,
        preview=preview,
    )


def decide(ledger: Ledger, connection: Connection, drafts: Sequence[Draft]) -> Decision | Refused:
    """What registering the drafts comes to; nothing is recorded."""
    touched = [(draft.uscc, draft.registered.period) for draft in drafts]
    books = WorkingSet(ledger, connection, touched, ledger.policies(connection))
    new: list[NewEvent] = []
    changed: set[tuple[str, str]] = set()
    problems = []
    filed = revised = 0
    for draft in drafts:
        try:
            returns = books.returns(draft.uscc, draft.registered.period)
        except LedgerIntegrityError as error:
            problems.append(_disputed_problem(draft, str(error)))
            continue
        event = returns.file(draft.registered)
        if isinstance(event, Conflict):
            problems.append(_conflict_problem(draft, event))
        elif event is not None:
            stream = returns_stream(draft.uscc, int(draft.registered.period[:4]))
            new.append(NewEvent(stream, returns.version, event))
            changed.add((draft.uscc, window_name(draft.registered.period)))
            filed += isinstance(event, ReturnFiled)
            revised += isinstance(event, ReturnRevised)
    if problems:
        return Refused(problems)
    assessed, changes, contradictions = books.reassess(changed)
    if contradictions:
        disputed = [each for each in drafts if each.uscc in contradictions]
        return Refused([_disputed_problem(each, contradictions[each.uscc]) for each in disputed])
    found = _notices(connection, drafts, books)
    return Decision(
        guard=AppendCondition(books.read_at, books.streams),
        events=ledger.stored(new + assessed),
        filed=filed,
        revised=revised,
        unchanged=len(drafts) - filed - revised,
        entitlements_changed=len(changes),
        changes=changes,
        notices=found.kept,
        notices_total=found.total,
    )


def _conflict_problem(draft: Draft, conflict: Conflict) -> Problem:
    registered, field = draft.registered, None
    period = period_of(registered.period)
    message = wording.stage_regresses(registered.name, period)
    if conflict == REVISION_NEEDS_REASON:
        field = "reason"
        message = wording.revision_needs_reason(registered.name, period, missing_of_correction(registered))
    return Problem(row=draft.row, field=field, code=conflict.code, message=message, conflict=True)


def missing_of_correction(registered: Return) -> list[str]:
    """What a correction should say and does not."""
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
    """That nothing can be decided on records that contradict each other."""
    message = wording.records_disputed(draft.registered.name, reason)
    return Problem(row=draft.row, field=None, code="records-disputed", message=message, conflict=True)


def _notices(connection: Connection, drafts: Sequence[Draft], books: WorkingSet) -> First[Notice]:
    wanted: dict[tuple[str, str], list[str]] = {}
    batch: dict[tuple[str, str, str], int | None] = {}
    for draft in drafts:
        form, period = draft.registered.form, draft.registered.period
        batch[draft.uscc, form, period] = own_figure(draft.registered)
        wanted.setdefault((form, year_before(period)), []).append(draft.uscc)
    recorded = own_figures(connection, wanted)
    found: First[Notice] = First(PROBLEMS_MOST_KEPT)
    for draft in drafts:
        form, period = draft.registered.form, draft.registered.period
        base = (draft.uscc, form, year_before(period))
        own = batch[base] if base in batch else recorded.get(base)
        found.extend(notices(draft, books.returns(draft.uscc, period), own))
    return found


def _decide_withdrawal(ledger: Ledger, connection: Connection, withdrawal: Withdrawal) -> Decision | Refused:
    touched = [(withdrawal.uscc, withdrawal.period)]
    books = WorkingSet(ledger, connection, touched, ledger.policies(connection))
    try:
        returns = books.returns(withdrawal.uscc, withdrawal.period)
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
    stream = returns_stream(withdrawal.uscc, int(withdrawal.period[:4]))
    half = (withdrawal.uscc, window_name(withdrawal.period))
    assessed, changes, contradictions = books.reassess({half})
    if contradictions:
        return Refused([_disputed_withdrawal(withdrawal, contradictions[withdrawal.uscc])])
    return Decision(
        guard=AppendCondition(books.read_at, books.streams),
        events=ledger.stored([NewEvent(stream, returns.version, event), *assessed]),
        filed=0,
        revised=0,
        unchanged=0,
        entitlements_changed=len(changes),
        changes=changes,
        notices=[],
        notices_total=0,
    )


def _disputed_withdrawal(withdrawal: Withdrawal, reason: str) -> Problem:
    message = wording.records_disputed(withdrawal.uscc, reason)
    return Problem(row=0, field=None, code="records-disputed", message=message, conflict=True)
