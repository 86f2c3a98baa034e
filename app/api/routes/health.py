"""`/healthz`, `/readyz` and the documentation, which need no key."""

import asyncio
import base64
import re
from hashlib import sha256
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from app.api.http.disclosing import shows_no_figures
from app.api.http.problems import problem_response, unavailable
from app.api.http.query import NO_QUERY
from app.runtime.limits import READY_TIMEOUT_S

router = APIRouter(include_in_schema=False, dependencies=NO_QUERY)

_INLINE: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@router.get("/healthz")
@shows_no_figures
async def health() -> dict[str, str]:
    """Report that the process is alive, even while every thread waits for the database."""
    return {"status": "ok"}


@router.get("/readyz", response_model=None)
@shows_no_figures
async def ready(request: Request) -> Response | dict[str, Any]:
    """Report whether the database is available and migrated, and the read models are complete."""
    state = request.app.state
    checking = asyncio.get_running_loop().run_in_executor(state.readiness_threads, _check, state.readiness)
    try:
        found = await asyncio.wait_for(checking, READY_TIMEOUT_S)
    except TimeoutError:
        found = f"数据库在{READY_TIMEOUT_S:g}秒内没有答复。"
    if isinstance(found, str):
        return problem_response(unavailable(found))
    return {"status": "ready", **found}


def _check(readiness: Any) -> str | dict[str, Any]:
    """The reason why the service is not ready; if it is, the notices for its operator."""
    reason: str | None = readiness.why_not()
    if reason is not None:
        return reason
    found: dict[str, Any] = readiness.notices()
    return found


@router.get("/docs")
@shows_no_figures
def docs(request: Request) -> Response:
    """Show the description of the API as a page, whose script and style this service serves as well."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{request.app.title} API",
        swagger_js_url="/static/swagger-ui-bundle.js",
        swagger_css_url="/static/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    page.headers["Content-Security-Policy"] = _page_policy(bytes(page.body))
    return page


def _page_policy(page: bytes) -> str:
    """Create a content security policy that allows only the scripts of the page."""
    digests = (base64.b64encode(sha256(script).digest()).decode() for script in _INLINE.findall(page))
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


@router.get("/")
@shows_no_figures
def root() -> Response:
    """Redirect to the description of the API."""
    return Response(status_code=307, headers={"Location": "/docs"})
