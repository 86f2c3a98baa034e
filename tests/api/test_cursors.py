"""A cursor goes with the query that it was made for: the same one again works, any other one is refused."""

from typing import Any, Final

import pytest
from httpx2 import Response

from tests.api.rows import code, refused, trade
from tests.databases import on_one_database
from tests.office import Office, TestClock

LIST: Final = "/v1/entitlements"
FLAGS: Final = "/v1/audit/red-flags"
DIFFERENCES: Final = "/v1/audit/differences"
DISCLOSURES: Final = "/v1/audit/disclosures"
ASKED: Final[dict[str, dict[str, Any]]] = {
    LIST: {"window": "2024H1"},
    FLAGS: {"window": "2024H1"},
    DIFFERENCES: {"from": "0", "to": "2024-04-10"},
    DISCLOSURES: {},
}
OTHERS: Final[dict[str, dict[str, str]]] = {
    LIST: {
        "position": "3",
        "known_at": "2024-04-10T08:00:00Z",
        "wait_for": "1",
        "window": "2024H2",
        "policy": "yingkou-2024-14",
        "region_code": "210802",
        "industry": "52",
        "measure": "retail-growth",
        "status": "eligible",
        "stage": "final",
        "min_assessed_fen": "1",
        "q": "示例",
        "sort": "uscc",
        "limit": "2",
        "totals": "true",
    },
    FLAGS: {
        "position": "3",
        "known_at": "2024-04-10",
        "window": "2024H2",
        "policy": "yingkou-2024-14",
        "flag": "base-changed",
        "region_code": "210802",
        "limit": "2",
    },
    DIFFERENCES: {
        "from": "1",
        "to": "2024-04-10T08:00:00Z",
        "window": "2024H1",
        "region_code": "210802",
        "uscc": code(1001),
        "limit": "2",
    },
    DISCLOSURES: {
        "who": "auditor",
        "uscc": code(1001),
        "since": "2024-04-10",
        "until": "2024-04-10T08:00:00Z",
        "limit": "2",
    },
}


@pytest.fixture
def city(office: Office) -> Office:
    """Three enterprises, each with a base that was corrected."""
    office.publish()
    office.file(*(trade(110_000, number=number) for number in (1001, 1002, 1003)))
    office.file(*(trade(110_000, 90_000, number=number, reason="改报") for number in (1001, 1002, 1003)))
    return office


def first_page(office: Office, path: str, **more: str) -> dict[str, Any]:
    page: dict[str, Any] = office.read(path, **ASKED[path], limit=1, **more)
    assert page["next_cursor"] is not None
    return page


def moment(page: dict[str, Any]) -> Any:
    return page.get("as_of") or (page["before"], page["after"])


@on_one_database
def test_every_route_that_answers_in_pages_is_tried_with_every_parameter(office: Office) -> None:
    paths = office.client.get("/openapi.json").json()["paths"]
    taken = {
        path: {each["name"] for each in item["get"].get("parameters", ())}
        for path, item in paths.items()
        if "get" in item
    }
    paged = {path: names - {"cursor"} for path, names in taken.items() if "cursor" in names}
    assert paged == {path: set(others) for path, others in OTHERS.items()}


@on_one_database
def test_the_same_query_goes_on_and_any_other_is_refused(city: Office) -> None:
    for path, others in OTHERS.items():
        cursor = first_page(city, path)["next_cursor"]
        assert len(city.read(path, **ASKED[path], limit=1, cursor=cursor)["items"]) == 1
        for name, value in others.items():
            changed = {**ASKED[path], "limit": "1", name: value}
            refused(city.get(path, **changed, cursor=cursor), 400, "cursor-mismatch")
        refused(city.get(path, **ASKED[path], cursor=cursor), 400, "cursor-mismatch")


@pytest.mark.parametrize("more", [{"position": "13"}, {"known_at": "2024-04-10T08:00:00Z"}])
def test_the_moment_of_the_first_page_is_given_again_and_no_other_one(
    city: Office, more: dict[str, str]
) -> None:
    for path in (LIST, FLAGS):
        page = first_page(city, path, **more)
        asked = {**ASKED[path], "limit": "1", "cursor": page["next_cursor"]}
        assert moment(city.read(path, **asked, **more)) == moment(page)
        for other in ({}, {"position": "7"}, {"position": "99"}, {"known_at": "2024-04-10T08:00:01Z"}):
            refused(city.get(path, **asked, **other), 400, "cursor-mismatch")


@on_one_database
def test_a_cursor_of_another_route_is_refused(city: Office) -> None:
    cursor = first_page(city, LIST)["next_cursor"]
    refused(city.get(FLAGS, **ASKED[FLAGS], limit=1, cursor=cursor), 400, "cursor-mismatch")


@on_one_database
def test_the_order_of_the_parameters_is_no_difference(city: Office) -> None:
    cursor = first_page(city, LIST)["next_cursor"]
    answer: Response = city.get(f"{LIST}?cursor={cursor}&limit=1&window=2024H1")
    assert answer.status_code == 200


@on_one_database
def test_a_day_in_progress_is_said_on_every_page_even_when_it_has_ended_meanwhile(
    city: Office, clock: TestClock
) -> None:
    today = {LIST: {"known_at": "2024-04-10"}, FLAGS: {"known_at": "2024-04-10"}, DIFFERENCES: {}}
    pages = {path: first_page(city, path, **more) for path, more in today.items()}
    clock.set("2024-04-10T16:00:00Z")
    city.file(trade(120_000, number=1004))
    for path, page in pages.items():
        last = moment(page) if path != DIFFERENCES else page["after"]
        assert last["day_in_progress"] is True
        asked = {**ASKED[path], **today[path], "limit": 1, "cursor": page["next_cursor"]}
        assert moment(city.read(path, **asked)) == moment(page)
