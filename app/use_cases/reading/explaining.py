"""Who is entitled to what, and why, as it stood at a moment."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from app.ledger.corruption import REBUILD
from app.use_cases.reading.as_of import AsOf, PolicyAsOf
from domain.assessment.account import used_before
from domain.assessment.assess import Assessment, assess
from domain.assessment.explanation import Subject, sentence
from domain.assessment.withholding import withheld_outcome, withhold, without_figures
from domain.errors import LedgerIntegrityError
from domain.events import Outcome, PolicyRef, Return
from domain.periods import period_of, window_of
from domain.policy.policy import Policy
from domain.policy.steps import Step
from projections.queries import accounts, disagreements, policies, returns
from projections.queries.accounts import AssessedPeriod


class PeriodAccount(msgspec.Struct, frozen=True):
    """A period of an account, and the version of the policy that its last assessment names."""

    period: str
    outcome: Outcome
    position: int
    policy: PolicyRef


class LimitUse(msgspec.Struct, frozen=True):
    """A limit in one of its windows, and what of it is used, in fen.

    Attributes:
        id: Of the limit.
        per: The length of its windows.
        window: The window.
    """

    id: str
    per: str
    window: str
    ceiling_fen: int
    used_fen: int


class Account(msgspec.Struct, frozen=True):
    """An account; without a policy nothing is assessed, and the ceiling is 0.

    Amounts, limits and label are of one version.

    Attributes:
        ceiling_fen: The limit of the whole account; None where the policy has none.
        limits: Every limit with each of its windows in the account.
        disputed: The positions of the events that contradict it: it shows what was last recorded.
    """

    uscc: str
    name: str | None
    region_code: str | None
    policy: PolicyRef | None
    window: str
    ceiling_fen: int | None
    limits: list[LimitUse]
    periods: list[PeriodAccount]
    disputed: list[int]
    as_of: AsOf

    @property
    def assessed_fen(self) -> int:
        """The sum of the periods."""
        return sum(each.outcome.assessed_fen for each in self.periods)

    @property
    def open_fen(self) -> int:
        """The part of the sum that rests on open readings."""
        return sum(each.outcome.open_fen for each in self.periods)

    @property
    def preliminary_fen(self) -> int:
        """The part of the sum from periods with a preliminary return."""
        preliminary = (each.outcome for each in self.periods if each.outcome.stage == "preliminary")
        return sum(each.assessed_fen for each in preliminary)

    @property
    def headroom_fen(self) -> int | None:
        """What is left under the limit of the whole account; None without one."""
        return None if self.ceiling_fen is None else self.ceiling_fen - self.assessed_fen


class ExplainedStep(msgspec.Struct, frozen=True):
    """A step and its sentence."""

    step: Step
    sentence: str


class ExplainedPeriod(msgspec.Struct, frozen=True):
    """A period of an account, the policy version that it follows from, and its steps."""

    account: Account
    period: PeriodAccount
    policy: PolicyRef
    steps: list[ExplainedStep]


def read_account(connection: Connection, uscc: str, window: str, books: PolicyAsOf) -> Account | None:
    """The account as it stood; None for an enterprise that never filed in the window."""
    if not accounts.has_ever_filed(connection, uscc, window):
        return None
    at, policy = books.moment.position, books.policy_id
    identity = accounts.identity(connection, uscc, window, at)
    assessed = [] if policy is None else accounts.periods(connection, policy, uscc, window, at)
    disputed = {} if policy is None else disagreements.positions(connection, policy, window, [uscc], at)
    version = books.versions_of([uscc]).get(uscc)
    periods = [_period(each) for each in assessed]
    return Account(
        uscc=uscc,
        name=None if identity is None else identity.name,
        region_code=None if identity is None else identity.region_code,
        policy=None if version is None else version.ref,
        window=window,
        ceiling_fen=books.ceiling_fen(version),
        limits=[]
        if version is None
        else _limits(policies.policy_of(connection, version.ref), window, periods),
        periods=periods,
        disputed=disputed.get(uscc, []),
        as_of=books.moment,
    )


def _limits(policy: Policy, window: str, periods: Sequence[PeriodAccount]) -> list[LimitUse]:
    return [
        LimitUse(
            id=limit.id,
            per=limit.per,
            window=str(within),
            ceiling_fen=limit.ceiling.fen,
            used_fen=sum(
                each.outcome.assessed_fen for each in periods if within.holds(period_of(each.period))
            ),
        )
        for limit, within in policy.limits_in(window_of(window))
    ]


def withheld_account(connection: Connection, account: Account) -> Account:
    """The account, as it was recorded, for a reader without the right to single-unit statistics."""
    if account.policy is None:
        return account
    policy = policies.policy_of(connection, account.policy)
    periods = [_withheld(policy, each) for each in account.periods]
    return msgspec.structs.replace(account, periods=periods)


def _withheld(policy: Policy, period: PeriodAccount) -> PeriodAccount:
    return msgspec.structs.replace(period, outcome=withheld_outcome(policy, period.outcome))


def _period(each: AssessedPeriod) -> PeriodAccount:
    if each.assessed.outcome is None:
        raise LedgerIntegrityError(f"查询表中序号{each.position}没有测算结果。{REBUILD}")
    return PeriodAccount(each.assessed.period, each.assessed.outcome, each.position, each.assessed.policy)


def explain(
    connection: Connection, account: Account, period: str, *, withheld: bool
) -> ExplainedPeriod | None:
    """The steps of a period, derived again from the returns that stood; None if it is not assessed.

    An account that everything is assessed by a newer version may still rest on what an older one gave: the
    version of the account explains it, or the newest one before it from which the recorded amounts follow. A
    disputed account from which they follow by none has no steps.

    Raises:
        LedgerIntegrityError: The recorded amounts follow from no version.
    """
    wanted = next((each for each in account.periods if each.period == period), None)
    if wanted is None or account.policy is None:
        return None
    at = account.as_of.position
    standing: dict[str, dict[str, Return]] = {}
    for version in returns.standing(connection, account.uscc, account.window, at):
        if isinstance(version.event, Return):
            standing.setdefault(version.period, {})[version.form] = version.event
    published = [each.ref for each in policies.published(connection, at) if each.ref.id == account.policy.id]
    for ref in reversed([each for each in published if each.version <= account.policy.version]):
        policy = policies.policy_of(connection, ref)
        steps = _steps(policy, account, standing, wanted)
        if steps is not None:
            assessment, registered = Assessment(wanted.outcome, steps), standing[period]
            if withheld:
                assessment, registered = withhold(policy, assessment), without_figures(registered)
            subject = Subject(policy, period_of(period), registered)
            explained = [ExplainedStep(step, sentence(step, subject)) for step in assessment.steps]
            told = msgspec.structs.replace(wanted, outcome=assessment.outcome)
            return ExplainedPeriod(account, told, policy.ref, explained)
    if account.disputed:
        shown = _withheld(policies.policy_of(connection, account.policy), wanted) if withheld else wanted
        return ExplainedPeriod(account, shown, wanted.policy, [])
    raise LedgerIntegrityError(f"{account.uscc} {period}所记金额推不出。请运行duixian audit replay查明")


def _steps(
    policy: Policy, account: Account, standing: dict[str, dict[str, Return]], wanted: PeriodAccount
) -> list[Step] | None:
    """The steps of a period, if what is recorded of it follows from the policy."""
    if wanted.period not in standing:
        return None
    period = period_of(wanted.period)
    amounts_fen = {each.period: each.outcome.assessed_fen for each in account.periods}
    used_fen = used_before(policy, period, amounts_fen)
    assessment = assess(policy, period, standing[wanted.period], used_fen)
    return assessment.steps if assessment.outcome == wanted.outcome else None
