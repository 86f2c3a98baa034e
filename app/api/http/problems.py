"""Errors as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.http.invalid_fields import describe_errors
from app.api.http.query import query_names
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
from domain.words import UnknownValueError

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
TITLES: Final = {
    400: "请求有误",
    401: "没有有效的密钥",
    403: "没有权限",
    404: "没有找到",
    405: "不支持的请求方法",
    409: "与现有数据冲突",
    413: "内容过大",
    415: "不支持的内容类型",
    422: "内容未通过审核",
    500: "程序故障",
    503: "暂时不能提供服务",
}
"""The titles of errors, by status."""

_DETAILS: Final = {
    400: "请求无法解析。",
    404: "没有这个地址。",
    405: "这个地址不支持该请求方法。",
}
"""The details of errors that the framework raises, by status."""


class ApiProblem(Exception):  # noqa: N818 - the word of RFC 9457
    """An error with its complete answer.

    Args:
        status: The HTTP status.
        code: A stable code.
        detail: The problem and its remedy, in Chinese.
        problems: The problems of the rows.
        more: The number of further problems.
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
    """Create the response to an error."""
    body: dict[str, Any] = {
        "type": f"urn:duixian:problem:{problem.code}",
        "title": TITLES.get(problem.status, "请求不能完成"),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        **problem.members,
    }
    if problem.problems is not None:
        body["problems"] = [
            {"row": found.row, "field": found.field, "code": found.code, "message": found.message}
            for found in problem.problems[:PROBLEMS_MOST_LISTED]
        ]
        body["problems_total"] = len(problem.problems) + problem.more
    return Response(msgspec.json.encode(body), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def refused_rows(problems: Sequence[Problem], *, more: int = 0, rows: int | None = None) -> ApiProblem:
    """Create the error for refused rows: 422 if a row is invalid by itself, otherwise 409.

    Args:
        problems: The problems of the rows.
        more: The number of further problems.
        rows: The number of rows with problems; None counts the rows in `problems`.
    """
    ordered = sorted(problems, key=lambda problem: (problem.row, problem.field or ""))
    refused = len({problem.row for problem in problems}) if rows is None else rows
    detail = f"有{refused}行未通过，全部未登记，详见problems。"
    if all(problem.conflict for problem in problems):
        return ApiProblem(409, "conflict", detail, problems=ordered, more=more)
    return ApiProblem(422, "rows-refused", detail, problems=ordered, more=more)


def unavailable(detail: str) -> ApiProblem:
    """Create the error for a request that may succeed later."""
    return ApiProblem(503, "unavailable", detail, headers={"Retry-After": RETRY_AFTER_S})


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error as a problem."""

    @app.exception_handler(ApiProblem)
    def _(_: Request, error: ApiProblem) -> Response:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    def _(request: Request, error: RequestValidationError) -> Response:
        detail = describe_errors(error.errors(), query_names(request.scope["route"].dependant))
        return problem_response(ApiProblem(400, "invalid-request", detail))

    @app.exception_handler(HTTPException)
    def _(_: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "invalid-request")
        detail = _DETAILS.get(error.status_code, "请求不能完成。")
        return problem_response(ApiProblem(error.status_code, code, detail, headers=error.headers))

    @app.exception_handler(ClientDisconnect)
    def _(_: Request, __: ClientDisconnect) -> Response:
        """The client does not receive this response, but without it the log would show a fault."""
        return problem_response(ApiProblem(400, "invalid-request", "请求正文没有传完。"))

    @app.exception_handler(PositionAheadError)
    def _(_: Request, error: PositionAheadError) -> Response:
        detail = f"台账最后的序号是{error.head}，不能查询更后的序号。"
        return problem_response(ApiProblem(422, "position-ahead", detail))

    @app.exception_handler(UnknownValueError)
    def _(_: Request, error: UnknownValueError) -> Response:
        return problem_response(ApiProblem(400, "invalid-request", f"{error.field}：{error}。"))

    @app.exception_handler(DayAheadError)
    def _(_: Request, error: DayAheadError) -> Response:
        return problem_response(ApiProblem(422, "day-ahead", f"{error.day}尚未开始（北京时间），不能查询。"))

    _add_waiting_handlers(app)


def _add_waiting_handlers(app: FastAPI) -> None:
    """Add the answers to requests that may succeed later; they say what is known."""

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
        return problem_response(
            unavailable(f"台账已封存至序号{error.sealed}，其后的序号尚未封存，请稍后再查。")
        )

    @app.exception_handler(UncertainError)
    def _(_: Request, error: UncertainError) -> Response:
        detail = (
            f"登记时数据库连接中断，批次{error.batch_id}要么全部登记，要么全未登记。"
            "请重新提交：已登记的不会重复登记。"
        )
        return problem_response(unavailable(detail))

    @app.exception_handler(ClockError)
    def _(_: Request, error: ClockError) -> Response:
        headers = {"Retry-After": RETRY_AFTER_S}
        return problem_response(ApiProblem(503, "clock-not-accepted", f"{error}。", headers=headers))

    @app.exception_handler(NotProjectedError)
    def _(_: Request, error: NotProjectedError) -> Response:
        detail = (
            f"已登记至台账序号{error.position}，但数据库连接中断，查询表尚未更新，其后会自动更新。"
            "请稍后再查，或用同一Idempotency-Key重新提交。"
        )
        return problem_response(unavailable(detail))
