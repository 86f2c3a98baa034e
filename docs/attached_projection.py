"""A projection of another team, attached to the ledger with the `eventsourcing` library.

It counts the filings of each region in its own table, and continues where it stopped. Run it while the
service is running, with the ledger's database and a file for the counts:

    python docs/attached_projection.py sqlite:///data/ledger.db counts.db

It ends once it has read all current events of the ledger; `runner.run_forever()` would wait for new ones.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteTrackingRecorder

from app.ledger.library import DATABASE_URL, LedgerApplication, LedgerEvent
from domain.events import ReturnFiled, returns_stream
from domain.returns import AnnualReturns

PATIENCE_S = 60


class Counts(SQLiteTrackingRecorder):
    """The view: the number of returns filed in each region, stored together with the position."""

    def construct_create_table_statements(self) -> list[str]:
        """Add the table of counts to the tables of the library."""
        return [
            *super().construct_create_table_statements(),
            "CREATE TABLE IF NOT EXISTS filings (region_code TEXT PRIMARY KEY, filed INTEGER NOT NULL)",
        ]

    def count(self, region_code: str, tracking: Tracking) -> None:
        """Count a filing, and store its position in the same transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO filings VALUES (?, 1) ON CONFLICT (region_code) DO UPDATE SET filed = filed + 1",
                (region_code,),
            )

    def by_region(self) -> dict[str, int]:
        """The number of filings, by region."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT region_code, filed FROM filings ORDER BY region_code")
            return {row["region_code"]: row["filed"] for row in cursor.fetchall()}


class FilingsByRegion(Projection[Counts]):
    """Processes filings only; the library skips all other events."""

    name = "filings"
    topics = ("ReturnFiled",)

    def process_event(self, domain_event: LedgerEvent, tracking: Tracking) -> None:
        """Count a filing."""
        if isinstance(domain_event.event, ReturnFiled):
            self.view.count(domain_event.event.region_code, tracking)


@contextmanager
def attached(ledger_url: str, counts_file: str) -> Iterator[ProjectionRunner[LedgerApplication, Counts]]:
    """Run the projection until the context ends."""
    with ProjectionRunner(
        application_class=LedgerApplication,
        projection_class=FilingsByRegion,
        view_class=Counts,
        env={
            DATABASE_URL: ledger_url,
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": counts_file,
        },
    ) as runner:
        yield runner


def read_returns(ledger: LedgerApplication, uscc: str, year: int) -> AnnualReturns:
    """Read the returns of an enterprise and year, an aggregate, through the library's repository.

    Raises:
        eventsourcing.application.AggregateNotFoundError: The enterprise never filed in this year.
    """
    stream = returns_stream(uscc, year)

    def apply_all(_: AnnualReturns | None, recorded: Iterable[LedgerEvent]) -> AnnualReturns | None:
        returns = AnnualReturns(stream, (event.event for event in recorded))
        return returns if returns.version else None

    return ledger.repository.get(stream, projector_func=apply_all)


def main(ledger_url: str, counts_file: str) -> None:
    """Count the current filings of the ledger, and print the counts."""
    with attached(ledger_url, counts_file) as runner:
        filed = runner.app.recorder.select_notifications(
            None, limit=sys.maxsize, topics=FilingsByRegion.topics
        )
        if filed:
            runner.wait(filed[-1].id, timeout=PATIENCE_S)
        for region_code, count in runner.projection.view.by_region().items():
            print(region_code, count)  # noqa: T201 - what the program is run for


if __name__ == "__main__":
    main(*sys.argv[1:])
