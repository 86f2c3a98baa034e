"""Reads of the returns, with all their versions."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from domain.events import Return, ReturnWithdrawn
from projections.history import among, chunks, texts
from projections.tables import FOREVER, returns

_RETURN = msgspec.json.Decoder(Return)
_WITHDRAWN = msgspec.json.Decoder(ReturnWithdrawn)


class ReturnVersion(msgspec.Struct, frozen=True):
    """One version of a return: what was registered, or that it was withdrawn."""

    uscc: str
    form: str
    period: str
    type: str
    event: Return | ReturnWithdrawn
    version: int
    actor: str
    recorded_at_us: int
    position: int


def own_figures(
    connection: Connection, wanted: Mapping[tuple[str, str], Sequence[str]]
) -> dict[tuple[str, str, str], int]:
    """The standing figures of the required item, by enterprise, form and period.

    Args:
        connection: In a transaction.
        wanted: The enterprises by form and period.
    """
    found = {}
    for (form, period), codes in wanted.items():
        for chunk in chunks(codes):
            query = select(returns.c.uscc, returns.c.current_fen).where(
                among(connection, returns.c.uscc, "codes"),
                returns.c.period == period,
                returns.c.form == form,
                returns.c.to_position == FOREVER,
                returns.c.current_fen.is_not(None),
            )
            for uscc, current_fen in connection.execute(query, {"codes": texts(connection, chunk)}).all():
                found[uscc, form, period] = current_fen
    return found


def standing_returns(
    connection: Connection, wanted: Mapping[tuple[str, str], Sequence[str]]
) -> dict[tuple[str, str, str], Return]:
    """The returns that stand, by enterprise, form and period.

    Args:
        connection: In a transaction.
        wanted: The enterprises by form and period.
    """
    found = {}
    for (form, period), codes in wanted.items():
        for chunk in chunks(codes):
            query = select(returns.c.uscc, returns.c.state).where(
                among(connection, returns.c.uscc, "codes"),
                returns.c.period == period,
                returns.c.form == form,
                returns.c.to_position == FOREVER,
                returns.c.type != ReturnWithdrawn.__name__,
            )
            for uscc, state in connection.execute(query, {"codes": texts(connection, chunk)}).all():
                found[uscc, form, period] = _RETURN.decode(state)
    return found


def versions(connection: Connection, uscc: str, year: int) -> list[ReturnVersion]:
    """Every version of an enterprise's returns of one year, by period, form and time."""
    query = (
        select(returns)
        .where(returns.c.uscc == uscc, returns.c.period.startswith(f"{year}-"))
        .order_by(returns.c.period, returns.c.form, returns.c.from_position)
    )
    return [_version(row) for row in connection.execute(query)]


def standing(connection: Connection, uscc: str, window: str, at: int) -> list[ReturnVersion]:
    """The returns of a half-year that stood at a position, by period and form."""
    query = (
        select(returns)
        .where(
            returns.c.uscc == uscc,
            returns.c.window == window,
            returns.c.from_position <= at,
            returns.c.to_position > at,
            returns.c.type != ReturnWithdrawn.__name__,
        )
        .order_by(returns.c.period, returns.c.form)
    )
    return [_version(row) for row in connection.execute(query)]


def _version(row: Row[Any]) -> ReturnVersion:
    withdrawn = row.type == ReturnWithdrawn.__name__
    return ReturnVersion(
        uscc=row.uscc,
        form=row.form,
        period=row.period,
        type=row.type,
        event=_WITHDRAWN.decode(row.state) if withdrawn else _RETURN.decode(row.state),
        version=row.version,
        actor=row.actor,
        recorded_at_us=row.recorded_at_us,
        position=row.position,
    )
