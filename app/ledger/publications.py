"""How far the assessment of what was filed before a publication has come."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from sqlalchemy import Connection, insert, select, type_coerce, update
from sqlalchemy.types import NullType

from app.ledger.damage import VERIFY, is_returns, shown
from app.ledger.recorder import ConcurrencyConflictError
from app.ledger.tables import publications
from domain.errors import LedgerIntegrityError
from domain.structs import prepared

WholeNumber = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


@prepared
class Publication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published version, and its assessment.

    Attributes:
        policy: The id of the policy.
        version: Of the policy, from 1.
        after_stream: The last stream of annual returns that is assessed, "" before the first.
        done: How many are assessed.
        total: How many there were when the version was published.
    """

    policy: str
    version: WholeNumber
    after_stream: str
    done: WholeNumber
    total: WholeNumber


@prepared
class PublicationAt(Publication, frozen=True, forbid_unknown_fields=True):
    """The same with the position of its `PolicyPublished`."""

    position: WholeNumber


P = TypeVar("P", bound=Publication)

_COLUMNS = [publications.c[name] for name in Publication.__struct_fields__]


def begin(connection: Connection, publication: Publication, *, position: int) -> None:
    """Note a publication, in the transaction that records it at `position`."""
    connection.execute(insert(publications).values(**msgspec.structs.asdict(publication), position=position))


def unfinished(connection: Connection) -> Publication | None:
    """The oldest publication whose assessment is not complete."""
    query = select(*_COLUMNS).where(publications.c.done < publications.c.total)
    row = connection.execute(query.order_by(publications.c.position).limit(1)).one_or_none()
    return None if row is None else _strictly(row, Publication)


def advance(connection: Connection, before: Publication, *, after_stream: str, done: int) -> None:
    """Note a chunk as assessed, in the transaction that records what follows from it.

    Raises:
        ConcurrencyConflictError: Another process assessed it meanwhile.
    """
    result = connection.execute(
        update(publications)
        .where(publications.c.policy == before.policy, publications.c.version == before.version)
        .where(publications.c.after_stream == before.after_stream, publications.c.done == before.done)
        .values(after_stream=after_stream, done=done)
    )
    if result.rowcount != 1:
        raise ConcurrencyConflictError("another process assesses this publication too")


def find(connection: Connection, policy: str, version: int) -> Publication:
    """The publication of a version.

    Raises:
        LedgerIntegrityError: It is not noted, or what is noted makes no sense.
    """
    query = select(*_COLUMNS).where(publications.c.policy == policy, publications.c.version == version)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise LedgerIntegrityError(f"政策{policy}版本{version}的测算进度(publications表)缺失。{VERIFY}")
    return _strictly(row, Publication)


def all_of(connection: Connection) -> list[PublicationAt]:
    """Every publication that is noted, whatever is noted of it.

    Raises:
        LedgerIntegrityError: What is noted makes no sense.
    """
    query = select(*(type_coerce(each, NullType()) for each in (*_COLUMNS, publications.c.position)))
    return [_strictly(row, PublicationAt) for row in connection.execute(query)]


def up_to(connection: Connection, position: int) -> list[PublicationAt]:
    """The publications up to a position, in the order of the log."""
    query = select(*_COLUMNS, publications.c.position).where(publications.c.position <= position)
    rows = connection.execute(query.order_by(publications.c.position))
    return [_strictly(row, PublicationAt) for row in rows]


def _strictly(row: Iterable[Any], kind: type[P]) -> P:
    """What a row says, which SQLite may hold as values of any type.

    Raises:
        LedgerIntegrityError: It makes no sense.
    """
    try:
        return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
    except (msgspec.ValidationError, ValueError) as error:  # The latter of text that is no UTF-8.
        raise LedgerIntegrityError(f"政策测算进度(publications表)的数据无效。{VERIFY}") from error


def problems_of(noted: Sequence[PublicationAt], published: Mapping[tuple[str, int], int]) -> Iterator[str]:
    """What is noted of publications that cannot be so, in Chinese.

    Args:
        noted: Each publication as it is noted.
        published: Where each version was published, by policy and version.
    """
    found = sorted((each.policy, each.version, each.position) for each in noted)
    if found != sorted((*version, position) for version, position in published.items()):
        yield "所记的政策版本或其序号与台账中的发布记录不同"
    for each in noted:
        has_begun = each.after_stream != ""
        if each.done > (each.total if has_begun else 0) or (has_begun and not is_returns(each.after_stream)):
            yield f"政策{shown(each.policy)}版本{each.version}的测算进度不可能如此"


def restore(connection: Connection, restored: Sequence[PublicationAt]) -> None:
    """Note publications as they were noted in the ledger that they come from."""
    if restored:
        connection.execute(insert(publications), [msgspec.structs.asdict(each) for each in restored])
