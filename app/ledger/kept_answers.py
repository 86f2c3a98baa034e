"""Keeps the answers to requests, for repetitions under the same `Idempotency-Key`."""

from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy import exc as sql_errors

from app.ledger.tables import idempotent_answers

KEPT_US: Final = 24 * 3600 * 1_000_000
"""How long an answer is kept: 24 hours."""


class RequestKey(msgspec.Struct, frozen=True):
    """The identity of a request, by which a repetition is recognised.

    Attributes:
        actor: The name of the API key.
        idempotency_key: The value of the header `Idempotency-Key`.
        request_sha256: The SHA-256 of the body, in hexadecimal.
    """

    actor: str
    idempotency_key: str
    request_sha256: str


class KeyReusedError(Exception):
    """The key was used for a request with another body."""


class AlreadyAnsweredError(Exception):
    """The same request has been answered meanwhile, so this one records nothing."""


def find_answer(connection: Connection, request: RequestKey, now_us: int) -> bytes | None:
    """Find the answer kept for a request; None if there is none.

    Raises:
        KeyReusedError: The answer kept under the request's key belongs to another body.
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
    """Keep an answer, in the transaction that records its events, and delete expired ones.

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
