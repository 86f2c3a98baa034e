"""`/v1/audit/differences`: what changed between two moments, and why."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query

from app.api.context import AuditorKey, LedgerNeeded
from app.api.cursors import decoded, encoded, not_ours
from app.api.difference_models import DifferencePage, difference_page
from app.api.errors_declared import errors
from app.api.moments import parse_moment
from app.api.paths import DIGITS, uscc_of, window_of
from app.api.problems import ApiProblem
from app.api.read_again import ReadAgain
from app.database import reading
from app.use_cases import differences
from app.use_cases.differences import OrderError, Sums
from app.use_cases.reading import AskedMoment
from projections.queries.differences import BEGINNING, Place, Scope

router = APIRouter(prefix="/v1/audit/differences", tags=["audit"], route_class=ReadAgain)

PAGE_MOST: Final = 500
_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"
_MOMENT: Final = "A position, a time (RFC 3339), or a day: its end in Beijing."


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the moments of the first page and the sums at them, and the last period."""

    first: int
    last: int
    before_fen: int
    after_fen: int
    uscc: str
    policy: str
    period: str


@router.get(
    "",
    operation_id="listDifferences",
    responses=errors(400, 401, 403, 422, 503),
)
def list_differences(
    ledger: LedgerNeeded,
    _: AuditorKey,
    first: Annotated[str, Query(alias="from", max_length=40, description=_MOMENT)],
    last: Annotated[str, Query(alias="to", max_length=40, description=f"{_MOMENT} Not before `from`.")],
    window: Annotated[str | None, Query(description="Only this half-year.")] = None,
    region_code: Annotated[
        str | None,
        Query(max_length=20, pattern=_TEXT, description="Only enterprises there at the later moment."),
    ] = None,
    uscc: Annotated[str | None, Query(description="Only this enterprise.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST), DIGITS] = 100,
    cursor: Annotated[
        str | None, Query(max_length=300, description="The next_cursor of the page before.")
    ] = None,
) -> DifferencePage:
    """The periods whose amounts differ, each with the records that caused it, a page at a time."""
    asked, after = (_moment("from", first), _moment("to", last)), BEGINNING
    scope = Scope(
        window=None if window is None else str(window_of(window)),
        region_code=region_code,
        uscc=None if uscc is None else uscc_of(uscc),
    )
    seen = None if cursor is None else _cursor(cursor)
    if seen is not None:
        asked = (AskedMoment(position=seen.first), AskedMoment(position=seen.last))
        after = Place(seen.uscc, seen.policy, seen.period)
    with reading(ledger.engine) as connection:
        try:
            moments = differences.moments_of(connection, *asked)
        except OrderError as error:
            detail = "from lies after to: give the earlier moment first."
            raise ApiProblem(400, "invalid-request", detail) from error
        page = differences.difference_page(connection, scope, moments, limit=limit, after=after)
        sums = (
            differences.sums(connection, scope, moments)
            if seen is None
            else Sums(seen.before_fen, seen.after_fen)
        )
    end = page.next_after
    next_cursor = None if end is None else encoded(Cursor(*moments.span, *sums, *end))
    return difference_page(page.differences, next_cursor, sums, moments)


def _moment(name: str, text: str) -> AskedMoment:
    try:
        return parse_moment(text)
    except ValueError as error:
        detail = f"{name} is a position such as 32518, a day such as 2024-08-05, or a time with its offset."
        raise ApiProblem(400, "invalid-request", detail) from error


def _cursor(text: str) -> Cursor:
    cursor = decoded(text, Cursor)
    if min(cursor.first, cursor.last) < 0:
        raise not_ours()
    return cursor
