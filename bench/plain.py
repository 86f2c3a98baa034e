"""Plain use of the `eventsourcing` library, as its documentation shows it.

It uses the library's aggregates and recorder, loads through its repository, saves 1,000 aggregates at a time,
and projects nothing.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid5

import msgspec
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from sqlalchemy import make_url

from app.use_cases.filing.rows import Draft
from bench.ledgers import policy
from domain.assessment.account import EntitlementAccount
from domain.events import PolicyRef, Return, returns_stream
from domain.periods import period_of
from domain.policy.document import fingerprint
from domain.policy.policy import Policy
from domain.returns import AnnualReturns

AGGREGATES_PER_SAVE = 1_000
AGGREGATES_PER_SAVE_POSTGRESQL = 100
"""With 1,000 the library's recorder for PostgreSQL deadlocks: client and server wait for each other."""

NAMESPACE = UUID("5f9f1e9e-52b0-4c3b-9a8e-0d7f3c4a1b2c")


class PlainReturns(Aggregate):
    """The returns of a year as an aggregate of the library."""

    @classmethod
    def create_id(cls, uscc: str) -> UUID:
        """The id of an enterprise's year."""
        return uuid5(NAMESPACE, f"returns/{uscc}/2024")

    @event("Begun")
    def __init__(self, uscc: str) -> None:
        self.uscc = uscc
        self.filed: dict[str, Any] = {}

    @event("Filed")
    def file(self, period: str, registered: dict[str, Any]) -> None:
        """Register a return."""
        self.filed[period] = registered


class PlainAccount(Aggregate):
    """The half-year account as an aggregate of the library."""

    @classmethod
    def create_id(cls, uscc: str) -> UUID:
        """The id of an enterprise's half-year."""
        return uuid5(NAMESPACE, f"entitlement/{uscc}/2024H1")

    @event("Begun")
    def __init__(self, uscc: str) -> None:
        self.uscc = uscc
        self.outcomes: dict[str, Any] = {}

    @event("Assessed")
    def assess(self, period: str, outcome: dict[str, Any]) -> None:
        """Record an outcome."""
        self.outcomes[period] = outcome


class Plain:
    """The library over a database of its own."""

    def __init__(self, url: str) -> None:
        self._application: Application[UUID] = Application(env=_environment(url))
        is_sqlite = url.startswith("sqlite")
        self._per_save = AGGREGATES_PER_SAVE if is_sqlite else AGGREGATES_PER_SAVE_POSTGRESQL
        loaded = policy()
        ref = PolicyRef(loaded.typed.policy, 1, fingerprint(loaded.document))
        self._policy = Policy(ref, loaded.typed)

    def close_month(self, drafts: Iterable[Draft]) -> None:
        """Register and assess a month."""
        touched: list[Aggregate] = []
        for draft in drafts:
            touched += self._row(draft)
            if len(touched) >= self._per_save:
                self._application.save(*touched)
                touched = []
        self._application.save(*touched)

    def close(self) -> None:
        """Close the database."""
        self._application.close()

    def _row(self, draft: Draft) -> tuple[Aggregate, Aggregate]:
        returns = self._load(PlainReturns, draft.uscc)
        account = self._load(PlainAccount, draft.uscc)
        returns.file(draft.registered.period, msgspec.to_builtins(draft.registered))
        standing = AnnualReturns(returns_stream(draft.uscc, period_of(draft.registered.period).year))
        for registered in returns.filed.values():
            standing.file(msgspec.convert(registered, Return))
        (window,) = self._policy.touched_by(period_of(draft.registered.period))
        for assessed in EntitlementAccount(window).reassess(self._policy, [standing]):
            outcome = msgspec.to_builtins(assessed.outcome)
            if account.outcomes.get(assessed.period) != outcome:
                account.assess(assessed.period, outcome)
        return returns, account

    def _load(self, kind: Any, uscc: str) -> Any:
        try:
            return self._application.repository.get(kind.create_id(uscc))
        except AggregateNotFoundError:
            return kind(uscc=uscc)


def _environment(url: str) -> dict[str, str]:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(parsed.database)}
    host = parsed.host or parsed.query.get("host", "127.0.0.1")
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parsed.database),
        "POSTGRES_HOST": str(host),
        "POSTGRES_PORT": str(parsed.port or 5432),
        "POSTGRES_USER": parsed.username or "postgres",
        "POSTGRES_PASSWORD": parsed.password or "postgres",
    }
