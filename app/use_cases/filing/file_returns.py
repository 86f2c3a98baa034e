"""Registering returns: one row and a month of a country take the same path.

Read all streams of the batch, decide, append in one transaction, bring the read models up to it, answer.
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
    Decision,
    Refused,
    Withdrawal,
    decide,
    decide_withdrawal,
    duplicate_rows,
    problems_between,
)
from app.use_cases.filing.rows import Draft
from app.use_cases.filing.working_set import Change
from app.use_cases.recording import commit_with_retries
from app.use_cases.upkeep.projecting import project_until
from domain.errors import FilingWarning

Decide = Callable[[Connection], Decision | Refused]


class FilingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded. The fields are those of the contract."""

    batch_id: str
    position: int
    filed: int
    revised: int
    unchanged: int
    entitlements_changed: int
    warnings: list[FilingWarning]
    warnings_total: int
    preview: list[Change] | None = None

    def encoded(self) -> bytes:
        """The answer as JSON, with as many warnings as are listed; without a preview unless it is one."""
        listed = msgspec.structs.replace(self, warnings=self.warnings[:PROBLEMS_MOST_LISTED])
        data = msgspec.to_builtins(listed)
        if self.preview is None:
            del data["preview"]
        return msgspec.json.encode(data)


class Replayed(msgspec.Struct, frozen=True):
    """The answer that the same request was given before; nothing was recorded this time."""

    answer: FilingAnswer


def file_returns(
    ledger: Ledger, drafts: Sequence[Draft], *, actor: str, dry_run: bool = False
) -> FilingAnswer | Refused:
    """Register returns: all of them or none.

    Args:
        ledger: The ledger.
        drafts: Rows that are in order by themselves.
        actor: The name of the key, or of the command.
        dry_run: Whether only to say what would happen.
    """
    if duplicate_rows(drafts):
        return Refused(problems_between(ledger, drafts))
    with _turn_of(ledger, drafts):
        if dry_run:
            return with_retries(lambda: _preview(ledger, drafts))
        return _record_and_project(ledger, _decide(ledger, drafts), actor=actor)


def file_once(
    ledger: Ledger, drafts: Sequence[Draft], request: RequestKey
) -> FilingAnswer | Replayed | Refused:
    """Register the returns of a request that may be sent again: it is carried out once, and answered alike.

    Args:
        ledger: The ledger.
        drafts: Rows that are in order by themselves.
        request: The request.

    Raises:
        KeyReusedError: Its key was used for another request.
    """
    replayed = _replayed(ledger, request)
    if replayed is not None:
        return replayed
    if duplicate_rows(drafts):
        return Refused(problems_between(ledger, drafts))
    try:
        with _turn_of(ledger, drafts):
            return _record_and_project(ledger, _decide(ledger, drafts), actor=request.actor, request=request)
    except AlreadyAnsweredError:
        replayed = _replayed(ledger, request)
        if replayed is None:
            raise
        return replayed


def _turn_of(ledger: Ledger, drafts: Sequence[Draft]) -> AbstractContextManager[None]:
    """A turn among the long batches; a short one needs none."""
    return ledger.long_batches.taken(LONG_BATCH_WAIT_S) if len(drafts) >= LONG_BATCH_ROWS else nullcontext()


def _decide(ledger: Ledger, drafts: Sequence[Draft]) -> Decide:
    return lambda connection: decide(ledger, connection, drafts)


def withdraw_return(ledger: Ledger, withdrawal: Withdrawal, *, actor: str) -> FilingAnswer | Refused | None:
    """Withdraw a registration; None where none stands."""
    answer = _record_and_project(
        ledger, lambda connection: decide_withdrawal(ledger, connection, withdrawal), actor=actor
    )
    return None if isinstance(answer, Refused) and not answer.problems else answer


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
    return _answer(decision, uuid.uuid4().hex, decision.guard.read_at, preview=decision.changes)


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
    decided: Decision | Refused | None = None,
) -> FilingAnswer | Refused:
    """Record what is decided, under one number however often it is decided on.

    Args:
        ledger: The ledger.
        decide_batch: Reads and decides.
        actor: Who records.
        request: The request under which the answer is kept, in the same transaction.
        decided: What it came to already, elsewhere.
    """
    batch_id = uuid.uuid4().hex

    def batch_of(decision: Decision | Refused) -> Batch[Decision | Refused]:
        if isinstance(decision, Refused):
            return Batch(decision, (), UNATTENDED)

        def keep(connection: Connection, position: int) -> None:
            if request is not None:
                answer = _answer(decision, batch_id, position).encoded()
                keep_answer(connection, request, answer, ledger.clock())

        recording = AppendRequest(actor, batch_id, decision.guard, None if request is None else keep)
        return Batch(decision, decision.events, recording)

    decision, position = commit_with_retries(
        ledger,
        lambda connection: batch_of(decide_batch(connection)),
        None if decided is None else batch_of(decided),
    )
    return decision if isinstance(decision, Refused) else _answer(decision, batch_id, position)


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
        warnings=decision.warnings,
        warnings_total=decision.warnings_total,
        preview=preview,
    )
