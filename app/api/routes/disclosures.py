"""`/v1/audit/disclosures`: who saw single-unit statistics, and the creation, use and revocation of keys."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from app.answers.disclosures import DisclosureItem, disclosure_item, parse_time_or_day
from app.answers.models import Model
from app.api.http.context import AuditorKey, get_disclosure_log
from app.api.http.cursors import Count, PageQuery
from app.api.http.disclosing import shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import parse_uscc
from app.api.http.problems import ApiProblem
from app.api.http.read_again import ReadAgain
from app.security.disclosures import DisclosureLog, Filter
from domain.structs import prepared

router = APIRouter(prefix="/v1/audit/disclosures", tags=["audit"], route_class=ReadAgain)

_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"


class DisclosurePage(Model):
    """A page of entries, the newest first."""

    items: list[DisclosureItem]
    next_cursor: str | None


@prepared
class DisclosureCursor(msgspec.Struct, frozen=True, array_like=True):
    """The end of a page: the last entry."""

    at_us: Count
    id: Count


class DisclosuresQuery(PageQuery):
    """The query of the list of disclosures."""

    who: Annotated[
        str | None, Field(max_length=200, pattern=_TEXT, description="A key, or 命令行： and a name.")
    ] = None
    uscc: Annotated[str | None, Field(description="Only entries about this enterprise.")] = None
    since: Annotated[
        str | None, Field(max_length=40, description="A time (RFC 3339), or the start of a day in Beijing.")
    ] = None
    until: Annotated[
        str | None, Field(max_length=40, description="A time (RFC 3339), or the end of a day in Beijing.")
    ] = None


@router.get(
    "",
    operation_id="listDisclosures",
    responses=errors(400, 401, 403, 503),
)
@shows_no_figures
def list_disclosures(
    request: Request,
    log: Annotated[DisclosureLog, Depends(get_disclosure_log)],
    _: AuditorKey,
    query: Annotated[DisclosuresQuery, Query()],
) -> DisclosurePage:
    """List who saw single-unit statistics, when, by which key and route, and the changes of keys."""
    cursors, limit = query.cursors(request), query.limit
    filters = Filter(
        actor=query.who,
        uscc=None if query.uscc is None else parse_uscc(query.uscc),
        since_us=None if query.since is None else _time("since", query.since),
        until_us=None if query.until is None else _time("until", query.until),
    )
    sent = cursors.sent(DisclosureCursor)
    after = None if sent is None else (sent.at_us, sent.id)
    found = log.page(filters, limit=limit + 1, after=after)
    items, last = found[:limit], found[limit - 1 : limit]
    return DisclosurePage(
        items=[disclosure_item(entry) for entry in items],
        next_cursor=cursors.encode(DisclosureCursor(last[0].at_us, last[0].id))
        if len(found) > limit
        else None,
    )


def _time(name: str, text: str) -> int:
    try:
        return parse_time_or_day(text, is_end=name == "until")
    except ValueError as error:
        detail = f"{name}应为日期如2024-08-05，或带时差的时间如2024-08-05T18:00:00+08:00。"
        raise ApiProblem(400, "invalid-request", detail) from error
