"""Reads of the recorded events that contradict the read models."""

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, select

from projections.tables import accounts, disagreements


class Disagreement(msgspec.Struct, frozen=True):
    """An event that contradicts the read models.

    Attributes:
        position: The position of the event.
        stream: The stream of the event.
        type: The type of the event.
        uscc: The code of the enterprise; None if the event does not belong to one.
        window: The window; None if the event does not say it.
        policy: The policy whose account the event contradicts; None for every account of the window.
        period: The period, as the API writes it; None if the event is not about a single one.
        reason: Why the event contradicts the read models, in Chinese.
    """

    position: int
    stream: str
    type: str
    uscc: str | None
    window: str | None
    policy: str | None
    period: str | None
    reason: str


_HELD: Final = disagreements.c
_COLUMNS: Final = [_HELD[name] for name in Disagreement.__struct_fields__]


def _holds(at: int) -> ColumnElement[bool]:
    return and_(_HELD.from_position <= at, _HELD.to_position > at)


def page(connection: Connection, at: int, *, after: int, limit: int) -> list[Disagreement]:
    """The disagreements about the next events after a position, in the order of the log.

    An event that does not say its period contradicts every window of its year.

    Args:
        connection: A connection in a transaction.
        at: The position of the moment that is read.
        after: The position after which the events come.
        limit: The most events, each with all its disagreements.
    """
    next_events = select(_HELD.position).distinct().where(_holds(at), _HELD.position > after)
    next_events = next_events.order_by(_HELD.position).limit(limit)
    query = select(*_COLUMNS).where(_holds(at), _HELD.position.in_(next_events))
    query = query.order_by(_HELD.position, _HELD.uscc, _HELD.window, _HELD.policy)
    found = []
    for position, stream, kind, uscc, window, policy, period, reason in connection.execute(query):
        about = (uscc or None, window or None, policy or None, period or None)
        found.append(Disagreement(position, stream, kind, *about, reason))
    return found


def count(connection: Connection, at: int) -> int:
    """The number of events that contradict the read models."""
    query = select(func.count(_HELD.position.distinct())).where(_holds(at))
    number: int = connection.execute(query).scalar_one()
    return number


def positions(
    connection: Connection, policy: str, window: str, codes: Collection[str], at: int
) -> dict[str, list[int]]:
    """The positions that contradict accounts, by code of the enterprise; others are left out."""
    found: dict[str, list[int]] = {}
    given = {**_given(policy, window, at), "codes": list(codes)}
    for uscc, position in connection.execute(_POSITIONS, given):
        found.setdefault(uscc, []).append(position)
    return found


def count_accounts(connection: Connection, policy: str, window: str, at: int) -> int:
    """The number of accounts of a window that are disputed, and so in no sum."""
    number: int = connection.execute(_NUMBER, _given(policy, window, at)).scalar_one()
    return number


_OF_ACCOUNTS: Final = and_(
    _HELD.window == bindparam("of_window"),
    _HELD.policy.in_(["", bindparam("of_policy")]),
    _HELD.from_position <= bindparam("at"),
    _HELD.to_position > bindparam("at"),
)
_POSITIONS: Final = (
    select(_HELD.uscc, _HELD.position)
    .where(_OF_ACCOUNTS, _HELD.uscc.in_(bindparam("codes", expanding=True)))
    .order_by(_HELD.position)
)
_NUMBER: Final = select(func.count(_HELD.uscc.distinct())).where(_OF_ACCOUNTS)


def _given(policy: str, window: str, at: int) -> dict[str, str | int]:
    """The parameters of `_OF_ACCOUNTS`."""
    return {"of_policy": policy, "of_window": window, "at": at}


def disputes(at: int) -> ColumnElement[bool]:
    """Whether a row of `accounts` is disputed."""
    return exists().where(
        _HELD.uscc == accounts.c.uscc,
        _HELD.window == accounts.c.window,
        _HELD.policy.in_(["", accounts.c.policy]),
        _holds(at),
    )
