"""Replaying enterprises: what their facts come to under the policies in force, beside what was recorded."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec

from domain.assessment.account import EntitlementAccount
from domain.assessment.assess import assess
from domain.assessment.explanation import Subject, sentence
from domain.errors import LedgerIntegrityError
from domain.events import (
    AnyEvent,
    EntitlementAssessed,
    LogEntry,
    PolicyEvent,
    PolicyRef,
    Return,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    account_stream,
)
from domain.periods import Window, period_of, window_name
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
        self._reaching: dict[tuple[int, str], dict[str, PolicyInForce]] = {}
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

    def reaching(self, window: str, *, before: int) -> Mapping[str, PolicyInForce]:
        """What was in force before a position of the policies that assess a window, by their ids."""
        followed = bisect_left(self._positions, before)
        key = (followed, window)
        found = self._reaching.get(key)
        if found is None:
            asked = Window.parse(window)
            found = self._reaching[key] = {
                name: each
                for name, each in self._in_force[followed].items()
                if each.policy.reaches_window(asked)
            }
        return found


AccountKey = tuple[str, str]
"""A policy's id and a window."""

EnterpriseYear = tuple[str, str]
"""An enterprise, and the year of its returns."""


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

    def __init__(self, window: str) -> None:
        self.assessed_by: Policy | None = None
        self.derived = EntitlementAccount(window)
        self.recorded: dict[str, EntitlementAssessed] = {}


class _Year:
    """An enterprise in one year: the facts so far, and its accounts."""

    def __init__(self, publications: Publications) -> None:
        self._publications = publications
        self._returns = AnnualReturns()
        self._registered: dict[int, Return] = {}
        self._accounts: dict[AccountKey, _Account] = {}

    def decide(self, uscc: str, entries: Sequence[LogEntry]) -> list[Mismatch]:
        """Apply the facts of a transaction, derive what follows, and compare it with what was recorded.

        Raises:
            LedgerIntegrityError: The facts contradict each other.
        """
        recorded: dict[AccountKey, list[Recorded]] = {}
        windows: set[str] = set()
        for entry in entries:
            event = entry.event
            if isinstance(event, EntitlementAssessed):
                _, policy, _, window = entry.stream.split("/")
                recorded.setdefault((policy, window), []).append((entry.position, event))
            else:
                windows.add(self._register(event))
        before, end = entries[0].position, entries[0].transaction_end
        reaching = self._publications.reaching
        touched = dict.fromkeys(recorded)
        for window in windows:
            touched.update(dict.fromkeys([(policy, window) for policy in reaching(window, before=before)]))
        found: list[Mismatch] = []
        for policy, window in touched:
            in_force = reaching(window, before=before).get(policy)
            of_account = recorded.get((policy, window), ())
            if of_account or in_force is None or not _may_wait(in_force, window):
                version = None if in_force is None else in_force.policy
                found += self._compare(uscc, (policy, window), version, of_account, end)
        return found

    def _register(self, event: AnyEvent) -> str:
        """Apply a fact; the window that it is about."""
        if not isinstance(event, ReturnFiled | ReturnRevised | ReturnWithdrawn):
            raise LedgerIntegrityError(f"{record_name(event)}不是数据登记的记录")
        self._returns.apply(event)
        if not isinstance(event, ReturnWithdrawn):
            self._registered[self._returns.version] = event
        return window_name(event.period)

    def unassessed(self, uscc: str, end: int) -> list[Mismatch]:
        """What follows at the end of the log and was never recorded, as since a publication nobody did."""
        windows = {window_name(period) for _, period in self._returns.standing}
        found: list[Mismatch] = []
        for window in sorted(windows.union(window for _, window in self._accounts)):
            for policy, (version, _) in self._publications.reaching(window, before=end + 1).items():
                account = self._accounts.get((policy, window))
                if account is None or account.assessed_by is not version:
                    found += self._compare(uscc, (policy, window), version, (), end)
        return found

    def _compare(
        self, uscc: str, key: AccountKey, policy: Policy | None, recorded: Sequence[Recorded], end: int
    ) -> list[Mismatch]:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(key[1])
        follows = [] if policy is None else account.derived.reassess(policy, self._returns)
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
        stream = account_stream(key[0], uscc, key[1])
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
        returns = {
            each.form: self._registered[each.version]
            for each in assessed.returns
            if each.version in self._registered
        }
        if policy is None or not returns:
            return Side(assessed, [])
        used_fen = sum(
            each.outcome.assessed_fen
            for period, each in account.items()
            if period < assessed.period and each.outcome is not None
        )
        period = period_of(assessed.period)
        subject = Subject(policy, period, returns)
        steps = assess(policy, period, returns, used_fen).steps
        return Side(assessed, [ReplayedStep(step, sentence(step, subject)) for step in steps])


def _may_wait(in_force: PolicyInForce, window: str) -> bool:
    """Whether an account may be left to the assessment that follows on a publication.

    A half-year that the newest version no longer covers once had to wait for it, whatever was filed.
    """
    return not in_force.is_assessed and not in_force.policy.covers_window(Window.parse(window))


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
        self._years: dict[EnterpriseYear, _Year] = {}
        self._broken: set[EnterpriseYear] = set()
        self.compared = 0
        self.mismatches: list[Mismatch] = []

    def play(self, entries: Iterable[LogEntry]) -> None:
        """Replay entries of returns and accounts, in the order of the log, whole transactions."""
        for _, transaction in groupby(entries, key=_transaction_end):
            by_year: dict[EnterpriseYear, list[LogEntry]] = {}
            for entry in transaction:
                by_year.setdefault(enterprise_year(entry.stream), []).append(entry)
            for year, of_year in by_year.items():
                self._decide(year, of_year)

    def leave_out(self, year: EnterpriseYear) -> None:
        """Replay nothing of an enterprise's year, whose events cannot all be read."""
        self._broken.add(year)

    def _decide(self, year: EnterpriseYear, entries: Sequence[LogEntry]) -> None:
        if year in self._broken:
            return
        replayed = self._years.get(year)
        if replayed is None:
            replayed = self._years[year] = _Year(self._publications)
        compared = sum([isinstance(each.event, EntitlementAssessed) for each in entries])
        try:
            found = replayed.decide(year[0], entries)
        except LedgerIntegrityError as error:
            self._broken.add(year)
            compared, found = 0, [_contradiction(entries, str(error))]
        if entries[0].transaction_end >= self._first:
            self.compared += compared
            self.mismatches += found

    def finish(self, end: int) -> None:
        """Look for what nobody assessed since the last publication before the end of the log."""
        for year, each in self._years.items():
            if year not in self._broken:
                self.mismatches += each.unassessed(year[0], end)


_transaction_end = attrgetter("transaction_end")


def enterprise_year(stream: str) -> EnterpriseYear:
    """The enterprise and the year that a stream of returns or of an account belongs to."""
    kind, *rest = stream.split("/")
    return (rest[0], rest[1]) if kind == "returns" else (rest[1], rest[2][:4])


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
