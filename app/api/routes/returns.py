"""`/v1/returns`: filing, withdrawing and reading the returns."""

import hashlib
import re
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from app.answers import models
from app.answers.presenters import enterprise_returns
from app.api.http.batch import BATCH_SCHEMA, WITHDRAWAL_SCHEMA, read_batch, read_withdrawal
from app.api.http.context import (
    Body,
    LedgerNeeded,
    MomentQuery,
    ReturnsKey,
    StatisticsKey,
    require_media_type,
)
from app.api.http.disclosing import ShownNeeded, shows_figures
from app.api.http.errors_declared import errors
from app.api.http.json_body import parse_json
from app.api.http.paths import DIGITS, parse_uscc
from app.api.http.problems import ApiProblem, refused_rows
from app.api.http.query import NO_QUERY, QueryModel
from app.api.http.read_again import ReadAgain
from app.ledger.kept_answers import KeyReusedError, RequestKey
from app.runtime.database import read_transaction
from app.use_cases.filing.deciding import Refused, batch_problems
from app.use_cases.filing.file_returns import Replayed, file_once, file_returns, withdraw_return
from app.use_cases.reading.as_of import resolve_moment
from domain.periods import period_of
from projections.queries.returns import has_ever_filed, versions

router = APIRouter(prefix="/v1/returns", tags=["returns"], route_class=ReadAgain)

_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_REPLAYED: Final = {"Idempotency-Replayed": "true"}


class FilingQuery(QueryModel):
    """The query of a filing."""

    dry_run: Annotated[bool, Field(description="Only preview the result.")] = False


class ReturnsQuery(MomentQuery):
    """The query of the returns of an enterprise."""

    year: Annotated[int, Field(ge=2000, le=2099), DIGITS]


@router.post(
    "",
    operation_id="fileReturns",
    status_code=201,
    response_model=models.Filing,
    responses={
        200: {"model": models.FilingPreview, "description": "A dry run: nothing was recorded."},
        **errors(400, 401, 403, 409, 413, 415, 422, 503),
    },
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": BATCH_SCHEMA}}},
)
@shows_figures
def file(
    request: Request,
    ledger: LedgerNeeded,
    key: StatisticsKey,
    shown: ShownNeeded,
    body: Body,
    query: Annotated[FilingQuery, Query()],
    idempotency_key: Annotated[
        str | None, Header(description="The same key and body gives the first answer again, for 24 hours.")
    ] = None,
) -> Response:
    """Register returns: all rows or none."""
    require_media_type(request, "application/json")
    dry_run = query.dry_run
    drafts, problems = read_batch(parse_json(body))
    if problems.rows:
        found, between = problems.found, batch_problems(ledger, drafts)  # `between` has one per row.
        rows = problems.rows + len(between)
        raise refused_rows([*found.kept, *between], more=found.more, rows=rows)
    request_key = (
        None if idempotency_key is None or dry_run else _request_key(key.name, idempotency_key, body)
    )
    try:
        answer = (
            file_returns(ledger, drafts, actor=key.name, dry_run=dry_run)
            if request_key is None
            else file_once(ledger, drafts, request_key)
        )
    except KeyReusedError as error:
        detail = "该Idempotency-Key在24小时内已用于另一请求正文，请换一个新的。"
        raise ApiProblem(422, "idempotency-key-reused", detail) from error
    if isinstance(answer, Refused):
        raise refused_rows(answer.problems)
    headers = None
    if isinstance(answer, Replayed):
        answer, headers = answer.answer, _REPLAYED
    else:
        request.state.position = answer.position
    filing = answer.encoded()
    shown.warnings(filing)
    return Response(filing, 200 if dry_run else 201, headers=headers, media_type="application/json")


def _request_key(actor: str, idempotency_key: str, body: bytes) -> RequestKey:
    if _IDEMPOTENCY_KEY.fullmatch(idempotency_key) is None:
        raise ApiProblem(400, "invalid-request", "Idempotency-Key应为1至255个可见的ASCII字符。")
    return RequestKey(actor, idempotency_key, hashlib.sha256(body).hexdigest())


@router.post(
    "/{uscc}/{period}/{form}/withdrawal",
    operation_id="withdrawReturn",
    response_model=models.Filing,
    responses=errors(400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": WITHDRAWAL_SCHEMA}}},
    dependencies=NO_QUERY,
)
@shows_figures
def withdraw(
    request: Request,
    ledger: LedgerNeeded,
    key: StatisticsKey,
    shown: ShownNeeded,
    uscc: str,
    period: str,
    form: str,
    body: Body,
) -> Response:
    """Withdraw a wrong registration, which stays in the log."""
    require_media_type(request, "application/json")
    withdrawal = read_withdrawal(parse_json(body), uscc=uscc, period=period, form=form)
    answer = withdraw_return(ledger, withdrawal, actor=key.name)
    if answer is None:
        raise ApiProblem(404, "not-found", f"{uscc}在{period_of(period).chinese}没有有效的{form}表登记。")
    if isinstance(answer, Refused):
        raise refused_rows(answer.problems)
    request.state.position = answer.position
    filing = answer.encoded()
    shown.warnings(filing)
    return Response(filing, 200, media_type="application/json")


@router.get(
    "/{uscc}",
    operation_id="getReturns",
    response_model=models.EnterpriseReturns,
    responses=errors(400, 401, 403, 404, 422, 503),
)
@shows_figures
def read(
    ledger: LedgerNeeded,
    _: ReturnsKey,
    shown: ShownNeeded,
    query: Annotated[ReturnsQuery, Query()],
    uscc: str,
) -> models.EnterpriseReturns:
    """Read each form and period of a year with all its versions."""
    moment, year = query.moment(ledger), query.year
    with read_transaction(ledger.engine) as connection:
        at = resolve_moment(connection, moment)
        if not has_ever_filed(connection, parse_uscc(uscc), str(year)):
            raise ApiProblem(404, "not-found", f"{uscc}在{year}年没有登记过数据。")
        found = versions(connection, uscc, year, at.position)
    shown.records(len(found), uscc=uscc)
    return enterprise_returns(found, at, uscc=uscc, year=year)
