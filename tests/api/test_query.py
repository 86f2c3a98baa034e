"""Query parameters: what a route does not know is refused instead of ignored."""

import re
from typing import Final

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from app.ledger.ledger import Ledger
from app.main import create_app
from app.runtime.database import open_engine
from app.security.keys import ROLES
from tests.api.rows import code, refused, trade
from tests.api.test_openapi import described
from tests.office import Office, TestClock

ACCOUNT: Final = f"/v1/entitlements/{code(1000)}/2024H1"


def routes() -> list[tuple[str, str]]:
    """Method and path of every route of ours; metrics are those of a library."""
    app = create_app(Ledger(open_engine("sqlite://"), TestClock()))
    found = (each.original_route for each in iter_route_contexts(app.routes))
    return [
        (method, each.path)
        for each in found
        if isinstance(each, APIRoute) and each.path != "/metrics"
        for method in each.methods or ()
    ]


def url_of(path: str) -> str:
    """The path of a route with something in each of its places."""
    return re.sub(r"\{.*?\}", "1", path)


def known(method: str, path: str) -> str:
    """The query parameters of a route as its description names them, for a sentence."""
    operation = described()["paths"].get(path, {}).get(method.lower(), {})
    names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    return "、".join(sorted(names)) or "无"


@pytest.mark.parametrize(("method", "path"), routes())
def test_a_route_refuses_what_it_does_not_know_and_names_what_it_knows(
    idle: Office, method: str, path: str
) -> None:
    answers = [
        idle.client.request(method, url_of(path), params={"positon": 5}, headers=idle.headers(role))
        for role in ROLES
    ]
    let_in = [each for each in answers if each.status_code != 403]
    assert let_in
    for answer in let_in:
        detail = refused(answer, 400, "invalid-request")["detail"]
        first, _, _ = detail.removesuffix("。").partition("；")
        assert first == f"没有名为“positon”的查询参数，可用的有：{known(method, path)}"


@pytest.mark.parametrize(("method", "path"), routes())
def test_a_route_refuses_what_is_given_twice(idle: Office, method: str, path: str) -> None:
    answer = idle.client.request(method, f"{url_of(path)}?position=0&position=1")
    assert refused(answer, 400, "invalid-request")["detail"] == "查询参数position给了2次，只能给一次。"


@pytest.mark.parametrize(
    "query", ["Position=0", "known-at=2000-01-01T00:00:00Z", "position=0&knownat=", "=", "position%20=0"]
)
def test_a_misspelt_moment_is_not_answered_as_of_now(office: Office, query: str) -> None:
    office.file(trade(110_000))
    detail = refused(office.get(f"{ACCOUNT}?{query}"), 400, "invalid-request")["detail"]
    assert "known_at、policy、position、wait_for" in detail


def test_a_misspelt_dry_run_records_nothing(idle: Office) -> None:
    body = {"unit": "qianyuan", "returns": [trade(110_000)]}
    detail = refused(idle.post(body, dryrun="true"), 400, "invalid-request")["detail"]
    assert detail == "没有名为“dryrun”的查询参数，可用的有：dry_run。"


def test_what_is_unknown_is_said_before_what_is_wrong(idle: Office) -> None:
    answer = idle.get("/v1/summary?windw=2024H1&group_by=regon")
    assert refused(answer, 400, "invalid-request")["detail"] == (
        "没有名为“windw”的查询参数，可用的有：group_by、known_at、policy、position、wait_for、window；"
        "window：必填；group_by：没有“regon”，已知的有："
        "region_code（处理地）、industry（行业）、period（所属期）、measure（奖项）。"
    )


def test_a_parameter_is_known_by_its_name_in_the_url(idle: Office) -> None:
    detail = refused(idle.get("/v1/audit/differences?first=0&last=0"), 400, "invalid-request")["detail"]
    assert detail == (
        "没有名为“first”的查询参数，可用的有：cursor、from、limit、region_code、to、uscc、window；from：必填；to：必填。"
    )


def test_an_unknown_name_is_shown_cut_and_without_control_characters(idle: Office) -> None:
    detail = refused(idle.get(f"/v1/policies?%1B{'x' * 200}=1"), 400, "invalid-request")["detail"]
    assert f"“?{'x' * 99}”" in detail


def test_a_request_with_an_unknown_parameter_does_not_wait(idle: Office) -> None:
    refused(idle.get(f"{ACCOUNT}?wait_for=1"), 422, "position-ahead")
    refused(idle.get(f"{ACCOUNT}?wait_for=1&positon=0"), 400, "invalid-request")


def test_the_key_is_looked_at_before_the_parameters(idle: Office) -> None:
    refused(idle.client.get(f"{ACCOUNT}?positon=0"), 401, "unauthenticated")
    refused(idle.get(f"{ACCOUNT}?positon=0", "statistics"), 403, "forbidden")


def test_a_parameter_that_is_given_twice_is_refused(office: Office) -> None:
    office.file(trade(110_000))
    answer = office.get(f"{ACCOUNT}?position=0&position=1")
    assert "查询参数position给了2次" in refused(answer, 400, "invalid-request")["detail"]
    assert office.get(f"{ACCOUNT}?position=1").status_code == 200


def test_what_is_wrong_with_a_parameter_is_said_once(office: Office) -> None:
    detail = refused(office.get(f"{ACCOUNT}?position=-1"), 400, "invalid-request")["detail"]
    assert detail == "position：台账序号应只用数字0至9书写。"


@pytest.mark.parametrize("path", ["/healthz", "/v1/policies", "/v1/events"])
def test_a_route_says_what_it_knows(office: Office, path: str) -> None:
    detail = refused(office.get(f"{path}?verbose=1"), 400, "invalid-request")["detail"]
    assert detail.startswith("没有名为“verbose”的查询参数，可用的有：")


def test_metrics_ignore_parameters_that_a_scraper_adds(idle: Office) -> None:
    assert idle.client.get("/metrics?name[]=process_open_fds").status_code == 200
