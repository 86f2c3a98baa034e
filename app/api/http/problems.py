"""Errors as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.ledger.clock import ClockError
from app.ledger.ledger import UncertainError
from app.runtime.database import refusal_of
from app.runtime.limits import PROBLEMS_MOST_LISTED
from app.runtime.reasons import REFUSALS
from app.security.disclosures import DisclosureError
from app.use_cases.audit.proving import NotSealedError
from app.use_cases.reading.as_of import DayAheadError, PositionAheadError
from app.use_cases.upkeep.projecting import NotProjectedError
from domain.errors import Problem

_log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = "5"
_CODES: Final = {
    400: "invalid-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
}


class ApiProblem(Exception):  # noqa: N818 - the word of RFC 9457
    """An error that is answered as it is.

    Args:
        status: The HTTP status.
        code: A stable code.
        detail: What is wrong, and how to mend it.
        problems: What is wrong with the rows.
        more: How many problems there are besides those.
        members: Further members of the body.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        problems: Sequence[Problem] | None = None,
        more: int = 0,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.problems = problems
        self.more = more
        self.members = members or {}
        self.headers = headers


def problem_response(problem: ApiProblem) -> Response:
    """The answer of an error."""
    body: dict[str, Any] = {
        "type": f"urn:duixian:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        **problem.members,
    }
    if problem.problems is not None:
        body["problems"] = [
            {"row": each.row, "field": each.field, "code": each.code, "message": each.message}
            for each in problem.problems[:PROBLEMS_MOST_LISTED]
        ]
        body["problems_total"] = len(problem.problems) + problem.more
    return Response(msgspec.json.encode(body), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def refused_rows(problems: Sequence[Problem], *, more: int = 0, rows: int | None = None) -> ApiProblem:
    """The answer to rows that are refused: 422 if one of them is not acceptable by itself, else 409.

    Args:
        problems: What is wrong with them.
        more: How many problems there are besides those.
        rows: How many rows have one; None where `problems` are all.
    """
    ordered = sorted(problems, key=lambda each: (each.row, each.field or ""))
    refused = len({each.row for each in problems}) if rows is None else rows
    detail = f"{refused} of the rows are refused, and nothing was recorded; see problems."
    if all(each.conflict for each in problems):
        return ApiProblem(409, "conflict", detail, problems=ordered, more=more)
    return ApiProblem(422, "rows-refused", detail, problems=ordered, more=more)


def unavailable(detail: str) -> ApiProblem:
    """The answer where it may work in a while."""
    return ApiProblem(503, "unavailable", detail, headers={"Retry-After": RETRY_AFTER_S})


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error as a problem."""

    @app.exception_handler(ApiProblem)
    def _(_: Request, error: ApiProblem) -> Response:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    def _(_: Request, error: RequestValidationError) -> Response:
        # A parameter that several dependencies of a route share is looked at for each of them.
        said = dict.fromkeys(
            f"{'.'.join(str(part) for part in each['loc'][1:])}: {each['msg']}" for each in error.errors()
        )
        return problem_response(ApiProblem(400, "invalid-request", "; ".join(said)))

    @app.exception_handler(HTTPException)
    def _(_: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "invalid-request")
        return problem_response(ApiProblem(error.status_code, code, str(error.detail), headers=error.headers))

    @app.exception_handler(ClientDisconnect)
    def _(_: Request, __: ClientDisconnect) -> Response:
        """Nobody reads it, but the fault is not ours."""
        return problem_response(ApiProblem(400, "invalid-request", "The body did not come to its end."))

    @app.exception_handler(PositionAheadError)
    def _(_: Request, error: PositionAheadError) -> Response:
        detail = f"The last position is {error.head}; ask for it or an earlier one."
        return problem_response(ApiProblem(422, "position-ahead", detail))

    @app.exception_handler(DayAheadError)
    def _(_: Request, error: DayAheadError) -> Response:
        return problem_response(ApiProblem(422, "day-ahead", f"{error.day}尚未开始（北京时间），不能查询。"))

    _add_waiting_handlers(app)


def _add_waiting_handlers(app: FastAPI) -> None:
    """Answer what may work in a while, and say what is known of it."""

    @app.exception_handler(DisclosureError)
    def _(_: Request, error: DisclosureError) -> Response:
        _log.error("disclosure not recorded", error=str(error))
        refusal = refusal_of(error.__cause__)
        reason = "" if refusal is None else f"：{REFUSALS[refusal]}"
        detail = (
            f"查阅单户数据或首次使用密钥须留记录，而记录无法写入{reason}，因此不予答复。"
            "请稍后重试；已登记的不会重复登记。"
        )
        return problem_response(unavailable(detail))

    @app.exception_handler(NotSealedError)
    def _(_: Request, error: NotSealedError) -> Response:
        return problem_response(unavailable(f"The log is sealed up to position {error.sealed}; ask again."))

    @app.exception_handler(UncertainError)
    def _(_: Request, error: UncertainError) -> Response:
        detail = (
            f"The database was lost while batch {error.batch_id} was recorded, whole or not at all. "
            "Send it again: what is recorded already is not recorded twice."
        )
        return problem_response(unavailable(detail))

    @app.exception_handler(ClockError)
    def _(_: Request, error: ClockError) -> Response:
        headers = {"Retry-After": RETRY_AFTER_S}
        return problem_response(ApiProblem(503, "clock-not-accepted", f"{error}。", headers=headers))

    @app.exception_handler(NotProjectedError)
    def _(_: Request, error: NotProjectedError) -> Response:
        detail = (
            f"It is recorded, up to position {error.position}; the database was lost before it could be "
            "read. It will be: ask again, or send it again under the same Idempotency-Key."
        )
        return problem_response(unavailable(detail))
