"""`/v1/audit/red-flags`: questions that an auditor may want to examine, never verdicts."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request

from app.answers import models
from app.answers.presenters import as_of, red_flag, thresholds
from app.api.http.context import AuditorKey, LedgerNeeded, MomentQuery
from app.api.http.cursors import Count, Cursors, PageQuery
from app.api.http.disclosing import ShownNeeded, shows_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import RegionParameter, named, parse_uscc, parse_window
from app.api.http.problems import ApiProblem
from app.api.http.read_again import ReadAgain
from app.api.http.requested_policy import PolicyParameter, require_policy
from app.runtime.database import read_transaction
from app.runtime.limits import RED_FLAGS_MOST_GROUPED
from app.use_cases.audit.red_flags import (
    BEGINNING,
    ENTERPRISE_FLAGS,
    GROUP_FLAGS,
    Place,
    RedFlagQuery,
    TooManyError,
    group_flags,
    red_flag_page,
)
from app.use_cases.reading.as_of import AskedMoment, choose_policy
from app.use_cases.reading.filters import parse_region
from domain.red_flags.kinds import EnterpriseFlagId, GroupFlagId
from domain.structs import prepared
from domain.words import FLAGS

router = APIRouter(prefix="/v1/audit/red-flags", tags=["audit"], route_class=ReadAgain)

ENTERPRISE_NAMES: Final = {flag: FLAGS[flag] for flag in ENTERPRISE_FLAGS}
GROUP_NAMES: Final = {flag: FLAGS[flag] for flag in GROUP_FLAGS}


@prepared
class RedFlagCursor(msgspec.Struct, frozen=True, array_like=True):
    """The end of a page: the moment of the first page, the last enterprise, and the questions of the next."""

    position: Count
    day_in_progress: bool
    uscc: str
    taken: Count


class _FlagsQuery(MomentQuery):
    window: str
    policy: PolicyParameter = None
    region_code: RegionParameter = None


class EnterpriseFlagsQuery(PageQuery, _FlagsQuery):
    """The query of the questions about single enterprises."""

    flag: Annotated[EnterpriseFlagId | None, named("flag", ENTERPRISE_NAMES)] = None


class GroupFlagsQuery(_FlagsQuery):
    """The query of the questions about many returns."""

    flag: Annotated[GroupFlagId | None, named("flag", GROUP_NAMES)] = None


@router.get(
    "",
    operation_id="listRedFlags",
    response_model=models.RedFlagPage,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
@shows_figures
def list_red_flags(
    request: Request,
    ledger: LedgerNeeded,
    _: AuditorKey,
    shown: ShownNeeded,
    query: Annotated[EnterpriseFlagsQuery, Query()],
) -> models.RedFlagPage:
    """List the questions about single enterprises, by code, with the versions that they are about."""
    moment, cursors = query.moment(ledger), query.cursors(request)
    window = parse_window(query.window)
    before = _sent(cursors)
    with read_transaction(ledger.engine) as connection:
        region = parse_region(connection, query.region_code, str(window))
        asked = RedFlagQuery(window, ENTERPRISE_FLAGS if query.flag is None else (query.flag,), region)
        if before is None:
            result, after = choose_policy(ledger, connection, str(window), query.policy, moment), BEGINNING
        else:
            again = AskedMoment(before.position, day_in_progress=before.day_in_progress)
            result = choose_policy(ledger, connection, str(window), query.policy, again)
            after = Place(before.uscc, before.taken)
        policy_as_of = require_policy(result)
        page = red_flag_page(connection, asked, policy_as_of, limit=query.limit, after=after)
    shown.records(len(page.found))
    end, as_asked = page.next_after, (policy_as_of.moment.position, policy_as_of.moment.day_in_progress)
    return models.RedFlagPage(
        items=[red_flag(flag) for flag in page.found],
        next_cursor=None if end is None else cursors.encode(RedFlagCursor(*as_asked, *end)),
        thresholds=thresholds(),
        as_of=as_of(policy_as_of.moment),
    )


@router.get(
    "/groups",
    operation_id="listRedFlagGroups",
    response_model=models.RedFlagGroups,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
@shows_figures
def list_red_flag_groups(
    ledger: LedgerNeeded,
    _: AuditorKey,
    shown: ShownNeeded,
    query: Annotated[GroupFlagsQuery, Query()],
) -> models.RedFlagGroups:
    """List the questions about many returns: clusters just over a threshold, corrections by one actor."""
    moment, window = query.moment(ledger), parse_window(query.window)
    with read_transaction(ledger.engine) as connection:
        region = parse_region(connection, query.region_code, str(window))
        asked = RedFlagQuery(window, GROUP_FLAGS if query.flag is None else (query.flag,), region)
        policy_as_of = require_policy(choose_policy(ledger, connection, str(window), query.policy, moment))
        try:
            found = group_flags(connection, asked, policy_as_of)
        except TooManyError as error:
            detail = (
                f"共{error.enterprises}户，一次最多统计{RED_FLAGS_MOST_GROUPED}户："
                "请按region_code（处理地）分别查询，或使用命令duixian audit red-flags。"
            )
            raise ApiProblem(422, "too-many-enterprises", detail) from error
    shown.records(len(found))
    return models.RedFlagGroups(
        items=[red_flag(flag) for flag in found], thresholds=thresholds(), as_of=as_of(policy_as_of.moment)
    )


def _sent(cursors: Cursors) -> RedFlagCursor | None:
    cursor = cursors.sent(RedFlagCursor)
    if cursor is not None and cursor.uscc:
        parse_uscc(cursor.uscc)
    return cursor
