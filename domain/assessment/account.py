"""The half-year account of one enterprise under one policy: what each period was assessed to."""

from collections.abc import Iterable
from operator import itemgetter

from domain.assessment.assess import assess
from domain.errors import LedgerIntegrityError
from domain.events import AnyEvent, EntitlementAssessed, Outcome, ReturnRef, UnreadableEvent
from domain.money import wanyuan_text
from domain.periods import period_of
from domain.policy.policy import Policy
from domain.returns import AnnualReturns
from domain.words import record_name


class EntitlementAccount:
    """The aggregate of decisions. Its invariants: each bound of the policy, in every prefix of its events.

    Attributes:
        version: The number of events in its stream.
        assessed: By period as the contract writes it, what was last recorded and still stands.
    """

    __slots__ = ("assessed", "version", "window")

    def __init__(self, window: str, events: Iterable[AnyEvent] = ()) -> None:
        self.window = window
        self.version = 0
        self.assessed: dict[str, EntitlementAssessed] = {}
        for event in events:
            self.apply(event)

    @property
    def assessed_fen(self) -> int:
        """The sum over the periods."""
        return sum(_fen(each) for each in self.assessed.values())

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
        if event.outcome is None:
            if self.assessed.pop(event.period, None) is None:
                raise LedgerIntegrityError(f"{event.period}没有测算，不能终止")
            return
        _check(event.period, event.outcome)
        self.assessed[event.period] = event

    def reassess(self, policy: Policy, returns: AnnualReturns) -> list[EntitlementAssessed]:
        """Recompute the half-year in the order of its periods; the events of what changed, applied.

        Periods that lose come before periods that gain, so that the sum never passes the ceiling in
        between. Nothing is recorded of a period whose outcome stays.
        """
        if all(each.policy == policy.ref for each in self.assessed.values()):
            self._check_ceilings(policy)
        used_fen = 0
        changed: list[tuple[int, str, EntitlementAssessed]] = []
        standing = {
            text: by_form
            for text, by_form in returns.in_window(self.window).items()
            if policy.covers_period(period_of(text))
        }
        for text, before in self.assessed.items():
            if text not in standing:
                event = EntitlementAssessed(period=text, policy=policy.ref, returns=(), outcome=None)
                changed.append((-_fen(before), text, event))
        for text, by_form in standing.items():
            assessed = self.assessed.get(text)
            used = tuple([ReturnRef(form, by_form[form].version) for form in sorted(by_form)])
            if assessed and not changed and assessed.policy == policy.ref and assessed.returns == used:
                used_fen += _fen(assessed)  # The same policy, returns and periods before: the same outcome.
                continue
            registered = {form: each.registered for form, each in by_form.items()}
            outcome = assess(policy, period_of(text), registered, used_fen).outcome
            used_fen += outcome.assessed_fen
            if assessed is None or assessed.outcome != outcome:
                event = EntitlementAssessed(period=text, policy=policy.ref, returns=used, outcome=outcome)
                changed.append((outcome.assessed_fen - _fen(assessed), text, event))
        if changed:
            changed.sort(key=_by_gain)
            for _, _, event in changed:
                self.apply(event)
            self._check_ceilings(policy)
        return [event for _, _, event in changed]

    def _check_ceilings(self, policy: Policy) -> None:
        total_fen = 0
        month_fen = policy.month_limit.ceiling.fen
        for period, each in self.assessed.items():
            total_fen += _fen(each)
            if each.outcome is not None and each.outcome.selected_fen > month_fen:
                raise LedgerIntegrityError(f"{period}：超过月度上限")
        if total_fen > policy.half_year_limit.ceiling.fen:
            raise LedgerIntegrityError(f"{self.window}：合计{wanyuan_text(total_fen)}万元，超过半年累计上限")


_by_gain = itemgetter(0, 1)


def _check(period: str, outcome: Outcome) -> None:
    ordered = (
        0 <= outcome.open_fen <= outcome.assessed_fen <= outcome.selected_fen <= outcome.rule_fen
        and (outcome.rule_fen > 0) == (outcome.status == "eligible") == (outcome.measure is not None)
        and len(outcome.bound_by)
        == (outcome.selected_fen < outcome.rule_fen) + (outcome.assessed_fen < outcome.selected_fen)
    )
    if not ordered:
        raise LedgerIntegrityError(f"{period}：各项金额互相矛盾：{outcome}")


def _fen(event: EntitlementAssessed | None) -> int:
    return 0 if event is None or event.outcome is None else event.outcome.assessed_fen
