"""Registers returns, from a single row to the returns of a whole country for a month, in the same steps.

Read all streams of the batch, decide, append in one transaction, update the read models, answer.
"""

import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import msgspec
from sqlalchemy import Connection

from app.ledger.kept_answers import AlreadyAnsweredError, RequestKey, find_answer, keep_answer
from app.ledger.ledger import Batch, Ledger
from app.ledger.recorder import UNATTENDED, AppendRequest
from app.runtime.database import read_transaction, retry_once, with_retries
from app.runtime.limits import LONG_BATCH_ROWS, LONG_BATCH_WAIT_S, PROBLEMS_MOST_LISTED
from app.use_cases.filing.deciding import (
    FilingDecision,
    Refused,
    Withdrawal,
    batch_problems,
    decide,
    decide_withdrawal,
    duplicate_rows,
)
from app.use_cases.filing.rows import Draft
from app.use_cases.filing.working_set import PeriodChange
from app.use_cases.recording import commit_with_retries
from app.use_cases.upkeep.projecting import project_until
from domain.errors import FilingWarning

Decide = Callable[[Connection], FilingDecision | Refused]


class FilingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a filing or a withdrawal: what was recorded. The API returns these fields."""

    batch_id: str
    position: int
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int
    warnings: list[FilingWarning]
    warnings_total: int
    preview: list[PeriodChange] | None = None

    def encoded(self) -> bytes:
        """Encode as JSON with at most `PROBLEMS_MOST_LISTED` warnings; only a dry run has `preview`."""
        listed = msgspec.structs.replace(self, warnings=self.warnings[:PROBLEMS_MOST_LISTED])
        data = msgspec.to_builtins(listed)
        if self.preview is None:
            del data["preview"]
        return msgspec.json.encode(data)


class Replayed(msgspec.Struct, frozen=True):
    """The answer to an earlier request with the same key; nothing was recorded this time."""

    answer: FilingAnswer


def file_returns(
    ledger: Ledger, drafts: Sequence[Draft], *, actor: str, dry_run: bool = False
) -> FilingAnswer | Refused:
    """Register returns: all of them or none.

    Args:
        ledger: The ledger.
        drafts: Rows that are valid by themselves.
        actor: The name of the key, or of the command.
        dry_run: Whether only to preview the result.
    """
    if duplicate_rows(drafts):
        return Refused(batch_problems(ledger, drafts))
    with _take_turn(ledger, drafts):
        if dry_run:
            return with_retries(lambda: _preview(ledger, drafts))
        return _record_and_project(ledger, _decide(ledger, drafts), actor=actor)


def file_once(
    ledger: Ledger, drafts: Sequence[Draft], request: RequestKey
) -> FilingAnswer | Replayed | Refused:
    """Register the returns of a request that may be repeated: once, with the same answer every time.

    Args:
        ledger: The ledger.
        drafts: Rows that are valid by themselves.
        request: The request.

    Raises:
        KeyReusedError: The request's key was used for another request.
    """
    replayed = _replayed(ledger, request)
    if replayed is not None:
        return replayed
    if duplicate_rows(drafts):
        return Refused(batch_problems(ledger, drafts))
    try:
        with _take_turn(ledger, drafts):
            return _record_and_project(ledger, _decide(ledger, drafts), actor=request.actor, request=request)
    except AlreadyAnsweredError:
        replayed = _replayed(ledger, request)
        if replayed is None:
            raise
        return replayed


def _take_turn(ledger: Ledger, drafts: Sequence[Draft]) -> AbstractContextManager[None]:
    """Wait for the turn of a long batch; a short batch needs no turn."""
    return ledger.long_batches.taken(LONG_BATCH_WAIT_S) if len(drafts) >= LONG_BATCH_ROWS else nullcontext()


def _decide(ledger: Ledger, drafts: Sequence[Draft]) -> Decide:
    return lambda connection: decide(ledger, connection, drafts)


def withdraw_return(ledger: Ledger, withdrawal: Withdrawal, *, actor: str) -> FilingAnswer | Refused | None:
    """Withdraw a registered return; None if there is none."""
    answer = _record_and_project(
        ledger, lambda connection: decide_withdrawal(ledger, connection, withdrawal), actor=actor
    )
    return None if isinstance(answer, Refused) and not answer.problems else answer


def record_decision(
    ledger: Ledger, decision: FilingDecision | Refused, drafts: Callable[[], Sequence[Draft]], *, actor: str
) -> FilingAnswer | Refused:
    """Record the decision of another process; decide again if there has been a conflicting event since.

    The caller updates the read models.

    Args:
        ledger: The ledger.
        decision: The decision on the drafts.
        drafts: Returns the drafts.
        actor: The name of the key, or of the command.
    """
    return _record(
        ledger, lambda connection: decide(ledger, connection, drafts()), actor=actor, decided=decision
    )


def _replayed(ledger: Ledger, request: RequestKey) -> Replayed | None:
    def find() -> bytes | None:
        with read_transaction(ledger.engine) as connection:
            return find_answer(connection, request, ledger.clock())

    kept = retry_once(find)
    return None if kept is None else Replayed(msgspec.json.decode(kept, type=FilingAnswer))


def _preview(ledger: Ledger, drafts: Sequence[Draft]) -> FilingAnswer | Refused:
    with read_transaction(ledger.engine) as connection:
        decision = decide(ledger, connection, drafts)
    if isinstance(decision, Refused):
        return decision
    return _answer(decision, uuid.uuid4().hex, decision.condition.read_at, preview=decision.changes)


def _record_and_project(
    ledger: Ledger, decide_batch: Decide, *, actor: str, request: RequestKey | None = None
) -> FilingAnswer | Refused:
    answer = _record(ledger, decide_batch, actor=actor, request=request)
    if isinstance(answer, FilingAnswer):
        project_until(ledger, answer.position)
    return answer


def _record(
    ledger: Ledger,
    decide_batch: Decide,
    *,
    actor: str,
    request: RequestKey | None = None,
    decided: FilingDecision | Refused | None = None,
) -> FilingAnswer | Refused:
    """Record a decision under one batch number, however often it is made.

    Args:
        ledger: The ledger.
        decide_batch: Reads and decides.
        actor: The name of the key, or of the command.
        request: The request whose answer is kept, in the same transaction; None keeps no answer.
        decided: The decision that another process has made already.
    """
    batch_id = uuid.uuid4().hex

    def make_batch(decision: FilingDecision | Refused) -> Batch[FilingDecision | Refused]:
        if isinstance(decision, Refused):
            return Batch(decision, (), UNATTENDED)

        def keep(connection: Connection, position: int) -> None:
            if request is not None:
                answer = _answer(decision, batch_id, position).encoded()
                keep_answer(connection, request, answer, ledger.clock())

        recording = AppendRequest(actor, batch_id, decision.condition, None if request is None else keep)
        return Batch(decision, decision.events, recording)

    decision, position = commit_with_retries(
        ledger,
        lambda connection: make_batch(decide_batch(connection)),
        None if decided is None else make_batch(decided),
    )
    return decision if isinstance(decision, Refused) else _answer(decision, batch_id, position)


def _answer(
    decision: FilingDecision, batch_id: str, position: int, preview: list[PeriodChange] | None = None
) -> FilingAnswer:
    return FilingAnswer(
        batch_id=batch_id,
        position=position,
        filed=decision.filed,
        revised=decision.revised,
        unchanged=decision.unchanged,
        entitlements_changed=decision.entitlements_changed,
        warnings=decision.warnings,
        warnings_total=decision.warnings_total,
        preview=preview,
    )
