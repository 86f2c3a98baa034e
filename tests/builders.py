"""Builds the objects of the tests: policies, returns in 千元, an enterprise with its streams."""

from functools import cache
from typing import Any

from app.use_cases.filing.rows import Draft, RowReader
from app.use_cases.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from domain.assessment.account import EntitlementAccount
from domain.assessment.assess import Assessment, assess
from domain.assessment.explanation import Subject, sentence
from domain.assessment.withholding import withhold, without_figures
from domain.events import (
    EntitlementAssessed,
    Event,
    Figure,
    Outcome,
    PolicyRef,
    Return,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    Stage,
    returns_stream,
)
from domain.money import FEN_PER_UNIT
from domain.periods import period_of
from domain.policy.document import fingerprint
from domain.policy.policy import Policy
from domain.policy.steps import Step
from domain.returns import AnnualReturns, Conflict

SHIPPED_TEXT = YINGKOU_2024_14.read_text(encoding="utf-8")

WANYUAN = FEN_PER_UNIT["wanyuan"]
QIANYUAN = FEN_PER_UNIT["qianyuan"]


def edited(text: str, *changes: tuple[str, str]) -> str:
    """The text with each `old` replaced by its `new`; each `old` must occur exactly once."""
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(f"occurs {text.count(old)} times: {old}")
        text = text.replace(old, new)
    return text


def loaded(text: str | bytes) -> LoadedPolicy:
    """The policy of a text that is in order."""
    result = load_policy(text, file="policy.yaml")
    if isinstance(result, LoadedPolicy):
        return result
    raise ValueError("; ".join(str(problem) for problem in result))


def text_with_limits(*limits: tuple[str, int], policy_id: str = "yingkou-2024-14") -> str:
    """The shipped document with other limits: the length of a window, and an amount in yuan."""
    head, _, rest = SHIPPED_TEXT.partition("limits:\n")
    _, choice, tail = rest.partition("\nchoice:")
    lines = "".join(f'  - per: {per}\n    ceiling: {{yuan: {yuan}, cite: "14.5"}}\n' for per, yuan in limits)
    written = f"limits:\n{lines}" if limits else "limits: []\n"
    text = head + written + choice + tail
    return text.replace("policy: yingkou-2024-14\n", f"policy: {policy_id}\n", 1)


@cache
def policy_of(text: str = SHIPPED_TEXT, version: int = 1) -> Policy:
    """The policy of a text, as this version."""
    of_text = loaded(text)
    return Policy(PolicyRef(of_text.typed.policy, version, fingerprint(of_text.document)), of_text.typed)


def decided(reading: str, answer: str, text: str = SHIPPED_TEXT) -> str:
    """The text with an open reading confirmed: by 营口市商务局, in 营商发〔2024〕1号."""
    start = text.index(f"  - id: {reading}\n")
    end = text.index("    status: open\n", start) + len("    status: open\n")
    block = [
        *(
            line
            for line in text[start:end].splitlines(keepends=True)
            if not line.startswith(("    answer:", "    status:"))
        ),
        f"    answer: {answer}\n",
        "    status: confirmed\n",
        '    decision: {by: 营口市商务局, document: 营商发〔2024〕1号, date: "2024-06-30"}\n',
    ]
    return text[:start] + "".join(block) + text[end:]


def trade(current: int, prior_year: int | None, **changes: Any) -> Return:
    """A final E204-1 of March 2024 of a retailer in the database; 零售额 in 千元."""
    figures = {"retail_sales": _figure(current, prior_year)}
    return _return(form="E204-1", industry_code="5211", figures=figures, changes=changes)


def catering(current: int, prior_year: int | None, **changes: Any) -> Return:
    """A final S204-1 of March 2024 of a restaurant in the database; 餐费收入 in 千元."""
    figures = {"catering_revenue": _figure(current, prior_year)}
    return _return(form="S204-1", industry_code="6210", figures=figures, changes=changes)


def _figure(current: int, prior_year: int | None) -> Figure:
    return Figure(
        current_fen=current * QIANYUAN,
        prior_year_fen=None if prior_year is None else prior_year * QIANYUAN,
    )


def _return(changes: dict[str, Any], **usual: Any) -> Return:
    fields = {
        "period": "2024-03",
        "name": "示例商贸公司",
        "region_code": "210802",
        "in_database": True,
        "stage": "final",
        **usual,
    }
    return Return(**{**fields, **changes})


def with_figure(base: Return, current_fen: int | None, prior_year_fen: int | None) -> Return:
    """The return with other figures of its required item, in fen."""
    (item,) = base.figures
    figures = {item: Figure(current_fen=current_fen, prior_year_fen=prior_year_fen)}
    kept = {name: getattr(base, name) for name in Return.__struct_fields__}
    return Return(**{**kept, "figures": figures})


def return_of_row(row: dict[str, Any], *, unit: str, stage: Stage) -> Return:
    """The return that a row of `POST /v1/returns` registers."""
    draft = RowReader(unit=unit, stage=stage, source=None).read(0, row)
    if isinstance(draft, Draft):
        return draft.registered
    raise ValueError(f"not in order: {draft}")


USCC = "91210802MA0010002C"


class Enterprise:
    """One enterprise: its returns of a year, its accounts by window, and all events in order."""

    def __init__(self, policy: Policy | None = None, year: int = 2024) -> None:
        self.policy = policy or policy_of()
        self.year = year
        self.returns = AnnualReturns(returns_stream(USCC, year))
        self.return_events: list[Event] = []
        self.accounts: dict[str, EntitlementAccount] = {}
        self.account_events: dict[str, list[EntitlementAssessed]] = {}
        self._open_accounts()

    def _open_accounts(self) -> None:
        """Open the accounts of the policy; those of another version stay."""
        for window in self.policy.touched_in(self.year):
            self.accounts.setdefault(str(window), EntitlementAccount(window))
            self.account_events.setdefault(str(window), [])

    def file(self, *drafts: Return) -> list[ReturnFiled | ReturnRevised | Conflict | None]:
        """Register returns in this order, each one assessed before the next."""
        results = []
        for draft in drafts:
            result = self.returns.file(draft)
            results.append(result)
            if isinstance(result, ReturnFiled | ReturnRevised):
                self.return_events.append(result)
                self.reassess()
        return results

    def withdraw(self, form: str, period: str) -> ReturnWithdrawn | None:
        """Withdraw a return."""
        event = self.returns.withdraw(form=form, period=period, reason="登记有误", origin=None, document=None)
        if event is not None:
            self.return_events.append(event)
            self.reassess()
        return event

    def reassess(self) -> list[EntitlementAssessed]:
        """Assess every account, and return the new events."""
        self._open_accounts()
        new = []
        for window, account in self.accounts.items():
            events = account.reassess(self.policy, [self.returns])
            self.account_events[window] += events
            new += events
        return new

    def outcomes(self, window: str = "2024H1") -> dict[str, Outcome]:
        """The outcomes in force, by period in the order of time."""
        if window not in self.accounts:
            return {}
        standing = sorted(self.accounts[window].assessed.items(), key=lambda item: period_of(item[0]))
        return {period: event.outcome for period, event in standing if event.outcome is not None}

    def amounts(self, window: str = "2024H1") -> dict[str, int]:
        """The assessed amounts in force, in 万元, by period."""
        return {period: outcome.assessed_fen // WANYUAN for period, outcome in self.outcomes(window).items()}


def outcome_of(*returns: Return, policy: Policy | None = None) -> Outcome:
    """The outcome of one period, with nothing used before."""
    return _assessed(returns, policy or policy_of(), 0)[0]


def steps_of(*returns: Return, policy: Policy | None = None, used_fen: int = 0) -> list[Step]:
    """The steps of one period."""
    return _assessed(returns, policy or policy_of(), used_fen)[1]


def sentences_of(
    *returns: Return, policy: Policy | None = None, used_fen: int = 0, withheld: bool = False
) -> dict[str, str]:
    """The sentences of one period by rule; if a rule has two steps, the last one."""
    policy, registered = policy or policy_of(), {registered.form: registered for registered in returns}
    assessment = _assessed(returns, policy, used_fen)
    if withheld:
        assessment, registered = withhold(policy, assessment), without_figures(registered)
    subject = Subject(policy, period_of(returns[0].period), registered)
    return {step.rule: sentence(step, subject) for step in assessment.steps}


def _assessed(returns: tuple[Return, ...], policy: Policy, used_fen: int) -> Assessment:
    by_form = {registered.form: registered for registered in returns}
    period = period_of(returns[0].period)
    return assess(policy, period, by_form, dict.fromkeys(policy.limits_of(period), used_fen))
