"""What an answer lists, what a body may hold, and what all bodies together may take."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.api.http.bodies import BodyRoom
from app.api.http.problems import ApiProblem
from app.runtime.limits import (
    BODY_MAX_BYTES,
    BODY_MAX_COMMAS,
    BODY_MAX_CONTAINERS,
    BODY_OBJECT_MAX_KEYS,
    BODY_SMALL_BYTES,
    PROBLEMS_MOST_LISTED,
)
from tests.api.rows import post_bytes, refused, trade
from tests.databases import only_on_sqlite
from tests.office import Office


def state_of(office: Office) -> Any:
    """What the routes of the service share."""
    app: Any = office.client.app
    return app.state


def batch(*rows: Any) -> bytes:
    return json.dumps({"unit": "qianyuan", "returns": rows}).encode()


@only_on_sqlite
def test_the_first_thousand_problems_are_listed_and_all_are_counted(office: Office) -> None:
    row = trade(110_000, wrong=1, another=1)
    answer = refused(office.post({"unit": "qianyuan", "returns": [row] * 1_200}), 422, "rows-refused")
    assert len(answer["problems"]) == PROBLEMS_MOST_LISTED
    assert answer["problems_total"] == 2_400
    assert answer["detail"].startswith("有1200行未通过")
    assert [each["row"] for each in answer["problems"]] == [n // 2 for n in range(PROBLEMS_MOST_LISTED)]


@only_on_sqlite
def test_duplicates_count_with_the_problems_that_are_not_listed(office: Office) -> None:
    rows = [trade(1, number=n, wrong=1) for n in range(1, 1_102)] + [trade(1, number=1), trade(1, number=1)]
    answer = refused(office.post({"unit": "qianyuan", "returns": rows}), 422, "rows-refused")
    assert (len(answer["problems"]), answer["problems_total"]) == (PROBLEMS_MOST_LISTED, 1_102)
    assert answer["detail"].startswith("有1102行未通过")


def test_conflicts_beyond_the_thousandth_are_counted_and_stay_a_conflict(office: Office) -> None:
    rows = [trade(1, number=n) for n in range(1, 1_004)]
    office.file(*rows)
    changed = [{**row, "figures": {"retail_sales": {"current": 2, "prior_year": 100_000}}} for row in rows]
    answer = refused(office.post({"unit": "qianyuan", "returns": changed}), 409, "conflict")
    assert (len(answer["problems"]), answer["problems_total"]) == (PROBLEMS_MOST_LISTED, 1_003)


@only_on_sqlite
def test_few_problems_are_counted_too(office: Office) -> None:
    answer = refused(
        office.post({"unit": "qianyuan", "returns": [trade(110_000, wrong=1)]}), 422, "rows-refused"
    )
    assert answer["problems_total"] == len(answer["problems"]) == 1


def test_the_first_thousand_warnings_are_listed_and_all_are_counted(office: Office) -> None:
    rows = [trade(-1, number=n, region_code="999999") for n in range(1, 602)]
    tried = office.post({"unit": "qianyuan", "returns": rows}, dry_run=True).json()
    answer = office.file(*rows)
    for each in (tried, answer):
        assert (len(each["warnings"]), each["warnings_total"]) == (PROBLEMS_MOST_LISTED, 1_202)


@pytest.mark.parametrize(
    "rows",
    [
        b"[]," * BODY_MAX_CONTAINERS + b"[]",
        b'{"a":' * BODY_MAX_CONTAINERS + b"0" + b"}" * BODY_MAX_CONTAINERS,
        b"0," * BODY_MAX_COMMAS + b"0,0",
    ],
    ids=["lists", "objects in objects", "numbers"],
)
@only_on_sqlite
def test_a_body_of_more_values_than_any_filing_is_refused_before_it_is_read(
    office: Office, rows: bytes
) -> None:
    answer = post_bytes(office, b'{"unit":"fen","returns":[' + rows + b"]}")
    assert "数据多于50000行" in refused(answer, 413, "too-large")["detail"]


@only_on_sqlite
def test_an_object_has_at_most_a_hundred_keys(office: Office) -> None:
    row = trade(110_000)
    most = {**row, **{f"k{n}": 0 for n in range(BODY_OBJECT_MAX_KEYS - len(row))}}
    answer = refused(post_bytes(office, batch(most)), 422, "rows-refused")
    assert answer["problems_total"] == BODY_OBJECT_MAX_KEYS - len(row)
    refused(post_bytes(office, batch({**most, "more": 0})), 413, "too-large")


@only_on_sqlite
def test_a_body_that_says_it_is_too_large_is_refused_unread(office: Office) -> None:
    refused(post_bytes(office, b"{}", **{"Content-Length": str(BODY_MAX_BYTES + 1)}), 413, "too-large")


@only_on_sqlite
def test_a_body_gives_its_room_back_when_it_is_answered(office: Office) -> None:
    state_of(office).body_room = BodyRoom(BODY_MAX_BYTES, wait_most_s=0.1)
    large = batch(trade(110_000)) + b" " * BODY_SMALL_BYTES
    refused(post_bytes(office, b"[" + large), 400, "invalid-json")
    for _ in range(3):
        assert post_bytes(office, large).status_code == 201


@only_on_sqlite
def test_a_large_body_waits_for_room_and_a_small_one_needs_none(office: Office) -> None:
    state_of(office).body_room = BodyRoom(BODY_SMALL_BYTES, wait_most_s=0.01)
    answer = post_bytes(office, batch(trade(110_000)) + b" " * BODY_SMALL_BYTES)
    assert refused(answer, 503, "unavailable")
    assert answer.headers["Retry-After"]
    assert post_bytes(office, batch(trade(110_000))).status_code == 201


def test_who_comes_first_gets_room_first_even_where_a_smaller_body_would_fit() -> None:
    async def take_turns() -> list[str]:
        room, got = BodyRoom(10, wait_most_s=60), []

        async def take(name: str, size: int) -> None:
            async with room.taken(size):
                got.append(name)

        async with AsyncExitStack() as held:
            await held.enter_async_context(room.taken(6))
            tasks = [asyncio.create_task(take(name, size)) for name, size in (("large", 8), ("small", 1))]
            await asyncio.sleep(0)
            assert got == []
        await asyncio.gather(*tasks)
        return got

    assert asyncio.run(take_turns()) == ["large", "small"]


def test_room_that_was_waited_for_in_vain_is_free_for_others() -> None:
    async def wait_in_vain() -> None:
        room = BodyRoom(10, wait_most_s=0.01)
        async with room.taken(10):
            with pytest.raises(ApiProblem) as refusal:
                await AsyncExitStack().enter_async_context(room.taken(1))
            assert refusal.value.status == 503
        async with room.taken(10):
            pass

    asyncio.run(wait_in_vain())
