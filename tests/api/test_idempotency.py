"""`Idempotency-Key`: a request that is sent again is answered again, and does nothing twice."""

import json
from typing import Any

import pytest
from httpx2 import Response

from app.runtime.database import write_transaction
from app.security.keys import create_key
from tests.api.rows import events, refused, trade
from tests.databases import on_one_database
from tests.office import Office, TestClock

REPLAYED = "Idempotency-Replayed"


def post(
    office: Office, *rows: dict[str, Any], key: str = "march-1", who: str = "statistics", **params: Any
) -> Response:
    return office.client.post(
        "/v1/returns",
        json={"unit": "qianyuan", "returns": list(rows)},
        params=params,
        headers={**office.headers(who), "Idempotency-Key": key},
    )


def with_second_statistics_key(office: Office) -> str:
    with write_transaction(office.ledger.engine) as connection:
        token = create_key(connection, name="second", role="statistics", with_figures=False, now_us=0)
    assert token is not None
    office.keys["second"] = token
    return "second"


def test_the_same_key_and_body_gives_the_first_answer_again(office: Office) -> None:
    first = post(office, trade(110_000))
    assert first.status_code == 201
    assert REPLAYED not in first.headers
    office.file(trade(120_000, number=1001))
    before = events(office)
    again = post(office, trade(110_000))
    assert again.status_code == 201
    assert again.headers[REPLAYED] == "true"
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert events(office) == before


def test_a_batch_that_recorded_nothing_is_replayed_too(office: Office) -> None:
    office.file(trade(110_000))
    first = post(office, trade(110_000))
    assert first.json()["unchanged"] == 1
    office.file(trade(120_000, reason="更正"))
    again = post(office, trade(110_000))
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers[REPLAYED] == "true"


def test_another_body_under_the_same_key_is_refused_and_not_recorded(office: Office) -> None:
    post(office, trade(110_000))
    response = post(office, trade(110_000, number=1001))
    refused(response, 422, "idempotency-key-reused")
    assert REPLAYED not in response.headers
    assert len(events(office)) == 1


@on_one_database
def test_another_key_with_the_same_body_is_another_request(office: Office) -> None:
    post(office, trade(110_000), key="march-1")
    response = post(office, trade(110_000), key="march-2")
    assert REPLAYED not in response.headers
    assert (response.status_code, response.json()["unchanged"]) == (201, 1)


@on_one_database
def test_refusals_are_not_stored(office: Office) -> None:
    refused(post(office, trade(1.5)), 422, "rows-refused")
    response = post(office, trade(110_000))
    assert response.status_code == 201
    assert REPLAYED not in response.headers


@on_one_database
def test_a_conflict_is_not_stored(office: Office) -> None:
    office.file(trade(110_000))
    refused(post(office, trade(120_000)), 409, "conflict")
    office.withdraw(trade(0), reason="登记有误")
    response = post(office, trade(120_000))
    assert (response.status_code, response.json()["filed"]) == (201, 1)
    assert REPLAYED not in response.headers


@on_one_database
def test_a_dry_run_neither_stores_an_answer_nor_takes_one(office: Office) -> None:
    assert post(office, trade(110_000), dry_run="true").status_code == 200
    first = post(office, trade(120_000))
    assert first.status_code == 201
    assert REPLAYED not in first.headers
    dry = post(office, trade(120_000), dry_run="true")
    assert dry.status_code == 200
    assert REPLAYED not in dry.headers
    assert dry.json()["preview"] == []
    assert post(office, trade(130_000, number=1001), dry_run="true").status_code == 200


def test_an_answer_is_kept_for_24_hours(office: Office, clock: TestClock) -> None:
    clock.set("2024-04-10T08:00:00Z")
    first = post(office, trade(110_000))
    clock.set("2024-04-11T07:59:59.999999Z")
    assert post(office, trade(110_000)).content == first.content
    clock.set("2024-04-11T08:00:00Z")
    later = post(office, trade(110_000))
    assert REPLAYED not in later.headers
    assert (later.status_code, later.json()["unchanged"]) == (201, 1)
    assert post(office, trade(110_000)).content == later.content


def test_a_key_is_free_for_another_body_after_24_hours(office: Office, clock: TestClock) -> None:
    clock.set("2024-04-10T08:00:00Z")
    post(office, trade(110_000))
    clock.set("2024-04-11T08:00:00Z")
    response = post(office, trade(110_000, number=1001))
    assert (response.status_code, response.json()["filed"]) == (201, 1)


def test_a_key_belongs_to_the_api_key_that_used_it(office: Office) -> None:
    second = with_second_statistics_key(office)
    post(office, trade(110_000))
    response = post(office, trade(120_000, number=1001), who=second)
    assert (response.status_code, response.json()["filed"]) == (201, 1)
    assert REPLAYED not in response.headers
    assert post(office, trade(120_000, number=1001), who=second).headers[REPLAYED] == "true"


@on_one_database
def test_a_replay_needs_the_key_of_the_caller_as_the_first_request_did(office: Office) -> None:
    post(office, trade(110_000))
    refused(post(office, trade(110_000), who="auditor"), 403, "forbidden")


@on_one_database
@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\x7f"], ids=repr)
def test_a_key_that_is_none_is_a_bad_request(office: Office, key: str) -> None:
    refused(post(office, trade(110_000), key=key), 400, "invalid-request")
    assert events(office) == []


def test_a_key_may_have_255_characters(office: Office) -> None:
    key = "k" * 255
    assert post(office, trade(110_000), key=key).status_code == 201
    assert post(office, trade(110_000), key=key).headers[REPLAYED] == "true"


@on_one_database
def test_a_body_is_the_same_if_its_bytes_are(office: Office) -> None:
    post(office, trade(110_000))
    spaced = json.dumps({"unit": "qianyuan", "returns": [trade(110_001)]}, indent=1).encode()
    headers = {
        **office.headers("statistics"),
        "Idempotency-Key": "march-1",
        "Content-Type": "application/json",
    }
    refused(office.client.post("/v1/returns", content=spaced, headers=headers), 422, "idempotency-key-reused")
