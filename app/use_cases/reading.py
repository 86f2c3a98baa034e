"""What every read begins with: the moment, and of the accounts the policy that they are about."""

import base64
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.database import reading
from app.ledger.ledger import Ledger
from app.ledger.tiles import root_at
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


class AskedMoment(NamedTuple):
    """As of when an answer is wanted: at a position or by a time; now where neither is given.

    Attributes:
        position: Of the log.
        known_at_us: Microseconds since 1970-01-01T00:00:00Z.
    """

    position: int | None = None
    known_at_us: int | None = None


NOW = AskedMoment()


class AsOf(Moment, frozen=True):
    """The moment of an answer, and the root of the log's tree over the events up to it.

    Attributes:
        root: 32 bytes; None while the log is not sealed so far.
    """

    root: bytes | None

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
    """
    return _sealed(connection, _moment(connection, asked))


def _moment(connection: Connection, asked: AskedMoment) -> Moment:
    if asked.known_at_us is not None:
        return moments.at_time(connection, asked.known_at_us)
    head = moments.now(connection)
    if asked.position is None:
        return head
    if asked.position > head.position:
        raise PositionAheadError(head.position)
    return moments.at_position(connection, asked.position)


def _sealed(connection: Connection, moment: Moment) -> AsOf:
    return AsOf(moment.position, moment.recorded_at_us, root_at(connection, moment.position))


def log_moment_of(ledger: Ledger, connection: Connection, asked: AskedMoment) -> AsOf:
    """The moment asked for by the log itself, which may be ahead of the read models.

    Raises:
        PositionAheadError: The position is above the head.
    """
    if asked.position is not None and asked.position > (head := ledger.head(connection)):
        raise PositionAheadError(head)
    end = ledger.last_transaction(connection, position=asked.position, known_at_us=asked.known_at_us)
    return _sealed(connection, moments.BEGINNING if end is None else Moment(*end))


def opened(
    connection: Connection, window: str, policy: str | None, asked: AskedMoment
) -> Opened | ChoiceProblem:
    """The books as asked for.

    Raises:
        PositionAheadError: The position is above the head.
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
