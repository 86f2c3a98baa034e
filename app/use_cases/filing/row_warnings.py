"""Finds the warnings of a row, which do not keep it from being recorded."""

from collections.abc import Iterator, Mapping
from typing import Final

from app.use_cases.filing import wording
from app.use_cases.filing.rows import Draft
from domain.errors import FilingWarning
from domain.events import Figure, Return
from domain.forms import FORMS
from domain.periods import period_of
from domain.regions import REGIONS
from domain.returns import AnnualReturns, required_figure

ABOUT_ROW_ALONE: Final = frozenset({"industry-unlike-form", "unknown-region", "negative-figure"})
"""The warnings that quote the row alone. All others may quote figures from the ledger."""


def find_warnings(draft: Draft, returns: AnnualReturns, own_base_fen: int | None) -> Iterator[FilingWarning]:
    """Yield the warnings of a draft.

    Args:
        draft: The row.
        returns: The enterprise's returns of the year, with the batch applied.
        own_base_fen: The current figure of the required item in the return for the same period of the year
            before; None if the ledger has none.
    """
    registered = draft.registered
    form, period = FORMS[registered.form], period_of(registered.period)
    name = registered.name
    if not registered.industry_code.startswith(form.industries):
        message = wording.industry_unlike_form(name, registered.industry_code, form)
        yield FilingWarning(row=draft.row, code="industry-unlike-form", message=message)
    if registered.region_code not in REGIONS:
        message = wording.unknown_region(registered.region_code)
        yield FilingWarning(row=draft.row, code="unknown-region", message=message)
    for item, figure in registered.figures.items():
        if _is_negative(figure):
            message = wording.negative_figure(name, period, form.items[item])
            yield FilingWarning(row=draft.row, code="negative-figure", message=message)
    given_fen = required_figure(registered).prior_year_fen
    if given_fen is not None and own_base_fen is not None and given_fen != own_base_fen:
        message = wording.base_differs(name, period, given_fen, own_base_fen)
        yield FilingWarning(row=draft.row, code="base-differs", message=message)
    yield from _balances(draft, returns)


def _balances(draft: Draft, returns: AnnualReturns) -> Iterator[FilingWarning]:
    registered = draft.registered
    period = period_of(registered.period)
    before: Mapping[str, Figure] = {}
    if period.previous is not None:
        standing = returns.standing.get((registered.form, str(period.previous)))
        if standing is None:
            return
        before = standing.registered.figures
    for item, figure in registered.figures.items():
        last = before.get(item, Figure()) if period.previous is not None else Figure(None, None, 0, 0)
        name = FORMS[registered.form].items[item]
        for label, last_ytd, month, ytd in (
            (name, last.current_ytd_fen, figure.current_fen, figure.current_ytd_fen),
            (f"{name}上年同期", last.prior_year_ytd_fen, figure.prior_year_fen, figure.prior_year_ytd_fen),
        ):
            if last_ytd is None or month is None or ytd is None or last_ytd + month == ytd:
                continue
            before_fen = None if period.previous is None else last_ytd
            cumulative = wording.Cumulative(label, before_fen, month, ytd)
            message = wording.balance_differs(registered.name, period, cumulative)
            yield FilingWarning(row=draft.row, code="balance-differs", message=message)


def _is_negative(figure: Figure) -> bool:
    return any(
        value is not None and value < 0
        for value in (
            figure.current_fen,
            figure.prior_year_fen,
            figure.current_ytd_fen,
            figure.prior_year_ytd_fen,
        )
    )


def own_figure(registered: Return) -> int | None:
    """The current figure of the required item, in fen."""
    return required_figure(registered).current_fen
