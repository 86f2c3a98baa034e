"""Publishes a policy: records its document, then assesses the returns filed before, chunk by chunk."""

import uuid
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from sqlalchemy import Connection

from app.ledger import publications
from app.ledger.corruption import REBUILD, VERIFY
from app.ledger.ledger import Batch, Ledger
from app.ledger.mapper import NewEvent
from app.ledger.publications import Publication
from app.ledger.recorder import UNATTENDED, AppendCondition, AppendRequest
from app.runtime.database import read_transaction, with_retries
from app.use_cases.filing.working_set import AccountKey, Reassessment, WorkingSet
from app.use_cases.policies.loader import LoadedPolicy
from app.use_cases.recording import commit_with_retries
from app.use_cases.upkeep.projecting import project_until
from domain.errors import LedgerIntegrityError
from domain.events import (
    DroppedCoverage,
    PolicyAssessed,
    PolicyPublished,
    PolicyRef,
    PolicyWithdrawn,
    policy_stream,
)
from domain.policy.document import fingerprint
from domain.policy.policy import Policy, PolicyHistory
from projections.queries.accounts import assessed_by_period
from projections.queries.policies import find_version, is_assessed

STREAMS_PER_CHUNK: Final = 500
"""The size of a transaction: a concurrent filing waits for it for some tenths of a second."""

ACTOR: Final = "duixian"
"""The name under which the software itself records what follows from a publication."""

Progress = Callable[[int, int], None]
"""Called with the number of annual returns done and their total."""


class Published(msgspec.Struct, frozen=True):
    """A version of a policy, and whether it was published just now or was in force already."""

    ref: PolicyRef
    position: int
    is_new: bool


class Drop(msgspec.Struct, frozen=True):
    """The reason why a version covers less than the one before, and the number of the document behind it."""

    reason: str
    document: str


class LostPeriod(msgspec.Struct, frozen=True):
    """A period that a version no longer covers, with the amount now assessed for it, in fen."""

    period: str
    enterprises: int
    assessed_fen: int


class CoverageNarrowsError(Exception):
    """A version covers less than the one before, and the request does not confirm that."""

    def __init__(self, lost: list[LostPeriod]) -> None:
        super().__init__(", ".join(period.period for period in lost))
        self.lost = lost


class NothingDroppedError(Exception):
    """A request confirms dropped periods, but the version covers all that the one before covers."""


class PublicationEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a publication or a withdrawal would change; `lost` has the periods that it no longer covers."""

    policy: str
    version: int
    sha256: str
    entitlements_changed: int
    before_fen: int
    after_fen: int
    lost: list[LostPeriod]


class AssessmentProgress(msgspec.Struct, frozen=True):
    """The number of annual returns filed before a publication, and of those already assessed by it."""

    done: int
    total: int


def publish(ledger: Ledger, loaded: LoadedPolicy, *, actor: str, drop: Drop | None = None) -> Published:
    """Record a document as the next version of its policy, unless it is the version in force.

    Args:
        ledger: The ledger.
        loaded: The document.
        actor: The name of the key, or of the command.
        drop: Why it may cover less than the version before.

    Raises:
        CoverageNarrowsError: The document covers less, and `drop` is not given.
        NothingDroppedError: `drop` is given, and the document covers no less.
    """
    (ref, is_new), position = commit_with_retries(
        ledger, lambda connection: _decide(ledger, connection, loaded, actor, drop)
    )
    project_until(ledger, position)  # Another process may have published it just now.
    return Published(ref, position, is_new)


def _decide(
    ledger: Ledger, connection: Connection, loaded: LoadedPolicy, actor: str, drop: Drop | None
) -> Batch[tuple[PolicyRef, bool]]:
    """Decide which version a document becomes, and whether it is a new one."""
    condition = AppendCondition(ledger.head(connection), ())
    history = ledger.policy_history(connection, loaded.typed.policy)
    before = history.in_force
    policy = _next_version(history, loaded)
    if before is not None and before.ref == policy.ref:
        return Batch((policy.ref, False), (), AppendRequest(actor, "", condition))
    event = PolicyPublished(
        policy=policy.ref.id,
        version=policy.ref.version,
        sha256=policy.ref.sha256,
        text=loaded.text,
        document=loaded.document,
        dropped=_dropped(connection, before, policy, drop),
    )
    new = ledger.stored([NewEvent(policy_stream(policy.ref.id), history.version + 1, event)])
    begin = _begin(ledger, connection, policy, condition.read_at)
    return Batch((policy.ref, True), new, AppendRequest(actor, uuid.uuid4().hex, condition, begin))


def _next_version(history: PolicyHistory, loaded: LoadedPolicy) -> Policy:
    """The version in force if it has the same document, otherwise the next version."""
    before, sha256 = history.in_force, fingerprint(loaded.document)
    if before is not None and before.ref.sha256 == sha256 and not before.is_withdrawn:
        return before
    ref = PolicyRef(loaded.typed.policy, history.versions + 1, sha256)
    return Policy(ref, loaded.typed, earlier=frozenset() if before is None else before.reach)


def _dropped(
    connection: Connection, before: Policy | None, policy: Policy, drop: Drop | None
) -> DroppedCoverage | None:
    """The periods that a version no longer covers, for its event; None if it covers no less.

    Raises:
        CoverageNarrowsError: The version covers less, and `drop` is not given.
        NothingDroppedError: `drop` is given, and the version covers no less.
    """
    periods = _lost_periods(before, policy)
    if not periods:
        if drop is not None:
            raise NothingDroppedError
        return None
    if drop is None:
        raise CoverageNarrowsError(_lost(connection, policy.ref.id, periods))
    return DroppedCoverage(periods=tuple(periods), reason=drop.reason, document=drop.document)


def _lost_periods(before: Policy | None, after: Policy) -> list[str]:
    if before is None:
        return []
    return [str(period) for period in before.covered() if not after.covers_period(period)]


def _lost(connection: Connection, policy: str, periods: Collection[str]) -> list[LostPeriod]:
    """Read the amounts now assessed for periods, in the same order."""
    assessed = assessed_by_period(connection, policy, periods)
    return [LostPeriod(period, *assessed.get(period, (0, 0))) for period in periods]


def withdraw_policy(ledger: Ledger, policy: str, drop: Drop, *, actor: str) -> Published | None:
    """Record that a policy is repealed, or was a mistake.

    Args:
        ledger: The ledger.
        policy: The id of the policy.
        drop: The reason, and the number of the document that orders it.
        actor: The name of the key, or of the command.

    Returns:
        None if no policy with this id is in force.
    """
    ref, position = commit_with_retries(
        ledger, lambda connection: _decide_withdrawal(ledger, connection, policy, drop, actor)
    )
    project_until(ledger, position)
    return None if ref is None else Published(ref, position, is_new=True)


def _decide_withdrawal(
    ledger: Ledger, connection: Connection, policy: str, drop: Drop, actor: str
) -> Batch[PolicyRef | None]:
    condition = AppendCondition(ledger.head(connection), ())
    history = ledger.policy_history(connection, policy)
    before = history.in_force
    if before is None or before.is_withdrawn:
        return Batch(None, (), UNATTENDED)
    event = PolicyWithdrawn(
        policy=policy, version=before.ref.version, reason=drop.reason, document=drop.document
    )
    new = ledger.stored([NewEvent(policy_stream(policy), history.version + 1, event)])
    begin = _begin(ledger, connection, before, condition.read_at)
    return Batch(before.ref, new, AppendRequest(actor, uuid.uuid4().hex, condition, begin))


def _begin(
    ledger: Ledger, connection: Connection, policy: Policy, read_at: int
) -> Callable[[Connection, int], None]:
    found = ledger.count_returns_streams(connection, years=policy.years)

    def begin(connection: Connection, position: int) -> None:
        total = found + ledger.count_new_returns_streams(connection, years=policy.years, after=read_at)
        publication = Publication(
            policy=policy.ref.id,
            version=policy.ref.version,
            position=position,
            after_stream="",
            done=0,
            total=total,
        )
        publications.begin(connection, publication)

    return begin


def assess_published(ledger: Ledger, progress: Progress = lambda _done, _total: None) -> None:
    """Assess the returns filed before each publication, from the point where an earlier run stopped.

    Several processes may do this at once: each chunk is recorded by the first that has it ready, and the
    others continue after it.
    """
    while (publication := with_retries(lambda: unfinished_publication(ledger))) is not None:
        progress(publication.done, publication.total)
        _, position = commit_with_retries(ledger, lambda connection: _assess_chunk(ledger, connection))
        project_until(ledger, position)


class PublicationWatch:
    """Finishes an assessment that no process continues, for example because the publishing process ended.

    Args:
        ledger: The ledger.
        progress: Called before each chunk; an exception that it raises stops the assessment.
    """

    def __init__(self, ledger: Ledger, progress: Progress = lambda _done, _total: None) -> None:
        self._ledger = ledger
        self._progress = progress
        self._seen: Publication | None = None

    def look(self) -> None:
        """Continue an assessment that has made no progress since the last call."""
        unfinished = unfinished_publication(self._ledger)
        is_stuck = unfinished is not None and unfinished == self._seen
        self._seen = unfinished
        if is_stuck:
            assess_published(self._ledger, self._progress)


def unfinished_publication(ledger: Ledger) -> Publication | None:
    """The oldest publication whose assessment is not complete; None if there is none."""
    with read_transaction(ledger.engine) as connection:
        return publications.unfinished(connection)


def _assess_chunk(ledger: Ledger, connection: Connection) -> Batch[None]:
    """Assess the next annual returns by the oldest publication whose assessment is not complete."""
    publication = publications.unfinished(connection)
    if publication is None:  # Another process has finished the assessment.
        return Batch(None, (), UNATTENDED)
    history = ledger.policy_history(connection, publication.policy)
    if history.in_force is None:
        raise LedgerIntegrityError(f"政策{publication.policy}没有发布的记录。{VERIFY}")
    streams = ledger.returns_streams(
        connection, after=publication.after_stream, years=history.in_force.years, limit=STREAMS_PER_CHUNK
    )
    working_set, found = _reassess(ledger, connection, history.in_force, streams)
    new, is_last = list(found.new), len(streams) < STREAMS_PER_CHUNK
    if is_last:
        ended = PolicyAssessed(policy=publication.policy, version=publication.version)
        new.append(NewEvent(policy_stream(publication.policy), history.version + 1, ended))
    done = min(publication.done + len(streams), publication.total)
    after_stream = streams[-1] if streams else publication.after_stream

    def advance(connection: Connection, position: int) -> None:
        publications.advance(
            connection,
            publication,
            after_stream=after_stream,
            done=publication.total if is_last else done,
            assessed_at=position if is_last else None,
        )

    condition = AppendCondition(working_set.read_at, working_set.streams)
    return Batch(None, ledger.stored(new), AppendRequest(ACTOR, uuid.uuid4().hex, condition, advance))


def _reassess(
    ledger: Ledger, connection: Connection, policy: Policy, streams: list[str]
) -> tuple[WorkingSet, Reassessment]:
    """Assess some annual returns by a policy.

    An enterprise whose records contradict each other is left out: it is disputed, and keeps its amounts.
    """
    enterprises = [(uscc, int(year)) for _, uscc, year in (stream.split("/") for stream in streams)]
    accounts = {
        AccountKey(uscc, window, policy.ref.id): policy
        for uscc, year in enterprises
        for window in policy.touched_in(year)
    }
    working_set = WorkingSet(ledger, connection, enterprises, accounts)
    return working_set, working_set.reassess(accounts)


def preview_publication(ledger: Ledger, loaded: LoadedPolicy) -> PublicationEffect:
    """Compute what publishing a document would change; nothing is recorded."""
    with read_transaction(ledger.engine) as connection:
        history = ledger.policy_history(connection, loaded.typed.policy)
        return _effect(ledger, connection, history.in_force, _next_version(history, loaded))


def preview_withdrawal(ledger: Ledger, policy: str) -> PublicationEffect | None:
    """Compute what withdrawing a policy would change; None if no policy with this id is in force."""
    with read_transaction(ledger.engine) as connection:
        before = ledger.policy_history(connection, policy).in_force
        if before is None or before.is_withdrawn:
            return None
        withdrawn = Policy(before.ref, before.document, earlier=before.reach, is_withdrawn=True)
        return _effect(ledger, connection, before, withdrawn)


def _effect(
    ledger: Ledger, connection: Connection, before: Policy | None, policy: Policy
) -> PublicationEffect:
    changed = before_fen = after_fen = 0
    after_stream = ""
    while streams := ledger.returns_streams(
        connection, after=after_stream, years=policy.years, limit=STREAMS_PER_CHUNK
    ):
        _, found = _reassess(ledger, connection, policy, streams)
        changed += len(found.changes)
        before_fen += sum(change.before_fen or 0 for change in found.changes)
        after_fen += sum(change.after_fen or 0 for change in found.changes)
        after_stream = streams[-1]
    return PublicationEffect(
        policy=policy.ref.id,
        version=policy.ref.version,
        sha256=policy.ref.sha256,
        entitlements_changed=changed,
        before_fen=before_fen,
        after_fen=after_fen,
        lost=_lost(connection, policy.ref.id, _lost_periods(before, policy)),
    )


def assessment_progress(connection: Connection, policy: str, number: int) -> AssessmentProgress:
    """The progress of the assessment by a version; complete only once the read models show its end.

    Raises:
        LedgerIntegrityError: The read models lack the version, or the ledger lacks its progress.
    """
    version = find_version(connection, policy, number)
    if version is None:
        raise LedgerIntegrityError(f"查询表缺少政策{policy}版本{number}。{REBUILD}")
    found = publications.find(connection, version.position)
    if found is None:
        raise LedgerIntegrityError(f"政策{policy}版本{number}的测算进度（publications表）缺失。{VERIFY}")
    done = found.done if is_assessed(connection, version) else found.done_before_end
    return AssessmentProgress(done, found.total)
