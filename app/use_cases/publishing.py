"""Publishing a policy: its document is recorded, then what was filed before is assessed, chunk by chunk."""

import uuid
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection

from app.database import reading, steadily
from app.ledger import publications
from app.ledger.ledger import Batch, Ledger
from app.ledger.mapper import NewEvent
from app.ledger.publications import Publication
from app.ledger.recorder import UNATTENDED, Guard, Recording
from app.policies.loader import LoadedPolicy
from app.use_cases.attempts import carry_through
from app.use_cases.books import Books, Change
from app.use_cases.projecting import project_until
from domain.events import PolicyPublished, PolicyRef, policy_stream
from domain.policy import Policy, fingerprint

STREAMS_PER_CHUNK: Final = 500
"""A chunk is one transaction: small enough that a filing beside it waits for tenths of a second."""

ACTOR: Final = "duixian"
"""The name under which the software itself records what follows from a publication."""

Progress = Callable[[int, int], None]
"""Called with what is done and the total."""


class Published(msgspec.Struct, frozen=True):
    """A version of a policy, and whether it was published just now or stood already."""

    ref: PolicyRef
    position: int
    is_new: bool


class PublicationEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a publication would change."""

    policy: str
    version: int
    sha256: str
    entitlements_changed: int
    before_fen: int
    after_fen: int


class AssessmentProgress(msgspec.Struct, frozen=True):
    """How many of the annual returns filed before a publication are assessed by it."""

    done: int
    total: int


def publish(ledger: Ledger, loaded: LoadedPolicy, *, actor: str) -> Published:
    """Record a document as the next version of its policy; the same one again records nothing."""
    (ref, is_new), position = carry_through(
        ledger, lambda connection: _decide(ledger, connection, loaded, actor)
    )
    project_until(ledger, position)  # Another process may have published it just now.
    return Published(ref, position, is_new)


def _decide(
    ledger: Ledger, connection: Connection, loaded: LoadedPolicy, actor: str
) -> Batch[tuple[PolicyRef, bool]]:
    """The version that a document becomes, and whether it is a new one."""
    guard = Guard(ledger.head(connection), ())
    newest = _newest(ledger, connection, loaded)
    ref = _next_ref(newest, loaded)
    if newest is not None and newest.ref == ref:
        return Batch((ref, False), (), Recording(actor, "", guard))
    event = PolicyPublished(
        policy=ref.id, version=ref.version, sha256=ref.sha256, text=loaded.text, document=loaded.document
    )
    begin = _begin(ledger, connection, Policy(ref, loaded.typed), guard.read_at)
    new = ledger.stored([NewEvent(policy_stream(ref.id), ref.version, event)])
    return Batch((ref, True), new, Recording(actor, uuid.uuid4().hex, guard, begin))


def _newest(ledger: Ledger, connection: Connection, loaded: LoadedPolicy) -> Policy | None:
    return next((each for each in ledger.policies(connection) if each.ref.id == loaded.typed.policy), None)


def _next_ref(newest: Policy | None, loaded: LoadedPolicy) -> PolicyRef:
    sha256 = fingerprint(loaded.document)
    if newest is None:
        return PolicyRef(loaded.typed.policy, 1, sha256)
    return (
        newest.ref
        if newest.ref.sha256 == sha256
        else PolicyRef(newest.ref.id, newest.ref.version + 1, sha256)
    )


def _begin(
    ledger: Ledger, connection: Connection, policy: Policy, read_at: int
) -> Callable[[Connection, int], None]:
    years = _years(policy)
    found = ledger.count_returns_streams(connection, years=years)

    def begin(connection: Connection, position: int) -> None:
        total = found + ledger.count_new_returns_streams(connection, years=years, after=read_at)
        publication = Publication(policy.ref.id, policy.ref.version, after_stream="", done=0, total=total)
        publications.begin(connection, publication, position=position)

    return begin


def _years(policy: Policy) -> range:
    first, last = policy.covers
    return range(first.year, last.year + 1)


def assess_published(ledger: Ledger, progress: Progress = lambda _done, _total: None) -> None:
    """Assess what was filed before each publication; goes on where it was left.

    Several processes may do so at once: a chunk counts for the one that records it first, and the others go
    on behind it.
    """
    while (publication := steadily(lambda: unfinished_publication(ledger))) is not None:
        progress(publication.done, publication.total)
        _, position = carry_through(ledger, lambda connection: _assess_chunk(ledger, connection))
        project_until(ledger, position)


def unfinished_publication(ledger: Ledger) -> Publication | None:
    """The oldest publication whose assessment is not complete."""
    with reading(ledger.engine) as connection:
        return publications.unfinished(connection)


def _assess_chunk(ledger: Ledger, connection: Connection) -> Batch[None]:
    """What follows for the next annual returns from the oldest publication that is not yet assessed whole."""
    publication = publications.unfinished(connection)
    if publication is None:  # Another process has come to the end.
        return Batch(None, (), UNATTENDED)
    policy = next(each for each in ledger.policies(connection) if each.ref.id == publication.policy)
    streams = ledger.returns_streams(
        connection, after=publication.after_stream, years=_years(policy), limit=STREAMS_PER_CHUNK
    )
    books, new, _ = _reassess(ledger, connection, policy, streams)
    is_last = len(streams) < STREAMS_PER_CHUNK or policy.ref.version != publication.version
    done = publication.total if is_last else min(publication.done + len(streams), publication.total - 1)
    after_stream = streams[-1] if streams else publication.after_stream

    def advance(connection: Connection, _: int) -> None:
        publications.advance(connection, publication, after_stream=after_stream, done=done)

    guard = Guard(books.read_at, books.streams)
    return Batch(None, ledger.stored(new), Recording(ACTOR, uuid.uuid4().hex, guard, advance))


def _reassess(
    ledger: Ledger, connection: Connection, policy: Policy, streams: list[str]
) -> tuple[Books, list[NewEvent], list[Change]]:
    touched = [
        (uscc, period)
        for _, uscc, year in (stream.split("/") for stream in streams)
        for period in (f"{year}-06", f"{year}-12")
    ]
    books = Books(ledger, connection, touched, [policy])
    return books, *books.reassess(books.accounts_of)


def preview_publication(ledger: Ledger, loaded: LoadedPolicy) -> PublicationEffect:
    """What publishing a document would change; nothing is recorded."""
    changed = before_fen = after_fen = 0
    after_stream = ""
    with reading(ledger.engine) as connection:
        policy = Policy(_next_ref(_newest(ledger, connection, loaded), loaded), loaded.typed)
        while streams := ledger.returns_streams(
            connection, after=after_stream, years=_years(policy), limit=STREAMS_PER_CHUNK
        ):
            _, _, changes = _reassess(ledger, connection, policy, streams)
            changed += len(changes)
            before_fen += sum(each.before_fen or 0 for each in changes)
            after_fen += sum(each.after_fen or 0 for each in changes)
            after_stream = streams[-1]
    return PublicationEffect(
        policy=policy.ref.id,
        version=policy.ref.version,
        sha256=policy.ref.sha256,
        entitlements_changed=changed,
        before_fen=before_fen,
        after_fen=after_fen,
    )


def assessment_progress(connection: Connection, policy: str, version: int) -> AssessmentProgress:
    """How far the assessment of a published version has come."""
    found = publications.find(connection, policy, version)
    return AssessmentProgress(found.done, found.total)
