"""Reads of the returns, with all their versions."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Row, Select, and_, bindparam, select

from domain.events import Return, ReturnWithdrawn
from domain.periods import window_of
from domain.returns import ReturnVersion
from projections.tables import FOREVER, returns
from projections.temporal_rows import among, chunks, texts

_RETURN = msgspec.json.Decoder(Return)
_WITHDRAWN = msgspec.json.Decoder(ReturnWithdrawn)


IN_WINDOW: Final = and_(returns.c.period >= bindparam("first"), returns.c.period <= bindparam("last"))
"""Whether the period of a return is in the window whose `span` is given."""

EnterprisesByForm = Mapping[tuple[str, str], Sequence[str]]
"""Enterprises by form and period."""


def own_figures(connection: Connection, wanted: EnterprisesByForm) -> dict[tuple[str, str, str], int]:
    """The standing figures of the required item, by enterprise, form and period."""
    standing = _standing(connection, wanted, returns.c.current_fen)
    return {key: current_fen for key, current_fen in standing if current_fen is not None}


def standing_returns(connection: Connection, wanted: EnterprisesByForm) -> dict[tuple[str, str, str], Return]:
    """The standing returns, by enterprise, form and period."""
    return {key: _RETURN.decode(state) for key, state in _standing(connection, wanted, returns.c.state)}


def _standing(
    connection: Connection, wanted: EnterprisesByForm, column: Column[Any]
) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """A column of the standing returns, by enterprise, form and period."""
    for (form, period), codes in wanted.items():
        query = _standing_query(connection.dialect.name, column)
        for chunk in chunks(codes):
            given = {"codes": texts(connection, chunk), "of_period": period, "of_form": form}
            for uscc, value in connection.execute(query, given):
                yield (uscc, form, period), value


@lru_cache(maxsize=8)
def _standing_query(dialect: str, column: Column[Any]) -> Select[Any]:
    return select(returns.c.uscc, column).where(
        among(dialect, returns.c.uscc, "codes"),
        returns.c.period == bindparam("of_period"),
        returns.c.form == bindparam("of_form"),
        returns.c.to_position == FOREVER,
        returns.c.type != ReturnWithdrawn.__name__,
    )


def has_ever_filed(connection: Connection, uscc: str, window: str) -> bool:
    """Whether a return of the enterprise was ever registered in the window."""
    given = {"of_uscc": uscc, **span(window)}
    return connection.execute(_EVER_FILED, given).one_or_none() is not None


def versions(connection: Connection, uscc: str, year: int, at: int) -> list[ReturnVersion]:
    """Every version of an enterprise's returns of one year as of a position, by period, form and time."""
    given = {"of_uscc": uscc, "at": at, **span(str(year))}
    return [as_version(row) for row in connection.execute(_VERSIONS, given)]


def standing(connection: Connection, uscc: str, window: str, at: int) -> list[ReturnVersion]:
    """The standing returns of a window as of a position, by period and form."""
    given = {"of_uscc": uscc, "at": at, **span(window)}
    return [as_version(row) for row in connection.execute(_STANDING, given)]


@lru_cache(maxsize=4096)
def span(window: str) -> Mapping[str, str]:
    """The first and the last period of a window: their texts sort in the order of time."""
    periods = window_of(window).periods
    return {"first": str(periods[0]), "last": str(periods[-1])}


_EVER_FILED: Final = (
    select(returns.c.position).where(returns.c.uscc == bindparam("of_uscc"), IN_WINDOW).limit(1)
)
_VERSIONS: Final = (
    select(returns)
    .where(returns.c.uscc == bindparam("of_uscc"), IN_WINDOW, returns.c.from_position <= bindparam("at"))
    .order_by(returns.c.period, returns.c.form, returns.c.from_position)
)
_STANDING: Final = (
    select(returns)
    .where(
        returns.c.uscc == bindparam("of_uscc"),
        IN_WINDOW,
        returns.c.from_position <= bindparam("at"),
        returns.c.to_position > bindparam("at"),
        returns.c.type != ReturnWithdrawn.__name__,
    )
    .order_by(returns.c.period, returns.c.form)
)


def as_version(row: Row[Any]) -> ReturnVersion:
    """Convert a row of the returns to a version."""
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
