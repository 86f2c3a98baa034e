"""Reads of the published policies."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, select

from domain.events import PolicyRef
from domain.periods import Window, period_of, window_of
from domain.policy.policy import Policy, policy_from_log
from domain.policy.reach import Reach
from projections.tables import policies, policy_marks

MOST_KEPT: Final = 100
"""The number of versions in the cache: more than a city publishes in ten years."""


class PolicyVersion(msgspec.Struct, frozen=True):
    """A published version of a policy, without its document, which is large (`read_document`)."""

    ref: PolicyRef
    title: str
    reach: Reach
    actor: str
    recorded_at_us: int
    position: int

    def has_account(self, window: str) -> bool:
        """Whether the version pays for some period in accounts of exactly this window."""
        return self.reach.has(window_of(window))

    @property
    def windows(self) -> list[Window]:
        """The windows of its accounts, in the order of time."""
        return self.reach.windows


_VERSIONS: Final = select(
    policies.c.policy,
    policies.c.version,
    policies.c.sha256,
    policies.c.first_period,
    policies.c.last_period,
    policies.c.account_per,
    *(policies.c[name] for name in ("title", "actor", "recorded_at_us", "position")),
)


_PUBLISHED: Final = _VERSIONS.where(policies.c.from_position <= bindparam("at")).order_by(
    policies.c.policy, policies.c.version
)


class PublishedDocument(msgspec.Struct, frozen=True):
    """The document of a version: the submitted text, and its content as data."""

    text: str
    document: dict[str, Any]


def published(connection: Connection, at: int) -> list[PolicyVersion]:
    """All versions published at or before a position, by id and version."""
    return [_version(row) for row in connection.execute(_PUBLISHED, {"at": at})]


def _version(row: Row[Any]) -> PolicyVersion:
    policy, version, sha256, first, last, per, title, *rest = tuple(row)
    reach = Reach(period_of(first), period_of(last), per)
    return PolicyVersion(PolicyRef(policy, version, sha256), title, reach, *rest)


def find_version(connection: Connection, policy: str, version: int) -> PolicyVersion | None:
    """A version that has been published by now."""
    query = _VERSIONS.where(policies.c.policy == policy, policies.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else _version(row)


def is_assessed(connection: Connection, version: PolicyVersion) -> bool:
    """Whether, by the read models, everything filed before a publication is assessed by it."""
    query = select(policy_marks.c.position).where(
        policy_marks.c.policy == version.ref.id,
        policy_marks.c.version == version.ref.version,
        policy_marks.c.type == "PolicyAssessed",
        policy_marks.c.position > version.position,
    )
    return connection.execute(query.limit(1)).first() is not None


def is_published(connection: Connection, policy: str) -> bool:
    """Whether a policy of this id has been published by now."""
    query = select(policies.c.version).where(policies.c.policy == policy)
    return connection.execute(query.limit(1)).one_or_none() is not None


def read_document(connection: Connection, ref: PolicyRef) -> PublishedDocument:
    """The document of a published version."""
    query = select(policies.c.text, policies.c.document)
    query = query.where(policies.c.policy == ref.id, policies.c.version == ref.version)
    text, document = connection.execute(query).one()
    return PublishedDocument(text, msgspec.json.decode(document))


class PolicyMark(msgspec.Struct, frozen=True):
    """A later event of a version: `PolicyAssessed`, or `PolicyWithdrawn` with its reason and document."""

    policy: str
    type: str
    version: int
    actor: str
    recorded_at_us: int
    position: int
    reason: str | None
    document: str | None


_MARKS: Final = (
    select(*(policy_marks.c[name] for name in PolicyMark.__struct_fields__))
    .where(policy_marks.c.from_position <= bindparam("at"))
    .order_by(policy_marks.c.position)
)


class PolicyState(msgspec.Struct, frozen=True):
    """The versions of a policy as of a moment, with their assessments and withdrawals.

    Attributes:
        versions: Every version, from the first.
        assessed: The last version whose assessment of everything filed before is complete; None before that.
        withdrawn: The withdrawal of the newest version; None if it is in force.
        withdrawals: Every withdrawal, in the order of the log.
        is_assessed: Whether everything filed before the newest version, or its withdrawal, is assessed by it.
    """

    versions: tuple[PolicyVersion, ...]
    assessed: PolicyVersion | None
    withdrawn: PolicyMark | None
    withdrawals: tuple[PolicyMark, ...]
    is_assessed: bool

    @property
    def newest(self) -> PolicyVersion:
        """The newest version, which alone assesses accounts once everything is assessed by it."""
        return self.versions[-1]

    @property
    def begun(self) -> int:
        """The position of the last publication, or of the withdrawal that followed it."""
        return self.newest.position if self.withdrawn is None else self.withdrawn.position

    @property
    def speaking(self) -> Sequence[PolicyVersion]:
        """The versions that may have assessed some account: all from `assessed` on."""
        if self.is_assessed:
            return () if self.withdrawn else self.versions[-1:]
        first = 0 if self.assessed is None else self.assessed.ref.version
        return [version for version in self.versions if version.ref.version >= first]

    def has_account(self, window: str) -> bool:
        """Whether the policy may have assessed an account of exactly this window."""
        return any(version.has_account(window) for version in self.speaking)

    @property
    def windows(self) -> list[Window]:
        """The windows of the accounts of all versions, in the order of time."""
        return sorted({window for version in self.versions for window in version.windows})

    def account_version(self, latest: int | None) -> PolicyVersion:
        """The version that an account belongs to: `assessed`, or the one that it names if that is newer.

        Args:
            latest: The version that the latest assessment of the account names; None before the first.
        """
        if self.is_assessed:
            return self.newest
        latest_named = next((version for version in self.versions if version.ref.version == latest), None)
        known = [version for version in (self.assessed, latest_named) if version is not None]
        return max(known, key=lambda version: version.ref.version, default=self.newest)


def states(connection: Connection, at: int) -> dict[str, PolicyState]:
    """The state of each policy as of a position, by id."""
    versions = published(connection, at)
    marks = [PolicyMark(*row) for row in connection.execute(_MARKS, {"at": at})]
    return {
        policy: _state(
            [version for version in versions if version.ref.id == policy],
            [mark for mark in marks if mark.policy == policy],
        )
        for policy in sorted({version.ref.id for version in versions})
    }


def _state(versions: Sequence[PolicyVersion], marks: Sequence[PolicyMark]) -> PolicyState:
    assessed: PolicyVersion | None = None
    withdrawn: PolicyMark | None = None
    is_assessed = False
    for mark in marks:
        is_about_newest = mark.position > versions[-1].position
        if mark.type == "PolicyAssessed":
            assessed = next(
                (version for version in versions if version.ref.version == mark.version), assessed
            )
            is_assessed = is_about_newest
        elif is_about_newest:
            withdrawn, is_assessed = mark, False
    withdrawals = tuple(mark for mark in marks if mark.type == "PolicyWithdrawn")
    return PolicyState(tuple(versions), assessed, withdrawn, withdrawals, is_assessed)


_read: Final[dict[PolicyRef, Policy]] = {}
"""The cache of this process: a version never changes, and its fingerprint is part of the key."""


def policy_of(connection: Connection, ref: PolicyRef) -> Policy:
    """A published version, prepared for assessments."""
    found = _read.get(ref)
    if found is None:
        if len(_read) >= MOST_KEPT:
            _read.clear()
        found = _read[ref] = policy_from_log(ref, read_document(connection, ref).document)
    return found
