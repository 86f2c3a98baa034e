"""Who may call what, and how every error looks."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, make_url

from app.ledger.ledger import Ledger
from app.main import create_app
from app.runtime.database import open_engine, write_transaction
from app.security.keys import ROLES, revoke_key
from tests.api.rows import code, events, refused, trade
from tests.databases import Database, on_one_database
from tests.office import NewOffice, Office, TestClock, unchanged

USCC = code(1000)
ALL = set(ROLES)
ENTITLEMENTS = {"commerce", "auditor", "admin"}

ROUTES = [
    ("POST", "/v1/returns", {"statistics"}),
    ("POST", f"/v1/returns/{USCC}/2024-03/E204-1/withdrawal", {"statistics"}),
    ("GET", f"/v1/returns/{USCC}?year=2024", {"statistics", "auditor"}),
    ("GET", f"/v1/entitlements/{USCC}/2024H1", ENTITLEMENTS),
    ("GET", f"/v1/entitlements/{USCC}/2024H1/2024-03", ENTITLEMENTS),
    ("GET", "/v1/entitlements?window=2024H1", ENTITLEMENTS),
    ("GET", "/v1/summary?window=2024H1&group_by=measure", ENTITLEMENTS),
    ("GET", "/v1/events", {"auditor"}),
    ("GET", "/v1/policies", ALL),
    ("GET", "/v1/policies/yingkou-2024-14", ALL),
    ("GET", "/v1/policies/yingkou-2024-14/versions/1", ALL),
    ("POST", "/v1/policies", {"admin"}),
    ("POST", "/v1/policies?dry_run=true", {"admin"}),
]
OPEN = ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"]


@pytest.fixture(scope="module")
def shared(new_office: NewOffice) -> Office:
    """A ledger in which every route finds what it asks for."""
    office = new_office(TestClock())
    office.publish()
    office.file(trade(110_000))
    return office


@pytest.fixture
def stocked(shared: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared) as office:
        yield office


@on_one_database
@pytest.mark.parametrize(
    ("method", "path", "allowed"), ROUTES, ids=[f"{each[0]} {each[1]}" for each in ROUTES]
)
def test_a_route_lets_in_the_roles_of_the_contract_and_no_other(
    stocked: Office, method: str, path: str, allowed: set[str]
) -> None:
    for role in ROLES:
        response = stocked.client.request(method, path, headers=stocked.headers(role))
        if role in allowed:
            assert response.status_code in ({200} if method == "GET" else {400, 422})
        else:
            refused(response, 403, "forbidden")


NO_KEYS = (
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer duixian-unknown",
    b"Basic YTpi",
    b"duixian-unknown",
    b"Bearer \xe9",
)


@on_one_database
@pytest.mark.parametrize(("method", "path"), [route[:2] for route in ROUTES])
def test_without_a_valid_key_a_route_asks_for_one(stocked: Office, method: str, path: str) -> None:
    answers = [stocked.client.request(method, path)]
    answers += [stocked.client.request(method, path, headers={b"Authorization": given}) for given in NO_KEYS]
    for response in answers:
        refused(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"].startswith("Bearer")


@on_one_database
def test_the_word_bearer_is_read_in_any_case(stocked: Office) -> None:
    headers = {"Authorization": f"bearer {stocked.keys['auditor']}"}
    assert stocked.client.get("/v1/events", headers=headers).status_code == 200


def test_a_revoked_key_is_no_key_and_the_others_still_are(office: Office) -> None:
    with write_transaction(office.ledger.engine) as connection:
        assert revoke_key(connection, "commerce", now_us=1)
    refused(office.get("/v1/policies", "commerce"), 401, "unauthenticated")
    assert office.get("/v1/policies", "commerce-with-figures").status_code == 200


@on_one_database
def test_a_refused_caller_records_nothing(stocked: Office) -> None:
    before = events(stocked)
    batch = {"unit": "qianyuan", "returns": [trade(1, number=1001)]}
    for who in ("commerce", "auditor", "admin", "commerce-with-figures"):
        refused(stocked.post(batch, who), 403, "forbidden")
    assert events(stocked) == before


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/nothing", "/static/nothing.js"])
def test_an_unknown_path_is_a_problem_with_404(idle: Office, path: str) -> None:
    refused(idle.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/returns"),
        ("DELETE", "/v1/policies"),
        ("PUT", f"/v1/entitlements/{USCC}/2024H1"),
        ("POST", "/v1/events"),
        ("POST", "/healthz"),
    ],
)
def test_another_method_is_a_problem_with_405_and_says_which_there_are(
    idle: Office, method: str, path: str
) -> None:
    response = idle.client.request(method, path, headers=idle.headers("admin"))
    refused(response, 405, "method-not-allowed")
    assert response.headers["allow"]


@on_one_database
@pytest.mark.parametrize("path", OPEN)
def test_what_needs_no_key_answers_without_one(office: Office, path: str) -> None:
    assert office.client.get(path).status_code == 200


def test_the_documentation_is_served_from_here(idle: Office) -> None:
    page = idle.client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/static/{name}" in page
        assert idle.client.get(f"/static/{name}").status_code == 200


@on_one_database
def test_the_metrics_count_requests_and_name_no_enterprise(stocked: Office) -> None:
    stocked.entitlement(USCC)
    metrics = stocked.client.get("/metrics").text
    assert "/v1/entitlements/{uscc}/{window}" in metrics
    assert USCC not in metrics


@on_one_database
def test_the_metrics_tell_no_sizes_from_which_the_length_of_a_figure_follows(stocked: Office) -> None:
    names = re.findall(r"^# HELP (\w+)", stocked.client.get("/metrics").text, re.MULTILINE)
    assert "http_requests_total" in names
    assert not [name for name in names if "size" in name]


@pytest.fixture
def unready(unmigrated: Database, clock: TestClock) -> Iterator[TestClient]:
    """The service over a database without a schema, as it stands before its start has finished."""
    engine = unmigrated.open()
    yield TestClient(create_app(Ledger(engine, clock)))
    engine.dispose()


def test_a_database_that_is_not_migrated_is_not_ready(unready: TestClient) -> None:
    response = unready.get("/readyz")
    assert "migrate" in refused(response, 503, "unavailable")["detail"]
    assert int(response.headers["retry-after"]) > 0
    assert unready.get("/healthz").status_code == 200


def test_a_call_to_a_database_that_is_not_migrated_is_asked_to_come_again(unready: TestClient) -> None:
    response = unready.get("/v1/policies", headers={"Authorization": "Bearer duixian-key"})
    refused(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) > 0


@pytest.fixture
def unopenable(unmigrated: Database) -> URL:
    """Where a folder stands in the place of the file, or no database has the name."""
    if unmigrated.is_sqlite:
        unmigrated.path.mkdir()
        return make_url(unmigrated.url)
    return make_url(unmigrated.url).set(database="duixian_test_none")


def test_a_database_that_cannot_be_opened_is_unavailable(unopenable: URL, clock: TestClock) -> None:
    engine = open_engine(unopenable.render_as_string(hide_password=False))
    client = TestClient(create_app(Ledger(engine, clock)))
    for path in ("/readyz", "/v1/policies"):
        response = client.get(path, headers={"Authorization": "Bearer duixian-key"})
        refused(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
    assert client.get("/healthz").status_code == 200
    engine.dispose()
