"""The red flags of one enterprise: bases, cumulative figures, December, corrections after the window.

**Amounts.** A figure may earn nothing by itself and much together with others: the limit of an account and
the choice of the highest hide each one behind the next. So there are three amounts of the account: as it
stands, with one return as compared, and with every return that the same is asked of as compared.
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
    is_correction,
    registered_of,
)
from domain.red_flags.questions import About, Amounts, MonthsBefore
from domain.returns import AnnualReturns, ReturnVersion

DECEMBER: Final = 12
COLUMNS: Final[tuple[Column, ...]] = ("current", "prior_year")

Detector = Callable[[EnterpriseHistory, Scope], Iterator[RedFlag]]

ComparedReturns = Mapping[Key, Return | None]
"""What stands in place of some returns of a window in a comparison; None stands for no return."""


def enterprise_flags(
    history: EnterpriseHistory, scope: Scope, wanted: Collection[FlagId]
) -> Iterator[RedFlag]:
    """The questions about one enterprise, by flag, period and form."""
    for flag, detect in DETECTORS.items():
        if flag in wanted:
            yield from detect(history, scope)


def _base_changed(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """A later version has another prior-year figure than the first; filing anew after a withdrawal counts."""
    for key in history.keys_of(scope.window):
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
    """The versions that have another prior-year figure than the one before them."""
    return [after.version for before, after in pairwise(registered) if before.base_fen != after.base_fen]


def _base_differs(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """The prior-year figure is not what the ledger holds of the same period a year before."""
    differing = list(_differing_bases(history, scope.window))
    together = {each.key: each.in_place() for each in differing}
    for each in differing:
        amounts = _amounts(
            history, scope, alone={each.key: each.in_place()}, together=together, places=len(differing)
        )
        yield RedFlag(
            flag="base-differs",
            **_subject(history, each.key),
            column="prior_year",
            stated_fen=each.base_fen,
            compared_fen=each.ledger_fen,
            **_assessed(amounts),
            evidence=(each.stands.version, each.year_ago.version),
            sentence=questions.base_differs(
                _about(history, each.key), amounts, base_fen=each.base_fen, ledger_fen=each.ledger_fen
            ),
        )


class _DifferingBase(NamedTuple):
    """A prior-year figure, and the current figure that the ledger holds of the year before instead."""

    key: Key
    stands: Registered
    base_fen: int
    year_ago: Registered
    ledger_fen: int

    def in_place(self) -> Return:
        """The return with the figure of the ledger as its base."""
        return _with_figure(self.stands.event, prior_year_fen=self.ledger_fen)


def _differing_bases(history: EnterpriseHistory, window: Window) -> Iterator[_DifferingBase]:
    for key, stands in history.standing_in(window).items():
        year_ago = history.standing(key[0], year_before(key[1]))
        if year_ago is None:
            continue
        base_fen, ledger_fen = stands.base_fen, year_ago.figure.current_fen
        if base_fen is not None and ledger_fen is not None and base_fen != ledger_fen:
            yield _DifferingBase(key, stands, base_fen, year_ago, ledger_fen)


def _base_earns(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """A base lowered or first filled in after the first filing earns more than the first one would."""
    earning = _earning(history, scope)
    for key, with_first in earning.items():
        registered = history.registered(key)
        first, stands, changes = registered[0], registered[-1], _base_changes(registered)
        # What lowered the base need not be what stands, and the amount rests on both.
        since = changes if changes[-1] is stands.version else [*changes, stands.version]
        amounts = _amounts(history, scope, alone={key: with_first}, together=earning, places=len(earning))
        yield RedFlag(
            flag="base-earns",
            **_subject(history, key),
            column="prior_year",
            stated_fen=stands.base_fen,
            compared_fen=first.base_fen,
            **_assessed(amounts),
            evidence=(first.version, *since),
            sentence=questions.base_earns(
                _about(history, key), amounts, first_fen=first.base_fen, stands_fen=stands.base_fen
            ),
        )


def _earning(history: EnterpriseHistory, scope: Scope) -> dict[Key, Return]:
    """The returns whose lowered bases earn something, each with its first base in place.

    What a base earns is asked while the other lowered ones are at their first values. There it earns the
    most, for each of the others leaves it less of the ceiling.
    """
    if scope.policy is None:
        return {}
    lowered = {
        key: _with_figure(stands.event, prior_year_fen=first_fen)
        for key, stands in history.standing_in(scope.window).items()
        if _is_lowered(stands.base_fen, first_fen := history.registered(key)[0].base_fen)
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
    """Whether a base earns more than the first one could: over nothing, or over a higher one."""
    if base_fen is None or base_fen <= 0:
        return False
    return first_fen is None or first_fen <= 0 or base_fen < first_fen


def _without(returns: Mapping[Key, Return], key: Key) -> ComparedReturns:
    return {each: found for each, found in returns.items() if each != key}


class _Cumulative(NamedTuple):
    """1—本月 of one column, and the versions that it was taken from."""

    fen: int
    evidence: tuple[ReturnVersion, ...]


class _Balance(NamedTuple):
    """A figure of a month that is not what the cumulative figures make it."""

    key: Key
    column: Column
    month_fen: int
    by_cumulative_fen: int
    evidence: tuple[ReturnVersion, ...]

    def in_place(self, registered: Return) -> Return:
        """The return with what the cumulative figures make of the month."""
        return _with_figure(registered, **{f"{self.column}_fen": self.by_cumulative_fen})


def _balance_differs(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """1—本月 before the month and 本月 are not 1—本月 together, in the column of either year."""
    standing = {key: found.event for key, found in history.standing_in(scope.window).items()}
    unbalanced = list(_unbalanced(history, scope.window))
    together: dict[Key, Return] = {}
    for each in unbalanced:
        together[each.key] = each.in_place(together.get(each.key, standing[each.key]))
    for each in unbalanced:
        alone = {each.key: each.in_place(standing[each.key])}
        amounts = _amounts(history, scope, alone=alone, together=together, places=len(unbalanced))
        yield RedFlag(
            flag="balance-differs",
            **_subject(history, each.key),
            column=each.column,
            stated_fen=each.month_fen,
            compared_fen=each.by_cumulative_fen,
            **_assessed(amounts),
            evidence=each.evidence,
            sentence=questions.balance_differs(
                _about(history, each.key),
                each.column,
                amounts,
                month_fen=each.month_fen,
                by_cumulative_fen=each.by_cumulative_fen,
            ),
        )


def _unbalanced(history: EnterpriseHistory, window: Window) -> Iterator[_Balance]:
    """The columns that do not balance; of what is not reported nothing can be said."""
    for key, stands in history.standing_in(window).items():
        for column in COLUMNS:
            month_fen, ytd_fen = _month_fen(stands, column), _ytd_fen(stands, column)
            before = _cumulative(history, key[0], period_of(key[1]).previous, column)
            if month_fen is None or ytd_fen is None or before is None:
                continue
            if before.fen + month_fen != ytd_fen:
                evidence = (*before.evidence, stands.version)
                yield _Balance(key, column, month_fen, ytd_fen - before.fen, evidence)


def _cumulative(
    history: EnterpriseHistory, form: str, period: Period | None, column: Column
) -> _Cumulative | None:
    """1—本月 as it is reported or, where it is left out, as the months since the last one add up to it.

    Else a month whose cumulative figure is left out would keep the next one from being balanced.
    """
    if period is None:
        return _Cumulative(0, ())
    stands = history.standing(form, str(period))
    if stands is None:
        return None
    month_fen, ytd_fen = _month_fen(stands, column), _ytd_fen(stands, column)
    if ytd_fen is not None:
        return _Cumulative(ytd_fen, (stands.version,))
    before = _cumulative(history, form, period.previous, column)
    if month_fen is None or before is None:
        return None
    return _Cumulative(before.fen + month_fen, (*before.evidence, stands.version))


def _month_fen(registered: Registered | None, column: Column) -> int | None:
    figure = Figure() if registered is None else registered.figure
    return figure.current_fen if column == "current" else figure.prior_year_fen


def _ytd_fen(registered: Registered, column: Column) -> int | None:
    figure = registered.figure
    return figure.current_ytd_fen if column == "current" else figure.prior_year_ytd_fen


def _december_jump(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """December is negative, or many times the mean of the year's earlier months."""
    for key, stands in history.standing_in(scope.window).items():
        december, december_fen = period_of(key[1]), stands.figure.current_fen
        if december.last_month != DECEMBER or december_fen is None:
            continue
        earlier = _earlier(history, key[0], december)
        before = MonthsBefore(
            months=sum(_months(each.event.period) for each in earlier),
            total_fen=sum(each.figure.current_fen or 0 for each in earlier),
        )
        if december_fen < 0 or _jumps(december_fen, before):
            yield RedFlag(
                flag="december-jump",
                **_subject(history, key),
                column="current",
                stated_fen=december_fen,
                compared_fen=before.mean_fen,
                evidence=(stands.version, *(each.version for each in earlier)),
                sentence=questions.december_jump(_about(history, key), december_fen, before),
            )


def _jumps(december_fen: int, before: MonthsBefore) -> bool:
    """Compared without a division: the mean is the total over the months. What rises from nothing jumps."""
    return (
        before.months >= THRESHOLDS.december_months_least
        and december_fen > 0
        and december_fen * before.months >= THRESHOLDS.december_times * before.total_fen
    )


def _earlier(history: EnterpriseHistory, form: str, december: Period) -> list[Registered]:
    """What stands of the same form and year before December, in the order of time."""
    periods = sorted(
        period
        for of_form, period in history.versions
        if of_form == form and str(december.year) <= period < str(december)
    )
    standing = (history.standing(form, period) for period in periods)
    return [each for each in standing if each is not None]


def _months(text: str) -> int:
    period = period_of(text)
    return period.last_month - period.first_month + 1


def _late_correction(history: EnterpriseHistory, scope: Scope) -> Iterator[RedFlag]:
    """A return was corrected or withdrawn after the end of its window."""
    late = {
        key: corrections
        for key in history.keys_of(scope.window)
        if (corrections := _late(history.versions[key], scope.ended_at_us))
    }
    before = {key: registered_of(corrections[0][0]) for key, corrections in late.items()}
    compared = {key: None if each is None else each.event for key, each in before.items()}
    for key, corrections in late.items():
        stands = history.standing(*key)
        amounts = _amounts(
            history, scope, alone={key: compared[key]}, together=compared, places=len(compared)
        )
        yield RedFlag(
            flag="late-correction",
            **_subject(history, key),
            **_changed_figure(before=before[key], stands=stands),
            **_assessed(amounts),
            evidence=(corrections[0][0], *(after for _, after in corrections)),
            sentence=questions.late_correction(
                _about(history, key),
                scope.window,
                len(corrections),
                amounts,
                before=compared[key],
                stands=None if stands is None else stands.event,
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


def _changed_figure(*, before: Registered | None, stands: Registered | None) -> _ChangedFigure:
    """The figure that was corrected, the current one before the prior-year one; none where both stay."""
    for column in COLUMNS:
        stated_fen, compared_fen = _month_fen(stands, column), _month_fen(before, column)
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
    """The window as it stands, with one return as compared, and with all; None without a policy."""
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
    """What an account is assessed to with some returns as compared, the others as they stand, in fen."""
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
"""The questions about one enterprise, in the order in which they are asked of a return."""
