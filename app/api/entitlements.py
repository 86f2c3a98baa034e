"""`/v1/entitlements` and `/v1/summary`: who is entitled to what, and why."""

import base64
import binascii
from typing import Annotated, Final

import msgspec
import structlog
from fastapi import APIRouter, Query

from app.api import models
from app.api.context import EntitlementsKey, LedgerNeeded, MomentAsked
from app.api.errors_declared import errors
from app.api.paths import period_in, uscc_of, window_of
from app.api.problems import ApiProblem
from app.api.times import rfc_3339
from app.database import reading
from app.security.keys import Key
from app.use_cases.explaining import (
    Account,
    ExplainedPeriod,
    ExplainedStep,
    PeriodAccount,
    explain,
    read_account,
)
from app.use_cases.listing import list_accounts, summarise
from app.use_cases.reading import ChoiceProblem, Opened, opened
from domain.explanation import STATISTICAL_RULES
from projections.queries.accounts import Dimension, ListFilter, Sort
from projections.queries.moments import Moment

router = APIRouter(prefix="/v1", tags=["entitlements"])
_log = structlog.get_logger()

PAGE_MOST: Final = 500
_TEXT: Final = r"^[^\x00-\x1f\x7f]*$"

PolicyAsked = Annotated[
    str | None, Query(description="Optional while one policy covers the window.", max_length=100)
]


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the moment of the first page, and the last account."""

    position: int
    assessed_fen: int
    uscc: str


@router.get(
    "/entitlements/{uscc}/{window}",
    operation_id="getEntitlement",
    response_model=models.Entitlement,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
def read_entitlement(  # noqa: PLR0913, PLR0917 - each is a part of the request
    ledger: LedgerNeeded,
    _: EntitlementsKey,
    moment: MomentAsked,
    uscc: str,
    window: str,
    policy: PolicyAsked = None,
) -> models.Entitlement:
    """The half-year account of an enterprise."""
    name = str(window_of(window))
    with reading(ledger.engine) as connection:
        at = _opened(opened(connection, name, policy, moment.position, moment.known_at_us))
        account = read_account(connection, uscc_of(uscc), name, at)
    if account is None:
        raise _never_filed(uscc, name)
    return _entitlement(account)


@router.get(
    "/entitlements/{uscc}/{window}/{period}",
    operation_id="explainEntitlement",
    response_model=models.ExplainedPeriod,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
def explain_entitlement(  # noqa: PLR0913, PLR0917 - each is a part of the request
    ledger: LedgerNeeded,
    key: EntitlementsKey,
    moment: MomentAsked,
    uscc: str,
    window: str,
    period: str,
    policy: PolicyAsked = None,
) -> models.ExplainedPeriod:
    """A period of an account with the steps that led to it."""
    half, asked = window_of(window), period_in(period)
    withheld = not key.sees_figures
    with reading(ledger.engine) as connection:
        at = _opened(opened(connection, str(half), policy, moment.position, moment.known_at_us))
        account = read_account(connection, uscc_of(uscc), str(half), at)
        if account is None:
            raise _never_filed(uscc, str(half))
        explained = explain(connection, account, str(asked), withheld=withheld)
    if explained is None:
        detail = f"Nothing is assessed of {uscc} for {asked} in {half} at position {at.moment.position}."
        raise ApiProblem(404, "not-found", detail)
    if not withheld:
        _log.info("figures disclosed", actor=key.name, uscc=uscc, period=str(asked))
    return _explained(explained, key)


@router.get(
    "/entitlements",
    operation_id="listEntitlements",
    response_model=models.EntitlementList,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
def list_entitlements(  # noqa: PLR0913, PLR0917 - each is a filter of the contract
    ledger: LedgerNeeded,
    _: EntitlementsKey,
    moment: MomentAsked,
    window: str,
    policy: PolicyAsked = None,
    region_code: Annotated[str | None, Query(max_length=20, pattern=_TEXT)] = None,
    industry: Annotated[str | None, Query(pattern=r"^[0-9]{1,4}$", description="A prefix.")] = None,
    measure: Annotated[str | None, Query(max_length=100, pattern=_TEXT)] = None,
    status: models.Status | None = None,
    stage: models.Stage | None = None,
    min_assessed_fen: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    q: Annotated[str | None, Query(max_length=100, pattern=_TEXT, description="Prefix of name or code.")] = None,
    sort: Sort = "-assessed_fen",
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    totals: Annotated[bool, Query(description="Count the totals under every filter.")] = False,  # noqa: FBT002
) -> models.EntitlementList:
    """Every enterprise with a return in the half-year, a page at a time."""
    half = str(window_of(window))
    after = None if cursor is None else _cursor(cursor)
    position = moment.position if after is None else after.position
    with reading(ledger.engine) as connection:
        at = _opened(
            opened(connection, half, policy, position, moment.known_at_us if after is None else None)
        )
        wanted = ListFilter(
            policy=None if at.version is None else at.version.ref.id,
            window=half,
            region_code=region_code,
            industry=industry,
            measure=measure,
            status=status,
            stage=stage,
            min_assessed_fen=min_assessed_fen,
            q=q,
        )
        last = None if after is None else (after.assessed_fen, after.uscc)
        listed = list_accounts(connection, wanted, at, sort=sort, limit=limit, after=last, totals=totals)
    end = listed.accounts[-1] if listed.has_more else None
    return models.EntitlementList(
        items=[
            models.ListedEntitlement(
                headroom_fen=at.ceiling_fen - each.assessed_fen, **msgspec.structs.asdict(each)
            )
            for each in listed.accounts
        ],
        next_cursor=None if end is None else _encoded(Cursor(at.moment.position, end.assessed_fen, end.uscc)),
        total=None if listed.totals is None else listed.totals.total,
        assessed_fen=None if listed.totals is None else listed.totals.assessed_fen,
        as_of=_as_of(at.moment),
    )


@router.get(
    "/summary",
    operation_id="getSummary",
    response_model=models.Summary,
    responses=errors(400, 401, 403, 404, 409, 422, 503),
)
def read_summary(  # noqa: PLR0913, PLR0917 - each is a part of the request
    ledger: LedgerNeeded,
    _: EntitlementsKey,
    moment: MomentAsked,
    window: str,
    group_by: Dimension,
    policy: PolicyAsked = None,
) -> models.Summary:
    """The sums of a half-year, by region, industry, period or measure."""
    half = str(window_of(window))
    with reading(ledger.engine) as connection:
        at = _opened(opened(connection, half, policy, moment.position, moment.known_at_us))
        groups = summarise(connection, half, group_by, at)
    return models.Summary(
        groups=[models.SummaryGroup(**msgspec.structs.asdict(each)) for each in groups],
        assessed_fen=sum(each.assessed_fen for each in groups),
        open_fen=sum(each.open_fen for each in groups),
        preliminary_fen=sum(each.preliminary_fen for each in groups),
        as_of=_as_of(at.moment),
    )


def _opened(result: Opened | ChoiceProblem) -> Opened:
    if result == "policy-unknown":
        raise ApiProblem(404, "not-found", "No policy of this id was published by then.")
    if result == "policy-ambiguous":
        detail = "Several policies cover this window; choose one with ?policy=."
        raise ApiProblem(409, "policy-ambiguous", detail)
    if isinstance(result, str):
        raise TypeError(result)
    return result


def _never_filed(uscc: str, window: str) -> ApiProblem:
    return ApiProblem(404, "not-found", f"{uscc} never filed in {window}.")


def _cursor(text: str) -> Cursor:
    try:
        padded = text + "=" * (-len(text) % 4)
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Cursor)
        uscc_of(cursor.uscc)
    except (ValueError, binascii.Error, msgspec.MsgspecError, ApiProblem) as error:
        detail = "This cursor is not one of ours: take next_cursor as it is."
        raise ApiProblem(400, "invalid-request", detail) from error
    if not 0 <= cursor.position < 2**63 or not 0 <= cursor.assessed_fen < 2**63:
        raise ApiProblem(400, "invalid-request", "This cursor is not one of ours: take next_cursor as it is.")
    return cursor


def _encoded(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _as_of(moment: Moment) -> models.AsOf:
    recorded_at = None if moment.recorded_at_us is None else rfc_3339(moment.recorded_at_us)
    return models.AsOf(position=moment.position, recorded_at=recorded_at)


def _entitlement(account: Account) -> models.Entitlement:
    ref = account.policy
    return models.Entitlement(
        uscc=account.uscc,
        name=account.name,
        region_code=account.region_code,
        policy=None if ref is None else models.PolicyRef(**msgspec.structs.asdict(ref)),
        window=account.window,
        ceiling_fen=account.ceiling_fen,
        assessed_fen=account.assessed_fen,
        open_fen=account.open_fen,
        preliminary_fen=account.preliminary_fen,
        headroom_fen=account.headroom_fen,
        periods=[_period(each) for each in account.periods],
        as_of=_as_of(account.as_of),
    )


def _period_fields(period: PeriodAccount) -> dict[str, object]:
    outcome = period.outcome
    return {
        **msgspec.structs.asdict(outcome),
        "period": period.period,
        "position": period.position,
        "measures": [
            models.MeasureOutcome(measure=each.measure, status=each.status, rule_fen=each.rule_fen)
            for each in outcome.measures
        ],
    }


def _period(period: PeriodAccount) -> models.Period:
    return models.Period.model_validate(_period_fields(period))


def _explained(explained: ExplainedPeriod, key: Key) -> models.ExplainedPeriod:
    withheld = not key.sees_figures
    account = explained.account
    return models.ExplainedPeriod.model_validate(
        {
            **_period_fields(explained.period),
            "uscc": account.uscc,
            "window": account.window,
            "policy": models.PolicyRef(**msgspec.structs.asdict(explained.policy)),
            "figures_withheld": withheld,
            "steps": [_step(n, each, withheld=withheld) for n, each in enumerate(explained.steps, 1)],
            "as_of": _as_of(account.as_of),
        }
    )


def _step(n: int, explained: ExplainedStep, *, withheld: bool) -> models.Step:
    step = explained.step
    hidden = withheld and step.rule in STATISTICAL_RULES
    return models.Step(
        n=n,
        rule=step.rule,
        measure=step.measure,
        cite=step.cite,
        reading=step.reading,
        inputs=None if hidden else step.inputs,
        output=None if hidden else step.output,
        met=step.met,
        shortfall_fen=None if hidden else step.shortfall_fen,
        figures_withheld=withheld,
        sentence=explained.sentence,
    )
