"""Loading the half-years that a batch of entries touches, each with what holds of it."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, select

from domain.events import LogEntry, ReturnWithdrawn
from projections.half_years import HalfYears, halves_of
from projections.rows import DisputeKey, DisputeRow, Enterprise, EntitlementRow, account_row, latest
from projections.sums import assessed_groups, list_key
from projections.tables import FOREVER, ReadModels
from projections.temporal_rows import among, chunks, texts


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
        table = self._models.returns.c
        columns = (table.uscc, table.period, table.form, table.type)
        enterprise = (table.name, table.region_code, table.industry_code)
        query = select(*columns, *enterprise).where(
            table.window == window, among(self._connection, table.uscc, "codes"), table.to_position == FOREVER
        )
        for uscc, period, form, kind, *who in self._fetch(query, codes):
            self._loaded.known_returns.add((uscc, period, form))
            if kind != ReturnWithdrawn.__name__:
                self._loaded.halves[uscc, window].registered[period, form] = Enterprise(*who)

    def _load_entitlements(self, window: str, codes: list[str]) -> None:
        """Load what is assessed, but for the bulky `state`, which is hardly ever needed."""
        table = self._models.entitlements.c
        columns = [table[name] for name in EntitlementRow._fields if name != "state"]
        query = select(table.uscc, table.policy, table.period, *columns).where(
            table.window == window, among(self._connection, table.uscc, "codes"), table.to_position == FOREVER
        )
        for uscc, policy, period, *row, position in self._fetch(query, codes):
            account = self._loaded.halves[uscc, window].account(policy)
            account.periods[period] = EntitlementRow._make([*row, None, position])

    def _load_disputes(self, window: str, codes: list[str]) -> None:
        table = self._models.disagreements.c
        columns = [table[name] for name in (*DisputeKey._fields, *DisputeRow._fields)]
        query = select(table.uscc, *columns).where(
            table.window == window, among(self._connection, table.uscc, "codes"), table.to_position == FOREVER
        )
        for uscc, policy, position, *row in self._fetch(query, codes):
            half = self._loaded.halves[uscc, window]
            half.disputes[DisputeKey(policy, position)] = DisputeRow(*row)
            half.disputes_before = dict(half.disputes)

    def _fetch(self, query: Select[Any], codes: list[str]) -> Sequence[tuple[Any, ...]]:
        """The rows as the driver gives them: a Row of SQLAlchemy around each took a third of the time."""
        rows: Sequence[tuple[Any, ...]] = self._connection.execute(
            query, {"codes": texts(self._connection, codes)}, execution_options={"as_bytes": True}
        ).cursor.fetchall()
        return rows


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
