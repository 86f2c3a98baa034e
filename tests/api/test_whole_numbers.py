"""A number in a path or a query is written in the digits 0 to 9; one in JSON is an integer of JSON."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from httpx2 import Response

from tests.api.rows import refused
from tests.databases import only_on_sqlite
from tests.ledger.history import code, trade
from tests.office import NewOffice, Office, TestClock, unchanged

NUMBERS = (
    "/v1/events?position={}",
    "/v1/events?after={}",
    "/v1/events?limit={}",
    f"/v1/returns/{code(1)}?year=2024&position={{}}",
    f"/v1/returns/{code(1)}?year={{}}",
    f"/v1/entitlements/{code(1)}/2024H1?position={{}}",
    f"/v1/entitlements/{code(1)}/2024H1?wait_for={{}}",
    "/v1/entitlements?window=2024H1&limit={}",
    "/v1/entitlements?window=2024H1&min_assessed_fen={}",
    "/v1/summary?window=2024H1&group_by=period&position={}",
    "/v1/policies/yingkou-2024-14/versions/{}",
    "/v1/audit/checkpoint?size={}",
    "/v1/audit/inclusion/{}",
    "/v1/audit/inclusion/1?size={}",
    "/v1/audit/consistency?first={}&second=1",
    "/v1/audit/consistency?first=1&second={}",
    "/v1/audit/differences?from=0&to=1&limit={}",
    "/v1/audit/differences?from={}&to=1",
    "/v1/audit/red-flags?window=2024H1&limit={}",
    "/v1/audit/red-flags?window=2024H1&position={}",
)
NO_NUMBERS = ("1.0", "1e0", "+1", "-1", " 1", "1_0", "\u0663", "\uff11", "0x1", "true")

pytestmark = only_on_sqlite  # What is refused here is refused before any database is asked.


@pytest.fixture(scope="module")
def shared(new_office: NewOffice) -> Office:
    """A ledger with one registration."""
    office = new_office(TestClock())
    office.file(trade(code(1), "2024-03", 110_000, 100_000))
    return office


@pytest.fixture
def stocked(shared: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared) as office:
        yield office


def get(office: Office, path: str, text: str) -> Response:
    return office.client.get(path.format(quote(text)), headers=office.headers("auditor"))


@pytest.mark.parametrize("path", NUMBERS)
def test_what_is_not_written_in_digits_alone_is_a_bad_value(stocked: Office, path: str) -> None:
    for text in NO_NUMBERS:
        refused(get(stocked, path, text), 400, "invalid-request")


@pytest.mark.parametrize("number", [2**63, 10**30, 10**4_000])
@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_that_no_database_holds_is_refused_and_a_position_is_above_the_head(
    stocked: Office, path: str, number: int
) -> None:
    answer = get(stocked, path, str(number))
    if re.search(r"(position|after|wait_for|size|second|from)={}|inclusion/{}", path):
        refused(answer, 422, "position-ahead")
    else:
        assert answer.status_code == 400


@pytest.mark.parametrize("name", ["first", "last"])
@pytest.mark.parametrize("value", ["1.0", '"1"', "true", "-1", "0", "1e0", "[1]"])
def test_what_is_no_position_in_json_is_not_acceptable(stocked: Office, name: str, value: str) -> None:
    response = stocked.client.post(
        "/v1/audit/replays", content=f'{{"{name}": {value}}}', headers=stocked.headers("auditor")
    )
    refused(response, 422, "invalid-request")
