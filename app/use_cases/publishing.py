"""Publishing a policy: its document is recorded, then what was filed before is assessed, chunk by chunk."""

import uuid
from collections.abc import Callable
from typing import Final

import msgspec
from eventsourcing.persistence import IntegrityError
from sqlalchemy import Connection

from app.database import reading, steadily, writing
from app.ledger import publications
from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from app.ledger.publications import Publication
from app.ledger.recorder import Guard, Recording
from app.policies.loader import LoadedPolicy
from app.use_cases.attempts import MOST_ATTEMPTS, ContentionError, carry_through
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
    """Record a document as the next version of its policy; the same one again records nothing.

    Raises:
        app.use_cases.attempts.ContentionError: Others kept recording in between.
    """
    published = carry_through(lambda: _publish(ledger, loaded, actor))
    project_until(ledger, published.position)  # Another process may have published it just now.
    return published


def _publish(ledger: Ledger, loaded: LoadedPolicy, actor: str) -> Published:
    with reading(ledger.engine) as connection:
        read_at = ledger.head(connection)
        newest = _newest(ledger, connection, loaded)
    ref = _next_ref(newest, loaded)
    if newest is not None and newest.ref == ref:
        return Published(ref, read_at, is_new=False)
    event = PolicyPublished(
        policy=ref.id, version=ref.version, sha256=ref.sha256, text=loaded.text, document=loaded.document
    )
    begin = _begin(ledger, Policy(ref, loaded.typed))
    recording = Recording(actor, uuid.uuid4().hex, Guard(read_at, ()), begin)
    new = [NewEvent(policy_stream(ref.id), ref.version, event)]
    position = ledger.record(ledger.stored(new), recording)
    return Published(ref, position, is_new=True)


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


def _begin(ledger: Ledger, policy: Policy) -> Callable[[Connection, int], None]:
    def begin(connection: Connection, position: int) -> None:
        total = ledger.count_returns_streams(connection, years=_years(policy))
        publication = Publication(policy.ref.id, policy.ref.version, after_stream="", done=0, total=total)
        publications.begin(connection, publication, position=position)

    return begin


def _years(policy: Policy) -> range:
    first, last = policy.covers
    return range(first.year, last.year + 1)


def assess_published(ledger: Ledger, progress: Progress = lambda _done, _total: None) -> None:
    """Assess what was filed before each publication; goes on where it was left.

    Several processes may do so at once: a chunk counts for the one that records it first, and the others go
    on behind it. Filings in between make the chunk smaller, so that it gets through beside many of them.

    Raises:
        app.use_cases.attempts.ContentionError: Others kept recording in between, though the chunk was a
            single stream in the end.
    """
    failures = 0
    before: Publication | None = None
    while (publication := steadily(lambda: unfinished_publication(ledger))) is not None:
        if publication != before:  # A chunk was done, here or by another process.
            before, failures = publication, 0
        progress(publication.done, publication.total)
        try:
            _assess_steadily(ledger, publication, max(STREAMS_PER_CHUNK >> failures, 1))
        except IntegrityError as error:
            failures += 1
            if failures == MOST_ATTEMPTS:
                raise ContentionError("the assessment of a publication did not get through") from error


def unfinished_publication(ledger: Ledger) -> Publication | None:
    """The oldest publication whose assessment is not complete."""
    with reading(ledger.engine) as connection:
        return publications.unfinished(connection)


def _assess_steadily(ledger: Ledger, publication: Publication, limit: int) -> None:
    steadily(lambda: _assess_chunk(ledger, publication, limit))


def _assess_chunk(ledger: Ledger, publication: Publication, limit: int) -> None:
    with reading(ledger.engine) as connection:
        policy = next(each for each in ledger.policies(connection) if each.ref.id == publication.policy)
        streams = ledger.returns_streams(
            connection, after=publication.after_stream, years=_years(policy), limit=limit
        )
        books, new, _ = _reassess(ledger, connection, policy, streams)
    is_last = len(streams) < limit or policy.ref.version != publication.version
    done = publication.total if is_last else min(publication.done + len(streams), publication.total - 1)
    after_stream = streams[-1] if streams else publication.after_stream

    def advance(connection: Connection, _: int) -> None:
        publications.advance(connection, publication, after_stream=after_stream, done=done)

    if not new:
        with writing(ledger.engine) as connection:
            advance(connection, books.read_at)
        return
    guard = Guard(books.read_at, books.streams)
    recording = Recording(ACTOR, uuid.uuid4().hex, guard, advance)
    project_until(ledger, ledger.record(ledger.stored(new), recording))


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
