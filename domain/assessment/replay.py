"""Replaying enterprises: derive assessments from their facts, and compare them with the recorded ones."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec

from domain.assessment.account import EntitlementAccount, used_before
from domain.assessment.assess import assess
from domain.assessment.explanation import Subject, sentence
from domain.errors import LedgerIntegrityError
from domain.events import (
    AnyEvent,
    EntitlementAssessed,
    LogEntry,
    PolicyEvent,
    PolicyRef,
    RecordRef,
    Return,
    ReturnEvent,
    ReturnWithdrawn,
    account_stream,
    returns_stream,
)
from domain.periods import Window, period_of, window_of
from domain.policy.policy import Policy, PolicyHistory
from domain.policy.steps import Step
from domain.returns import AnnualReturns
from domain.words import record_name

Kind = Literal["differs", "not-derived", "not-recorded", "facts-contradict", "unreadable", "policy-altered"]
"""The kinds of mismatches.

- `differs`: the facts lead to another outcome than the recorded one;
- `not-derived`: an assessment was recorded that does not follow from the facts;
- `not-recorded`: an assessment follows from the facts and was never recorded;
- `facts-contradict`: the facts cannot follow each other;
- `unreadable`: an event cannot be read;
- `policy-altered`: a published document does not match its fingerprint.

After one of the last three, the replay derives nothing that rests on the affected records.
"""


class ReplayedStep(msgspec.Struct, frozen=True):
    """A step and its sentence."""

    step: Step
    sentence: str


class Side(msgspec.Struct, frozen=True):
    """The recorded or the derived assessment of a mismatch, and the steps that lead to it.

    Attributes:
        assessed: The assessment.
        steps: The steps by the policy and the returns that the assessment names, with the amounts that
            earlier periods have on the same side; empty if it closes a period, or names records that the log
            does not hold.
    """

    assessed: EntitlementAssessed
    steps: list[ReplayedStep]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A place where the recorded log differs from the replay.

    Attributes:
        kind: The kind of the mismatch.
        stream: The stream of the account, or of the record that is wrong.
        period: The period as the API writes it; None if the mismatch is not about one.
        position: The position of the recorded event; None if nothing was recorded.
        transaction_end: The last position of the compared transaction; the end of the log for an assessment
            that is missing there.
        recorded: The assessment in the log.
        derived: The assessment that follows from the facts.
        detail: What is wrong, in Chinese, if the mismatch is not about an assessment.
    """

    kind: Kind
    stream: str
    period: str | None
    position: int | None
    transaction_end: int | None
    recorded: Side | None = None
    derived: Side | None = None
    detail: str | None = None


class AccountKey(NamedTuple):
    """The key of an account among those of one enterprise."""

    policy: str
    window: Window


class PolicyInForce(NamedTuple):
    """The newest version of a policy, and whether everything filed before it was assessed by it."""

    policy: Policy
    is_assessed: bool


class Publications:
    """The history of all policies by position: which version was in force, and whether it was assessed.

    Args:
        entries: The events of policies with their positions, in the order of the log.

    Attributes:
        contradictions: The positions of the events that cannot follow the events before them, and why, in
            Chinese.
    """

    def __init__(self, entries: Iterable[tuple[int, PolicyEvent]]) -> None:
        self._positions: list[int] = []
        self._in_force: list[dict[str, PolicyInForce]] = [{}]
        self._by_ref: dict[PolicyRef, Policy] = {}
        self._touched: dict[tuple[int, str], list[AccountKey]] = {}
        self.contradictions: list[tuple[int, str]] = []
        histories: dict[str, PolicyHistory] = {}
        for position, event in entries:
            history = histories.setdefault(event.policy, PolicyHistory())
            try:
                policy = history.apply(event)
            except LedgerIntegrityError as error:
                self.contradictions.append((position, str(error)))
            else:
                self._follow(position, PolicyInForce(policy, history.is_assessed))

    def _follow(self, position: int, in_force: PolicyInForce) -> None:
        ref = in_force.policy.ref
        self._positions.append(position)
        self._in_force.append({**self._in_force[-1], ref.id: in_force})
        self._by_ref.setdefault(ref, in_force.policy)

    def find(self, ref: PolicyRef) -> Policy | None:
        """The version that a reference names; None if it was never published."""
        return self._by_ref.get(ref)

    def in_force(self, policy: str, *, before: int) -> PolicyInForce | None:
        """The version of a policy in force before a position; None before its first version."""
        return self._in_force[bisect_left(self._positions, before)].get(policy)

    def touched_by(self, period: str, *, before: int) -> list[AccountKey]:
        """The accounts that a fact of a period touches under the policies in force before a position."""
        followed = bisect_left(self._positions, before)
        found = self._touched.get((followed, period))
        if found is None:
            found = self._touched[followed, period] = [
                AccountKey(name, window)
                for name, version in self._in_force[followed].items()
                for window in version.policy.touched_by(period_of(period))
            ]
        return found


Recorded = tuple[int, EntitlementAssessed]
"""The position of a recorded assessment, and the assessment."""


class _Difference(NamedTuple):
    """A difference, before its steps are derived."""

    kind: Kind
    period: str
    position: int | None
    recorded: EntitlementAssessed | None
    derived: EntitlementAssessed | None


class _Account:
    """An account as derived and as recorded, and the version by which it was derived last."""

    __slots__ = ("assessed_by", "derived", "recorded", "years")

    def __init__(self, window: Window) -> None:
        self.years = window.years
        self.assessed_by: Policy | None = None
        self.derived = EntitlementAccount(window)
        self.recorded: dict[str, EntitlementAssessed] = {}


class _Enterprise:
    """An enterprise: the facts so far, and its accounts.

    Args:
        uscc: The code of the enterprise.
        publications: The history of all policies.
    """

    def __init__(self, uscc: str, publications: Publications) -> None:
        self._uscc = uscc
        self._publications = publications
        self._returns: dict[int, AnnualReturns] = {}
        self._registered: dict[RecordRef, Return] = {}
        self._accounts: dict[AccountKey, _Account] = {}
        self._broken: set[int] = set()

    def leave_out(self, year: int) -> None:
        """Derive nothing that rests on this year: its events are unreadable, or contradict each other."""
        self._broken.add(year)

    def _is_left_out(self, window: Window) -> bool:
        return bool(self._broken) and not self._broken.isdisjoint(window.years)

    def decide(self, entries: Sequence[LogEntry]) -> tuple[list[Mismatch], int]:
        """Apply the facts of a transaction, derive the assessments, and compare them with the recorded ones.

        Returns:
            The mismatches, and the number of recorded assessments that were compared.
        """
        recorded: dict[AccountKey, list[Recorded]] = {}
        facts: dict[int, list[LogEntry]] = {}
        for entry in entries:
            if isinstance(entry.event, EntitlementAssessed):
                _, policy, _, window = entry.stream.split("/")
                key = AccountKey(policy, window_of(window))
                recorded.setdefault(key, []).append((entry.position, entry.event))
            else:
                facts.setdefault(_parse_year(entry.stream), []).append(entry)
        before, end = entries[0].position, entries[0].transaction_end
        touched, found = self._apply(facts, before)
        compared = 0
        for key in {**dict.fromkeys(recorded), **touched}:
            if self._is_left_out(key.window):
                continue
            of_account = recorded.get(key, ())
            compared += len(of_account)
            in_force = self._publications.in_force(key.policy, before=before)
            if of_account or in_force is None or not _may_wait(in_force, key.window):
                version = None if in_force is None else in_force.policy
                found += self._compare(key, version, of_account, end)
        return found, compared

    def _apply(
        self, facts: Mapping[int, Sequence[LogEntry]], before: int
    ) -> tuple[dict[AccountKey, None], list[Mismatch]]:
        """Apply the facts of a transaction, by year.

        Returns:
            The accounts that the facts touch, and a mismatch for each year whose facts contradict each other.
        """
        touched: dict[AccountKey, None] = {}
        found: list[Mismatch] = []
        for year, entries in facts.items():
            if year in self._broken:
                continue
            try:
                periods = [self._register(year, entry.event) for entry in entries]
            except LedgerIntegrityError as error:
                self.leave_out(year)
                found.append(_contradiction(entries, str(error)))
            else:
                for period in periods:
                    touched.update(dict.fromkeys(self._publications.touched_by(period, before=before)))
        return touched, found

    def _register(self, year: int, event: AnyEvent) -> str:
        """Apply a fact, and return its period.

        Raises:
            LedgerIntegrityError: The fact contradicts those before it.
        """
        if not isinstance(event, ReturnEvent):
            raise LedgerIntegrityError(f"{record_name(event)}不是数据登记的记录")
        returns = self._returns.get(year)
        if returns is None:
            returns = self._returns[year] = AnnualReturns(returns_stream(self._uscc, year))
        returns.apply(event)
        if not isinstance(event, ReturnWithdrawn):
            self._registered[RecordRef(returns.stream, returns.version)] = event
        return event.period

    def unassessed(self, end: int) -> list[Mismatch]:
        """The assessments that follow at the end of the log and were never recorded.

        They are missing if the work after the last publication was not finished.
        """
        touched = dict.fromkeys(sorted(self._accounts))
        for returns in self._returns.values():
            for _, period in returns.standing:
                touched.update(dict.fromkeys(self._publications.touched_by(period, before=end + 1)))
        found: list[Mismatch] = []
        for key in sorted(touched, key=lambda key: (key.window, key.policy)):
            in_force = self._publications.in_force(key.policy, before=end + 1)
            if in_force is None or self._is_left_out(key.window):
                continue
            account = self._accounts.get(key)
            if account is None or account.assessed_by is not in_force.policy:
                found += self._compare(key, in_force.policy, (), end)
        return found

    def _compare(
        self, key: AccountKey, policy: Policy | None, recorded: Sequence[Recorded], end: int
    ) -> list[Mismatch]:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(key.window)
        returns = [self._returns[year] for year in account.years if year in self._returns]
        follows = [] if policy is None else account.derived.reassess(policy, returns)
        account.assessed_by = policy
        derived = {event.period: event for event in follows}
        differing: list[_Difference] = []
        for position, event in recorded:
            account.recorded[event.period] = event
            own = derived.pop(event.period, None)
            if own != event:
                kind: Kind = "not-derived" if own is None else "differs"
                differing.append(_Difference(kind, event.period, position, event, own))
        differing += [_Difference("not-recorded", period, None, None, own) for period, own in derived.items()]
        if not differing:
            return []
        stream = account_stream(key.policy, self._uscc, str(key.window))
        return [self._mismatch(stream, account, end, difference) for difference in differing]

    def _mismatch(self, stream: str, account: _Account, end: int, differing: _Difference) -> Mismatch:
        recorded, derived = differing.recorded, differing.derived
        return Mismatch(
            kind=differing.kind,
            stream=stream,
            period=differing.period,
            position=differing.position,
            transaction_end=end,
            recorded=None if recorded is None else self._side(recorded, account.recorded),
            derived=None if derived is None else self._side(derived, account.derived.assessed),
        )

    def _side(self, assessed: EntitlementAssessed, account: Mapping[str, EntitlementAssessed]) -> Side:
        policy = self._publications.find(assessed.policy)
        returns = [self._registered[record] for record in assessed.records if record in self._registered]
        if policy is None or not returns:
            return Side(assessed, [])
        amounts_fen = {
            text: event.outcome.assessed_fen for text, event in account.items() if event.outcome is not None
        }
        period = period_of(assessed.period)
        by_form = {registered.form: registered for registered in returns}
        steps = assess(policy, period, by_form, used_before(policy, period, amounts_fen)).steps
        subject = Subject(policy, period, by_form)
        return Side(assessed, [ReplayedStep(step, sentence(step, subject)) for step in steps])


def _may_wait(in_force: PolicyInForce, window: Window) -> bool:
    """Whether a filing may leave an account to the assessment that follows a publication.

    Earlier versions of this software did so for every account that the newest version no longer has.
    """
    return not in_force.is_assessed and not in_force.policy.has_account(window)


class Replay:
    """Replays enterprises from their facts, in the order of the log.

    Args:
        publications: The history of all policies.
        first: The replay derives the assessments of transactions that end before this position, but does not
            compare them.

    Attributes:
        compared: The number of recorded assessments that were compared.
        mismatches: The mismatches, in the order of the transactions.
    """

    def __init__(self, publications: Publications, first: int = 1) -> None:
        self._publications = publications
        self._first = first
        self._enterprises: dict[str, _Enterprise] = {}
        self.compared = 0
        self.mismatches: list[Mismatch] = []

    def play(self, entries: Iterable[LogEntry]) -> None:
        """Replay entries of returns and accounts: whole transactions, in the order of the log."""
        for _, transaction in groupby(entries, key=_transaction_end):
            by_enterprise: dict[str, list[LogEntry]] = {}
            for entry in transaction:
                by_enterprise.setdefault(_parse_enterprise(entry.stream), []).append(entry)
            for uscc, of_enterprise in by_enterprise.items():
                self._decide(uscc, of_enterprise)

    def leave_out(self, stream: str) -> None:
        """Derive nothing that rests on this stream of returns or of an account: part of it is unreadable."""
        enterprise = self._enterprise(_parse_enterprise(stream))
        for year in _parse_years(stream):
            enterprise.leave_out(year)

    def _enterprise(self, uscc: str) -> _Enterprise:
        found = self._enterprises.get(uscc)
        if found is None:
            found = self._enterprises[uscc] = _Enterprise(uscc, self._publications)
        return found

    def _decide(self, uscc: str, entries: Sequence[LogEntry]) -> None:
        found, compared = self._enterprise(uscc).decide(entries)
        if entries[0].transaction_end >= self._first:
            self.compared += compared
            self.mismatches += found

    def finish(self, end: int) -> None:
        """Look for assessments that are missing since the last publication before the end of the log."""
        for enterprise in self._enterprises.values():
            self.mismatches += enterprise.unassessed(end)


_transaction_end = attrgetter("transaction_end")


def _parse_enterprise(stream: str) -> str:
    """The enterprise that a stream of returns or of an account belongs to."""
    kind, *rest = stream.split("/")
    return rest[0] if kind == "returns" else rest[1]


def _parse_year(stream: str) -> int:
    """The year of a stream of returns."""
    return int(stream.split("/")[2])


def _parse_years(stream: str) -> Iterable[int]:
    """The years of a stream of returns or of an account."""
    return [_parse_year(stream)] if stream.startswith("returns/") else window_of(stream.split("/")[3]).years


def _contradiction(entries: Sequence[LogEntry], detail: str) -> Mismatch:
    first = entries[0]
    return Mismatch(
        kind="facts-contradict",
        stream=first.stream,
        period=getattr(first.event, "period", None),
        position=first.position,
        transaction_end=first.transaction_end,
        detail=detail,
    )
