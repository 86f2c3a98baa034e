"""Replaying enterprises: what their facts come to under the policies in force, beside what was recorded."""

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
    ReturnFiled,
    ReturnRevised,
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
"""What a mismatch is: another outcome follows; nothing follows of what was recorded; nothing was recorded of
what follows; the facts cannot follow each other; an event cannot be read; a published document is not the
one that its fingerprint names. After the last three nothing can be derived of what rests on them."""


class ReplayedStep(msgspec.Struct, frozen=True):
    """A step and its sentence."""

    step: Step
    sentence: str


class Side(msgspec.Struct, frozen=True):
    """An assessment on one side of a mismatch, and the steps that lead to it.

    Attributes:
        assessed: What was recorded or derived.
        steps: Those of the policy and the returns that it names, with the amounts before it on its side;
            empty where it closes a period, or names what the log does not hold.
    """

    assessed: EntitlementAssessed
    steps: list[ReplayedStep]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A place where what was recorded does not follow.

    Attributes:
        kind: What it is.
        stream: The account, or the stream of what is wrong itself.
        period: As the contract writes it; None where it is not about one.
        position: Of the recorded event; None where nothing was recorded.
        transaction_end: Of the transaction that decided; the end of the replay where none did.
        recorded: What is in the log.
        derived: What follows from the facts.
        detail: What is wrong, where it is not an assessment.
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
    """What tells the accounts of an enterprise apart."""

    policy: str
    window: Window


class PolicyInForce(NamedTuple):
    """The newest version of a policy, and whether everything filed before it is assessed by it."""

    policy: Policy
    is_assessed: bool


class Publications:
    """What the policies' streams say, by position: which version was in force, and whether it was assessed.

    Args:
        entries: The events of policies in the order of the log.

    Attributes:
        contradictions: The positions of those that cannot follow what came before, and why, in Chinese.
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
        """A version; None if none of this fingerprint was published."""
        return self._by_ref.get(ref)

    def in_force(self, policy: str, *, before: int) -> PolicyInForce | None:
        """What was in force of a policy before a position; None before its first version."""
        return self._in_force[bisect_left(self._positions, before)].get(policy)

    def touched_by(self, period: str, *, before: int) -> list[AccountKey]:
        """The accounts that a fact of a period touches by the policies in force before a position."""
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
"""An assessment that was recorded, and its position."""


class _Differing(NamedTuple):
    """What differs, before its steps are derived."""

    kind: Kind
    period: str
    position: int | None
    recorded: EntitlementAssessed | None
    derived: EntitlementAssessed | None


class _Account:
    """An account twice: as derived, and as recorded; and the version by which it was derived last."""

    __slots__ = ("assessed_by", "derived", "recorded")

    def __init__(self, window: Window) -> None:
        self.assessed_by: Policy | None = None
        self.derived = EntitlementAccount(window)
        self.recorded: dict[str, EntitlementAssessed] = {}


class _Enterprise:
    """An enterprise: the facts so far, and its accounts.

    Args:
        uscc: The enterprise.
        publications: What the policies' streams say.
    """

    def __init__(self, uscc: str, publications: Publications) -> None:
        self._uscc = uscc
        self._publications = publications
        self._returns: dict[int, AnnualReturns] = {}
        self._registered: dict[RecordRef, Return] = {}
        self._accounts: dict[AccountKey, _Account] = {}
        self._broken: set[int] = set()

    def leave_out(self, year: int) -> None:
        """Derive nothing that rests on a year, whose events cannot all be read, or contradict each other."""
        self._broken.add(year)

    def _is_left_out(self, window: Window) -> bool:
        return not self._broken.isdisjoint(window.years)

    def decide(self, entries: Sequence[LogEntry]) -> tuple[list[Mismatch], int]:
        """Apply the facts of a transaction, derive what follows, and compare it with what was recorded.

        Returns:
            What differs, and how many recorded assessments were compared.
        """
        recorded: dict[AccountKey, list[Recorded]] = {}
        facts: dict[int, list[LogEntry]] = {}
        for entry in entries:
            if isinstance(entry.event, EntitlementAssessed):
                _, policy, _, window = entry.stream.split("/")
                key = AccountKey(policy, window_of(window))
                recorded.setdefault(key, []).append((entry.position, entry.event))
            else:
                facts.setdefault(_year_of(entry.stream), []).append(entry)
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
        """Apply the facts of a transaction by year; the accounts that they touch, and what contradicts."""
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
        """Apply a fact; the period that it is about.

        Raises:
            LedgerIntegrityError: It contradicts those before it.
        """
        if not isinstance(event, ReturnFiled | ReturnRevised | ReturnWithdrawn):
            raise LedgerIntegrityError(f"{record_name(event)}不是数据登记的记录")
        returns = self._returns.get(year)
        if returns is None:
            returns = self._returns[year] = AnnualReturns(returns_stream(self._uscc, year))
        returns.apply(event)
        if not isinstance(event, ReturnWithdrawn):
            self._registered[RecordRef(returns.stream, returns.version)] = event
        return event.period

    def unassessed(self, end: int) -> list[Mismatch]:
        """What follows at the end of the log and was never recorded, as since a publication nobody did."""
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
        returns = [self._returns[year] for year in key.window.years if year in self._returns]
        follows = [] if policy is None else account.derived.reassess(policy, returns)
        account.assessed_by = policy
        derived = {each.period: each for each in follows}
        differing: list[_Differing] = []
        for position, event in recorded:
            account.recorded[event.period] = event
            own = derived.pop(event.period, None)
            if own != event:
                kind: Kind = "not-derived" if own is None else "differs"
                differing.append(_Differing(kind, event.period, position, event, own))
        differing += [_Differing("not-recorded", period, None, None, own) for period, own in derived.items()]
        if not differing:
            return []
        stream = account_stream(key.policy, self._uscc, str(key.window))
        return [self._mismatch(stream, account, end, each) for each in differing]

    def _mismatch(self, stream: str, account: _Account, end: int, differing: _Differing) -> Mismatch:
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
        returns = [self._registered[each] for each in assessed.records if each in self._registered]
        if policy is None or not returns:
            return Side(assessed, [])
        amounts_fen = {
            text: each.outcome.assessed_fen for text, each in account.items() if each.outcome is not None
        }
        period = period_of(assessed.period)
        by_form = {each.form: each for each in returns}
        steps = assess(policy, period, by_form, used_before(policy, period, amounts_fen)).steps
        subject = Subject(policy, period, by_form)
        return Side(assessed, [ReplayedStep(step, sentence(step, subject)) for step in steps])


def _may_wait(in_force: PolicyInForce, window: Window) -> bool:
    """Whether an account may be left to the assessment that follows on a publication.

    An account that the newest version no longer has once had to wait for it, whatever was filed.
    """
    return not in_force.is_assessed and not in_force.policy.has_account(window)


class Replay:
    """Replays enterprises from their facts, in the order of the log.

    Args:
        publications: What the policies' streams say.
        first: What was decided before this position is derived, but not compared.

    Attributes:
        compared: How many recorded assessments were compared.
        mismatches: What was found, in the order in which it was decided.
    """

    def __init__(self, publications: Publications, first: int = 1) -> None:
        self._publications = publications
        self._first = first
        self._enterprises: dict[str, _Enterprise] = {}
        self.compared = 0
        self.mismatches: list[Mismatch] = []

    def play(self, entries: Iterable[LogEntry]) -> None:
        """Replay entries of returns and accounts, in the order of the log, whole transactions."""
        for _, transaction in groupby(entries, key=_transaction_end):
            by_enterprise: dict[str, list[LogEntry]] = {}
            for entry in transaction:
                by_enterprise.setdefault(_enterprise_of(entry.stream), []).append(entry)
            for uscc, of_enterprise in by_enterprise.items():
                self._decide(uscc, of_enterprise)

    def leave_out(self, stream: str) -> None:
        """Derive nothing that rests on a stream of returns or of an account, which cannot be read whole."""
        enterprise = self._enterprise(_enterprise_of(stream))
        for year in _years_of(stream):
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
        """Look for what was not assessed since the last publication before the end of the log."""
        for enterprise in self._enterprises.values():
            self.mismatches += enterprise.unassessed(end)


_transaction_end = attrgetter("transaction_end")


def _enterprise_of(stream: str) -> str:
    """The enterprise that a stream of returns or of an account belongs to."""
    kind, *rest = stream.split("/")
    return rest[0] if kind == "returns" else rest[1]


def _year_of(stream: str) -> int:
    """The year of a stream of returns."""
    return int(stream.split("/")[2])


def _years_of(stream: str) -> Iterable[int]:
    """The years that a stream of returns or of an account is about."""
    return [_year_of(stream)] if stream.startswith("returns/") else window_of(stream.split("/")[3]).years


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
