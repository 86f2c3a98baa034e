"""The answers kept for requests that are sent again under the same `Idempotency-Key`."""

from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy import exc as sql_errors

from app.ledger.tables import idempotent_answers

KEPT_US: Final = 24 * 3600 * 1_000_000
"""An answer is kept for 24 hours."""


class RequestKey(msgspec.Struct, frozen=True):
    """What tells a request that is sent again from another one.

    Attributes:
        actor: Who sends it.
        idempotency_key: The name that the sender gave it.
        request_sha256: Of its body, in hexadecimal.
    """

    actor: str
    idempotency_key: str
    request_sha256: str


class KeyReusedError(Exception):
    """The key was used for a request with another body."""


class AlreadyAnsweredError(Exception):
    """The same request is being answered at the same time; what this one would have recorded was not."""


def find_answer(connection: Connection, request: RequestKey, now_us: int) -> bytes | None:
    """The answer that is kept for a request.

    Raises:
        KeyReusedError: The answer kept under its key is that of another body.
    """
    table = idempotent_answers
    query = select(table.c.request_sha256, table.c.answer).where(
        table.c.actor == request.actor,
        table.c.idempotency_key == request.idempotency_key,
        table.c.created_at_us > now_us - KEPT_US,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.request_sha256 != request.request_sha256:
        raise KeyReusedError(request.idempotency_key)
    answer: bytes = row.answer
    return answer


def keep_answer(connection: Connection, request: RequestKey, answer: bytes, now_us: int) -> None:
    """Keep an answer in the transaction that records what it speaks of; old ones are let go.

    Raises:
        AlreadyAnsweredError: Another request with this key came first.
    """
    table = idempotent_answers
    connection.execute(delete(table).where(table.c.created_at_us <= now_us - KEPT_US))
    kept = {**msgspec.structs.asdict(request), "answer": answer, "created_at_us": now_us}
    try:
        connection.execute(insert(table).values(kept))
    except sql_errors.IntegrityError as error:
        raise AlreadyAnsweredError(request.idempotency_key) from error
