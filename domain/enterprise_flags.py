"""The red flags of one enterprise: bases, cumulative figures, December, corrections after the half-year."""

from collections.abc import Callable, Collection, Iterator
from itertools import pairwise
from typing import Final, NamedTuple, TypedDict

import msgspec

from domain import questions
from domain.events import Figure, Return
from domain.forms import FORMS
from domain.periods import Period, period_of, year_before
from domain.questions import About, Amounts, MonthsBefore
from domain.red_flags import (
    THRESHOLDS,
    Column,
    EnterpriseFlagId,
    EnterpriseHistory,
    FlagId,
    Key,
    RedFlag,
    Registered,
    Scope,
    half_year_fen,
    is_correction,
    registered_of,
)

DECEMBER: Final = 12

Detector = Callable[[EnterpriseHistory, Key, Scope], Iterator[RedFlag]]


def enterprise_flags(
    history: EnterpriseHistory, scope: Scope, wanted: Collection[FlagId]
) -> Iterator[RedFlag]:
    """The questions about one enterprise, by period, form and flag."""
    detectors = [detect for flag, detect in DETECTORS.items() if flag in wanted]
    for key in history.keys_of(scope.window):
        for detect in detectors:
            yield from detect(history, key, scope)


def _base_changed(history: EnterpriseHistory, key: Key, _: Scope) -> Iterator[RedFlag]:
    """A later version has another prior-year figure than the first; filing anew after a withdrawal counts."""
    registered = history.registered(key)
    first, last = registered[0], registered[-1]
    changed = [after.version for before, after in pairwise(registered) if before.base_fen != after.base_fen]
    if changed:
        yield RedFlag(
            flag="base-changed",
            **_subject(history, key),
            column="prior_year",
            stated_fen=last.base_fen,
            compared_fen=first.base_fen,
            evidence=(first.version, *changed),
            sentence=questions.base_changed(
                _about(history, key), first_fen=first.base_fen, last_fen=last.base_fen
            ),
        )


def _base_differs(history: EnterpriseHistory, key: Key, _: Scope) -> Iterator[RedFlag]:
    """The prior-year figure is not what the ledger holds of the same period a year before."""
    form, period = key
    stands, year_ago = history.standing(form, period), history.standing(form, year_before(period))
    if stands is None or year_ago is None:
        return
    base_fen, ledger_fen = stands.base_fen, year_ago.figure.current_fen
    if base_fen is None or ledger_fen is None or base_fen == ledger_fen:
        return
    yield RedFlag(
        flag="base-differs",
        **_subject(history, key),
        column="prior_year",
        stated_fen=base_fen,
        compared_fen=ledger_fen,
        evidence=(stands.version, year_ago.version),
        sentence=questions.base_differs(_about(history, key), base_fen=base_fen, ledger_fen=ledger_fen),
    )


def _base_earns(history: EnterpriseHistory, key: Key, scope: Scope) -> Iterator[RedFlag]:
    """A base lowered or first filled in after the first filing earns more than the first one would."""
    stands, first = history.standing(*key), history.registered(key)[0]
    if stands is None or stands.base_fen == first.base_fen:
        return
    with_first = _with_figure(stands.event, prior_year_fen=first.base_fen)
    amounts = _amounts(history, key, scope, with_first)
    if amounts is None or amounts.assessed_fen <= amounts.compared_fen:
        return
    yield RedFlag(
        flag="base-earns",
        **_subject(history, key),
        column="prior_year",
        stated_fen=stands.base_fen,
        compared_fen=first.base_fen,
        **_assessed(amounts),
        evidence=(first.version, stands.version),
        sentence=questions.base_earns(
            _about(history, key), amounts, first_fen=first.base_fen, stands_fen=stands.base_fen
        ),
    )


class _Balance(NamedTuple):
    """A column whose cumulative figures make another month than is stated."""

    column: Column
    month_fen: int
    by_cumulative_fen: int


def _balance_differs(history: EnterpriseHistory, key: Key, scope: Scope) -> Iterator[RedFlag]:
    """上月1—本月 and 本月 are not 1—本月 together, in the column of either year."""
    stands, previous = history.standing(*key), period_of(key[1]).previous
    before = None if previous is None else history.standing(key[0], str(previous))
    if stands is None or (previous is not None and before is None):
        return
    last = Figure(current_ytd_fen=0, prior_year_ytd_fen=0) if before is None else before.figure
    for column, month_fen, by_cumulative_fen in _balances(last, stands.figure):
        by_cumulative = _with_figure(stands.event, **{f"{column}_fen": by_cumulative_fen})
        amounts = _amounts(history, key, scope, by_cumulative)
        yield RedFlag(
            flag="balance-differs",
            **_subject(history, key),
            column=column,
            stated_fen=month_fen,
            compared_fen=by_cumulative_fen,
            **_assessed(amounts),
            evidence=tuple(each.version for each in (before, stands) if each is not None),
            sentence=questions.balance_differs(
                _about(history, key),
                column,
                amounts,
                month_fen=month_fen,
                by_cumulative_fen=by_cumulative_fen,
            ),
        )


def _balances(last: Figure, figure: Figure) -> Iterator[_Balance]:
    """The columns that do not balance; of what is not reported nothing can be said."""
    columns: tuple[tuple[Column, int | None, int | None, int | None], ...] = (
        ("current", last.current_ytd_fen, figure.current_fen, figure.current_ytd_fen),
        ("prior_year", last.prior_year_ytd_fen, figure.prior_year_fen, figure.prior_year_ytd_fen),
    )
    for column, last_ytd_fen, month_fen, ytd_fen in columns:
        if last_ytd_fen is None or month_fen is None or ytd_fen is None:
            continue
        if last_ytd_fen + month_fen != ytd_fen:
            yield _Balance(column, month_fen, ytd_fen - last_ytd_fen)


def _december_jump(history: EnterpriseHistory, key: Key, _: Scope) -> Iterator[RedFlag]:
    """December is negative, or many times the mean of the year's earlier months."""
    stands, december = history.standing(*key), period_of(key[1])
    if december.last_month != DECEMBER or stands is None or stands.figure.current_fen is None:
        return
    earlier = _earlier(history, key[0], december)
    before = MonthsBefore(
        months=sum(_months(each.event.period) for each in earlier),
        total_fen=sum(each.figure.current_fen or 0 for each in earlier),
    )
    if stands.figure.current_fen >= 0 and not _jumps(stands.figure.current_fen, before):
        return
    yield RedFlag(
        flag="december-jump",
        **_subject(history, key),
        column="current",
        stated_fen=stands.figure.current_fen,
        compared_fen=before.mean_fen,
        evidence=(stands.version, *(each.version for each in earlier)),
        sentence=questions.december_jump(_about(history, key), stands.figure.current_fen, before),
    )


def _jumps(december_fen: int, before: MonthsBefore) -> bool:
    """Compared without a division: the mean is the total over the months."""
    return (
        before.months >= THRESHOLDS.december_months_least
        and before.total_fen > 0
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


def _late_correction(history: EnterpriseHistory, key: Key, scope: Scope) -> Iterator[RedFlag]:
    """A return was corrected or withdrawn after the end of its half-year."""
    late = [
        (before, after)
        for before, after in pairwise(history.versions[key])
        if after.recorded_at_us >= scope.ended_at_us and is_correction(before)
    ]
    if not late:
        return
    before, stands = registered_of(late[0][0]), history.standing(*key)
    before_fen = None if before is None else before.figure.current_fen
    stands_fen = None if stands is None else stands.figure.current_fen
    amounts = _amounts(history, key, scope, None if before is None else before.event)
    yield RedFlag(
        flag="late-correction",
        **_subject(history, key),
        column="current",
        stated_fen=stands_fen,
        compared_fen=before_fen,
        **_assessed(amounts),
        evidence=(late[0][0], *(after for _, after in late)),
        sentence=questions.late_correction(
            _about(history, key),
            scope.window,
            len(late),
            amounts,
            before_fen=before_fen,
            stands_fen=stands_fen,
        ),
    )


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


def _assessed(amounts: Amounts | None) -> _Assessed:
    if amounts is None:
        return {"assessed_fen": None, "compared_assessed_fen": None}
    return {"assessed_fen": amounts.assessed_fen, "compared_assessed_fen": amounts.compared_fen}


def _about(history: EnterpriseHistory, key: Key) -> About:
    form = FORMS[key[0]]
    return About(history.name, period_of(key[1]), form.items[form.required_item])


def _amounts(history: EnterpriseHistory, key: Key, scope: Scope, compared: Return | None) -> Amounts | None:
    """What the half-year is assessed to, and with this return as compared; None stands for no return."""
    if scope.policy is None:
        return None
    stands = {each: found.event for each, found in history.standing_in(scope.window).items()}
    other = {each: event for each, event in stands.items() if each != key}
    if compared is not None:
        other[key] = compared
    assessed_fen, compared_fen = (
        half_year_fen(scope.policy, scope.window, returns.values()) for returns in (stands, other)
    )
    return Amounts(scope.window, assessed_fen, compared_fen)


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
