"""The read model of the sums over a window."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from projections.sums import NOTHING, SumChanges, TotalKey, Totals, plus
from projections.tables import FOREVER, ReadModels
from projections.temporal_rows import TemporalTable


class TotalsModel:
    """The sums of the windows that a batch of entries touches.

    Args:
        connection: A connection in a transaction that writes.
        models: The tables.
        windows: The windows.
    """

    def __init__(self, connection: Connection, models: ReadModels, windows: Iterable[str]) -> None:
        self._connection = connection
        self._history = TemporalTable(models.totals)
        self._sums: dict[TotalKey, Totals] = {}
        for window in windows:
            # The rows as the driver returns them: wrapping each in a Row takes longer than the query.
            rows = connection.execute(_in_force(models), {"of_window": window}).cursor.fetchall()
            for row in rows:
                self._sums[TotalKey(*row[:4])] = (row[4], row[5], row[6], row[7])

    def add(self, changes: SumChanges, at: int) -> None:
        """Bring the sums up to the end of the transaction that ends at `at`."""
        for key, gained in changes.items():
            held = self._sums.get(key)
            summed = plus(held or NOTHING, gained)
            self._history.replace(key, None if summed == NOTHING else summed, at, held=held is not None)
            if summed == NOTHING:
                self._sums.pop(key, None)
            else:
                self._sums[key] = summed

    def flush(self) -> None:
        """Write the changes."""
        self._history.flush(self._connection)


@lru_cache(maxsize=4)
def _in_force(models: ReadModels) -> Select[Any]:
    held = models.totals.c
    return select(models.totals).where(held.window == bindparam("of_window"), held.to_position == FOREVER)
