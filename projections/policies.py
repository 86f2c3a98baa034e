"""The read models of published policies, their assessments and withdrawals, and of misplaced events."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, insert, select

from domain.events import (
    EnterpriseEvent,
    LogEntry,
    PolicyAssessed,
    PolicyPublished,
    PolicyWithdrawn,
    UnreadableEvent,
    policy_stream,
)
from domain.periods import period_of
from domain.policy.document import PolicyDocument
from domain.policy.reach import Reach, derive_reach
from projections.account_windows import PublishedReach
from projections.tables import FOREVER, ReadModels

MISPLACED: Final = "记录流名称无效，或与记录内容不符"
VERSION_LIMIT: Final = 2**31
"""Versions are below this number, since the databases store them in 32 bits."""


def project_others(connection: Connection, models: ReadModels, entries: Iterable[LogEntry]) -> None:
    """Project the entries that belong to no enterprise: versions of policies, their assessments, withdrawals.

    An entry that contradicts the read models becomes a disagreement; other events are skipped.
    """
    entries = list(entries)
    seen: set[tuple[str, int]] = set()
    if any(isinstance(entry.event, PolicyPublished) for entry in entries):
        table = models.policies.c
        seen.update(connection.execute(select(table.policy, table.version)).cursor.fetchall())
    for entry in entries:
        event = entry.event
        try:
            if isinstance(event, PolicyPublished):
                _add(connection, models.policies, _version(entry, event, seen))
            elif isinstance(event, PolicyAssessed | PolicyWithdrawn):
                _add(connection, models.policy_marks, _mark(entry, event))
            elif isinstance(event, UnreadableEvent):
                _add(connection, models.disagreements, _disagreement(entry, event.reason))
            elif isinstance(event, EnterpriseEvent):
                _add(connection, models.disagreements, _disagreement(entry, MISPLACED))
        except ValueError as error:
            _add(connection, models.disagreements, _disagreement(entry, str(error)))


def _add(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    connection.execute(insert(table).values(row))


def published_reaches(entries: Iterable[LogEntry]) -> list[PublishedReach]:
    """The reaches of the versions that `project_others` adds, given all entries from the first."""
    seen: set[tuple[str, int]] = set()
    found = []
    for entry in entries:
        if isinstance(entry.event, PolicyPublished):
            with suppress(ValueError):
                row = _version(entry, entry.event, seen)
                reach = Reach(
                    period_of(row["first_period"]), period_of(row["last_period"]), row["account_per"]
                )
                found.append(PublishedReach(entry.position, reach))
    return found


def _version(entry: LogEntry, event: PolicyPublished, seen: set[tuple[str, int]]) -> dict[str, Any]:
    """The row of a published version.

    Args:
        entry: The entry.
        event: The event of the entry.
        seen: The keys (policy, version) of the existing versions; this one is added.

    Raises:
        ValueError: The document is not a policy, the event is in the wrong stream, or the version exists.
    """
    _check_place(entry, event.policy)
    key = (event.policy, event.version)
    if not 0 < event.version < VERSION_LIMIT or key in seen:
        raise ValueError("版本号不连续")
    document = msgspec.convert(event.document, PolicyDocument)
    reach = derive_reach(document)
    seen.add(key)
    return {
        "policy": event.policy,
        "version": event.version,
        "sha256": event.sha256,
        "title": document.title,
        "first_period": str(reach.first),
        "last_period": str(reach.last),
        "account_per": reach.per,
        "actor": entry.actor,
        "text": event.text,
        "document": msgspec.json.encode(event.document),
        "recorded_at_us": entry.recorded_at_us,
        "position": entry.position,
        "from_position": entry.transaction_end,
    }


def _mark(entry: LogEntry, event: PolicyAssessed | PolicyWithdrawn) -> dict[str, Any]:
    """The row of an assessment or a withdrawal of a version.

    Raises:
        ValueError: The event is in the wrong stream, or its version is not a possible one.
    """
    _check_place(entry, event.policy)
    if not 0 < event.version < VERSION_LIMIT:
        raise ValueError("版本号不连续")
    return {
        "position": entry.position,
        "policy": event.policy,
        "type": entry.type,
        "version": event.version,
        "actor": entry.actor,
        "recorded_at_us": entry.recorded_at_us,
        "reason": getattr(event, "reason", None),
        "document": getattr(event, "document", None),
        "from_position": entry.transaction_end,
    }


def _check_place(entry: LogEntry, policy: str) -> None:
    if entry.stream != policy_stream(policy):
        raise ValueError(MISPLACED)


def _disagreement(entry: LogEntry, reason: str) -> dict[str, Any]:
    return {
        "uscc": "",
        "window": "",
        "policy": "",
        "position": entry.position,
        "stream": entry.stream,
        "type": entry.type,
        "period": "",
        "reason": reason,
        "from_position": entry.transaction_end,
        "to_position": FOREVER,
    }
