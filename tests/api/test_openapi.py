"""The description of the API: committed, true of every answer, and enough to call the service by.

`python -m tests.api.test_openapi` writes the committed description anew.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.python.asgi import ASGIClient
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from app.ledger.ledger import Ledger
from app.main import create_app
from app.runtime.database import open_engine
from app.security.keys import ROLES
from tests.api.rows import catering, trade
from tests.databases import Host
from tests.office import NewOffice, Office, TestClock, unchanged

COMMITTED: Final = Path(__file__).parents[2] / "docs" / "openapi.json"
METHODS: Final = ("get", "post", "put", "patch", "delete")
BESIDE_JSON: Final = {"/v1/audit/checkpoint": {"text/plain"}}
"""Where an answer may be asked for in another form."""

EXAMPLES_PER_ROLE: Final = {"sqlite": 6, "postgresql": 2}
"""The first ones are the same on both."""


@cache
def application() -> FastAPI:
    """An application for what it says of itself; no database is opened for it."""
    return create_app(Ledger(open_engine("sqlite://"), TestClock()))


@cache
def described() -> dict[str, Any]:
    """The description that the application gives of itself."""
    return application().openapi()


@cache
def loaded() -> OpenApiSchema:
    """The description, from which the calls of every operation are made."""
    schema = schemathesis.openapi.from_dict(described())
    schema.app = application()  # Makes calls to an application and not over a network.
    return schema


def as_text(description: dict[str, Any]) -> str:
    """The description as it is committed."""
    return f"{json.dumps(description, ensure_ascii=False, indent=1, sort_keys=True)}\n"


def operations() -> list[tuple[str, str]]:
    """Method and path of every operation of the committed description."""
    if not COMMITTED.exists():
        return []
    paths = json.loads(COMMITTED.read_text(encoding="utf-8"))["paths"]
    return [(method, path) for path, item in paths.items() for method in METHODS if method in item]


def test_the_committed_description_is_that_of_the_application() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == as_text(described()), (
        "the API changed: look at the difference, then run python -m tests.api.test_openapi"
    )


def test_what_is_served_is_what_is_committed(office: Office) -> None:
    assert office.client.get("/openapi.json").json() == json.loads(COMMITTED.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("method", "path"), operations())
def test_an_operation_has_a_name_of_its_own_and_declares_its_errors(method: str, path: str) -> None:
    paths = described()["paths"]
    operation = paths[path][method]
    names = [item[verb]["operationId"] for item in paths.values() for verb in METHODS if verb in item]
    assert names.count(operation["operationId"]) == 1
    assert operation["summary"]
    assert {"401", "503"} <= operation["responses"].keys()
    for status, answer in operation["responses"].items():
        media_types = set(answer.get("content", {}))
        expected = {"application/problem+json"} if int(status) >= 400 else {"application/json"}
        assert media_types - BESIDE_JSON.get(path, set()) == expected


def stock(office: Office) -> Office:
    """Two enterprises, one of them with both forms."""
    office.publish()
    office.file(trade(110_000), catering(4_000), trade(250_000, number=1001))
    return office


@pytest.fixture(scope="module")
def shared(new_office: NewOffice) -> Office:
    """These enterprises, for all reads; the log is sealed, which is recorded once."""
    office = stock(new_office(TestClock()))
    office.read("/v1/audit/checkpoint")
    return office


@pytest.mark.parametrize("path", [path for method, path in operations() if method == "get"])
def test_any_read_that_the_description_allows_is_answered_as_it_says(
    shared: Office, host: Host, path: str
) -> None:
    with unchanged(shared) as office:
        check_operation(office, host, "get", path)


@pytest.mark.parametrize(("method", "path"), [each for each in operations() if each[0] != "get"])
def test_any_call_that_the_description_allows_is_answered_as_it_says(
    office: Office, host: Host, method: str, path: str
) -> None:
    check_operation(stock(office), host, method, path)


def check_operation(office: Office, host: Host, method: str, path: str) -> None:
    """Random calls, each by every role, are answered as the description says."""
    # Without it, each call would start and stop the application.
    session = ASGIClient(office.client.app)  # type: ignore[arg-type]  # An application takes any mapping.

    @settings(
        max_examples=EXAMPLES_PER_ROLE[host.kind],
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=loaded()[path][method].as_strategy())
    def answered_as_described(case: Any) -> None:
        for role in ROLES:
            case.call_and_validate(
                headers=office.headers(role),
                session=session,
                checks=[
                    not_a_server_error,
                    status_code_conformance,
                    content_type_conformance,
                    response_schema_conformance,
                ],
            )

    answered_as_described()


if __name__ == "__main__":
    COMMITTED.write_text(as_text(described()), encoding="utf-8")
