"""`/v1/audit/differences`: the changes of amounts between two moments, with their causes."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import Field

from app.answers.differences import DifferencePage, difference_page
from app.answers.moments import MomentError, parse_moment
from app.api.http.context import AuditorKey, LedgerNeeded
from app.api.http.cursors import Count, Cursors, PageQuery, not_ours
from app.api.http.disclosing import shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import parse_uscc, parse_window
from app.api.http.problems import ApiProblem
from app.api.http.read_again import ReadAgain
from app.runtime.database import read_transaction
from app.use_cases.audit import differences
from app.use_cases.audit.differences import OrderError, Sums
from app.use_cases.reading.as_of import AskedMoment, check_window
from app.use_cases.reading.filters import parse_region
from domain.structs import prepared
from projections.queries.differences import BEGINNING, Place, Scope

router = APIRouter(prefix="/v1/audit/differences", tags=["audit"], route_class=ReadAgain)

_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"
_MOMENT: Final = "A position, a time (RFC 3339), or a day in Beijing: "


@prepared
class DifferenceCursor(msgspec.Struct, frozen=True, array_like=True):
    """The end of a page: the moments of the first page, their sums, and the last period."""

    first: Count
    last: Count
    day_in_progress: bool
    before_fen: Count
    after_fen: Count
    uscc: str
    policy: str
    window: str
    period: str


class DifferencesQuery(PageQuery):
    """The query of the list of differences."""

    first: Annotated[str, Field(alias="from", description=f"{_MOMENT}its start.")]
    last: Annotated[
        str, Field(alias="to", description=f"{_MOMENT}its end, and today as of now. Not before `from`.")
    ]
    window: Annotated[str | None, Field(description="Only the accounts of this window.")] = None
    region_code: Annotated[
        str | None,
        Field(
            max_length=20, pattern=_TEXT, description="Only enterprises in this region at the later moment."
        ),
    ] = None
    uscc: Annotated[str | None, Field(description="Only this enterprise.")] = None


@router.get(
    "",
    operation_id="listDifferences",
    responses=errors(400, 401, 403, 422, 503),
)
@shows_no_figures
def list_differences(
    request: Request, ledger: LedgerNeeded, _: AuditorKey, query: Annotated[DifferencesQuery, Query()]
) -> DifferencePage:
    """List the periods whose amounts differ, with the records that caused the changes, in pages."""
    cursors, now_us = query.cursors(request), ledger.clock()
    asked = (_moment("from", query.first, now_us, is_start=True), _moment("to", query.last, now_us))
    after = BEGINNING
    window = None if query.window is None else str(parse_window(query.window))
    uscc = None if query.uscc is None else parse_uscc(query.uscc)
    seen = _sent(cursors)
    if seen is not None:
        again = AskedMoment(seen.last, day_in_progress=seen.day_in_progress)
        asked = (AskedMoment(seen.first), again)
        after = Place(seen.uscc, seen.policy, seen.window, seen.period)
    with read_transaction(ledger.engine) as connection:
        if window is not None:
            check_window(connection, window)
        scope = Scope(window, parse_region(connection, query.region_code, window), uscc)
        try:
            moments = differences.resolve_moments(connection, *asked)
        except OrderError as error:
            detail = "from晚于to，应先写较早的时点。"
            raise ApiProblem(400, "invalid-request", detail) from error
        page = differences.difference_page(connection, scope, moments, limit=query.limit, after=after)
        sums = (
            differences.sums(connection, scope, moments)
            if seen is None
            else Sums(seen.before_fen, seen.after_fen)
        )
    end = page.next_after
    as_asked = (*moments.span, moments.last.day_in_progress)
    next_cursor = None if end is None else cursors.encode(DifferenceCursor(*as_asked, *sums, *end))
    return difference_page(page.differences, next_cursor, sums, moments)


def _moment(name: str, text: str, now_us: int, *, is_start: bool = False) -> AskedMoment:
    try:
        return parse_moment(text, now_us=now_us, is_start=is_start)
    except MomentError as error:
        raise ApiProblem(400, "invalid-request", f"{name}：{error}") from error


def _sent(cursors: Cursors) -> DifferenceCursor | None:
    cursor = cursors.sent(DifferenceCursor)
    if cursor is not None and any(
        "\0" in text for text in (cursor.uscc, cursor.policy, cursor.window, cursor.period)
    ):
        raise not_ours()
    return cursor
