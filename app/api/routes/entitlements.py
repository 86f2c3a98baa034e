"""`/v1/entitlements` and `/v1/summary`: the accounts of enterprises, their explanations and sums."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.answers import models
from app.answers.presenters import as_of, assessment, entitlement, explained_period, summary
from app.api.http.context import EntitlementsKey, LedgerNeeded, WaitingQuery, after_waiting
from app.api.http.cursors import Count, Cursors, PageQuery
from app.api.http.disclosing import ShownNeeded, shows_figures, shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import DIGITS, RegionParameter, named, parse_period, parse_uscc, parse_window
from app.api.http.problems import ApiProblem
from app.api.http.read_again import ReadAgain
from app.api.http.requested_policy import PolicyParameter, require_policy
from app.runtime.database import read_transaction
from app.use_cases.reading.as_of import AskedMoment, choose_policy
from app.use_cases.reading.explaining import explain, read_account, withheld_account
from app.use_cases.reading.filters import parse_industry, parse_measure, parse_region
from app.use_cases.reading.listing import count_disputed, list_accounts, summarise
from domain.periods import Window
from domain.structs import prepared
from domain.words import DIMENSIONS, STAGES, STATUSES
from projections.queries.listing import ListFilter, Sort
from projections.queries.totals import Dimension

router = APIRouter(prefix="/v1", tags=["entitlements"], route_class=ReadAgain)

_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"


@prepared
class EntitlementCursor(msgspec.Struct, frozen=True, array_like=True):
    """The end of a page: the moment of the first page, and the last account."""

    position: Count
    day_in_progress: bool
    assessed_fen: Count
    uscc: str


class AccountQuery(WaitingQuery):
    """The query of the account of an enterprise."""

    policy: PolicyParameter = None


class EntitlementsQuery(PageQuery, WaitingQuery):
    """The query of the list of entitlements."""

    window: str
    policy: PolicyParameter = None
    region_code: RegionParameter = None
    industry: Annotated[
        str | None,
        Field(max_length=20, pattern=_TEXT, description="A prefix of the code, or the name of a division."),
    ] = None
    measure: Annotated[
        str | None, Field(max_length=100, pattern=_TEXT, description="The id or the Chinese name.")
    ] = None
    status: Annotated[
        models.Status | None, Field(description="A code or its Chinese name."), named("status", STATUSES)
    ] = None
    stage: Annotated[
        models.Stage | None, Field(description="A code or its Chinese name."), named("stage", STAGES)
    ] = None
    min_assessed_fen: Annotated[int, Field(ge=0, lt=2**63), DIGITS] = 0
    q: Annotated[
        str | None,
        Field(max_length=100, pattern=_TEXT, description="A prefix of the name or the code."),
    ] = None
    sort: Sort = "-assessed_fen"
    totals: Annotated[bool, Field(description="Count the totals even if filters require a count.")] = False


class SummaryQuery(WaitingQuery):
    """The query of the sums of a window."""

    window: str
    group_by: Annotated[Dimension, named("group_by", DIMENSIONS)]
    policy: PolicyParameter = None


WaitingAccountQuery = Annotated[AccountQuery, Depends(after_waiting(AccountQuery))]


@router.get(
    "/entitlements/{uscc}/{window}",
    operation_id="getEntitlement",
    response_model=models.Entitlement,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
@shows_no_figures
def read_entitlement(
    ledger: LedgerNeeded,
    key: EntitlementsKey,
    query: WaitingAccountQuery,
    uscc: str,
    window: str,
) -> models.Entitlement:
    """Read the account of an enterprise: a window under one policy."""
    moment, name = query.moment(ledger), str(parse_window(window))
    with read_transaction(ledger.engine) as connection:
        at = require_policy(choose_policy(ledger, connection, name, query.policy, moment))
        account = read_account(connection, parse_uscc(uscc), name, at)
        if account is None:
            raise _never_filed(uscc, name)
        return entitlement(account if key.sees_figures else withheld_account(connection, account))


@router.get(
    "/entitlements/{uscc}/{window}/{period}",
    operation_id="explainEntitlement",
    response_model=models.ExplainedPeriod,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
@shows_figures
def explain_entitlement(
    ledger: LedgerNeeded,
    key: EntitlementsKey,
    shown: ShownNeeded,
    query: WaitingAccountQuery,
    uscc: str,
    window: str,
    period: str,
) -> models.ExplainedPeriod:
    """Read a period of an account, with the steps of its assessment."""
    moment = query.moment(ledger)
    asked_window, asked = parse_window(window), parse_period(period)
    withheld = not key.sees_figures
    with read_transaction(ledger.engine) as connection:
        at = require_policy(choose_policy(ledger, connection, str(asked_window), query.policy, moment))
        account = read_account(connection, parse_uscc(uscc), str(asked_window), at)
        if account is None:
            raise _never_filed(uscc, str(asked_window))
        explained = explain(connection, account, str(asked), withheld=withheld)
    if explained is None:
        detail = (
            f"截至台账序号{at.moment.position}，{uscc}在{asked_window.chinese}没有{asked.chinese}的测算。"
        )
        raise ApiProblem(404, "not-found", detail)
    shown.records(0 if withheld else len(explained.steps), uscc=uscc)
    return explained_period(explained, withheld=withheld)


@router.get(
    "/entitlements",
    operation_id="listEntitlements",
    response_model=models.EntitlementList,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
@shows_no_figures
def list_entitlements(
    request: Request,
    ledger: LedgerNeeded,
    _: EntitlementsKey,
    query: Annotated[EntitlementsQuery, Depends(after_waiting(EntitlementsQuery))],
) -> models.EntitlementList:
    """List every enterprise with a return in the window, in pages."""
    moment, cursors = query.moment(ledger), query.cursors(request)
    window = str(parse_window(query.window))
    after = _sent(cursors)
    asked = moment if after is None else AskedMoment(after.position, day_in_progress=after.day_in_progress)
    with read_transaction(ledger.engine) as connection:
        at = require_policy(choose_policy(ledger, connection, window, query.policy, asked))
        wanted = ListFilter(
            policy=at.policy_id,
            window=window,
            region_code=parse_region(connection, query.region_code, window),
            industry=parse_industry(connection, query.industry, window),
            measure=parse_measure(connection, query.measure, at),
            status=query.status,
            stage=query.stage,
            min_assessed_fen=query.min_assessed_fen,
            q=query.q,
        )
        last = None if after is None else (after.assessed_fen, after.uscc)
        listed = list_accounts(
            connection, wanted, at, sort=query.sort, limit=query.limit, after=last, totals=query.totals
        )
        disputed, progress = count_disputed(connection, at), at.progress()
    end, as_asked = listed.next_after, (at.moment.position, at.moment.day_in_progress)
    return models.EntitlementList(
        items=[
            models.ListedEntitlement(
                headroom_fen=row.headroom_fen,
                disputed=row.disputed,
                **msgspec.structs.asdict(row.account),
            )
            for row in listed.accounts
        ],
        next_cursor=None if end is None else cursors.encode(EntitlementCursor(*as_asked, *end)),
        total=None if listed.totals is None else listed.totals.total,
        assessed_fen=None if listed.totals is None else listed.totals.assessed_fen,
        disputed=disputed,
        assessment=assessment(progress),
        as_of=as_of(at.moment),
    )


@router.get(
    "/summary",
    operation_id="getSummary",
    response_model=models.Summary,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
@shows_no_figures
def read_summary(
    ledger: LedgerNeeded,
    _: EntitlementsKey,
    query: Annotated[SummaryQuery, Depends(after_waiting(SummaryQuery))],
) -> models.Summary:
    """Read the sums of a window, by region, industry, period or measure."""
    moment, window = query.moment(ledger), str(parse_window(query.window))
    with read_transaction(ledger.engine) as connection:
        at = require_policy(choose_policy(ledger, connection, window, query.policy, moment))
        groups = summarise(connection, window, query.group_by, at)
        return summary(groups, at.moment, disputed=count_disputed(connection, at), progress=at.progress())


def _never_filed(uscc: str, window: str) -> ApiProblem:
    return ApiProblem(404, "not-found", f"{uscc}在{Window.parse(window).chinese}没有登记过数据。")


def _sent(cursors: Cursors) -> EntitlementCursor | None:
    cursor = cursors.sent(EntitlementCursor)
    if cursor is not None:
        parse_uscc(cursor.uscc)
    return cursor
