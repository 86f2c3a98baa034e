"""Loading the windows of enterprises that a batch of entries touches, with the rows in force."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import Column, Connection, Select, Table, bindparam, select

from domain.events import ReturnWithdrawn
from domain.periods import window_of
from projections.account_windows import AccountWindows, is_listed
from projections.enterprise_windows import EnterpriseWindows
from projections.rows import (
    DisputeKey,
    DisputeRow,
    Enterprise,
    EnterpriseRow,
    EntitlementRow,
    account_row,
    latest,
)
from projections.sums import assessed_groups, list_key
from projections.tables import FOREVER, ReadModels
from projections.temporal_rows import among, chunks, texts

_QUERIES_KEPT: Final = 8
"""The queries on the tables in use and on those of a rebuild, on two databases."""


def load_windows(
    connection: Connection,
    models: ReadModels,
    windows: AccountWindows,
    touched: Mapping[str, Collection[str]],
) -> EnterpriseWindows:
    """The windows of enterprises that the next entries touch, in their state before these entries.

    Args:
        connection: A connection in a transaction that writes.
        models: The tables.
        windows: The windows that a period counts in, by all versions published up to the last of the entries.
        touched: The enterprises by window.
    """
    return _Loader(connection, models, windows).load(touched)


class _Loader:
    def __init__(self, connection: Connection, models: ReadModels, windows: AccountWindows) -> None:
        self._connection = connection
        self._models = models
        self._loaded = EnterpriseWindows(models, windows, partial(_read_state, connection, models))

    def load(self, touched: Mapping[str, Collection[str]]) -> EnterpriseWindows:
        for window, codes in touched.items():
            for chunk in chunks(sorted(codes)):
                self._load_returns(window, chunk)
        for window, codes in touched.items():
            for chunk in chunks(sorted(codes)):
                self._load_entitlements(window, chunk)
                self._load_disputes(window, chunk)
                self._complete(window, chunk)
        return self._loaded

    def _complete(self, window: str, codes: list[str]) -> None:
        """Fill in the rows that follow from the others, with the names and regions of the enterprises."""
        if not window:
            return
        is_derived = is_listed(window)
        if not is_derived:  # Returns filed before any policy had such accounts may have no row here.
            for uscc, *row in self._fetch(_enterprises_in_force, codes, {"of_window": window}):
                self._loaded.window(uscc, window).row = EnterpriseRow(*row)
        for uscc in codes:
            self._complete_one(uscc, window, is_derived=is_derived)

    def _complete_one(self, uscc: str, window: str, *, is_derived: bool) -> None:
        loaded = self._loaded.window(uscc, window)
        enterprise = latest(loaded.registered, loaded.periods)
        if is_derived:
            loaded.row = loaded.enterprise_row(enterprise)
        for policy, account in loaded.accounts.items():
            account.row = account_row(enterprise, account.periods)
            account.is_disputed = loaded.is_disputed(policy)
            if not account.is_disputed:
                account.listed = list_key(policy, window, account.row, account.periods)
                account.groups = assessed_groups(policy, window, account.periods)

    def _load_returns(self, window: str, codes: list[str]) -> None:
        if not window:  # Its event does not say the window.
            return
        periods = window_of(window).periods
        span = {"first": str(periods[0]), "last": str(periods[-1])}
        for uscc, period, form, kind, *who in self._fetch(_returns_in_force, codes, span):
            self._loaded.known_returns.add((uscc, period, form))
            if kind != ReturnWithdrawn.__name__:
                self._loaded.registered[uscc][period, form] = Enterprise(*who)

    def _load_entitlements(self, window: str, codes: list[str]) -> None:
        """Load the assessed periods without the bulky `state`, which is rarely needed."""
        given = {"of_window": window}
        for uscc, policy, period, *row, position in self._fetch(_entitlements_in_force, codes, given):
            account = self._loaded.window(uscc, window).account(policy)
            account.periods[period] = EntitlementRow._make([*row, None, position])

    def _load_disputes(self, window: str, codes: list[str]) -> None:
        for uscc, policy, position, *row in self._fetch(_disputes_in_force, codes, {"of_window": window}):
            loaded = self._loaded.window(uscc, window)
            loaded.disputes[DisputeKey(policy, position)] = DisputeRow(*row)
            loaded.disputes_before = dict(loaded.disputes)

    def _fetch(
        self,
        query_of: Callable[[ReadModels, str], Select[Any]],
        codes: list[str],
        more: Mapping[str, str],
    ) -> Sequence[tuple[Any, ...]]:
        """The rows as the driver returns them: wrapping them in SQLAlchemy's Row took a third of the time."""
        query = query_of(self._models, self._connection.dialect.name)
        given = {"codes": texts(self._connection, codes), **more}
        rows: Sequence[tuple[Any, ...]] = self._connection.execute(
            query, given, execution_options={"as_bytes": True}
        ).cursor.fetchall()
        return rows


@lru_cache(maxsize=_QUERIES_KEPT)
def _returns_in_force(models: ReadModels, dialect: str) -> Select[Any]:
    table = models.returns.c
    enterprise = (table.name, table.region_code, table.industry_code)
    query = _in_force(models.returns, dialect, table.period, table.form, table.type, *enterprise)
    return query.where(table.period >= bindparam("first"), table.period <= bindparam("last"))


@lru_cache(maxsize=_QUERIES_KEPT)
def _entitlements_in_force(models: ReadModels, dialect: str) -> Select[Any]:
    table = models.entitlements.c
    columns = [table[name] for name in EntitlementRow._fields if name != "state"]
    query = _in_force(models.entitlements, dialect, table.policy, table.period, *columns)
    return query.where(table.window == bindparam("of_window"))


@lru_cache(maxsize=_QUERIES_KEPT)
def _enterprises_in_force(models: ReadModels, dialect: str) -> Select[Any]:
    columns = [models.enterprises.c[name] for name in EnterpriseRow._fields]
    query = _in_force(models.enterprises, dialect, *columns)
    return query.where(models.enterprises.c.window == bindparam("of_window"))


@lru_cache(maxsize=_QUERIES_KEPT)
def _disputes_in_force(models: ReadModels, dialect: str) -> Select[Any]:
    columns = [models.disagreements.c[name] for name in (*DisputeKey._fields, *DisputeRow._fields)]
    query = _in_force(models.disagreements, dialect, *columns)
    return query.where(models.disagreements.c.window == bindparam("of_window"))


def _in_force(table: Table, dialect: str, *columns: Column[Any]) -> Select[Any]:
    """The query for the rows in force of the enterprises in the parameter `codes`."""
    held = table.c
    return select(held.uscc, *columns).where(
        among(dialect, held.uscc, "codes"),
        held.to_position == FOREVER,
    )


def _read_state(  # noqa: PLR0913, PLR0917 - the database, and the key of the row
    connection: Connection, models: ReadModels, uscc: str, policy: str, window: str, period: str
) -> bytes:
    """Read the `state` of an assessed period.

    As a method it would keep all loaded rows in memory until the next garbage collection.
    """
    table = models.entitlements.c
    query = select(table.state).where(
        table.uscc == uscc,
        table.policy == policy,
        table.window == window,
        table.period == period,
        table.to_position == FOREVER,
    )
    state: bytes = connection.execute(query).scalar_one()
    return state
