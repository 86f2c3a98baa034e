"""Two clocks: every read is asked for as of a position or a time, and says which moment it answers for."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any, Final

import pytest

from app.ledger.lines import canonical, read_lines
from app.ledger.mapper import NewEvent
from app.ledger.recorder import AppendRequest
from app.runtime.database import read_transaction
from app.transparency.sealing import seal
from domain.events import ReturnFiled
from tests.api.rows import code, events, refused, trade
from tests.builders import SHIPPED_TEXT, edited
from tests.databases import on_one_database
from tests.ledger.history import log
from tests.office import NewOffice, Office, TestClock, unchanged

POLICY: Final = "yingkou-2024-14"
USCC: Final = code(1000)
LATER: Final = code(1001)
ANSWERED: Final = (
    f"/v1/entitlements/{USCC}/2024H1",
    "/v1/entitlements?window=2024H1",
    "/v1/summary?window=2024H1&group_by=region_code",
    f"/v1/returns/{USCC}?year=2024",
    "/v1/events",
    "/v1/policies",
    "/v1/audit/red-flags?window=2024H1",
    "/v1/audit/red-flags/groups?window=2024H1",
)
"""Reads that are answered at any moment, with nothing where nothing was known."""

NAMED: Final = (
    f"/v1/entitlements/{USCC}/2024H1/2024-03",
    f"/v1/policies/{POLICY}",
    f"/v1/policies/{POLICY}/versions/1",
)
"""Reads of one thing, which was not there before it was recorded."""


def play(office: Office, clock: TestClock) -> Office:
    """Record a policy (1), a filing (2-3), in May a batch of two (4-7), in June a withdrawal (8-9)."""
    office.publish()
    office.file(trade(110_000))
    clock.set("2024-05-12T00:00:00Z")
    office.file(trade(130_000, period="2024-04"), trade(120_000, number=1001))
    clock.set("2024-06-05T00:00:00Z")
    assert office.withdraw(trade(110_000), reason="登记到了另一家企业名下").status_code == 200
    assert [event["position"] for event in events(office)] == list(range(1, 10))
    return office


@pytest.fixture(scope="module")
def shared_history(new_office: NewOffice) -> Office:
    """This history, for all tests."""
    clock = TestClock()
    return play(new_office(clock), clock)


@pytest.fixture
def history(shared_history: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared_history) as office:
        yield office


@pytest.fixture
def changing_history(office: Office, clock: TestClock) -> Office:
    """The same, to record more and to seal."""
    return play(office, clock)


def ask(office: Office, path: str, moment: str) -> Any:
    separator = "&" if "?" in path else "?"
    return office.client.get(f"{path}{separator}{moment}", headers=office.headers("auditor"))


@pytest.mark.parametrize("path", ANSWERED + NAMED)
def test_an_answer_says_the_end_of_the_last_whole_transaction_by_then(history: Office, path: str) -> None:
    ends = {end: ask(history, path, f"position={end}") for end in (3, 7, 9)}
    if path.endswith("2024-03"):
        refused(ends.pop(9), 404, "not-found")
    for end, answer in ends.items():
        assert answer.json()["as_of"]["position"] == end
    for position, end in ((4, 3), (6, 3), (8, 7)):
        assert ask(history, path, f"position={position}").json() == ends[end].json(), position


@on_one_database
@pytest.mark.parametrize(
    "moment",
    [
        "position=0",
        "known_at=2024-04-10T07:59:59.999999Z",
        "known_at=0001-01-01T00:00:00%2B23:59",
        "known_at=0001-01-01T00:00:00-23:59",
        "known_at=1969-12-31T23:59:59Z",
    ],
)
def test_before_anything_was_known_there_is_an_empty_answer_and_nothing_by_name(
    history: Office, moment: str
) -> None:
    for path in ANSWERED:
        answer = ask(history, path, moment).json()
        assert (answer["as_of"]["position"], answer["as_of"]["recorded_at"]) == (0, None), path
        (listed,) = (answer[name] for name in ("periods", "items", "groups", "returns") if name in answer)
        assert listed == [], path
    for path in NAMED:
        refused(ask(history, path, moment), 404, "not-found")


@pytest.mark.parametrize("moment", ["known_at=9999-12-31T23:59:59-23:59", "known_at=9999-12-31T23:59:59.9Z"])
def test_a_time_to_come_shows_what_is_known_now(history: Office, moment: str) -> None:
    for path in ANSWERED:
        assert ask(history, path, moment).json() == ask(history, path, "position=9").json(), path


@on_one_database
@pytest.mark.parametrize("path", ANSWERED + NAMED)
def test_a_moment_that_cannot_be_is_refused_by_every_read(history: Office, path: str) -> None:
    for position in ("10", str(2**63 - 1), str(2**63), "9" * 5_000):
        refused(ask(history, path, f"position={position}"), 422, "position-ahead")
    refused(ask(history, path, "known_at=2024-06-06"), 422, "day-ahead")
    for moment in ("position=-1", "known_at=2024-02-30", "known_at=2024-04-10T08:00:60Z"):
        refused(ask(history, path, moment), 400, "invalid-request")
    refused(ask(history, path, "position=3&known_at=2024-04-10T08:00:00Z"), 400, "invalid-request")


def test_the_versions_of_a_return_are_those_recorded_by_then(history: Office) -> None:
    def march(**moment: Any) -> list[tuple[bool, list[str]]]:
        found = history.read(f"/v1/returns/{USCC}", year=2024, **moment)["returns"]
        return [
            (each["standing"], [version["type"] for version in each["versions"]])
            for each in found
            if each["period"] == "2024-03"
        ]

    assert march(position=1) == []
    assert march(position=7) == [(True, ["ReturnFiled"])]
    assert march() == march(position=9) == [(False, ["ReturnFiled", "ReturnWithdrawn"])]


def test_returns_registered_only_later_are_none_yet_and_never_registered_is_not_found(
    history: Office,
) -> None:
    assert history.read(f"/v1/returns/{LATER}", year=2024, position=3)["returns"] == []
    assert history.read(f"/v1/entitlements/{LATER}/2024H1", position=3)["periods"] == []
    refused(history.get(f"/v1/returns/{LATER}", year=2023, position=3), 404, "not-found")


def test_the_events_of_a_moment_end_with_it(history: Office) -> None:
    def positions(**asked: Any) -> list[int]:
        return [each["position"] for each in history.read("/v1/events", **asked)["items"]]

    assert positions(known_at="2024-05-11T00:00:00Z") == [1, 2, 3]
    assert positions(position=6, after=1) == [2, 3]
    assert positions(position=8, uscc=USCC) == [2, 3, 4, 6]
    assert history.read("/v1/events", position=3, after=5)["next_after"] == 5


def test_the_log_is_read_up_to_its_head_though_the_read_models_lag(changing_history: Office) -> None:
    filed = log(changing_history.ledger)[1].event
    assert isinstance(filed, ReturnFiled)
    of_another = NewEvent(f"returns/{code(1002)}/2024", 1, filed)
    assert (
        changing_history.ledger.record(
            changing_history.ledger.stored([of_another]), AppendRequest("statistics", "b")
        )
        == 10
    )
    for asked in ({}, {"position": 10}, {"known_at": "2024-06-05T00:00:00Z"}):
        page = changing_history.read("/v1/events", after=9, **asked)
        assert [each["position"] for each in page["items"]] == [10]
        assert page["as_of"]["position"] == 10
    assert changing_history.read("/v1/policies")["as_of"]["position"] == 9


def test_a_policy_published_later_is_none_yet(changing_history: Office, clock: TestClock) -> None:
    clock.set("2024-07-01T00:00:00Z")
    changing_history.publish(edited(SHIPPED_TEXT, ("award: {yuan: 50000,", "award: {yuan: 40000,")).encode())
    path = f"/v1/policies/{POLICY}"
    assert (changing_history.read(path)["version"], changing_history.read(path, position=9)["version"]) == (
        2,
        1,
    )
    assert [each["version"] for each in changing_history.read("/v1/policies", position=9)["items"]] == [1]
    refused(changing_history.get(f"{path}/versions/2", position=9), 404, "not-found")
    assert changing_history.read(f"{path}/versions/2")["version"] == 2


@on_one_database
@pytest.mark.parametrize("path", [*ANSWERED[:3], NAMED[0]])
def test_a_policy_chosen_before_it_was_published_gives_an_empty_account_and_an_unknown_one_is_not_found(
    history: Office, path: str
) -> None:
    refused(ask(history, path, "position=0&policy=unknown"), 404, "not-found")
    answer = ask(history, path, f"position=0&policy={POLICY}")
    if path == NAMED[0]:
        refused(answer, 404, "not-found")
    else:
        assert answer.status_code == 200
        assert answer.json().get("policy") is None


def root_of(leaves: list[bytes]) -> bytes:
    """The root of the tree by its definition: RFC 9162, section 2.1.1."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + root_of(leaves[:left]) + root_of(leaves[left:])).digest()


def test_an_answer_carries_the_root_of_the_log_up_to_its_moment_once_that_is_sealed(
    changing_history: Office,
) -> None:
    for path in ANSWERED:
        assert ask(changing_history, path, "position=7").json()["as_of"]["checkpoint"] is None, path
    seal(changing_history.ledger)
    with read_transaction(changing_history.ledger.engine) as connection:
        lines = read_lines(connection, after=0, until=9, limit=9)
    for position in (0, 1, 3, 7, 9):
        root = base64.b64encode(root_of([canonical(each) for each in lines[:position]])).decode()
        checkpoint = {"size": position, "root": root}
        for path in ANSWERED:
            answer = ask(changing_history, path, f"position={position}").json()
            assert answer["as_of"]["checkpoint"] == checkpoint, path
