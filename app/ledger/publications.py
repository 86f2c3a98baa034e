"""How far the assessment of what was filed before a publication has come."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy import Connection, func, insert, select, type_coerce, update
from sqlalchemy.types import NullType

from app.ledger.corruption import VERIFY, is_returns, shown
from app.ledger.recorder import ConcurrencyConflictError
from app.ledger.tables import publications
from domain.errors import LedgerIntegrityError
from domain.structs import prepared

WholeNumber = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


@prepared
class Publication(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published or withdrawn version, and the assessment that follows on it.

    Attributes:
        policy: The id of the policy.
        version: Of the policy, from 1.
        position: Of the `PolicyPublished` or `PolicyWithdrawn`.
        after_stream: The last stream of annual returns that is assessed, "" before the first.
        done: How many are assessed.
        total: How many there were when the version was published.
        assessed_at: The position of the `PolicyAssessed` that ended it; None where none did.
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
        """How many are done while nothing says that it ended: fewer than all."""
        return max(min(self.done, self.total - 1), 0)


_COLUMNS = [publications.c[name] for name in Publication.__struct_fields__]


def begin(connection: Connection, publication: Publication) -> None:
    """Note a publication, in the transaction that records it."""
    connection.execute(insert(publications).values(**msgspec.structs.asdict(publication)))


def unfinished(connection: Connection) -> Publication | None:
    """The oldest publication whose assessment is not complete, of the newest ones of each policy."""
    return next(iter(all_unfinished(connection)), None)


def all_unfinished(connection: Connection) -> list[Publication]:
    """The publications whose assessment is not complete, of the newest ones of each policy.

    Where nothing was filed before, nothing is to be assessed, and no `PolicyAssessed` follows.
    """
    newest = select(func.max(publications.c.position)).group_by(publications.c.policy)
    query = select(*_COLUMNS).where(publications.c.position.in_(newest), publications.c.assessed_at.is_(None))
    query = query.where(publications.c.total > 0)
    return [_strictly(row) for row in connection.execute(query.order_by(publications.c.position))]


def advance(
    connection: Connection, before: Publication, *, after_stream: str, done: int, assessed_at: int | None
) -> None:
    """Note a chunk as assessed, in the transaction that records what follows from it.

    Raises:
        ConcurrencyConflictError: Another process assessed it meanwhile.
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
    """The publication at a position; None where it is not noted.

    Raises:
        LedgerIntegrityError: What is noted makes no sense.
    """
    row = connection.execute(select(*_COLUMNS).where(publications.c.position == position)).one_or_none()
    return None if row is None else _strictly(row)


def all_of(connection: Connection) -> list[Publication]:
    """Every publication that is noted, whatever is noted of it.

    Raises:
        LedgerIntegrityError: What is noted makes no sense.
    """
    query = select(*(type_coerce(each, NullType()) for each in _COLUMNS))
    return [_strictly(row) for row in connection.execute(query)]


def up_to(connection: Connection, position: int) -> list[Publication]:
    """The publications up to a position, in the order of the log."""
    query = select(*_COLUMNS).where(publications.c.position <= position)
    return [_strictly(row) for row in connection.execute(query.order_by(publications.c.position))]


def _strictly(row: Iterable[Any]) -> Publication:
    """What a row says, which SQLite may hold as values of any type.

    Raises:
        LedgerIntegrityError: It makes no sense.
    """
    try:
        return msgspec.convert(dict(zip(Publication.__struct_fields__, row, strict=True)), Publication)
    except (msgspec.ValidationError, ValueError) as error:  # The latter of text that is no UTF-8.
        raise LedgerIntegrityError(f"政策测算进度（publications表）的数据无效。{VERIFY}") from error


def unassessed(noted: Iterable[Publication]) -> list[Publication]:
    """The publications whose assessment is not complete, but those that a newer one overtook."""
    newest: dict[str, Publication] = {}
    for each in sorted(noted, key=lambda each: each.position):
        newest[each.policy] = each
    return [each for each in newest.values() if each.assessed_at is None and each.total > 0]


class Logged(NamedTuple):
    """What the log says of a publication: the policy, the version, and where its assessment ended."""

    policy: str
    version: int
    assessed_at: int | None


def problems_of(noted: Sequence[Publication], logged: Mapping[int, Logged]) -> Iterator[str]:
    """What is noted of publications that cannot be so, in Chinese.

    Args:
        noted: Each publication as it is noted.
        logged: What the log says, by the position of the publication.
    """
    found = sorted((each.position, each.policy, each.version) for each in noted)
    if found != sorted((position, each.policy, each.version) for position, each in logged.items()):
        yield "所记的政策版本或其序号与台账中的发布记录不同"
    for each in noted:
        has_begun = each.after_stream != ""
        known = logged.get(each.position)
        if (
            each.done > (each.total if has_begun else 0)
            or (has_begun and not is_returns(each.after_stream))
            or (known is not None and each.assessed_at != known.assessed_at)
        ):
            yield f"政策{shown(each.policy)}版本{each.version}的测算进度不可能如此"


def restore(connection: Connection, restored: Sequence[Publication]) -> None:
    """Note publications as they were noted in the ledger that they come from."""
    if restored:
        connection.execute(insert(publications), [msgspec.structs.asdict(each) for each in restored])
