"""Reads of the published policies."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select

from domain.events import PolicyRef
from domain.periods import Window
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

    @property
    def windows(self) -> list[str]:
        """The half-years of which it pays for some period."""
        years = range(Window.parse(self.first_window).year, Window.parse(self.last_window).year + 1)
        every = (str(Window(year, half)) for year in years for half in (1, 2))
        return [window for window in every if self.covers(window)]


_VERSIONS: Final = select(
    policies.c.policy,
    policies.c.version,
    policies.c.sha256,
    *(policies.c[name] for name in PolicyVersion.__struct_fields__ if name != "ref"),
)


class PublishedDocument(msgspec.Struct, frozen=True):
    """The document of a version: as it was submitted, and the same as data."""

    text: str
    document: dict[str, Any]


def published(connection: Connection, at: int) -> list[PolicyVersion]:
    """All versions published at or before a position, by id and version."""
    query = _VERSIONS.where(policies.c.from_position <= at)
    return [
        _version(row) for row in connection.execute(query.order_by(policies.c.policy, policies.c.version))
    ]


def _version(row: Row[Any]) -> PolicyVersion:
    policy, version, sha256, *rest = tuple(row)
    return PolicyVersion(PolicyRef(policy, version, sha256), *rest)


def find_version(connection: Connection, policy: str, version: int) -> PolicyVersion | None:
    """A version that has been published by now."""
    query = _VERSIONS.where(policies.c.policy == policy, policies.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else _version(row)


def is_published(connection: Connection, policy: str) -> bool:
    """Whether a policy of this id has been published by now."""
    query = select(policies.c.version).where(policies.c.policy == policy)
    return connection.execute(query.limit(1)).one_or_none() is not None


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
