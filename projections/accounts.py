"""Loading the half-years that a batch of entries touches, each with what holds of it."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import Column, Connection, Select, Table, bindparam, select

from domain.events import LogEntry, ReturnWithdrawn
from projections.half_years import HalfYears, halves_of
from projections.rows import DisputeKey, DisputeRow, Enterprise, EntitlementRow, account_row, latest
from projections.sums import assessed_groups, list_key
from projections.tables import FOREVER, ReadModels
from projections.temporal_rows import among, chunks, texts

_QUERIES_KEPT: Final = 8
"""The tables in use, and those of a rebuild, on two databases."""


def load_half_years(connection: Connection, models: ReadModels, entries: Iterable[LogEntry]) -> HalfYears:
    """The half-years that the entries touch, as they are before them.

    Args:
        connection: In a transaction that writes.
        models: The tables.
        entries: Returns and assessments to come.
    """
    return _Loader(connection, models).load(entries)


class _Loader:
    def __init__(self, connection: Connection, models: ReadModels) -> None:
        self._connection = connection
        self._models = models
        self._loaded = HalfYears(models, partial(_state_of, connection, models))

    def load(self, entries: Iterable[LogEntry]) -> HalfYears:
        by_window: dict[str, set[str]] = {}
        for entry in entries:
            for uscc, window in halves_of(entry):
                by_window.setdefault(window, set()).add(uscc)
        for window, codes in by_window.items():
            for chunk in chunks(sorted(codes)):
                self._load_returns(window, chunk)
                self._load_entitlements(window, chunk)
                self._load_disputes(window, chunk)
        for (_, window), half in self._loaded.halves.items():
            enterprise = latest(half.registered)
            half.row = half.enterprise_row(enterprise)
            for policy, account in half.accounts.items():
                account.row = account_row(enterprise, account.periods)
                account.is_disputed = half.is_disputed(policy)
                if not account.is_disputed:
                    account.listed = list_key(policy, window, account.row, account.periods)
                    account.groups = assessed_groups(policy, account.periods)
        return self._loaded

    def _load_returns(self, window: str, codes: list[str]) -> None:
        for uscc, period, form, kind, *who in self._fetch(_returns_in_force, window, codes):
            self._loaded.known_returns.add((uscc, period, form))
            if kind != ReturnWithdrawn.__name__:
                self._loaded.halves[uscc, window].registered[period, form] = Enterprise(*who)

    def _load_entitlements(self, window: str, codes: list[str]) -> None:
        """Load what is assessed, but for the bulky `state`, which is hardly ever needed."""
        for uscc, policy, period, *row, position in self._fetch(_entitlements_in_force, window, codes):
            account = self._loaded.halves[uscc, window].account(policy)
            account.periods[period] = EntitlementRow._make([*row, None, position])

    def _load_disputes(self, window: str, codes: list[str]) -> None:
        for uscc, policy, position, *row in self._fetch(_disputes_in_force, window, codes):
            half = self._loaded.halves[uscc, window]
            half.disputes[DisputeKey(policy, position)] = DisputeRow(*row)
            half.disputes_before = dict(half.disputes)

    def _fetch(
        self, query_of: Callable[[ReadModels, str], Select[Any]], window: str, codes: list[str]
    ) -> Sequence[tuple[Any, ...]]:
        """The rows as the driver gives them: a Row of SQLAlchemy around each took a third of the time."""
        query = query_of(self._models, self._connection.dialect.name)
        given = {"codes": texts(self._connection, codes), "of_window": window}
        rows: Sequence[tuple[Any, ...]] = self._connection.execute(
            query, given, execution_options={"as_bytes": True}
        ).cursor.fetchall()
        return rows


@lru_cache(maxsize=_QUERIES_KEPT)
def _returns_in_force(models: ReadModels, dialect: str) -> Select[Any]:
    table = models.returns.c
    enterprise = (table.name, table.region_code, table.industry_code)
    return _in_force(models.returns, dialect, table.period, table.form, table.type, *enterprise)


@lru_cache(maxsize=_QUERIES_KEPT)
def _entitlements_in_force(models: ReadModels, dialect: str) -> Select[Any]:
    table = models.entitlements.c
    columns = [table[name] for name in EntitlementRow._fields if name != "state"]
    return _in_force(models.entitlements, dialect, table.policy, table.period, *columns)


@lru_cache(maxsize=_QUERIES_KEPT)
def _disputes_in_force(models: ReadModels, dialect: str) -> Select[Any]:
    columns = [models.disagreements.c[name] for name in (*DisputeKey._fields, *DisputeRow._fields)]
    return _in_force(models.disagreements, dialect, *columns)


def _in_force(table: Table, dialect: str, *columns: Column[Any]) -> Select[Any]:
    """The rows in force of enterprises and a window, given as `codes` and `of_window`."""
    held = table.c
    return select(held.uscc, *columns).where(
        held.window == bindparam("of_window"),
        among(dialect, held.uscc, "codes"),
        held.to_position == FOREVER,
    )


def _state_of(connection: Connection, models: ReadModels, uscc: str, policy: str, period: str) -> bytes:
    """Read what was left out. As a method it would keep all that was loaded until the collector comes."""
    table = models.entitlements.c
    query = select(table.state).where(
        table.uscc == uscc,
        table.policy == policy,
        table.period == period,
        table.to_position == FOREVER,
    )
    state: bytes = connection.execute(query).scalar_one()
    return state
