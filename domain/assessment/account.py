"""The account of one enterprise under one policy: the assessments of the periods of a window."""

from collections.abc import Iterable, Mapping
from operator import itemgetter

from domain.assessment.assess import assess
from domain.errors import LedgerIntegrityError
from domain.events import AnyEvent, EntitlementAssessed, Outcome, UnreadableEvent
from domain.money import wanyuan_text
from domain.periods import Period, PeriodError, Window, period_of
from domain.policy.policy import LimitWindow, Policy
from domain.returns import AnnualReturns, standing_in
from domain.words import CEILINGS, record_name


class EntitlementAccount:
    """The aggregate of decisions. Its invariants: each limit of the policy holds after every event.

    Args:
        window: The window that the account covers.
        events: The events of its stream, in the order of their versions.

    Attributes:
        version: The number of events in its stream.
        assessed: The assessments in force by period, as the API writes it (`2024-03`).
    """

    __slots__ = ("assessed", "version", "window")

    def __init__(self, window: Window, events: Iterable[AnyEvent] = ()) -> None:
        self.window = window
        self.version = 0
        self.assessed: dict[str, EntitlementAssessed] = {}
        for event in events:
            self.apply(event)

    @property
    def assessed_fen(self) -> int:
        """The sum of the assessed amounts over the periods, in fen."""
        return sum(_fen(event) for event in self.assessed.values())

    def apply(self, event: AnyEvent) -> None:
        """Bring the account up to date with the next event of its stream.

        Raises:
            LedgerIntegrityError: The amounts of the event contradict each other.
        """
        if isinstance(event, UnreadableEvent):
            raise LedgerIntegrityError(event.reason)
        if not isinstance(event, EntitlementAssessed):
            raise LedgerIntegrityError(f"{record_name(event)}不是测算记录")
        self.version += 1
        if not _is_within(event.period, self.window):
            raise LedgerIntegrityError(f"{self.window}的测算中没有{event.period}这一期")
        if event.outcome is None:
            if self.assessed.pop(event.period, None) is None:
                raise LedgerIntegrityError(f"{event.period}没有测算，不能终止")
            return
        _check(event.period, event.outcome)
        self.assessed[event.period] = event

    def reassess(self, policy: Policy, returns: Iterable[AnnualReturns]) -> list[EntitlementAssessed]:
        """Recompute the account in the order of its periods, and apply an event for each changed outcome.

        Periods that lose come before periods that gain, so that no sum passes a limit in between. A period
        whose outcome stays gets no event.

        Args:
            policy: The version to assess by.
            returns: The enterprise's returns of the years of the window.

        Returns:
            The applied events.

        Raises:
            LedgerIntegrityError: An amount or a sum passes a limit of the policy.
        """
        if all(event.policy == policy.ref for event in self.assessed.values()):
            self._check_limits(policy)
        used = _UsedLimits(policy)
        changed: list[tuple[int, str, EntitlementAssessed]] = []
        standing = {
            text: by_form
            for text, by_form in standing_in(self.window, returns).items()
            if policy.counts_in(period_of(text), self.window)
        }
        for text, before in self.assessed.items():
            if text not in standing:
                event = EntitlementAssessed(period=text, policy=policy.ref, records=(), outcome=None)
                changed.append((-_fen(before), text, event))
        for text, by_form in standing.items():
            assessed, period = self.assessed.get(text), period_of(text)
            records = tuple([by_form[form].record for form in sorted(by_form)])
            if assessed and not changed and assessed.policy == policy.ref and assessed.records == records:
                used.add(period, _fen(assessed))  # The same policy, returns and periods before.
                continue
            registered = {form: standing_return.registered for form, standing_return in by_form.items()}
            outcome = assess(policy, period, registered, used.before(period)).outcome
            used.add(period, outcome.assessed_fen)
            if assessed is None or assessed.outcome != outcome:
                event = EntitlementAssessed(period=text, policy=policy.ref, records=records, outcome=outcome)
                changed.append((outcome.assessed_fen - _fen(assessed), text, event))
        if changed:
            changed.sort(key=_by_gain)
            for _, _, event in changed:
                self.apply(event)
            self._check_limits(policy)
        return [event for _, _, event in changed]

    def _check_limits(self, policy: Policy) -> None:
        """Check every amount, and every sum, against its limit.

        Raises:
            LedgerIntegrityError: One passes its limit.
        """
        used, limit = _UsedLimits(policy), policy.period_limit
        most_fen = None if limit is None else limit.ceiling.fen
        for text, event in self.assessed.items():
            selected_fen = 0 if event.outcome is None else event.outcome.selected_fen
            if limit is not None and most_fen is not None and selected_fen > most_fen:
                raise LedgerIntegrityError(f"{text}：超过{CEILINGS[limit.id]}")
            used.add(period_of(text), _fen(event))
        used.check()


class _UsedLimits:
    """The amounts that periods have used of each longer limit, by its window."""

    __slots__ = ("_policy", "_used_fen")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._used_fen: dict[LimitWindow, int] = {}

    def before(self, period: Period) -> list[int]:
        """The amount added so far to each longer limit of a period, in fen."""
        return [self._used_fen.get(limit, 0) for limit in self._policy.limits_of(period)]

    def add(self, period: Period, amount_fen: int) -> None:
        """Add the assessed amount of a period."""
        for limit in self._policy.limits_of(period):
            self._used_fen[limit] = self._used_fen.get(limit, 0) + amount_fen

    def check(self) -> None:
        """Check every sum against its limit.

        Raises:
            LedgerIntegrityError: A sum passes its limit.
        """
        for limit, total_fen in self._used_fen.items():
            if total_fen > limit.ceiling_fen:
                total = f"合计{wanyuan_text(total_fen)}万元"
                raise LedgerIntegrityError(f"{limit.window}：{total}，超过{CEILINGS[limit.limit.id]}")


def used_before(policy: Policy, period: Period, assessed_fen: Mapping[str, int]) -> list[int]:
    """The amount that earlier periods of an account have used of each longer limit of a period, in fen.

    Args:
        policy: The version.
        period: The period.
        assessed_fen: The assessed amounts of the account, by period.
    """
    used = _UsedLimits(policy)
    for text, amount_fen in assessed_fen.items():
        if (earlier := period_of(text)) < period:
            used.add(earlier, amount_fen)
    return used.before(period)


_by_gain = itemgetter(0, 1)


def _is_within(text: str, window: Window) -> bool:
    """Whether a text names a period of the survey that is in a window."""
    try:
        return window.holds(period_of(text))
    except PeriodError:
        return False


def _check(period: str, outcome: Outcome) -> None:
    """Check that the amounts of an outcome agree with each other.

    Raises:
        LedgerIntegrityError: They contradict each other.
    """
    ordered = (
        0 <= outcome.open_fen <= outcome.assessed_fen <= outcome.selected_fen <= outcome.rule_fen
        and (outcome.rule_fen > 0) == (outcome.status == "eligible") == (outcome.measure is not None)
        and len(outcome.capped_by)
        >= (outcome.selected_fen < outcome.rule_fen) + (outcome.assessed_fen < outcome.selected_fen)
        and (not outcome.capped_by or outcome.assessed_fen < outcome.rule_fen)
    )
    if not ordered:
        raise LedgerIntegrityError(f"{period}：各项金额互相矛盾：{outcome}")


def _fen(event: EntitlementAssessed | None) -> int:
    return 0 if event is None or event.outcome is None else event.outcome.assessed_fen
