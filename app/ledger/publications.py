"""How far the assessment of what was filed before a publication has come."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, insert, select, update

from app.ledger.recorder import ConcurrencyConflictError
from app.ledger.tables import publications


class Publication(msgspec.Struct, frozen=True):
    """A published version, and its assessment.

    Attributes:
        policy: The id of the policy.
        version: Of the policy, from 1.
        after_stream: The last stream of annual returns that is assessed, "" before the first.
        done: How many are assessed.
        total: How many there were when the version was published.
    """

    policy: str
    version: int
    after_stream: str
    done: int
    total: int


class PublicationAt(Publication, frozen=True):
    """The same with the position of its `PolicyPublished`."""

    position: int


_COLUMNS = [publications.c[name] for name in Publication.__struct_fields__]


def begin(connection: Connection, publication: Publication, *, position: int) -> None:
    """Note a publication, in the transaction that records it at `position`."""
    connection.execute(insert(publications).values(**msgspec.structs.asdict(publication), position=position))


def unfinished(connection: Connection) -> Publication | None:
    """The oldest publication whose assessment is not complete."""
    query = select(*_COLUMNS).where(publications.c.done < publications.c.total)
    row = connection.execute(query.order_by(publications.c.position).limit(1)).one_or_none()
    return None if row is None else Publication(*row)


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
    """The publication of a version."""
    query = select(*_COLUMNS).where(publications.c.policy == policy, publications.c.version == version)
    return Publication(*connection.execute(query).one())


def up_to(connection: Connection, position: int) -> list[PublicationAt]:
    """The publications up to a position, in the order of the log."""
    query = select(*_COLUMNS, publications.c.position).where(publications.c.position <= position)
    rows = connection.execute(query.order_by(publications.c.position)).mappings()
    return [PublicationAt(**row) for row in rows]


def restore(connection: Connection, restored: Sequence[PublicationAt]) -> None:
    """Note publications as they were noted in the ledger that they come from."""
    if restored:
        connection.execute(insert(publications), [msgspec.structs.asdict(each) for each in restored])
