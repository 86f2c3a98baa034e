"""The log line by line: the canonical bytes of an event with its place, hashed, exported and proved alike.

A line is one JSON object without spaces whose keys stand in the order of `Line`; `data` is the state as it is
stored, byte for byte, so that no byte of the log can change and leave its line as it was.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, select, type_coerce
from sqlalchemy.types import NullType

from app.ledger.tables import events
from domain.errors import LedgerIntegrityError

ROWS_AT_ONCE: Final = 10_000
"""Some megabytes, and a statement costs little for each of them."""


class LineError(Exception):
    """Bytes that are not the canonical ones of any row."""


class Line(NamedTuple):
    """A row of the log, as it is stored.

    Attributes:
        position: From 1, without gaps.
        stream: The aggregate.
        version: Its place in the stream, from 1.
        topic: The stable name of its type.
        recorded_at_us: Microseconds since 1970-01-01T00:00:00Z.
        actor: Who recorded it.
        batch_id: What was recorded together.
        transaction_end: The position of the last event of its transaction.
        state: The event as JSON.
    """

    position: int
    stream: str
    version: int
    topic: str
    recorded_at_us: int
    actor: str
    batch_id: str
    transaction_end: int
    state: bytes


class _Written(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A line as it is read; its fields in the order of the line."""

    position: int
    stream: str
    version: int
    type: str
    recorded_at_us: int
    actor: str
    batch_id: str
    transaction_end: int
    data: msgspec.Raw


_COLUMNS = [events.c[name] for name in Line._fields]
_AS_STORED = [type_coerce(each, NullType()) for each in _COLUMNS]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Written).decode


@lru_cache(maxsize=1024)
def _quoted(text: str) -> bytes:
    return _encode(text)


def canonical(line: Line) -> bytes:
    """The canonical bytes of a row.

    They are those of a JSON object, as long as the state is JSON: what is stored is taken as it is.

    Raises:
        LedgerIntegrityError: A value is of another type than the ledger stores, as SQLite allows.
    """
    try:
        return _formatted(line)
    except TypeError as error:
        raise LedgerIntegrityError(f"序号{line.position}的记录已被改动：有的列数据类型不符") from error


def _formatted(line: Line) -> bytes:
    position, stream, version, topic, recorded_at_us, actor, batch_id, transaction_end, state = line
    return (
        b'{"position":%d,"stream":%b,"version":%d,"type":%b,"recorded_at_us":%d,"actor":%b,"batch_id":%b,"transaction_end":%d,"data":%b}'
        % (
            position,
            _encode(stream),
            version,
            _quoted(topic),
            recorded_at_us,
            _quoted(actor),
            _quoted(batch_id),
            transaction_end,
            state,
        )
    )


def parse(line: bytes) -> Line:
    """The row whose canonical bytes these are.

    Raises:
        LineError: They are those of no row: no such object, or the same written in another way.
    """
    try:
        *place, state = msgspec.structs.astuple(_decode(line))
        row = Line._make((*place, bytes(state)))
        is_canonical = canonical(row) == line
    except (ValueError, RecursionError) as error:
        raise LineError(str(error)) from error
    if not is_canonical:
        raise LineError("内容相同而写法不同")
    return row


@contextmanager
def streamed_rows(
    connection: Connection, *, until: int | None = None
) -> Iterator[Iterator[Sequence[Sequence[Any]]]]:
    """The rows in the order of their positions, each as it is stored, so many at once.

    Args:
        connection: In one snapshot, which is read to the end however long that takes.
        until: The last position; None reads all rows, those too whose position is no number.
    """
    query = select(*_AS_STORED).order_by(events.c.position)
    if until is not None:
        query = query.where(events.c.position <= until)
    options = {"as_bytes": True, "yield_per": ROWS_AT_ONCE}
    with connection.execute(query, execution_options=options) as result:
        yield result.partitions()


def read_lines(connection: Connection, *, after: int, until: int, limit: int) -> list[Line]:
    """At most `limit` rows after one position and up to another, in the order of the log."""
    query = select(*_COLUMNS).where(events.c.position > after, events.c.position <= until)
    return _rows(connection, query.order_by(events.c.position).limit(limit))


def read_stream(connection: Connection, stream: str, *, until: int | None) -> list[Line]:
    """The rows of a stream up to a position, or all of them, in the order of their versions."""
    query = select(*_COLUMNS).where(events.c.stream == stream)
    if until is not None:
        query = query.where(events.c.position <= until)
    return _rows(connection, query.order_by(events.c.version))


def _rows(connection: Connection, query: Select[Any]) -> list[Line]:
    rows = connection.execute(query, execution_options={"as_bytes": True}).cursor.fetchall()
    return list(map(Line._make, rows))


def ended_by(connection: Connection, position: int) -> int:
    """Where the last transaction ends that had ended by a position; 0 where none had."""
    is_end = events.c.position == events.c.transaction_end
    query = select(events.c.position).where(events.c.position <= position, is_end)
    found: int | None = connection.scalar(query.order_by(events.c.position.desc()).limit(1))
    return found or 0
