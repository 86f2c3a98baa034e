"""The policy that a request asks for, for the routes whose answers depend on one."""

from typing import Annotated

from pydantic import Field

from app.api.http.problems import ApiProblem
from app.use_cases.reading.as_of import ChoiceProblem, PolicyAsOf

PolicyParameter = Annotated[
    str | None, Field(description="Optional while one policy covers the window.", max_length=100)
]


def require_policy(result: PolicyAsOf | ChoiceProblem) -> PolicyAsOf:
    """Return the chosen policy.

    Raises:
        ApiProblem: No policy has the requested id, or the request names none and several cover the window.
    """
    if result == "policy-unknown":
        raise ApiProblem(404, "not-found", "没有发布过该编号的政策文件。")
    if result == "policy-ambiguous":
        detail = "有多个政策文件覆盖该期间，请用policy指定。"
        raise ApiProblem(409, "policy-ambiguous", detail)
    if isinstance(result, str):
        raise TypeError(result)
    return result
