"""What every read begins with: the moment, and of the accounts the policy that they are about."""

import base64
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.database import reading
from app.ledger.ledger import Ledger
from app.ledger.tiles import root_at
from domain.events import LogEntry
from domain.policy import Policy
from projections.projector import position_of
from projections.queries import moments, policies
from projections.queries.moments import Moment
from projections.queries.policies import PolicyVersion

ChoiceProblem = Literal["policy-unknown", "policy-ambiguous"]


class PositionAheadError(Exception):
    """A position above the head was asked for."""

    def __init__(self, head: int) -> None:
        super().__init__(f"the last position is {head}")
        self.head = head


class DayAheadError(Exception):
    """A day was asked for that has not begun."""

    def __init__(self, day: str) -> None:
        super().__init__(f"{day} has not begun in Beijing")
        self.day = day


class AskedDay(NamedTuple):
    """A day in Beijing that was asked for.

    Attributes:
        text: As it was written.
        start_us: When it begins, in microseconds since 1970, as `asked_at_us`.
        asked_at_us: What the clock showed when it was asked for.
    """

    text: str
    start_us: int
    asked_at_us: int


class AskedMoment(NamedTuple):
    """As of when an answer is wanted: at a position or by a time; now where neither is given.

    Attributes:
        position: Of the log.
        known_at_us: Microseconds since 1970-01-01T00:00:00Z.
        day: Where the time is the start or the end of a day.
        day_in_progress: Of a position: it was found for a day that had not ended then.
    """

    position: int | None = None
    known_at_us: int | None = None
    day: AskedDay | None = None
    day_in_progress: bool = False


NOW = AskedMoment()


class AsOf(Moment, frozen=True):
    """The moment of an answer, and the root of the log's tree over the events up to it.

    Attributes:
        root: 32 bytes; None while the log is not sealed so far.
        day_in_progress: A day was asked for that has not ended: it is answered as of now.
    """

    root: bytes | None
    day_in_progress: bool = False

    @property
    def root_text(self) -> str | None:
        """The root in base64."""
        return None if self.root is None else base64.b64encode(self.root).decode()


class Opened(msgspec.Struct, frozen=True):
    """The books at a moment, under the newest version of a policy; None while no policy covers the window."""

    moment: AsOf
    version: PolicyVersion | None
    policy: Policy | None

    @property
    def ceiling_fen(self) -> int:
        """The half-year ceiling; 0 without a policy."""
        return 0 if self.policy is None else self.policy.half_year_limit.ceiling.fen


def is_projected(ledger: Ledger, position: int) -> bool:
    """Whether the read models hold a position of the log.

    Raises:
        PositionAheadError: The position is above the head of the log.
    """
    with reading(ledger.engine) as connection:
        if position_of(connection) >= position:
            return True
        head = ledger.head(connection)
    if position > head:
        raise PositionAheadError(head)
    return False


def moment_of(connection: Connection, asked: AskedMoment) -> AsOf:
    """The end of the last transaction that had ended by the moment asked for; position 0 before the first.

    Raises:
        PositionAheadError: The position is above the head.
        DayAheadError: The day has not begun.
    """
    head = moments.now(connection)
    if asked.position is not None and asked.position > head.position:
        raise PositionAheadError(head.position)
    return _as_of(connection, _moment(connection, asked, head), asked, head)


def _moment(connection: Connection, asked: AskedMoment, head: Moment) -> Moment:
    if asked.known_at_us is not None:
        return moments.at_time(connection, asked.known_at_us)
    return head if asked.position is None else moments.at_position(connection, asked.position)


def _as_of(connection: Connection, moment: Moment, asked: AskedMoment, head: Moment) -> AsOf:
    root = root_at(connection, moment.position)
    return AsOf(moment.position, moment.recorded_at_us, root, _is_in_progress(asked, head))


def _is_in_progress(asked: AskedMoment, head: Moment) -> bool:
    """Whether a day was asked for that has not ended; where the log is ahead of the clock, by its time."""
    if asked.day is None or asked.known_at_us is None:
        return asked.day_in_progress
    now_us = max(asked.day.asked_at_us, head.recorded_at_us or 0)
    if asked.day.start_us > now_us:
        raise DayAheadError(asked.day.text)
    return asked.known_at_us > now_us


def log_moment_of(ledger: Ledger, connection: Connection, asked: AskedMoment) -> AsOf:
    """The moment asked for by the log itself, which may be ahead of the read models.

    Raises:
        PositionAheadError: The position is above the head.
        DayAheadError: The day has not begun.
    """
    if asked.position is not None and asked.position > (last := ledger.head(connection)):
        raise PositionAheadError(last)
    moment = _last_transaction(ledger, connection, asked)
    head = moment if asked.day is None else _last_transaction(ledger, connection, NOW)
    return _as_of(connection, moment, asked, head)


def events_after(  # noqa: PLR0913 - the page that is asked for
    ledger: Ledger, connection: Connection, after: int, at: AsOf, *, limit: int, uscc: str | None
) -> Sequence[LogEntry]:
    """At most `limit` events after a position that were recorded by a moment, of one enterprise or of all.

    Raises:
        PositionAheadError: The position is above the head.
    """
    if after > at.position and after > (head := ledger.head(connection)):
        raise PositionAheadError(head)
    return ledger.page(connection, after=after, until=at.position, limit=limit, uscc=uscc)


def _last_transaction(ledger: Ledger, connection: Connection, asked: AskedMoment) -> Moment:
    end = ledger.last_transaction(connection, position=asked.position, known_at_us=asked.known_at_us)
    return moments.BEGINNING if end is None else Moment(*end)


def opened(
    connection: Connection, window: str, policy: str | None, asked: AskedMoment
) -> Opened | ChoiceProblem:
    """The books as asked for.

    Raises:
        PositionAheadError: The position is above the head.
        DayAheadError: The day has not begun.
    """
    moment = moment_of(connection, asked)
    version = _version(connection, window, moment.position, policy)
    if isinstance(version, str):
        return version
    found = None if version is None else policies.policy_of(connection, version.ref)
    return Opened(moment, version, found)


def _version(
    connection: Connection, window: str, at: int, policy: str | None
) -> PolicyVersion | ChoiceProblem | None:
    newest = {each.ref.id: each for each in policies.published(connection, at)}
    if policy is not None:
        found = newest.get(policy)
        if found is None and not policies.is_published(connection, policy):
            return "policy-unknown"
        return found
    covering = [each for each in newest.values() if each.covers(window)]
    if len(covering) > 1:
        return "policy-ambiguous"
    return covering[0] if covering else None
