"""The errors of a route, for the description of the API."""

from typing import Any, Final

from app.answers.models import Problem
from app.api.http.problems import MEDIA_TYPE

_MEANING: Final = {
    400: "Not JSON, or a bad path or query value.",
    401: "No valid key.",
    403: "The key does not have the required role.",
    404: "Not found.",
    409: "Conflicts with recorded data.",
    413: "Too large.",
    415: "Unsupported media type.",
    422: "Understood, but not acceptable.",
    503: "The database is unavailable; try again.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the responses with these statuses."""
    schema = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    return {status: {"description": _MEANING[status], "content": {MEDIA_TYPE: schema}} for status in statuses}
