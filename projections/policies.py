"""The read models of the published policies, of what became of them, and of what cannot be followed."""

from collections.abc import Iterable
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
from projections.tables import FOREVER, ReadModels

MISPLACED: Final = "记录流名称无效，或与记录内容不符"
VERSION_LIMIT: Final = 2**31
"""Versions are below it, as the databases store them."""


def project_others(connection: Connection, models: ReadModels, entries: Iterable[LogEntry]) -> None:
    """Add what entries of no enterprise say: the versions of policies, and what became of them.

    An entry that cannot be followed is added to the disagreements; events that the read models have no use
    for are passed over.
    """
    for entry in entries:
        event = entry.event
        try:
            if isinstance(event, PolicyPublished):
                _add(connection, models.policies, _version(connection, models.policies, entry, event))
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


def _version(connection: Connection, table: Table, entry: LogEntry, event: PolicyPublished) -> dict[str, Any]:
    """The row of a published version.

    Raises:
        ValueError: The document is no policy, the event is not in its place, or the version is there already.
    """
    _check_place(entry, event.policy)
    there = select(table.c.version).where(table.c.policy == event.policy, table.c.version == event.version)
    if not 0 < event.version < VERSION_LIMIT or connection.execute(there).first() is not None:
        raise ValueError("版本号不连续")
    document = msgspec.convert(event.document, PolicyDocument)
    return {
        "policy": event.policy,
        "version": event.version,
        "sha256": event.sha256,
        "title": document.title,
        "first_window": str(period_of(document.covers.first).window),
        "last_window": str(period_of(document.covers.last).window),
        "actor": entry.actor,
        "text": event.text,
        "document": msgspec.json.encode(event.document),
        "recorded_at_us": entry.recorded_at_us,
        "position": entry.position,
        "from_position": entry.transaction_end,
    }


def _mark(entry: LogEntry, event: PolicyAssessed | PolicyWithdrawn) -> dict[str, Any]:
    """The row of what became of a version.

    Raises:
        ValueError: The event is not in its place.
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
