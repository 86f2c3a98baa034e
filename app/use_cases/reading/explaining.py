"""Reads an account as of a moment, and explains how a period was assessed."""

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
    """The use of a limit in one of its windows.

    Attributes:
        id: The id of the limit.
        per: The length of its windows.
        window: The window.
        ceiling_fen: The most that the limit allows, in fen.
        used_fen: The sum of the amounts in the window, in fen.
    """

    id: str
    per: str
    window: str
    ceiling_fen: int
    used_fen: int


class Account(msgspec.Struct, frozen=True):
    """An account; without a policy nothing is assessed, and the ceiling is 0.

    The amounts, the limits and the label belong to one version of the policy.

    Attributes:
        ceiling_fen: The limit of the whole account; None if the policy has none.
        limits: Every limit with each of its windows in the account.
        disputed: The positions of the events that contradict it; a disputed account shows what was recorded
            last.
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
        return sum(period.outcome.assessed_fen for period in self.periods)

    @property
    def open_fen(self) -> int:
        """The part of the sum that depends on open readings."""
        return sum(period.outcome.open_fen for period in self.periods)

    @property
    def preliminary_fen(self) -> int:
        """The part of the sum from periods with a preliminary return."""
        outcomes = (period.outcome for period in self.periods)
        return sum(outcome.assessed_fen for outcome in outcomes if outcome.stage == "preliminary")

    @property
    def headroom_fen(self) -> int | None:
        """The unused part of the limit of the whole account; None without such a limit."""
        return None if self.ceiling_fen is None else self.ceiling_fen - self.assessed_fen


class ExplainedStep(msgspec.Struct, frozen=True):
    """A step and its sentence."""

    step: Step
    sentence: str


class ExplainedPeriod(msgspec.Struct, frozen=True):
    """A period of an account, the policy version by which it is explained, and its steps."""

    account: Account
    period: PeriodAccount
    policy: PolicyRef
    steps: list[ExplainedStep]


def read_account(connection: Connection, uscc: str, window: str, policy_as_of: PolicyAsOf) -> Account | None:
    """Read an account as of a moment; None for an enterprise that never filed in the window."""
    if not returns.has_ever_filed(connection, uscc, window):
        return None
    at, policy = policy_as_of.moment.position, policy_as_of.policy_id
    identity = accounts.identity(connection, uscc, window, at)
    assessed = [] if policy is None else accounts.periods(connection, policy, uscc, window, at)
    disputed = {} if policy is None else disagreements.positions(connection, policy, window, [uscc], at)
    version = policy_as_of.versions_of([uscc]).get(uscc)
    periods = [_period(row) for row in assessed]
    return Account(
        uscc=uscc,
        name=None if identity is None else identity.name,
        region_code=None if identity is None else identity.region_code,
        policy=None if version is None else version.ref,
        window=window,
        ceiling_fen=policy_as_of.ceiling_fen(version),
        limits=[]
        if version is None
        else _limits(policies.policy_of(connection, version.ref), window, periods),
        periods=periods,
        disputed=disputed.get(uscc, []),
        as_of=policy_as_of.moment,
    )


def _limits(policy: Policy, window: str, periods: Sequence[PeriodAccount]) -> list[LimitUse]:
    return [
        LimitUse(
            id=within.limit.id,
            per=within.limit.per,
            window=str(within.window),
            ceiling_fen=within.ceiling_fen,
            used_fen=sum(
                period.outcome.assessed_fen
                for period in periods
                if within.window.holds(period_of(period.period))
            ),
        )
        for within in policy.limits_in(window_of(window))
    ]


def withheld_account(connection: Connection, account: Account) -> Account:
    """Withhold single-unit statistics from an account, for a reader without the right to them."""
    if account.policy is None:
        return account
    policy = policies.policy_of(connection, account.policy)
    periods = [_withheld(policy, period) for period in account.periods]
    return msgspec.structs.replace(account, periods=periods)


def _withheld(policy: Policy, period: PeriodAccount) -> PeriodAccount:
    return msgspec.structs.replace(period, outcome=withheld_outcome(policy, period.outcome))


def _period(row: AssessedPeriod) -> PeriodAccount:
    if row.assessed.outcome is None:
        raise LedgerIntegrityError(f"查询表中序号{row.position}没有测算结果。{REBUILD}")
    return PeriodAccount(row.assessed.period, row.assessed.outcome, row.position, row.assessed.policy)


def explain(
    connection: Connection, account: Account, period: str, *, withheld: bool
) -> ExplainedPeriod | None:
    """Derive the steps of a period again, from the returns as of the account's moment.

    The amounts of an account may date from an older version than the account's own, if the newer version
    changes none of them. The steps follow the newest version, up to the account's own, that gives the
    recorded amounts. A disputed account has no steps if no version gives them.

    Returns:
        None if the period is not assessed.

    Raises:
        LedgerIntegrityError: No version gives the recorded amounts of an undisputed account.
    """
    recorded = next((candidate for candidate in account.periods if candidate.period == period), None)
    if recorded is None or account.policy is None:
        return None
    at = account.as_of.position
    standing: dict[str, dict[str, Return]] = {}
    for version in returns.standing(connection, account.uscc, account.window, at):
        if isinstance(version.event, Return):
            standing.setdefault(version.period, {})[version.form] = version.event
    refs = [version.ref for version in policies.published(connection, at)]
    own = [ref for ref in refs if ref.id == account.policy.id and ref.version <= account.policy.version]
    for ref in reversed(own):
        policy = policies.policy_of(connection, ref)
        steps = _steps(policy, account, standing, recorded)
        if steps is not None:
            assessment, registered = Assessment(recorded.outcome, steps), standing[period]
            if withheld:
                assessment, registered = withhold(policy, assessment), without_figures(registered)
            subject = Subject(policy, period_of(period), registered)
            explained = [ExplainedStep(step, sentence(step, subject)) for step in assessment.steps]
            shown = msgspec.structs.replace(recorded, outcome=assessment.outcome)
            return ExplainedPeriod(account, shown, policy.ref, explained)
    if account.disputed:
        shown = _withheld(policies.policy_of(connection, account.policy), recorded) if withheld else recorded
        return ExplainedPeriod(account, shown, recorded.policy, [])
    raise LedgerIntegrityError(f"{account.uscc} {period}所记金额推不出。请运行duixian audit replay查明")


def _steps(
    policy: Policy, account: Account, standing: dict[str, dict[str, Return]], recorded: PeriodAccount
) -> list[Step] | None:
    """Derive the steps of a period; None if the policy does not give its recorded amounts."""
    if recorded.period not in standing:
        return None
    period = period_of(recorded.period)
    amounts_fen = {row.period: row.outcome.assessed_fen for row in account.periods}
    used_fen = used_before(policy, period, amounts_fen)
    assessment = assess(policy, period, standing[recorded.period], used_fen)
    return assessment.steps if assessment.outcome == recorded.outcome else None
