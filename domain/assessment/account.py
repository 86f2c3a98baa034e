"""The account of one enterprise under one policy: the assessments of the periods of a window."""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from domain.assessment.assess import assess
from domain.errors import LedgerIntegrityError
from domain.events import AnyEvent, EntitlementAssessed, Outcome, UnreadableEvent
from domain.money import wanyuan_text
from domain.periods import Period, PeriodError, Window, period_of
from domain.policy.document import Limit
from domain.policy.policy import LimitWindow, Policy
from domain.returns import AnnualReturns, standing_by_period
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
        used = _UsedLimits(policy.period_limit)
        changed: list[tuple[int, str, EntitlementAssessed]] = []
        standing = standing_by_period(returns, lambda period: policy.account_of(period) == self.window)
        for text, before in self.assessed.items():
            if text not in standing:
                event = EntitlementAssessed(period=text, policy=policy.ref, records=(), outcome=None)
                changed.append((-_fen(before), text, event))
        for text, by_form in standing.items():
            assessed, period = self.assessed.get(text), period_of(text)
            limits = policy.limits_of(period)
            records = tuple([by_form[form].record for form in sorted(by_form)])
            if assessed and not changed and assessed.policy == policy.ref and assessed.records == records:
                used.add(assessed, limits)  # The same policy, returns and periods before.
                continue
            registered = {form: standing_return.registered for form, standing_return in by_form.items()}
            outcome = assess(policy, period, registered, used.by_limit_fen).outcome
            event = EntitlementAssessed(period=text, policy=policy.ref, records=records, outcome=outcome)
            used.add(event, limits)
            if assessed is None or assessed.outcome != outcome:
                changed.append((outcome.assessed_fen - _fen(assessed), text, event))
        changed.sort(key=_by_gain)
        for _, _, event in changed:
            self.apply(event)
        return [event for _, _, event in changed]

    def _check_limits(self, policy: Policy) -> None:
        """Check every amount, and every sum, against its limit.

        Raises:
            LedgerIntegrityError: One passes its limit.
        """
        used = _UsedLimits(policy.period_limit)
        for text, event in self.assessed.items():
            used.add(event, policy.limits_of(period_of(text)))


class _UsedLimits:
    """The amounts that assessments have used of each longer limit, by its window.

    Args:
        period_limit: The limit of each period; None without one.

    Attributes:
        by_limit_fen: The amounts, in fen.
    """

    __slots__ = ("_ceiling_fen", "_period_limit", "by_limit_fen")

    def __init__(self, period_limit: Limit | None) -> None:
        self._period_limit = period_limit
        self._ceiling_fen = 0 if period_limit is None else period_limit.ceiling.fen
        self.by_limit_fen: dict[LimitWindow, int] = {}

    def add(self, event: EntitlementAssessed, limits: Sequence[LimitWindow]) -> None:
        """Add an assessment to the longer limits of its period.

        Raises:
            LedgerIntegrityError: Its amount passes the limit of a period, or a sum passes its limit.
        """
        selected_fen = 0 if event.outcome is None else event.outcome.selected_fen
        if self._period_limit is not None and selected_fen > self._ceiling_fen:
            raise LedgerIntegrityError(f"{event.period}：超过{CEILINGS[self._period_limit.id]}")
        for limit in limits:
            total_fen = self.by_limit_fen.get(limit, 0) + _fen(event)
            if total_fen > limit.ceiling_fen:
                total = f"合计{wanyuan_text(total_fen)}万元"
                raise LedgerIntegrityError(f"{limit.window}：{total}，超过{CEILINGS[limit.limit.id]}")
            self.by_limit_fen[limit] = total_fen


def used_before(policy: Policy, period: Period, assessed_fen: Mapping[str, int]) -> dict[LimitWindow, int]:
    """The amount that earlier periods of an account have used of each longer limit of a period, in fen.

    Args:
        policy: The version.
        period: The period.
        assessed_fen: The assessed amounts of the account, by period.
    """
    earlier = [
        (policy.limits_of(other), amount_fen)
        for text, amount_fen in assessed_fen.items()
        if (other := period_of(text)) < period
    ]
    return {
        limit: sum(amount_fen for limits, amount_fen in earlier if limit in limits)
        for limit in policy.limits_of(period)
    }


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
