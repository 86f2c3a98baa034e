"""What the routes share: the ledger, the key of the caller, the moment asked for."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Query, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.answers.moments import MomentError, parse_known_at
from app.api.http.bodies import BodyRoom
from app.api.http.paths import POSITION
from app.api.http.problems import ApiProblem, unavailable
from app.api.http.query import QueryModel
from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction, retry_once
from app.runtime.limits import BODY_MAX_BYTES, BODY_SMALL_BYTES, WAIT_FOR_MOST_S
from app.security.disclosures import DisclosureLog
from app.security.keys import Key, Role, find_key
from app.use_cases.filing.rows import printable
from app.use_cases.reading.as_of import AskedMoment, is_projected

_BEARER: Final = HTTPBearer(auto_error=False, description="`Authorization: Bearer <key>`")
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
WAIT_POLL_S: Final = 0.05
"""The polling interval of a request that waits for a position; each poll costs two reads of a row."""


async def get_ledger(request: Request) -> Ledger:
    """The ledger of the application."""
    ledger: Ledger = request.app.state.ledger
    return ledger


LedgerNeeded = Annotated[Ledger, Depends(get_ledger)]


def get_disclosure_log(request: Request) -> DisclosureLog:
    """The log of disclosures of the application."""
    log: DisclosureLog = request.app.state.disclosures
    return log


def route_name(request: Request) -> str:
    """The method and the route of a request."""
    route: APIRoute = request.scope["route"]
    return f"{request.method} {route.path_format}"


def require_key(
    request: Request,
    ledger: LedgerNeeded,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Key:
    """Find the key of the caller, and record its use.

    Raises:
        ApiProblem: 401, the request has no valid key.
    """
    token = None if credentials is None else credentials.credentials
    key = None if token is None else retry_once(lambda: _find(ledger, token))
    if key is None:
        detail = "须提供有效的密钥，请求头写作Authorization: Bearer <key>。"
        raise ApiProblem(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})
    request.state.actor = key.name
    get_disclosure_log(request).record_use(key.name, route_name(request))
    return key


def _find(ledger: Ledger, token: str) -> Key | None:
    with read_transaction(ledger.engine) as connection:
        return find_key(connection, token)


def require_role(*roles: Role) -> Callable[[Key], Awaitable[Key]]:
    """Create a dependency that requires one of these roles."""

    async def check(key: Annotated[Key, Depends(require_key)]) -> Key:
        if key.role not in roles:
            detail = f"须使用角色为{'或'.join(roles)}的密钥，所用密钥的角色为{key.role}。"
            raise ApiProblem(403, "forbidden", detail)
        return key

    return check


AnyKey = Annotated[Key, Depends(require_key)]
StatisticsKey = Annotated[Key, Depends(require_role("statistics"))]
ReturnsKey = Annotated[Key, Depends(require_role("statistics", "auditor"))]
EntitlementsKey = Annotated[Key, Depends(require_role("commerce", "auditor", "admin"))]
AuditorKey = Annotated[Key, Depends(require_role("auditor"))]
AdminKey = Annotated[Key, Depends(require_role("admin"))]


class MomentQuery(QueryModel):
    """The query of a route that answers as of a moment: `position=` or `known_at=`."""

    position: Annotated[int | None, Field(ge=0, description="Answer as of this position."), POSITION] = None
    known_at: Annotated[
        str | None,
        Field(
            description="Answer as of this time (RFC 3339), or as of the end of this day in Beijing; "
            "for today, as of now.",
            max_length=100,
        ),
    ] = None

    def moment(self, ledger: Ledger) -> AskedMoment:
        """The moment that the query names.

        Raises:
            ApiProblem: 400, the query names both, or `known_at` is neither a time nor a day.
        """
        if self.known_at is None:
            return AskedMoment(position=self.position)
        if self.position is not None:
            raise ApiProblem(400, "invalid-request", "position与known_at只能给一个。")
        try:
            return parse_known_at(self.known_at, now_us=ledger.clock())
        except MomentError as error:
            raise ApiProblem(400, "invalid-request", f"known_at：{error}") from error


class WaitingQuery(MomentQuery):
    """The query of a route that can wait for the read models: `wait_for=`."""

    wait_for: Annotated[
        int | None,
        Field(ge=0, description="Answer once the read models have reached this position."),
        POSITION,
    ] = None


WaitingQueryT = TypeVar("WaitingQueryT", bound=WaitingQuery)


def after_waiting(kind: type[WaitingQueryT]) -> Callable[..., Awaitable[WaitingQueryT]]:
    """Create a dependency that returns the query once the read models have reached `wait_for=`.

    A waiting request holds neither a connection nor a thread, so any number may wait for one filing. After a
    few seconds the answer is 503. An invalid query is refused at once.
    """

    async def wait(
        ledger: LedgerNeeded,
        _: EntitlementsKey,
        query: Annotated[kind, Query()],  # type: ignore[valid-type]
    ) -> WaitingQueryT:
        asked: WaitingQueryT = query
        asked.moment(ledger)  # Refuses an invalid moment before waiting.
        if asked.wait_for is not None:
            await _wait_until_projected(ledger, asked.wait_for)
        return asked

    return wait


async def _wait_until_projected(ledger: Ledger, position: int) -> None:
    give_up_at = time.monotonic() + WAIT_FOR_MOST_S
    while not await run_in_threadpool(is_projected, ledger, position):
        if time.monotonic() >= give_up_at:
            detail = f"查询表在{WAIT_FOR_MOST_S:g}秒内未更新至台账序号{position}。"
            raise unavailable(f"{detail}请稍后再查，或不带wait_for。")
        await asyncio.sleep(WAIT_POLL_S)


async def refuse_repeated_query(request: Request) -> None:
    """Refuse a repeated query parameter, of which the framework would take the last value.

    Raises:
        ApiProblem: 400, a parameter is repeated.
    """
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if times > 1:
            detail = f"查询参数{printable(name[:100])}给了{times}次，只能给一次。"
            raise ApiProblem(400, "invalid-request", detail)


async def read_body(request: Request) -> AsyncIterator[bytes]:
    """Read the body, and keep its room in memory until the response.

    Raises:
        ApiProblem: 413, the body exceeds the limit; 503, no room became free in time.
    """
    declared = request.headers.get("content-length", "")
    size_bytes = int(declared) if _LENGTH.fullmatch(declared) else BODY_MAX_BYTES
    if size_bytes > BODY_MAX_BYTES:
        raise _body_too_large()
    if size_bytes <= BODY_SMALL_BYTES:
        yield await _received(request)
        return
    room: BodyRoom = request.app.state.body_room
    async with room.taken(size_bytes):
        yield await _received(request)


async def _received(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise _body_too_large()
    return bytes(body)


def _body_too_large() -> ApiProblem:
    detail = f"请求正文最多{BODY_MAX_BYTES}字节，请分批提交。"
    return ApiProblem(413, "too-large", detail)


Body = Annotated[bytes, Depends(read_body)]


def require_media_type(request: Request, *accepted: str) -> None:
    """Refuse a body with another media type; a body without `Content-Type` is accepted.

    Raises:
        ApiProblem: 415, the body has another media type.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given and given not in accepted:
        raise ApiProblem(415, "unsupported-media-type", f"请求正文的内容类型应为{'或'.join(accepted)}。")
