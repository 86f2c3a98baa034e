"""The lines of the log: the canonical bytes of each event and its place, for hashes, exports and proofs.

A line is one JSON object without spaces, with its keys in the order of `Line`. `data` is the stored state,
byte for byte, so that a change of any byte in the log changes its line.
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
"""The number of rows per statement: some megabytes, and little overhead per row."""


class LineError(Exception):
    """Bytes that are not the canonical bytes of any row."""


class Line(NamedTuple):
    """A row of the log, as it is stored.

    Attributes:
        position: The position in the log, from 1, without gaps.
        stream: The name of the stream.
        version: The version in the stream, from 1.
        topic: The stable name of the event's type.
        recorded_at_us: Microseconds since 1970-01-01T00:00:00Z.
        actor: The name of the key, or of the command, that recorded the event.
        batch_id: The number of the batch that was recorded together.
        transaction_end: The position of the last event of the transaction.
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
    """A parsed line, with the fields in the order of the line."""

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
_AS_STORED = [type_coerce(column, NullType()) for column in _COLUMNS]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Written).decode


@lru_cache(maxsize=1024)
def _quoted(text: str) -> bytes:
    return _encode(text)


def canonical(line: Line) -> bytes:
    """Format the canonical bytes of a row.

    They are a JSON object as long as the state is JSON, which is not checked.

    Raises:
        LedgerIntegrityError: A value has a type that the ledger does not store.
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
    """Parse the canonical bytes of a row.

    Raises:
        LineError: The bytes are no such JSON object, or not its canonical form.
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
    """Read the rows in the order of their positions, as they are stored, in chunks of `ROWS_AT_ONCE`.

    Args:
        connection: A connection in a read transaction without time limit, which sees one snapshot.
        until: The last position; None reads all rows, including those whose position is not a number.
    """
    query = select(*_AS_STORED).order_by(events.c.position)
    if until is not None:
        query = query.where(events.c.position <= until)
    options = {"as_bytes": True, "yield_per": ROWS_AT_ONCE}
    with connection.execute(query, execution_options=options) as result:
        yield result.partitions()


def read_lines(connection: Connection, *, after: int, until: int, limit: int) -> list[Line]:
    """Read at most `limit` rows after one position and up to another, in the order of the log."""
    query = select(*_COLUMNS).where(events.c.position > after, events.c.position <= until)
    return _rows(connection, query.order_by(events.c.position).limit(limit))


def read_stream(connection: Connection, stream: str, *, until: int | None) -> list[Line]:
    """Read the rows of a stream up to a position, or all of them, in the order of their versions."""
    query = select(*_COLUMNS).where(events.c.stream == stream)
    if until is not None:
        query = query.where(events.c.position <= until)
    return _rows(connection, query.order_by(events.c.version))


def _rows(connection: Connection, query: Select[Any]) -> list[Line]:
    rows = connection.execute(query, execution_options={"as_bytes": True}).cursor.fetchall()
    return list(map(Line._make, rows))


def ended_by(connection: Connection, position: int) -> int:
    """Find the end of the last transaction that had ended by a position; 0 if there is none."""
    is_end = events.c.position == events.c.transaction_end
    query = select(events.c.position).where(events.c.position <= position, is_end)
    found: int | None = connection.scalar(query.order_by(events.c.position.desc()).limit(1))
    return found or 0
