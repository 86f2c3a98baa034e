"""The red flags of one enterprise: bases, cumulative figures, December, corrections after the window.

**Amounts.** A figure may earn nothing by itself and much together with others, because the limit of an
account and the choice of the highest award may hide the effect of a single one. So a question shows three
amounts of the account: with the standing returns, with the compared value in this one return, and with the
compared values in every return that gets the same question.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypedDict

import msgspec

from domain.assessment.account import EntitlementAccount
from domain.events import Figure, Return, returns_stream
from domain.forms import FORMS
from domain.periods import Period, Window, period_of, year_before
from domain.policy.policy import Policy
from domain.red_flags import questions
from domain.red_flags.kinds import (
    THRESHOLDS,
    Column,
    EnterpriseFlagId,
    EnterpriseHistory,
    FlagId,
    Key,
    RedFlag,
    Registered,
    Scope,
    as_registered,
    is_correction,
)
from domain.red_flags.questions import About, Amounts, MonthsBefore
from domain.returns import AnnualReturns, ReturnVersion

DECEMBER: Final = 12
COLUMNS: Final[tuple[Column, ...]] = ("current", "prior_year")

Detector = Callable[[EnterpriseHistory, Scope], Iterator[RedFlag]]

ComparedReturns = Mapping[Key, Return | None]
"""The replacements of some returns of a window in a comparison; None removes the return."""


def enterprise_flags(
    history: EnterpriseHistory, scope: Scope, wanted: Collection[FlagId]
) -> Iterator[RedFlag]:
    """The questions about one enterprise, by flag, period and form."""
    for flag, detect in DETECTORS.items():
        if flag in wanted:
            yield from detect(history, scope)


def _base_changed(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """A later version has another prior-year figure than the first, also one filed after a withdrawal."""
    for key in history.keys_in(scope.window):
        registered = history.registered(key)
        first, last = registered[0], registered[-1]
        changes = _base_changes(registered)
        if changes:
            yield RedFlag(
                flag="base-changed",
                **_subject(history, key),
                column="prior_year",
                stated_fen=last.base_fen,
                compared_fen=first.base_fen,
                evidence=(first.version, *changes),
                sentence=questions.base_changed(
                    _about(history, key), first_fen=first.base_fen, last_fen=last.base_fen
                ),
            )


def _base_changes(registered: Sequence[Registered]) -> list[ReturnVersion]:
    """The versions whose prior-year figure differs from that of the version before."""
    return [after.version for before, after in pairwise(registered) if before.base_fen != after.base_fen]


def _base_differs(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """The prior-year figure differs from the ledger's current figure of the same period a year before."""
    differing = list(_differing_bases(history, scope.window))
    together = {base.key: base.in_place() for base in differing}
    for base in differing:
        amounts = _amounts(
            history, scope, alone={base.key: base.in_place()}, together=together, places=len(differing)
        )
        yield RedFlag(
            flag="base-differs",
            **_subject(history, base.key),
            column="prior_year",
            stated_fen=base.base_fen,
            compared_fen=base.ledger_fen,
            **_assessed(amounts),
            evidence=(base.standing.version, base.year_ago.version),
            sentence=questions.base_differs(
                _about(history, base.key), amounts, base_fen=base.base_fen, ledger_fen=base.ledger_fen
            ),
        )


class _DifferingBase(NamedTuple):
    """A prior-year figure, and the differing current figure that the ledger holds for the year before."""

    key: Key
    standing: Registered
    base_fen: int
    year_ago: Registered
    ledger_fen: int

    def in_place(self) -> Return:
        """The return with the figure of the ledger as its base."""
        return _with_figure(self.standing.event, prior_year_fen=self.ledger_fen)


def _differing_bases(history: EnterpriseHistory, window: Window) -> Iterator[_DifferingBase]:
    for key, standing in history.standing_in(window).items():
        year_ago = history.standing(key[0], year_before(key[1]))
        if year_ago is None:
            continue
        base_fen, ledger_fen = standing.base_fen, year_ago.figure.current_fen
        if base_fen is not None and ledger_fen is not None and base_fen != ledger_fen:
            yield _DifferingBase(key, standing, base_fen, year_ago, ledger_fen)


def _base_earns(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """A base that was lowered or filled in after the first filing earns more than the first one would."""
    earning = _earning(history, scope)
    for key, with_first in earning.items():
        registered = history.registered(key)
        first, standing, changes = registered[0], registered[-1], _base_changes(registered)
        # The version that lowered the base need not be the standing one, and the amount rests on both.
        since = changes if changes[-1] is standing.version else [*changes, standing.version]
        amounts = _amounts(history, scope, alone={key: with_first}, together=earning, places=len(earning))
        yield RedFlag(
            flag="base-earns",
            **_subject(history, key),
            column="prior_year",
            stated_fen=standing.base_fen,
            compared_fen=first.base_fen,
            **_assessed(amounts),
            evidence=(first.version, *since),
            sentence=questions.base_earns(
                _about(history, key), amounts, first_fen=first.base_fen, standing_fen=standing.base_fen
            ),
        )


def _earning(history: EnterpriseHistory, scope: Scope) -> dict[Key, Return]:
    """The returns whose lowered bases earn something, each with its first base in place.

    The earnings of a base are computed with the other lowered bases at their first values. That is where it
    earns the most, because each of the others would leave it less of the ceiling.
    """
    if scope.policy is None:
        return {}
    lowered = {
        key: _with_figure(standing.event, prior_year_fen=first_fen)
        for key, standing in history.standing_in(scope.window).items()
        if _is_lowered(standing.base_fen, first_fen := history.registered(key)[0].base_fen)
    }
    if not lowered:
        return {}
    least_fen = _account_fen(history, scope.window, scope.policy, lowered)
    return {
        key: with_first
        for key, with_first in lowered.items()
        if _account_fen(history, scope.window, scope.policy, _without(lowered, key)) > least_fen
    }


def _is_lowered(base_fen: int | None, first_fen: int | None) -> bool:
    """Whether a base may earn more than the first one: that was missing, not positive, or higher."""
    if base_fen is None or base_fen <= 0:
        return False
    return first_fen is None or first_fen <= 0 or base_fen < first_fen


def _without(returns: Mapping[Key, Return], key: Key) -> ComparedReturns:
    return {other: found for other, found in returns.items() if other != key}


class _Cumulative(NamedTuple):
    """The cumulative figure (1—本月) of one column, and the versions that it comes from."""

    fen: int
    evidence: tuple[ReturnVersion, ...]


class _Balance(NamedTuple):
    """A figure of a month that differs from the difference of the cumulative figures."""

    key: Key
    column: Column
    month_fen: int
    by_cumulative_fen: int
    evidence: tuple[ReturnVersion, ...]

    def in_place(self, registered: Return) -> Return:
        """The return with the figure of the month that follows from the cumulative figures."""
        return _with_figure(registered, **{f"{self.column}_fen": self.by_cumulative_fen})


def _balance_differs(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """The cumulative figure before the month and the figure of the month do not add up to the next one.

    The columns of both years are checked.
    """
    standing = {key: found.event for key, found in history.standing_in(scope.window).items()}
    unbalanced = list(_unbalanced(history, scope.window))
    together: dict[Key, Return] = {}
    for balance in unbalanced:
        together[balance.key] = balance.in_place(together.get(balance.key, standing[balance.key]))
    for balance in unbalanced:
        alone = {balance.key: balance.in_place(standing[balance.key])}
        amounts = _amounts(history, scope, alone=alone, together=together, places=len(unbalanced))
        yield RedFlag(
            flag="balance-differs",
            **_subject(history, balance.key),
            column=balance.column,
            stated_fen=balance.month_fen,
            compared_fen=balance.by_cumulative_fen,
            **_assessed(amounts),
            evidence=balance.evidence,
            sentence=questions.balance_differs(
                _about(history, balance.key),
                balance.column,
                amounts,
                month_fen=balance.month_fen,
                by_cumulative_fen=balance.by_cumulative_fen,
            ),
        )


def _unbalanced(history: EnterpriseHistory, window: Window) -> Iterator[_Balance]:
    """The columns that do not balance; a column with a figure that was not reported is left out."""
    for key, standing in history.standing_in(window).items():
        for column in COLUMNS:
            month_fen, ytd_fen = _month_fen(standing, column), _ytd_fen(standing, column)
            before = _cumulative(history, key[0], period_of(key[1]).previous, column)
            if month_fen is None or ytd_fen is None or before is None:
                continue
            if before.fen + month_fen != ytd_fen:
                evidence = (*before.evidence, standing.version)
                yield _Balance(key, column, month_fen, ytd_fen - before.fen, evidence)


def _cumulative(
    history: EnterpriseHistory, form: str, period: Period | None, column: Column
) -> _Cumulative | None:
    """The cumulative figure (1—本月) as reported, or else the sum of the last one and the months since.

    Otherwise a month without its cumulative figure would make the check of the next month impossible.
    """
    if period is None:
        return _Cumulative(0, ())
    standing = history.standing(form, str(period))
    if standing is None:
        return None
    month_fen, ytd_fen = _month_fen(standing, column), _ytd_fen(standing, column)
    if ytd_fen is not None:
        return _Cumulative(ytd_fen, (standing.version,))
    before = _cumulative(history, form, period.previous, column)
    if month_fen is None or before is None:
        return None
    return _Cumulative(before.fen + month_fen, (*before.evidence, standing.version))


def _month_fen(registered: Registered | None, column: Column) -> int | None:
    figure = Figure() if registered is None else registered.figure
    return figure.current_fen if column == "current" else figure.prior_year_fen


def _ytd_fen(registered: Registered, column: Column) -> int | None:
    figure = registered.figure
    return figure.current_ytd_fen if column == "current" else figure.prior_year_ytd_fen


def _december_jump(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """December is negative, or many times the mean of the year's earlier months."""
    for key, standing in history.standing_in(scope.window).items():
        december, december_fen = period_of(key[1]), standing.figure.current_fen
        if december.last_month != DECEMBER or december_fen is None:
            continue
        earlier = _earlier(history, key[0], december)
        before = MonthsBefore(
            months=sum(_months(month.event.period) for month in earlier),
            total_fen=sum(month.figure.current_fen or 0 for month in earlier),
        )
        if december_fen < 0 or _jumps(december_fen, before):
            yield RedFlag(
                flag="december-jump",
                **_subject(history, key),
                column="current",
                stated_fen=december_fen,
                compared_fen=before.mean_fen,
                evidence=(standing.version, *(month.version for month in earlier)),
                sentence=questions.december_jump(_about(history, key), december_fen, before),
            )


def _jumps(december_fen: int, before: MonthsBefore) -> bool:
    """Whether December is many times the mean month before, compared without a division.

    Any rise from zero counts as a jump.
    """
    return (
        before.months >= THRESHOLDS.december_months_least
        and december_fen > 0
        and december_fen * before.months >= THRESHOLDS.december_times * before.total_fen
    )


def _earlier(history: EnterpriseHistory, form: str, december: Period) -> list[Registered]:
    """The standing returns of the same form and year before December, in the order of time."""
    periods = sorted(period_of(period) for of_form, period in history.versions if of_form == form)
    standing = (
        history.standing(form, str(period))
        for period in periods
        if period.year == december.year and period < december
    )
    return [registered for registered in standing if registered is not None]


def _months(text: str) -> int:
    period = period_of(text)
    return period.last_month - period.first_month + 1


def _late_correction(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """A return was corrected or withdrawn after the end of its window."""
    late = {
        key: corrections
        for key in history.keys_in(scope.window)
        if (corrections := _late(history.versions[key], scope.ended_at_us))
    }
    before = {key: as_registered(corrections[0][0]) for key, corrections in late.items()}
    compared = {key: None if registered is None else registered.event for key, registered in before.items()}
    for key, corrections in late.items():
        standing = history.standing(*key)
        amounts = _amounts(
            history, scope, alone={key: compared[key]}, together=compared, places=len(compared)
        )
        yield RedFlag(
            flag="late-correction",
            **_subject(history, key),
            **_changed_figure(before=before[key], standing=standing),
            **_assessed(amounts),
            evidence=(corrections[0][0], *(after for _, after in corrections)),
            sentence=questions.late_correction(
                _about(history, key),
                scope.window,
                len(corrections),
                amounts,
                before=compared[key],
                standing=None if standing is None else standing.event,
            ),
        )


def _late(versions: Sequence[ReturnVersion], ended_at_us: int) -> list[tuple[ReturnVersion, ReturnVersion]]:
    """The corrections of a return after the end of its window, each with the version before it."""
    return [
        (before, after)
        for before, after in pairwise(versions)
        if after.recorded_at_us >= ended_at_us and is_correction(before, after)
    ]


class _ChangedFigure(TypedDict):
    column: Column | None
    stated_fen: int | None
    compared_fen: int | None


def _changed_figure(*, before: Registered | None, standing: Registered | None) -> _ChangedFigure:
    """The corrected figure, the current one before the prior-year one; none if both stay."""
    for column in COLUMNS:
        stated_fen, compared_fen = _month_fen(standing, column), _month_fen(before, column)
        if stated_fen != compared_fen:
            return {"column": column, "stated_fen": stated_fen, "compared_fen": compared_fen}
    return {"column": None, "stated_fen": None, "compared_fen": None}


class _Subject(TypedDict):
    uscc: str
    name: str
    region_code: str
    form: str
    period: str


def _subject(history: EnterpriseHistory, key: Key) -> _Subject:
    form, period = key
    return {
        "uscc": history.uscc,
        "name": history.name,
        "region_code": history.region_code,
        "form": form,
        "period": period,
    }


class _Assessed(TypedDict):
    assessed_fen: int | None
    compared_assessed_fen: int | None
    together_assessed_fen: int | None


def _assessed(amounts: Amounts | None) -> _Assessed:
    if amounts is None:
        return {"assessed_fen": None, "compared_assessed_fen": None, "together_assessed_fen": None}
    return {
        "assessed_fen": amounts.assessed_fen,
        "compared_assessed_fen": amounts.compared_fen,
        "together_assessed_fen": amounts.together_fen,
    }


def _about(history: EnterpriseHistory, key: Key) -> About:
    form = FORMS[key[0]]
    return About(history.name, period_of(key[1]), form.items[form.required_item])


def _amounts(
    history: EnterpriseHistory,
    scope: Scope,
    *,
    alone: ComparedReturns,
    together: ComparedReturns,
    places: int,
) -> Amounts | None:
    """The assessed amounts of the window: with the standing returns, with one replaced, with all replaced.

    None without a policy.
    """
    policy = scope.policy
    if policy is None:
        return None
    assessed_fen, compared_fen, together_fen = (
        _account_fen(history, scope.window, policy, compared) for compared in ({}, alone, together)
    )
    return Amounts(
        window=scope.window,
        places=places,
        assessed_fen=assessed_fen,
        compared_fen=compared_fen,
        together_fen=together_fen,
    )


def _account_fen(
    history: EnterpriseHistory, window: Window, policy: Policy, compared: ComparedReturns
) -> int:
    """The assessed amount of an account, in fen, with some of the standing returns replaced."""
    standing = {key: found.event for key, found in history.standing_in(window).items()}
    returns = {year: AnnualReturns(returns_stream(history.uscc, year)) for year in window.years}
    for registered in {**standing, **compared}.values():
        if registered is not None:
            returns[period_of(registered.period).year].file(registered)
    account = EntitlementAccount(window)
    account.reassess(policy, returns.values())
    return account.assessed_fen


def _with_figure(registered: Return, **changed_fen: int | None) -> Return:
    """The return with other values of the figure that the award rests on."""
    item = FORMS[registered.form].required_item
    figure = msgspec.structs.replace(registered.figures[item], **changed_fen)
    return msgspec.structs.replace(registered, figures={**registered.figures, item: figure})


DETECTORS: Final[dict[EnterpriseFlagId, Detector]] = {
    "base-changed": _base_changed,
    "base-differs": _base_differs,
    "base-earns": _base_earns,
    "balance-differs": _balance_differs,
    "december-jump": _december_jump,
    "late-correction": _late_correction,
}
"""The questions about one enterprise, in the order of the output."""
