"""Accepts a clock that is far ahead of the last record."""

import uuid

import msgspec
from sqlalchemy import Connection

from app.ledger.ledger import Batch, Ledger
from app.ledger.mapper import NewEvent
from app.ledger.own_stream import read_own_stream
from app.ledger.recorder import UNATTENDED, AppendCondition, AppendRequest
from app.runtime.times import rfc_3339
from app.use_cases.recording import commit_with_retries
from app.use_cases.upkeep.projecting import project_until
from domain.events import LEDGER_STREAM, ClockAccepted


class ClockComparison(msgspec.Struct, frozen=True):
    """The time of the clock, compared with the last record.

    Attributes:
        now_us: The time of the clock, in microseconds since 1970.
        last_us: The time of the last record, in microseconds since 1970; 0 if the log is empty.
        is_accepted: Whether the clock is recorded as right; False if the log is ahead of it.
    """

    now_us: int
    last_us: int
    is_accepted: bool


def accept_clock(ledger: Ledger, *, reason: str, actor: str) -> ClockComparison:
    """Record that the clock is right, unless the log is ahead of it."""

    def decide(connection: Connection) -> Batch[ClockComparison]:
        condition = AppendCondition(ledger.head(connection), [LEDGER_STREAM])
        now_us, last_us = ledger.clock(), ledger.last_recorded_us(connection)
        comparison = ClockComparison(now_us, last_us, is_accepted=last_us <= now_us)
        if not comparison.is_accepted:
            return Batch(comparison, (), UNATTENDED)
        event = ClockAccepted(
            accepted=rfc_3339(now_us), last_recorded=rfc_3339(last_us) if last_us else None, reason=reason
        )
        version = read_own_stream(connection).version + 1
        recording = AppendRequest(actor, uuid.uuid4().hex, condition)
        return Batch(comparison, ledger.stored([NewEvent(LEDGER_STREAM, version, event)]), recording)

    comparison, position = commit_with_retries(ledger, decide)
    project_until(ledger, position)
    return comparison
