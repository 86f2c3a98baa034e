"""The progress of the assessment that follows each publication."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, update

from app.ledger.corruption import VERIFY, is_returns, shown
from app.ledger.recorder import ConcurrencyConflictError
from app.ledger.tables import publications
from domain.errors import LedgerIntegrityError
from domain.structs import prepared

WholeNumber = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


@prepared
class Publication(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published or withdrawn version, with the progress of the assessment that follows.

    Attributes:
        policy: The id of the policy.
        version: The version of the policy, from 1.
        position: The position of the `PolicyPublished` or `PolicyWithdrawn`.
        after_stream: The last stream of annual returns that is assessed; "" before the first.
        done: The number of streams of annual returns that are assessed.
        total: The number of such streams when the version was published.
        assessed_at: The position of the `PolicyAssessed` that ended the assessment; None if there is none.
    """

    policy: str
    version: WholeNumber
    position: WholeNumber
    after_stream: str
    done: WholeNumber
    total: WholeNumber
    assessed_at: WholeNumber | None = None

    @property
    def done_before_end(self) -> int:
        """The number of assessed streams to report before the end is known; always less than `total`."""
        return max(min(self.done, self.total - 1), 0)


_COLUMNS = [publications.c[name] for name in Publication.__struct_fields__]


_AT: Final = select(*_COLUMNS).where(publications.c.position == bindparam("at"))


def begin(connection: Connection, publication: Publication) -> None:
    """Insert a publication, in the transaction that records it."""
    connection.execute(insert(publications).values(**msgspec.structs.asdict(publication)))


def unfinished(connection: Connection) -> Publication | None:
    """Find the oldest publication whose assessment is not complete, among the newest one of each policy."""
    return next(iter(all_unfinished(connection)), None)


def all_unfinished(connection: Connection) -> list[Publication]:
    """Find the publications whose assessment is not complete, among the newest one of each policy.

    If no returns were filed before a publication, no assessment and no `PolicyAssessed` follow.
    """
    newest = select(func.max(publications.c.position)).group_by(publications.c.policy)
    query = select(*_COLUMNS).where(publications.c.position.in_(newest), publications.c.assessed_at.is_(None))
    query = query.where(publications.c.total > 0)
    return [_strictly(row) for row in connection.execute(query.order_by(publications.c.position))]


def advance(
    connection: Connection, before: Publication, *, after_stream: str, done: int, assessed_at: int | None
) -> None:
    """Note a chunk as assessed, in the transaction that records its assessments.

    Raises:
        ConcurrencyConflictError: Another process has assessed the chunk meanwhile.
    """
    result = connection.execute(
        update(publications)
        .where(publications.c.position == before.position, publications.c.assessed_at.is_(None))
        .where(publications.c.after_stream == before.after_stream, publications.c.done == before.done)
        .values(after_stream=after_stream, done=done, assessed_at=assessed_at)
    )
    if result.rowcount != 1:
        raise ConcurrencyConflictError("another process assesses this publication too")


def find(connection: Connection, position: int) -> Publication | None:
    """Find the publication at a position; None if the table lacks it.

    Raises:
        LedgerIntegrityError: The row is invalid.
    """
    row = connection.execute(_AT, {"at": position}).one_or_none()
    return None if row is None else _strictly(row)


def read_all(connection: Connection) -> list[Publication]:
    """Read every publication in the table.

    Raises:
        LedgerIntegrityError: A row is invalid.
    """
    return [_strictly(row) for row in connection.execute(select(*_COLUMNS))]


def up_to(connection: Connection, position: int) -> list[Publication]:
    """Read the publications up to a position, in the order of the log."""
    query = select(*_COLUMNS).where(publications.c.position <= position)
    return [_strictly(row) for row in connection.execute(query.order_by(publications.c.position))]


def _strictly(row: Iterable[Any]) -> Publication:
    """Convert a row, whose values may be of any type in a damaged database.

    Raises:
        LedgerIntegrityError: The row is invalid.
    """
    try:
        return msgspec.convert(dict(zip(Publication.__struct_fields__, row, strict=True)), Publication)
    except (msgspec.ValidationError, ValueError) as error:  # ValueError: text that is not UTF-8.
        raise LedgerIntegrityError(f"政策测算进度（publications表）的数据无效。{VERIFY}") from error


def unassessed(noted: Iterable[Publication]) -> list[Publication]:
    """The publications whose assessment is not complete, except those that a newer one supersedes."""
    newest: dict[str, Publication] = {}
    for publication in sorted(noted, key=lambda publication: publication.position):
        newest[publication.policy] = publication
    unfinished_ones = (publication for publication in newest.values() if publication.assessed_at is None)
    return [publication for publication in unfinished_ones if publication.total > 0]


class Logged(NamedTuple):
    """A publication according to the log: the policy, the version, and the end of its assessment."""

    policy: str
    version: int
    assessed_at: int | None


def find_problems(noted: Sequence[Publication], logged: Mapping[int, Logged]) -> Iterator[str]:
    """Yield the contradictions between the table of publications and the log, in Chinese.

    Args:
        noted: The publications in the table.
        logged: The publications in the log, by position.
    """
    found = sorted((publication.position, publication.policy, publication.version) for publication in noted)
    if found != sorted((position, known.policy, known.version) for position, known in logged.items()):
        yield "所记的政策版本或其序号与台账中的发布记录不同"
    for publication in noted:
        has_begun = publication.after_stream != ""
        known = logged.get(publication.position)
        if (
            publication.done > (publication.total if has_begun else 0)
            or (has_begun and not is_returns(publication.after_stream))
            or (known is not None and publication.assessed_at != known.assessed_at)
        ):
            yield f"政策{shown(publication.policy)}版本{publication.version}的测算进度不可能如此"


def restore(connection: Connection, restored: Sequence[Publication]) -> None:
    """Insert publications with their progress from another ledger."""
    if restored:
        rows = [msgspec.structs.asdict(publication) for publication in restored]
        connection.execute(insert(publications), rows)
