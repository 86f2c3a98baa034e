"""The aggregates that a batch touches, read in bulk."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from domain.assessment.account import EntitlementAccount
from domain.errors import LedgerIntegrityError
from domain.events import AnyEvent, EntitlementAssessed, account_stream, returns_stream
from domain.periods import Window, window_name
from domain.policy.policy import Policy
from domain.returns import AnnualReturns


class Change(msgspec.Struct, frozen=True):
    """What changes in one period: None before a first assessment, and after the last withdrawal."""

    uscc: str
    period: str
    before_fen: int | None
    after_fen: int | None


class WorkingSet:
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
        reaching = {
            window: [policy for policy in policies if policy.reaches_window(Window.parse(window))]
            for window in {window for _, window in halves}
        }
        self.accounts_of = {
            (uscc, window): [
                (policy, account_stream(policy.ref.id, uscc, window)) for policy in reaching[window]
            ]
            for uscc, window in sorted(halves)
        }
        accounts = [name for each in self.accounts_of.values() for _, name in each]
        years = {returns_stream(uscc, int(window[:4])) for uscc, window in halves}
        self.streams = frozenset([*years, *accounts])
        self._events: Mapping[str, list[AnyEvent]] = ledger.streams(connection, self.streams)
        self._returns: dict[tuple[str, str], AnnualReturns] = {}

    def returns(self, uscc: str, period_or_window: str) -> AnnualReturns:
        """The enterprise's returns of the year.

        Raises:
            LedgerIntegrityError: Their records contradict each other.
        """
        key = (uscc, period_or_window[:4])
        found = self._returns.get(key)
        if found is None:
            events = self._events.get(returns_stream(uscc, int(key[1])), ())
            found = self._returns[key] = AnnualReturns(events)
        return found

    def reassess(self, halves: Collection[tuple[str, str]]) -> "Reassessment":
        """Recompute the accounts of these half-years; in the order in which all of them are kept.

        An enterprise whose records contradict each other is left as it is, and told with the reason.
        """
        found = Reassessment([], [], {})
        for (uscc, window), accounts in self.accounts_of.items():
            if (uscc, window) not in halves or uscc in found.contradictions:
                continue
            try:
                for policy, stream in accounts:
                    self._reassess_account(found, policy, stream, self.returns(uscc, window))
            except LedgerIntegrityError as error:
                found.contradictions[uscc] = str(error)
        return found

    def _reassess_account(
        self, found: "Reassessment", policy: Policy, stream: str, returns: AnnualReturns
    ) -> None:
        _, _, uscc, window = stream.split("/")
        account = EntitlementAccount(window, self._events.get(stream, ()))
        version = account.version
        before = {period: _fen(each) for period, each in account.assessed.items()}
        for event in account.reassess(policy, returns):
            version += 1
            found.new.append(NewEvent(stream, version, event))
            found.changes.append(Change(uscc, event.period, before.get(event.period), _fen(event)))


class Reassessment(NamedTuple):
    """What follows from the facts of some half-years.

    Attributes:
        new: The events of what is assessed differently.
        changes: The same as amounts.
        contradictions: The enterprises that were left out, and why, in Chinese.
    """

    new: list[NewEvent]
    changes: list[Change]
    contradictions: dict[str, str]


def _fen(event: EntitlementAssessed) -> int | None:
    return None if event.outcome is None else event.outcome.assessed_fen
