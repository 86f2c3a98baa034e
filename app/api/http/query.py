"""Query parameters: each is one that the route knows, and stands once."""

from collections import Counter

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.http.problems import ApiProblem
from app.use_cases.filing.rows import printable


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
            listed = "、".join(sorted(known)) or "无"
            detail = f"没有名为“{printable(name[:100])}”的查询参数，可用的有：{listed}。"
            raise ApiProblem(400, "invalid-request", detail)
        if times > 1:
            raise ApiProblem(400, "invalid-request", f"查询参数{name}给了{times}次，只能给一次。")


def _names(dependant: Dependant) -> set[str]:
    names = {each.alias for each in dependant.query_params}
    return names.union(*map(_names, dependant.dependencies))
