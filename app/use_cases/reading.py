"""What every read of the accounts begins with: the moment, and the policy that it is about."""

from typing import Literal

import msgspec
from sqlalchemy import Connection

from app.database import reading
from app.ledger.ledger import Ledger
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


class Opened(msgspec.Struct, frozen=True):
    """The books at a moment, under the newest version of a policy; None while no policy covers the window."""

    moment: Moment
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


def opened(
    connection: Connection, window: str, policy: str | None, position: int | None, known_at_us: int | None
) -> Opened | ChoiceProblem:
    """The books as asked for.

    Raises:
        PositionAheadError: The position is above the head.
    """
    moment = _moment(connection, position, known_at_us)
    version = _version(connection, window, moment.position, policy)
    if isinstance(version, str):
        return version
    found = None if version is None else policies.policy_of(connection, version.ref)
    return Opened(moment, version, found)


def _moment(connection: Connection, position: int | None, known_at_us: int | None) -> Moment:
    if known_at_us is not None:
        return moments.at_time(connection, known_at_us)
    head = moments.now(connection)
    if position is None:
        return head
    if position > head.position:
        raise PositionAheadError(head.position)
    return moments.at_position(connection, position)


def _version(
    connection: Connection, window: str, at: int, policy: str | None
) -> PolicyVersion | ChoiceProblem | None:
    newest = {each.ref.id: each for each in policies.published(connection, at)}
    if policy is not None:
        return newest.get(policy, "policy-unknown")
    covering = [each for each in newest.values() if each.covers(window)]
    if len(covering) > 1:
        return "policy-ambiguous"
    return covering[0] if covering else None
