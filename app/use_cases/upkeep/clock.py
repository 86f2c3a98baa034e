"""Vouching for a clock that is far ahead of the last record."""

import uuid

import msgspec
from sqlalchemy import Connection

from app.ledger.clock import time_text
from app.ledger.ledger import Batch, Ledger
from app.ledger.mapper import NewEvent
from app.ledger.own_stream import read_own_stream
from app.ledger.recorder import UNATTENDED, AppendCondition, AppendRequest
from app.use_cases.recording import commit_with_retries
from app.use_cases.upkeep.projecting import project_until
from domain.events import LEDGER_STREAM, ClockAccepted


class ClockTold(msgspec.Struct, frozen=True):
    """What the clock tells, and the time of the last record (0 of an empty log), in microseconds since 1970.

    Attributes:
        is_accepted: Whether that is recorded; not where the log is ahead of the clock already.
    """

    now_us: int
    last_us: int
    is_accepted: bool


def accept_clock(ledger: Ledger, *, reason: str, actor: str) -> ClockTold:
    """Record that the clock is right, whatever was recorded before."""

    def decide(connection: Connection) -> Batch[ClockTold]:
        condition = AppendCondition(ledger.head(connection), [LEDGER_STREAM])
        now_us, last_us = ledger.clock(), ledger.last_recorded_us(connection)
        told = ClockTold(now_us, last_us, is_accepted=last_us <= now_us)
        if not told.is_accepted:
            return Batch(told, (), UNATTENDED)
        event = ClockAccepted(
            accepted=time_text(now_us), last_recorded=time_text(last_us) if last_us else None, reason=reason
        )
        version = read_own_stream(connection).version + 1
        recording = AppendRequest(actor, uuid.uuid4().hex, condition)
        return Batch(told, ledger.stored([NewEvent(LEDGER_STREAM, version, event)]), recording)

    told, position = commit_with_retries(ledger, decide)
    project_until(ledger, position)
    return told
