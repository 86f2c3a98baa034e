"""Reads of the published policies."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from domain.events import PolicyRef
from domain.policy import Policy, policy_from_log
from projections.tables import policies


class PolicyVersion(msgspec.Struct, frozen=True):
    """A published version of a policy."""

    ref: PolicyRef
    title: str
    first_window: str
    last_window: str
    actor: str
    recorded_at_us: int
    position: int
    text: str
    document: dict[str, Any]

    def covers(self, window: str) -> bool:
        """Whether it pays for some period of the half-year."""
        return self.first_window <= window <= self.last_window

    def policy(self) -> Policy:
        """The policy, ready to assess by."""
        return policy_from_log(self.ref, self.document)


def published(connection: Connection, at: int) -> list[PolicyVersion]:
    """All versions published at or before a position, by id and version."""
    query = select(policies).where(policies.c.from_position <= at)
    rows = connection.execute(query.order_by(policies.c.policy, policies.c.version))
    return [_version(row) for row in rows]


def _version(row: Row[Any]) -> PolicyVersion:
    return PolicyVersion(
        ref=PolicyRef(row.policy, row.version, row.sha256),
        title=row.title,
        first_window=row.first_window,
        last_window=row.last_window,
        actor=row.actor,
        recorded_at_us=row.recorded_at_us,
        position=row.position,
        text=row.text,
        document=msgspec.json.decode(row.document),
    )
