"""The headers of every response, whichever part of the service makes it, and the log of requests."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.http.problems import ApiProblem, problem_response, unavailable
from app.runtime.storable import is_storable

_log = structlog.get_logger()

NO_PAGE: Final = "default-src 'none'; frame-ancestors 'none'"
"""The content security policy of responses other than pages: nothing in them is loaded, run or framed."""


def safe_headers(path: str) -> dict[str, str]:
    """The headers that tell browsers and caches how to treat a response; a route may override them.

    Any response under `/v1` may hold single-unit statistics, or reveal whether there are any.
    """
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": NO_PAGE}
    return {**headers, "Cache-Control": "no-store"} if path.startswith("/v1/") else headers


class Envelope:
    """The outermost layer of the service.

    It gives each request an id, which the response and the log entries carry, refuses texts that no database
    can store, and logs the outcome.

    Args:
        app: The service.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started_ns = uuid.uuid4().hex, time.perf_counter_ns()
        state = scope.setdefault("state", {})
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in safe_headers(scope["path"]).items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            app = self._app if all(map(is_storable, _texts(scope))) else _UNSTORABLE
            try:
                await app(scope, receive, send_with_headers)
            except asyncio.CancelledError:  # The service is stopping and waits no longer.
                if status is not None:
                    raise
                await _STOPPING(scope, receive, send_with_headers)
            finally:
                _log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    actor=state.get("actor"),
                    position=state.get("position"),
                    duration_us=(time.perf_counter_ns() - started_ns) // 1000,
                )


def _texts(scope: Scope) -> Iterator[str]:
    yield scope["path"]
    for pair in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        yield from pair
    for _, value in scope["headers"]:
        yield value.decode("latin-1")


_STOPPING: Final = problem_response(unavailable("服务正在停止。登记要么全部完成，要么全未登记：请重新提交。"))
_UNSTORABLE: Final = problem_response(
    ApiProblem(400, "invalid-request", "路径、查询参数或请求头中含有空字符（NUL）。")
)
