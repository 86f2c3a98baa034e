"""`/healthz`, `/readyz` and the documentation: no key needed."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from app.api.problems import problem_response, unavailable

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=None)
def ready(request: Request) -> Response | dict[str, Any]:
    """The database is there, migrated, and the read models are complete."""
    reason = request.app.state.why_not_ready()
    if reason is not None:
        return problem_response(unavailable(reason))
    return {"status": "ready"}


@router.get("/docs")
def docs(request: Request) -> Response:
    """The description of the API as a page; its script and style come from here too."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{request.app.title} API",
        swagger_js_url="/static/swagger-ui-bundle.js",
        swagger_css_url="/static/swagger-ui.css",
        swagger_favicon_url="data:,",
    )


@router.get("/")
def root() -> Response:
    """The page to open."""
    return Response(status_code=307, headers={"Location": "/docs"})
