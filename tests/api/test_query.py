"""Query parameters: what a route does not know is refused, as it would be passed over."""

import pytest

from tests.api.rows import code, refused, trade
from tests.office import Office

ACCOUNT = f"/v1/entitlements/{code(1000)}/2024H1"


@pytest.mark.parametrize(
    "query", ["Position=0", "known-at=2000-01-01T00:00:00Z", "position=0&knownat=", "=", "position%20=0"]
)
def test_a_misspelt_moment_is_not_answered_as_of_now(office: Office, query: str) -> None:
    office.file(trade(110_000))
    detail = refused(office.get(f"{ACCOUNT}?{query}"), 400, "invalid-request")["detail"]
    assert "known_at、policy、position、wait_for" in detail


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
