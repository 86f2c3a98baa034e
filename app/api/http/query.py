"""Query parameters: each is one that the route knows, and stands once."""

from collections import Counter

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.http.problems import ApiProblem


def refuse_unknown_query(request: Request) -> None:
    """Refuse what would be passed over: a misspelt `position` would be answered as of now.

    Raises:
        ApiProblem: 400, a parameter that the route does not know, or one that is given twice.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    if not given:
        return
    route: APIRoute = request.scope["route"]
    known = _names(route.dependant)
    for name, times in given.items():
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            detail = f"{name[:100]!r} is no query parameter here; these are: {listed}."
            raise ApiProblem(400, "invalid-request", detail)
        if times > 1:
            raise ApiProblem(400, "invalid-request", f"{name!r} is given {times} times; give it once.")


def _names(dependant: Dependant) -> set[str]:
    names = {each.alias for each in dependant.query_params}
    return names.union(*map(_names, dependant.dependencies))
