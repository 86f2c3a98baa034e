"""`/v1/audit/replays`: replays, which derive every assessment again in the background."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.answers import replays as replay_models
from app.api.http.context import AuditorKey, Body, LedgerNeeded, require_media_type
from app.api.http.disclosing import ShownNeeded, shows_figures, shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.json_body import parse_json
from app.api.http.problems import ApiProblem
from app.api.http.query import NO_QUERY
from app.api.http.read_again import ReadAgain
from app.background.replay_jobs import Replayer, RunningError
from app.ledger.replay_runs import find
from app.runtime.database import read_transaction
from app.use_cases.audit.replaying import ReplayRange

router = APIRouter(prefix="/v1/audit/replays", tags=["audit"], route_class=ReadAgain, dependencies=NO_QUERY)

_KEYS: Final = ("first", "last")
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "first": {"type": "integer", "minimum": 1, "default": 1},
                        "last": {"type": ["integer", "null"], "minimum": 1},
                    },
                },
                "example": {"first": 1, "last": None},
            }
        },
    }
}


@router.post(
    "",
    operation_id="startReplay",
    status_code=202,
    response_model=replay_models.Replay,
    responses=errors(400, 401, 403, 409, 413, 415, 422, 503),
    openapi_extra=_BODY,
)
@shows_no_figures
def start_replay(request: Request, key: AuditorKey, body: Body) -> Response:
    """Derive every assessment again from the facts, and compare; without `last`, the read models too.

    Only one replay runs at a time: the answer is 409 with the `Location` of a running one.
    """
    require_media_type(request, "application/json")
    positions = _parse_range(parse_json(body) if body else {})
    replayer: Replayer = request.app.state.replayer
    try:
        run = replayer.start(positions, asked_by=key.name)
    except RunningError as error:
        detail = "另一次复算正在进行，请待其结束。"
        raise ApiProblem(409, "replay-running", detail, headers={"Location": _location(error.run)}) from error
    answer = replay_models.replay(run).model_dump()
    return JSONResponse(answer, 202, headers={"Location": _location(run.id)})


@router.get(
    "/{id}",
    operation_id="getReplay",
    response_model=replay_models.Replay,
    responses=errors(400, 401, 403, 404, 503),
)
@shows_figures
def read_replay(
    ledger: LedgerNeeded,
    _: AuditorKey,
    shown: ShownNeeded,
    id: str,  # noqa: A002 - the path
) -> replay_models.Replay:
    """Read the progress of a replay, and its report."""
    with read_transaction(ledger.engine) as connection:
        run = find(connection, id)
    if run is None:
        raise ApiProblem(404, "not-found", "没有这次复算。")
    answer = replay_models.replay(run)
    found = answer.report
    shown.records(0 if found is None else len(found.mismatches) + len(found.row_differences))
    return answer


def _location(run: str) -> str:
    return f"/v1/audit/replays/{run}"


def _parse_range(data: Any) -> ReplayRange:
    if not isinstance(data, dict) or data.keys() - set(_KEYS):
        raise _invalid("请求正文应为含first和last的JSON对象，或为空。")
    first, last = data.get("first", 1), data.get("last")
    if not _is_position(first):
        raise _invalid("first应为台账序号：不小于1的整数。")
    if last is not None and not (_is_position(last) and last >= first):
        raise _invalid("last应为不小于first的台账序号，或为null（至台账末尾）。")
    return ReplayRange(first=first, last=last)


def _is_position(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _invalid(detail: str) -> ApiProblem:
    return ApiProblem(422, "invalid-request", detail)
