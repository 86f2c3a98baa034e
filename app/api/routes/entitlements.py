"""`/v1/entitlements` and `/v1/summary`: who is entitled to what, and why."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query

from app.answers import models
from app.answers.presenters import as_of, assessment, entitlement, explained_period, summary
from app.api.http.books import PolicyAsked, require_policy
from app.api.http.context import MAY_WAIT, EntitlementsKey, LedgerNeeded, MomentAsked
from app.api.http.cursors import Count, Cursors, CursorsNeeded
from app.api.http.disclosing import ShownNeeded, shows_figures, shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import DIGITS, RegionAsked, named, period_in, uscc_of, window_of
from app.api.http.problems import ApiProblem
from app.api.http.read_again import ReadAgain
from app.runtime.database import read_transaction
from app.use_cases.reading.as_of import AskedMoment, opened
from app.use_cases.reading.explaining import explain, read_account, withheld_account
from app.use_cases.reading.filters import parse_industry, parse_measure, parse_region
from app.use_cases.reading.listing import count_disputed, list_accounts, summarise
from domain.periods import Window
from domain.structs import prepared
from domain.words import DIMENSIONS, STAGES, STATUSES
from projections.queries.listing import ListFilter, Sort
from projections.queries.totals import Dimension

router = APIRouter(prefix="/v1", tags=["entitlements"], route_class=ReadAgain)

PAGE_MOST: Final = 500
_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"


@prepared
class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the moment of the first page, and the last account."""

    position: Count
    day_in_progress: bool
    assessed_fen: Count
    uscc: str


@router.get(
    "/entitlements/{uscc}/{window}",
    operation_id="getEntitlement",
    response_model=models.Entitlement,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
    dependencies=MAY_WAIT,
)
@shows_no_figures
def read_entitlement(
    ledger: LedgerNeeded,
    key: EntitlementsKey,
    moment: MomentAsked,
    uscc: str,
    window: str,
    policy: PolicyAsked = None,
) -> models.Entitlement:
    """The account of an enterprise: a window under one policy."""
    name = str(window_of(window))
    with read_transaction(ledger.engine) as connection:
        at = require_policy(opened(ledger, connection, name, policy, moment))
        account = read_account(connection, uscc_of(uscc), name, at)
        if account is None:
            raise _never_filed(uscc, name)
        return entitlement(account if key.sees_figures else withheld_account(connection, account))


@router.get(
    "/entitlements/{uscc}/{window}/{period}",
    operation_id="explainEntitlement",
    response_model=models.ExplainedPeriod,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
    dependencies=MAY_WAIT,
)
@shows_figures
def explain_entitlement(
    ledger: LedgerNeeded,
    key: EntitlementsKey,
    shown: ShownNeeded,
    moment: MomentAsked,
    uscc: str,
    window: str,
    period: str,
    policy: PolicyAsked = None,
) -> models.ExplainedPeriod:
    """A period of an account with the steps that led to it."""
    half, asked = window_of(window), period_in(period)
    withheld = not key.sees_figures
    with read_transaction(ledger.engine) as connection:
        at = require_policy(opened(ledger, connection, str(half), policy, moment))
        account = read_account(connection, uscc_of(uscc), str(half), at)
        if account is None:
            raise _never_filed(uscc, str(half))
        explained = explain(connection, account, str(asked), withheld=withheld)
    if explained is None:
        detail = f"截至台账序号{at.moment.position}，{uscc}在{half.chinese}没有{asked.chinese}的测算。"
        raise ApiProblem(404, "not-found", detail)
    shown.records(0 if withheld else len(explained.steps), uscc=uscc)
    return explained_period(explained, withheld=withheld)


@router.get(
    "/entitlements",
    operation_id="listEntitlements",
    response_model=models.EntitlementList,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
    dependencies=MAY_WAIT,
)
@shows_no_figures
def list_entitlements(
    ledger: LedgerNeeded,
    _: EntitlementsKey,
    moment: MomentAsked,
    cursors: CursorsNeeded,
    window: str,
    policy: PolicyAsked = None,
    region_code: RegionAsked = None,
    industry: Annotated[
        str | None,
        Query(max_length=20, pattern=_TEXT, description="A prefix of its code, or the name of a division."),
    ] = None,
    measure: Annotated[
        str | None, Query(max_length=100, pattern=_TEXT, description="Its id or its Chinese name.")
    ] = None,
    status: Annotated[
        models.Status | None, Query(description="A code or its Chinese name."), named("status", STATUSES)
    ] = None,
    stage: Annotated[
        models.Stage | None, Query(description="A code or its Chinese name."), named("stage", STAGES)
    ] = None,
    min_assessed_fen: Annotated[int, Query(ge=0, lt=2**63), DIGITS] = 0,
    q: Annotated[
        str | None, Query(max_length=100, pattern=_TEXT, description="Prefix of name or code.")
    ] = None,
    sort: Sort = "-assessed_fen",
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST), DIGITS] = 100,
    totals: Annotated[bool, Query(description="Count the totals under every filter.")] = False,
) -> models.EntitlementList:
    """Every enterprise with a return in the window, a page at a time."""
    half = str(window_of(window))
    after = _sent(cursors)
    asked = moment if after is None else AskedMoment(after.position, day_in_progress=after.day_in_progress)
    with read_transaction(ledger.engine) as connection:
        at = require_policy(opened(ledger, connection, half, policy, asked))
        wanted = ListFilter(
            policy=at.policy_id,
            window=half,
            region_code=parse_region(connection, region_code, half),
            industry=parse_industry(connection, industry, half),
            measure=parse_measure(connection, measure, at),
            status=status,
            stage=stage,
            min_assessed_fen=min_assessed_fen,
            q=q,
        )
        last = None if after is None else (after.assessed_fen, after.uscc)
        listed = list_accounts(connection, wanted, at, sort=sort, limit=limit, after=last, totals=totals)
        disputed, progress = count_disputed(connection, at), at.progress()
    end, as_asked = listed.next_after, (at.moment.position, at.moment.day_in_progress)
    return models.EntitlementList(
        items=[
            models.ListedEntitlement(
                headroom_fen=each.headroom_fen,
                disputed=each.disputed,
                **msgspec.structs.asdict(each.account),
            )
            for each in listed.accounts
        ],
        next_cursor=None if end is None else cursors.text_of(Cursor(*as_asked, *end)),
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
    dependencies=MAY_WAIT,
)
@shows_no_figures
def read_summary(
    ledger: LedgerNeeded,
    _: EntitlementsKey,
    moment: MomentAsked,
    window: str,
    group_by: Annotated[Dimension, named("group_by", DIMENSIONS)],
    policy: PolicyAsked = None,
) -> models.Summary:
    """The sums of a window, by region, industry, period or measure."""
    half = str(window_of(window))
    with read_transaction(ledger.engine) as connection:
        at = require_policy(opened(ledger, connection, half, policy, moment))
        groups = summarise(connection, half, group_by, at)
        return summary(groups, at.moment, disputed=count_disputed(connection, at), progress=at.progress())


def _never_filed(uscc: str, window: str) -> ApiProblem:
    return ApiProblem(404, "not-found", f"{uscc}在{Window.parse(window).chinese}没有登记过数据。")


def _sent(cursors: Cursors) -> Cursor | None:
    cursor = cursors.sent(Cursor)
    if cursor is not None:
        uscc_of(cursor.uscc)
    return cursor
