"""`/v1/policies`: the published policies, and publishing."""

from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, BackgroundTasks, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api import models
from app.api.context import AdminKey, AnyKey, Body, LedgerNeeded, MomentAsked, require_media_type
from app.api.errors_declared import errors
from app.api.paths import DIGITS
from app.api.presenters import as_of
from app.api.problems import ApiProblem
from app.api.read_again import ReadAgain
from app.api.times import rfc_3339
from app.database import reading
from app.ledger.ledger import Ledger
from app.limits import PROBLEMS_MOST_LISTED
from app.policies.loader import LoadedPolicy, load_policy
from app.use_cases.attempts import INTERRUPTED
from app.use_cases.publishing import (
    PublicationEffect,
    assess_published,
    assessment_progress,
    preview_publication,
    publish,
)
from app.use_cases.reading import moment_of
from projections.queries import moments
from projections.queries.moments import Moment
from projections.queries.policies import PolicyVersion, document_of, find_version, published

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=ReadAgain)

_log = structlog.get_logger()
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain")
_DOCUMENT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string", "description": "A policy document."}}},
    }
}


@router.post(
    "",
    operation_id="publishPolicy",
    status_code=202,
    response_model=models.PolicySummary,
    responses={
        200: {"model": models.PublicationPreview, "description": "A dry run: nothing was recorded."},
        **errors(400, 401, 403, 413, 415, 422, 503),
    },
    openapi_extra=_DOCUMENT,
)
def publish_policy(
    request: Request,
    background: BackgroundTasks,
    ledger: LedgerNeeded,
    key: AdminKey,
    body: Body,
    dry_run: Annotated[bool, Query(description="Only say what would change.")] = False,
) -> Response:
    """Publish a policy document; what was filed before is assessed by it afterwards."""
    require_media_type(request, *_YAML)
    loaded = load_policy(body, file="body")
    if not isinstance(loaded, LoadedPolicy):
        listed = loaded[:PROBLEMS_MOST_LISTED]
        detail = "; ".join(f"line {each.line}: {each.message[:500]}" for each in listed)
        raise ApiProblem(422, "policy-invalid", detail)
    if dry_run:
        return JSONResponse(_preview(preview_publication(ledger, loaded)).model_dump())
    result = publish(ledger, loaded, actor=key.name)
    request.state.position = result.position
    background.add_task(_assess, ledger)
    with reading(ledger.engine) as connection:
        newest = {each.ref: each for each in published(connection, moments.now(connection).position)}
    location = f"/v1/policies/{result.ref.id}/versions/{result.ref.version}"
    return JSONResponse(
        _summary(newest[result.ref]).model_dump(),
        202,
        headers={"Location": location},
        background=background,
    )


def _assess(ledger: Ledger) -> None:
    try:
        assess_published(ledger)
    except INTERRUPTED as error:
        _log.warning("assessment interrupted", error=str(error))  # The caretaker goes on with it.


@router.get(
    "",
    operation_id="listPolicies",
    response_model=models.PolicyList,
    responses=errors(400, 401, 422, 503),
)
def list_policies(ledger: LedgerNeeded, _: AnyKey, moment: MomentAsked) -> models.PolicyList:
    """All policies with their newest versions."""
    with reading(ledger.engine) as connection:
        at = moment_of(connection, moment)
        newest = {each.ref.id: each for each in published(connection, at.position)}
    return models.PolicyList(items=[_summary(each) for each in newest.values()], as_of=as_of(at))


@router.get(
    "/{policy}",
    operation_id="getPolicy",
    response_model=models.PolicyDetail,
    responses=errors(400, 401, 404, 422, 503),
)
def read_policy(ledger: LedgerNeeded, _: AnyKey, moment: MomentAsked, policy: str) -> models.PolicyDetail:
    """A policy and its versions."""
    with reading(ledger.engine) as connection:
        at = moment_of(connection, moment)
        versions = [each for each in published(connection, at.position) if each.ref.id == policy]
    if not versions:
        raise _unpublished(policy, at)
    return models.PolicyDetail(
        **_summary(versions[-1]).model_dump(),
        versions=[_version_summary(each) for each in versions],
        as_of=as_of(at),
    )


@router.get(
    "/{policy}/versions/{n}",
    operation_id="getPolicyVersion",
    response_model=models.PolicyVersion,
    responses=errors(400, 401, 404, 422, 503),
)
def read_policy_version(
    ledger: LedgerNeeded,
    _: AnyKey,
    moment: MomentAsked,
    policy: str,
    n: Annotated[int, Path(ge=1, lt=2**31), DIGITS],
) -> models.PolicyVersion:
    """A published version with its document, and how far its assessment has come."""
    with reading(ledger.engine) as connection:
        at = moment_of(connection, moment)
        version = find_version(connection, policy, n)
        if version is None or version.position > at.position:
            raise _unpublished(f"{policy} version {n}", at)
        progress = assessment_progress(connection, policy, n)
        published_document = document_of(connection, version.ref)
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
    return ApiProblem(404, "not-found", f"{what} was not published by position {at.position}.")


def _preview(effect: PublicationEffect) -> models.PublicationPreview:
    return models.PublicationPreview(
        id=effect.policy,
        version=effect.version,
        sha256=effect.sha256,
        entitlements_changed=effect.entitlements_changed,
        before_fen=effect.before_fen,
        after_fen=effect.after_fen,
    )


def _summary(version: PolicyVersion) -> models.PolicySummary:
    return models.PolicySummary(
        id=version.ref.id,
        title=version.title,
        version=version.ref.version,
        sha256=version.ref.sha256,
        first_window=version.first_window,
        last_window=version.last_window,
    )


def _version_summary(version: PolicyVersion) -> models.PolicyVersionSummary:
    return models.PolicyVersionSummary(
        version=version.ref.version,
        sha256=version.ref.sha256,
        published_at=rfc_3339(version.recorded_at_us),
        actor=version.actor,
        position=version.position,
    )
