"""What every answer carries, whoever gives it."""

import base64
import re
from hashlib import sha256

import pytest
import structlog
from fastapi.testclient import TestClient

from app.ledger.ledger import Ledger
from app.main import create_app
from tests.api.rows import trade
from tests.databases import only_on_sqlite
from tests.office import Office


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/metrics", 200),
        ("/static/swagger-ui.css", 200),
        ("/static/nothing", 404),
        ("/", 307),
        ("/nowhere", 404),
        ("/%00", 400),
        ("/v1/policies", 200),
        ("/v1/policies?none=1", 400),
        ("/v1/policies/none", 404),
        ("/v1/returns", 405),
        ("/v1/events", 200),
    ],
)
@only_on_sqlite
def test_every_answer_says_how_a_browser_is_to_treat_it(office: Office, path: str, status: int) -> None:
    answer = office.client.get(path, headers=office.headers("auditor"), follow_redirects=False)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert answer.headers.get("Cache-Control") == ("no-store" if path.startswith("/v1/") else None)


@only_on_sqlite
def test_a_call_without_a_key_is_not_kept_by_caches_either(office: Office) -> None:
    answer = office.client.get("/v1/events")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (401, "no-store")


@only_on_sqlite
def test_the_page_of_the_description_runs_its_own_scripts_and_no_others(office: Office) -> None:
    page = office.client.get("/docs")
    rules = dict(rule.strip().split(" ", 1) for rule in page.headers["Content-Security-Policy"].split(";"))
    inline = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digests = [base64.b64encode(sha256(each.encode()).digest()).decode() for each in inline]
    assert len(inline) == 1
    assert rules["script-src"].split() == ["'self'", *(f"'sha256-{each}'" for each in digests)]
    assert re.findall(r' on[a-z]+="', page.text) == []
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert {each for each in loaded if not each.startswith("/")} == {"data:,"}


def with_a_fault(ledger: Ledger) -> TestClient:
    """The service with a route that fails, and one that fails when half of it is told."""
    app = create_app(ledger)

    @app.get("/v1/fault")
    def _() -> None:
        raise ZeroDivisionError

    return TestClient(app, raise_server_exceptions=False)


@only_on_sqlite
def test_a_fault_is_answered_with_the_id_under_which_the_log_has_it(ledger: Ledger) -> None:
    with (
        with_a_fault(ledger) as client,
        structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines,
    ):
        answer = client.get("/v1/fault")
    assert (answer.status_code, answer.json()["code"]) == (500, "fault")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"
    logged = {each["event"]: each for each in lines}
    assert logged["fault"]["request_id"] == answer.headers["X-Request-Id"]
    assert isinstance(logged["fault"]["exc_info"], ZeroDivisionError)
    assert logged["request"]["request_id"] == answer.headers["X-Request-Id"]
    assert (logged["request"]["status"], logged["request"]["path"]) == (500, "/v1/fault")


@only_on_sqlite
def test_the_line_of_a_request_names_the_actor_and_the_position(office: Office) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        published = office.publish()
        filed = office.file(trade(110_000))
        withdrawn = office.withdraw(trade(110_000), reason="错登").json()
        refused = office.get("/v1/policies", position=10**30)
    told = [each for each in lines if each["event"] == "request"]
    assert [(each["actor"], each["position"], each["status"]) for each in told] == [
        ("admin", 1, 202),
        ("statistics", filed["position"], 201),
        ("statistics", withdrawn["position"], 200),
        ("auditor", None, refused.status_code),
    ]
    assert told[0]["request_id"] == published.headers["X-Request-Id"]
    assert len({each["request_id"] for each in told}) == len(told)
