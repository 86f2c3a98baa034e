"""Reads of the published policies."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from domain.events import PolicyRef
from domain.policy import Policy, policy_from_log
from projections.tables import policies

MOST_KEPT: Final = 100
"""Versions kept ready in memory: more than a city publishes in ten years."""


class PolicyVersion(msgspec.Struct, frozen=True):
    """A published version of a policy; its document is read apart, since it is large."""

    ref: PolicyRef
    title: str
    first_window: str
    last_window: str
    actor: str
    recorded_at_us: int
    position: int

    def covers(self, window: str) -> bool:
        """Whether it pays for some period of the half-year."""
        return self.first_window <= window <= self.last_window


class PublishedDocument(msgspec.Struct, frozen=True):
    """The document of a version: as it was submitted, and the same as data."""

    text: str
    document: dict[str, Any]


def published(connection: Connection, at: int) -> list[PolicyVersion]:
    """All versions published at or before a position, by id and version."""
    columns = [policies.c[name] for name in PolicyVersion.__struct_fields__ if name != "ref"]
    query = select(policies.c.policy, policies.c.version, policies.c.sha256, *columns)
    query = query.where(policies.c.from_position <= at).order_by(policies.c.policy, policies.c.version)
    return [
        PolicyVersion(PolicyRef(policy, version, sha256), *rest)
        for policy, version, sha256, *rest in connection.execute(query)
    ]


def document_of(connection: Connection, ref: PolicyRef) -> PublishedDocument:
    """The document of a published version."""
    query = select(policies.c.text, policies.c.document)
    query = query.where(policies.c.policy == ref.id, policies.c.version == ref.version)
    text, document = connection.execute(query).one()
    return PublishedDocument(text, msgspec.json.decode(document))


_read: Final[dict[PolicyRef, Policy]] = {}
"""What was read before, in this process: a version never changes, and its fingerprint is part of its name."""


def policy_of(connection: Connection, ref: PolicyRef) -> Policy:
    """A published version, ready to assess by."""
    found = _read.get(ref)
    if found is None:
        if len(_read) >= MOST_KEPT:
            _read.clear()
        found = _read[ref] = policy_from_log(ref, document_of(connection, ref).document)
    return found
