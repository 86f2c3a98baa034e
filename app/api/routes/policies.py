"""`/v1/policies`: reading, publishing and withdrawing policies."""

from typing import Annotated, Any, Final

import msgspec
import structlog
from fastapi import APIRouter, BackgroundTasks, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from app.answers import models
from app.answers.presenters import as_of
from app.api.http.context import AdminKey, AnyKey, Body, LedgerNeeded, MomentQuery, require_media_type
from app.api.http.disclosing import ShownNeeded, shows_figures, shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.json_body import parse_json
from app.api.http.paths import DIGITS
from app.api.http.problems import ApiProblem
from app.api.http.query import QueryModel
from app.api.http.read_again import ReadAgain
from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.runtime.limits import PROBLEMS_MOST_LISTED
from app.runtime.times import rfc_3339
from app.use_cases.filing.rows import TEXT_MAX_CHARS, printable
from app.use_cases.policies.loader import LoadedPolicy, load_policy
from app.use_cases.policies.publishing import (
    CoverageNarrowsError,
    Drop,
    NothingDroppedError,
    PublicationEffect,
    Published,
    assess_published,
    assessment_progress,
    preview_publication,
    preview_withdrawal,
    publish,
    withdraw_policy,
)
from app.use_cases.reading.as_of import resolve_moment
from app.use_cases.recording import INTERRUPTED
from domain.money import wanyuan_text
from domain.periods import period_of
from projections.queries import moments
from projections.queries.moments import Moment
from projections.queries.policies import (
    PolicyMark,
    PolicyState,
    PolicyVersion,
    find_version,
    read_document,
    states,
)

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=ReadAgain)

_log = structlog.get_logger()
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain")
_NO_TRIAL: Final = (
    "试算政策文件须使用可见单户数据的密钥：由任意一份文件的试算金额可以反推出原始数。"
    "请用以--with-figures新建的管理员密钥试算；发布不受此限。"
)
_DOCUMENT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string", "description": "A policy document."}}},
    }
}
_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX_CHARS}
_WITHDRAWAL: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["reason", "document"],
                    "additionalProperties": False,
                    "properties": {"reason": _TEXT, "document": _TEXT},
                },
                "example": {"reason": "政策已废止", "document": "营政发〔2025〕1号"},
            }
        },
    }
}


class PublishingQuery(QueryModel):
    """The query of a publication."""

    dry_run: Annotated[
        bool, Field(description="Only preview the changes; needs a key that sees figures.")
    ] = False
    drop: Annotated[bool, Field(description="Confirms that the version covers less than the one before.")] = (
        False
    )
    reason: Annotated[str | None, Field(max_length=TEXT_MAX_CHARS, description="The reason; with drop.")] = (
        None
    )
    document: Annotated[
        str | None,
        Field(max_length=TEXT_MAX_CHARS, description="The number of the document that orders it; with drop."),
    ] = None


class RepealQuery(QueryModel):
    """The query of the withdrawal of a policy."""

    dry_run: Annotated[bool, Field(description="Only preview the changes.")] = False


@router.post(
    "",
    operation_id="publishPolicy",
    status_code=202,
    response_model=models.PolicySummary,
    responses={
        200: {"model": models.PublicationPreview, "description": "A dry run: nothing was recorded."},
        **errors(400, 401, 403, 409, 413, 415, 422, 503),
    },
    openapi_extra=_DOCUMENT,
)
@shows_figures
def publish_policy(
    request: Request,
    background: BackgroundTasks,
    ledger: LedgerNeeded,
    key: AdminKey,
    shown: ShownNeeded,
    body: Body,
    query: Annotated[PublishingQuery, Query()],
) -> Response:
    """Publish a policy document; then the returns filed before are assessed by it in the background."""
    if query.dry_run and not key.sees_figures:
        raise ApiProblem(403, "forbidden", _NO_TRIAL)
    require_media_type(request, *_YAML)
    drop = _drop(query.reason, query.document) if query.drop else None
    loaded = load_policy(body, file="body")
    if not isinstance(loaded, LoadedPolicy):
        listed = loaded[:PROBLEMS_MOST_LISTED]
        lines = "；".join(f"第{problem.line}行：{problem.message[:500]}" for problem in listed)
        detail = f"政策文件未通过检查。{lines}"
        raise ApiProblem(422, "policy-invalid", detail)
    if query.dry_run:
        effect = preview_publication(ledger, loaded)
        shown.trial(effect.entitlements_changed)
        return JSONResponse(_preview(effect).model_dump())
    shown.nothing()
    try:
        result = publish(ledger, loaded, actor=key.name, drop=drop)
    except CoverageNarrowsError as error:
        raise _narrows(error) from error
    except NothingDroppedError as error:
        detail = "该版本覆盖前一版本的全部所属期，没有可以取消的；请不带drop发布。"
        raise ApiProblem(422, "nothing-dropped", detail) from error
    return _accepted(request, ledger, background, result)


def _accepted(request: Request, ledger: Ledger, background: BackgroundTasks, result: Published) -> Response:
    """Answer that a publication or withdrawal is recorded, and start the assessment in the background."""
    request.state.position = result.position
    background.add_task(_assess, ledger)
    with read_transaction(ledger.engine) as connection:
        state = states(connection, moments.now(connection).position)[result.ref.id]
    location = f"/v1/policies/{result.ref.id}/versions/{result.ref.version}"
    return JSONResponse(
        _summary(state).model_dump(), 202, headers={"Location": location}, background=background
    )


def _drop(reason: object, document: object) -> Drop:
    """Read the reason for a smaller coverage, and the document that orders it.

    Raises:
        ApiProblem: 422, one of them is missing or not printable.
    """
    texts = []
    for name, given in (("reason", reason), ("document", document)):
        if not isinstance(given, str) or not given.strip() or printable(given) != given:
            expected = f"不超过{TEXT_MAX_CHARS}字、可以显示的文字（取消的原因reason，依据文号document）"
            detail = f"须填写{name}：{expected}。"
            raise ApiProblem(422, "invalid-request", detail)
        texts.append(given.strip())
    return Drop(*texts)


def _narrows(error: CoverageNarrowsError) -> ApiProblem:
    lost = [msgspec.structs.asdict(period) for period in error.lost]
    periods = "、".join(
        f"{period_of(dropped.period).chinese}（{dropped.enterprises}户，{wanyuan_text(dropped.assessed_fen)}万元）"
        for dropped in error.lost
    )
    detail = (
        f"该版本不再覆盖前一版本的部分所属期：{periods}。已测算的金额将归零。"
        "确须缩小的，以drop=true、reason（原因）和document（依据文号）发布；另一年度或另一办法，请用新的政策编号。"
    )
    return ApiProblem(409, "coverage-narrows", detail, members={"lost": lost})


@router.post(
    "/{policy}/withdrawal",
    operation_id="withdrawPolicy",
    status_code=202,
    response_model=models.PolicySummary,
    responses={
        200: {"model": models.PublicationPreview, "description": "A dry run: nothing was recorded."},
        **errors(400, 401, 403, 404, 413, 415, 422, 503),
    },
    openapi_extra=_WITHDRAWAL,
)
@shows_no_figures
def repeal(
    request: Request,
    background: BackgroundTasks,
    ledger: LedgerNeeded,
    key: AdminKey,
    body: Body,
    policy: str,
    query: Annotated[RepealQuery, Query()],
) -> Response:
    """Withdraw a policy that is repealed, or was published by mistake; it pays for nothing afterwards."""
    require_media_type(request, "application/json")
    data = parse_json(body)
    if not isinstance(data, dict) or data.keys() - {"reason", "document"}:
        raise ApiProblem(422, "invalid-request", "请求正文应为含reason和document的JSON对象。")
    drop = _drop(data.get("reason"), data.get("document"))
    if query.dry_run:
        effect = preview_withdrawal(ledger, policy)
        if effect is not None:
            return JSONResponse(_preview(effect).model_dump())
    else:
        result = withdraw_policy(ledger, policy, drop, actor=key.name)
        if result is not None:
            return _accepted(request, ledger, background, result)
    raise ApiProblem(404, "not-found", f"没有有效的政策{policy}。")


def _assess(ledger: Ledger) -> None:
    try:
        assess_published(ledger)
    except INTERRUPTED as error:
        _log.warning("assessment interrupted", error=str(error))  # The caretaker continues it.


@router.get(
    "",
    operation_id="listPolicies",
    response_model=models.PolicyList,
    responses=errors(400, 401, 422, 503),
)
@shows_no_figures
def list_policies(
    ledger: LedgerNeeded, _: AnyKey, query: Annotated[MomentQuery, Query()]
) -> models.PolicyList:
    """List all policies with their newest versions."""
    moment = query.moment(ledger)
    with read_transaction(ledger.engine) as connection:
        at = resolve_moment(connection, moment)
        found = states(connection, at.position)
    return models.PolicyList(items=[_summary(state) for state in found.values()], as_of=as_of(at))


@router.get(
    "/{policy}",
    operation_id="getPolicy",
    response_model=models.PolicyDetail,
    responses=errors(400, 401, 404, 422, 503),
)
@shows_no_figures
def read_policy(
    ledger: LedgerNeeded, _: AnyKey, query: Annotated[MomentQuery, Query()], policy: str
) -> models.PolicyDetail:
    """Read a policy and its versions."""
    moment = query.moment(ledger)
    with read_transaction(ledger.engine) as connection:
        at = resolve_moment(connection, moment)
        state = states(connection, at.position).get(policy)
    if state is None:
        raise _unpublished(policy, at)
    return models.PolicyDetail(
        **_summary(state).model_dump(),
        versions=[_version_summary(version) for version in state.versions],
        as_of=as_of(at),
    )


@router.get(
    "/{policy}/versions/{n}",
    operation_id="getPolicyVersion",
    response_model=models.PolicyVersion,
    responses=errors(400, 401, 404, 422, 503),
)
@shows_no_figures
def read_policy_version(
    ledger: LedgerNeeded,
    _: AnyKey,
    query: Annotated[MomentQuery, Query()],
    policy: str,
    n: Annotated[int, Path(ge=1, lt=2**31), DIGITS],
) -> models.PolicyVersion:
    """Read a published version with its document, and the progress of its assessment."""
    moment = query.moment(ledger)
    with read_transaction(ledger.engine) as connection:
        at = resolve_moment(connection, moment)
        version = find_version(connection, policy, n)
        if version is None or version.position > at.position:
            raise _unpublished(f"{policy}版本{n}", at)
        progress = assessment_progress(connection, policy, n)
        published_document = read_document(connection, version.ref)
    return models.PolicyVersion(
        **_version_summary(version).model_dump(),
        id=policy,
        title=version.title,
        document=published_document.document,
        text=published_document.text,
        assessment=models.AssessmentProgress(done=progress.done, total=progress.total),
        as_of=as_of(at),
    )


def _unpublished(what: str, at: Moment) -> ApiProblem:
    return ApiProblem(404, "not-found", f"截至台账序号{at.position}，没有发布过政策{what}。")


def _preview(effect: PublicationEffect) -> models.PublicationPreview:
    return models.PublicationPreview(
        id=effect.policy,
        version=effect.version,
        sha256=effect.sha256,
        entitlements_changed=effect.entitlements_changed,
        before_fen=effect.before_fen,
        after_fen=effect.after_fen,
        lost=[models.LostPeriod(**msgspec.structs.asdict(period)) for period in effect.lost],
    )


def _summary(state: PolicyState) -> models.PolicySummary:
    version = state.newest
    return models.PolicySummary(
        id=version.ref.id,
        title=version.title,
        version=version.ref.version,
        sha256=version.ref.sha256,
        first_window=str(version.reach.window(version.reach.first)),
        last_window=str(version.reach.window(version.reach.last)),
        withdrawn=None if state.withdrawn is None else _withdrawal(state.withdrawn),
    )


def _withdrawal(mark: PolicyMark) -> models.PolicyWithdrawal:
    return models.PolicyWithdrawal(
        position=mark.position,
        recorded_at=rfc_3339(mark.recorded_at_us),
        actor=mark.actor,
        reason=mark.reason or "",
        document=mark.document or "",
    )


def _version_summary(version: PolicyVersion) -> models.PolicyVersionSummary:
    return models.PolicyVersionSummary(
        version=version.ref.version,
        sha256=version.ref.sha256,
        published_at=rfc_3339(version.recorded_at_us),
        actor=version.actor,
        position=version.position,
    )
