"""The aggregates that a batch touches, read in bulk."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from domain.account import EntitlementAccount
from domain.events import EntitlementAssessed, Event, account_stream, returns_stream
from domain.periods import Window, window_name
from domain.policy import Policy
from domain.returns import AnnualReturns


class Change(msgspec.Struct, frozen=True):
    """What changes in one period: None before a first assessment, and after the last withdrawal."""

    uscc: str
    period: str
    before_fen: int | None
    after_fen: int | None


class Books:
    """The aggregates that a batch touches, read in bulk.

    Args:
        ledger: The ledger.
        connection: In a transaction that reads.
        touched: Enterprises and periods.
        policies: The policies whose accounts are needed.
    """

    def __init__(
        self,
        ledger: Ledger,
        connection: Connection,
        touched: Iterable[tuple[str, str]],
        policies: Sequence[Policy],
    ) -> None:
        self.read_at = ledger.head(connection)
        halves = {(uscc, window_name(period)) for uscc, period in touched}
        covering = {
            window: [policy for policy in policies if policy.covers_window(Window.parse(window))]
            for window in {window for _, window in halves}
        }
        self.accounts_of = {
            (uscc, window): [
                (policy, account_stream(policy.ref.id, uscc, window)) for policy in covering[window]
            ]
            for uscc, window in sorted(halves)
        }
        accounts = [name for each in self.accounts_of.values() for _, name in each]
        years = {returns_stream(uscc, int(window[:4])) for uscc, window in halves}
        self.streams = frozenset([*years, *accounts])
        self._events: Mapping[str, list[Event]] = ledger.streams(connection, self.streams)
        self._returns: dict[tuple[str, str], AnnualReturns] = {}

    def returns(self, uscc: str, period_or_window: str) -> AnnualReturns:
        """The enterprise's returns of the year."""
        key = (uscc, period_or_window[:4])
        found = self._returns.get(key)
        if found is None:
            events = self._events.get(returns_stream(uscc, int(key[1])), ())
            found = self._returns[key] = AnnualReturns(events)
        return found

    def reassess(self, halves: Collection[tuple[str, str]]) -> tuple[list[NewEvent], list[Change]]:
        """Recompute the accounts of these half-years; in the order in which all of them are kept."""
        new: list[NewEvent] = []
        changes: list[Change] = []
        for (uscc, window), accounts in self.accounts_of.items():
            if (uscc, window) not in halves:
                continue
            for policy, stream in accounts:
                account = EntitlementAccount(window, self._events.get(stream, ()))
                version = account.version
                before = {period: _fen(each) for period, each in account.assessed.items()}
                for event in account.reassess(policy, self.returns(uscc, window)):
                    version += 1
                    new.append(NewEvent(stream, version, event))
                    changes.append(Change(uscc, event.period, before.get(event.period), _fen(event)))
        return new, changes


def _fen(event: EntitlementAssessed) -> int | None:
    return None if event.outcome is None else event.outcome.assessed_fen
