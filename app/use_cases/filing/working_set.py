"""The aggregates that a batch touches, read in bulk."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from app.ledger.ledger import Ledger
from app.ledger.mapper import NewEvent
from domain.assessment.account import EntitlementAccount
from domain.errors import LedgerIntegrityError
from domain.events import AnyEvent, EntitlementAssessed, account_stream, returns_stream
from domain.periods import Window, period_of
from domain.policy.policy import Policy
from domain.returns import AnnualReturns


class PeriodChange(msgspec.Struct, frozen=True):
    """The change of one period's amount: None before a first assessment, and after the last withdrawal."""

    uscc: str
    period: str
    before_fen: int | None
    after_fen: int | None


class AccountKey(NamedTuple):
    """An account: the window of an enterprise under one policy."""

    uscc: str
    window: Window
    policy: str

    @property
    def stream(self) -> str:
        """The name of the account's stream."""
        return account_stream(self.policy, self.uscc, str(self.window))


class WorkingSet:
    """The aggregates that a batch touches, read in bulk.

    Args:
        ledger: The ledger.
        connection: A connection in a read transaction.
        enterprises: The enterprises whose returns are needed, each with the year of the returns.
        accounts: The accounts that are needed, each with its policy.
    """

    def __init__(
        self,
        ledger: Ledger,
        connection: Connection,
        enterprises: Iterable[tuple[str, int]],
        accounts: Mapping[AccountKey, Policy],
    ) -> None:
        self.read_at = ledger.head(connection)
        self._accounts = accounts
        years = {*enterprises, *((key.uscc, year) for key in accounts for year in key.window.years)}
        names = [returns_stream(uscc, year) for uscc, year in years]
        self.streams = frozenset([*names, *(key.stream for key in accounts)])
        self._events: Mapping[str, list[AnyEvent]] = ledger.streams(connection, self.streams)
        self._returns: dict[tuple[str, int], AnnualReturns] = {}

    def returns(self, uscc: str, year: int) -> AnnualReturns:
        """The enterprise's returns of a year.

        Raises:
            LedgerIntegrityError: The records of the returns contradict each other.
        """
        found = self._returns.get((uscc, year))
        if found is None:
            stream = returns_stream(uscc, year)
            found = self._returns[uscc, year] = AnnualReturns(stream, self._events.get(stream, ()))
        return found

    def reassess(self, accounts: Collection[AccountKey]) -> "Reassessment":
        """Assess these accounts again, in the order of enterprises, windows and policies.

        An enterprise whose records contradict each other keeps its amounts; `contradictions` has the reason.
        """
        found = Reassessment([], [], {})
        for key in sorted(accounts):
            if key.uscc in found.contradictions:
                continue
            try:
                self._reassess_account(found, key)
            except LedgerIntegrityError as error:
                found.contradictions[key.uscc] = str(error)
        return found

    def _reassess_account(self, found: "Reassessment", key: AccountKey) -> None:
        stream = key.stream
        account = EntitlementAccount(key.window, self._events.get(stream, ()))
        version = account.version
        before = {period: _fen(event) for period, event in account.assessed.items()}
        returns = [self.returns(key.uscc, year) for year in key.window.years]
        for event in account.reassess(self._accounts[key], returns):
            version += 1
            found.new.append(NewEvent(stream, version, event))
            found.changes.append(PeriodChange(key.uscc, event.period, before.get(event.period), _fen(event)))


def accounts_touched(
    policies: Iterable[Policy], touched: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[AccountKey, Policy]]:
    """The accounts that facts touch, by enterprise and period.

    Args:
        policies: The newest version of each policy.
        touched: The enterprise and the period of each fact.
    """
    policies = tuple(policies)
    return {
        (uscc, period): {
            AccountKey(uscc, window, policy.ref.id): policy
            for policy in policies
            for window in policy.touched_by(period_of(period))
        }
        for uscc, period in touched
    }


class Reassessment(NamedTuple):
    """The result of assessing accounts again.

    Attributes:
        new: The events of the periods whose assessment changes.
        changes: The changes of their amounts.
        contradictions: The enterprises that were left out, with the reason in Chinese.
    """

    new: list[NewEvent]
    changes: list[PeriodChange]
    contradictions: dict[str, str]


def _fen(event: EntitlementAssessed) -> int | None:
    return None if event.outcome is None else event.outcome.assessed_fen
