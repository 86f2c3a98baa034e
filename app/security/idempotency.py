"""The answers kept for requests that are sent again under the same `Idempotency-Key`."""

from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy import exc as sql_errors

from app.security.tables import idempotent_answers

KEPT_US: Final = 24 * 3600 * 1_000_000
"""An answer is kept for 24 hours."""


class AlreadyAnsweredError(Exception):
    """The same request is being answered at the same time; what this one would have recorded was not."""


class KeptAnswer(msgspec.Struct, frozen=True):
    """The answer of a request: the SHA-256 of its body, and what was answered."""

    request_sha256: str
    answer: bytes


def find_answer(
    connection: Connection, *, actor: str, idempotency_key: str, now_us: int
) -> KeptAnswer | None:
    """The answer that is kept for a key of this actor."""
    table = idempotent_answers
    query = select(table.c.request_sha256, table.c.answer).where(
        table.c.actor == actor,
        table.c.idempotency_key == idempotency_key,
        table.c.created_at_us > now_us - KEPT_US,
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else KeptAnswer(row.request_sha256, row.answer)


def keep_answer(
    connection: Connection, kept: KeptAnswer, *, actor: str, idempotency_key: str, now_us: int
) -> None:
    """Keep an answer in the transaction that records what it speaks of; old ones are let go.

    Raises:
        AlreadyAnsweredError: Another request with this key came first.
    """
    table = idempotent_answers
    connection.execute(delete(table).where(table.c.created_at_us <= now_us - KEPT_US))
    try:
        connection.execute(
            insert(table).values(
                actor=actor,
                idempotency_key=idempotency_key,
                request_sha256=kept.request_sha256,
                answer=kept.answer,
                created_at_us=now_us,
            )
        )
    except sql_errors.IntegrityError as error:
        raise AlreadyAnsweredError(idempotency_key) from error
