"""Who sees figures of single units is recorded before the first byte, and auditors read it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import select, update

from app.api.http.disclosing import MAY_SHOW_FIGURES, Shown, shows_figures
from app.ledger.ledger import Ledger
from app.ledger.recorder import SqlRecorder
from app.ledger.tables import events
from app.main import create_app
from app.runtime.database import open_engine, write_transaction
from app.security.disclosures import DisclosureLog, Entry, open_disclosures
from app.security.keys import create_key
from app.security.tables import disclosures
from tests.api.rows import code, trade
from tests.databases import on_one_database
from tests.office import Office, TestClock

LIST: Final = "/v1/audit/disclosures"
JIA: Final = code(1000)
EARLIER: Final = trade(150_000, 90_000, period="2023-03")
MARCH: Final = trade(123_456, 100_000)
"""Its base is not what the ledger holds of the year before."""

BATCH: Final = {"unit": "qianyuan", "returns": [MARCH]}


def recorded(office: Office, **params: Any) -> list[dict[str, Any]]:
    """What is recorded of figures, the oldest first."""
    items = office.read(LIST, limit=500, **params)["items"]
    return [each for each in reversed(items) if each["kind"] == "figures"]


def fill(office: Office) -> None:
    office.publish()
    office.file(EARLIER)
    # So many just over a step are a question about many returns.
    office.file(MARCH, *(trade(110_010, number=number) for number in range(1001, 1041)))


def lower(ledger: Ledger) -> None:
    """Alter an assessment by SQL, so that a replay finds something."""
    with write_transaction(ledger.engine) as connection:
        query = select(events.c.position, events.c.state).where(events.c.topic == "EntitlementAssessed.2")
        position, state = connection.execute(query.order_by(events.c.position.desc()).limit(1)).one()
        data = msgspec.json.decode(bytes(state))
        data["outcome"]["rule_fen"] += 1
        at = update(events).where(events.c.position == position)
        connection.execute(at.values(state=msgspec.json.encode(data)))


def replayed(office: Office) -> Any:
    """The answer about a replay that found something; the looks at it before its end hold nothing."""
    lower(office.ledger)
    started = office.client.post("/v1/audit/replays", headers=office.headers("auditor"))
    while (answer := office.get(started.headers["Location"])).json()["state"] == "running":
        pass
    assert answer.json()["report"]["mismatch_count"] == 1
    return answer


SHOWING: Final[dict[str, tuple[Callable[[Office], Any], dict[str, Any]]]] = {
    "read": (
        lambda office: office.get(f"/v1/returns/{JIA}", year=2024),
        {"route": "GET /v1/returns/{uscc}", "uscc": JIA, "query": f"/v1/returns/{JIA}?year=2024", "count": 1},
    ),
    "list_events": (
        lambda office: office.get("/v1/events", uscc=JIA),
        {"route": "GET /v1/events", "uscc": JIA, "query": f"/v1/events?uscc={JIA}", "count": 2},
    ),
    "explain_entitlement": (
        lambda office: office.get(f"/v1/entitlements/{JIA}/2024H1/2024-03", "commerce-with-figures"),
        {"actor": "commerce-with-figures", "key": "commerce-with-figures", "uscc": JIA, "count": 4},
    ),
    "list_red_flags": (
        lambda office: office.get("/v1/audit/red-flags", window="2024H1", flag="base-differs"),
        {"query": "/v1/audit/red-flags?window=2024H1&flag=base-differs", "uscc": None, "count": 1},
    ),
    "list_red_flag_groups": (
        lambda office: office.get("/v1/audit/red-flags/groups", window="2024H1"),
        # Of each period and of all, of each region and of all.
        {"route": "GET /v1/audit/red-flags/groups", "uscc": None, "count": 4},
    ),
    "read_inclusion": (
        lambda office: office.get("/v1/audit/inclusion/2"),
        {"route": "GET /v1/audit/inclusion/{position}", "uscc": JIA, "count": 1},
    ),
    "read_receipt": (
        lambda office: office.get(f"/v1/audit/receipts/{JIA}/2024H1"),
        {"uscc": JIA, "count": 3},
    ),
    "file": (
        lambda office: office.post(BATCH, dry_run=True),
        {"actor": "statistics", "route": "POST /v1/returns", "query": "/v1/returns?dry_run=true", "count": 1},
    ),
    "publish_policy": (
        lambda office: office.publish(dry_run=True),
        {"actor": "admin", "route": "POST /v1/policies", "count": 0},
    ),
    "read_replay": (
        replayed,
        {"route": "GET /v1/audit/replays/{id}"},
    ),
}
"""By the names of the handlers: an answer with figures, and what is recorded of it."""

SHOWING_NOTHING_TODAY: Final = {"withdraw"}
"""Marked since it answers with the warnings of a filing; those of a withdrawal are none."""


def handlers() -> dict[str, Callable[..., Any]]:
    """By its name, what answers each route; metrics are those of a library."""
    app = create_app(Ledger(open_engine("sqlite://"), TestClock()))
    routes = (each.original_route for each in iter_route_contexts(app.routes))
    return {
        each.endpoint.__name__: each.endpoint
        for each in routes
        if isinstance(each, APIRoute) and each.path != "/metrics"
    }


def test_every_route_says_whether_it_may_show_figures() -> None:
    found = handlers()
    assert {"read", "list_policies", "health"} <= found.keys()
    assert {name for name, each in found.items() if each not in MAY_SHOW_FIGURES} == set()


def test_every_route_that_may_show_figures_is_tried_here() -> None:
    marked = {name for name, each in handlers().items() if MAY_SHOW_FIGURES[each]}
    assert marked == SHOWING.keys() | SHOWING_NOTHING_TODAY


def test_each_answer_with_figures_leaves_one_row_that_says_who_saw_what(office: Office) -> None:
    fill(office)
    before = recorded(office)
    for name, (ask, expected) in SHOWING.items():
        assert ask(office).status_code == 200, name
        rows = recorded(office)[len(before) :]
        assert len(rows) == 1, (name, rows)
        row = rows[0]
        assert row["actor"] == row["key"] == expected.get("actor", "auditor"), name
        assert row["at"] == "2024-04-10T08:00:00Z"
        assert {key: row[key] for key in expected} == expected, name
        before = recorded(office)


@on_one_database
def test_an_answer_without_figures_leaves_none(office: Office) -> None:
    fill(office)
    before = recorded(office)
    for path, who in (
        (f"/v1/entitlements/{JIA}/2024H1", "commerce"),
        (f"/v1/entitlements/{JIA}/2024H1/2024-03", "commerce"),
        ("/v1/entitlements?window=2024H1", "auditor"),
        ("/v1/summary?window=2024H1&group_by=measure", "auditor"),
        ("/v1/audit/checkpoint", "auditor"),
        ("/v1/audit/inclusion/1", "auditor"),
        ("/v1/events?limit=1", "auditor"),
        (LIST, "auditor"),
        ("/readyz", "auditor"),
    ):
        assert office.get(path, who).status_code == 200, path
    for path, status in ((f"/v1/returns/{code(5)}?year=2024", 404), (f"/v1/returns/{JIA}", 400)):
        assert office.get(path).status_code == status
    assert office.get(f"/v1/returns/{JIA}?year=2024", "commerce").status_code == 403
    assert office.withdraw(MARCH, reason="误登", origin="returned").status_code == 200
    assert recorded(office) == before


@on_one_database
def test_a_filing_whose_warnings_quote_the_ledger_is_one_also_when_it_is_answered_again(
    office: Office,
) -> None:
    office.file(EARLIER)
    headers = {**office.headers("statistics"), "Idempotency-Key": "once"}
    for _ in range(2):
        answer = office.client.post("/v1/returns", json=BATCH, headers=headers)
        assert [each["code"] for each in answer.json()["warnings"]] == ["base-differs"]
    unlike = trade(1, number=7, industry_code="6210")
    assert [each["code"] for each in office.file(unlike)["warnings"]] == ["industry-unlike-form"]
    assert [each["route"] for each in recorded(office)] == ["POST /v1/returns"] * 2


def test_where_it_cannot_be_recorded_no_figure_is_shown_and_all_else_goes_on(office: Office) -> None:
    fill(office)
    office.read("/v1/policies")
    engine = open_disclosures(office.ledger.engine)
    with engine.begin() as connection:
        disclosures.drop(connection)
    engine.dispose()
    answer = office.get(f"/v1/returns/{JIA}", year=2024)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    assert "12345600000" not in answer.text
    assert office.get("/v1/policies").status_code == 200
    assert office.get(f"/v1/entitlements/{JIA}/2024H1").status_code == 200


def test_who_reads_figures_does_not_wait_for_a_filing_that_holds_the_log(office: Office) -> None:
    fill(office)
    before = len(recorded(office))
    with write_transaction(office.ledger.engine) as connection:
        SqlRecorder(office.ledger.engine).lock_log(connection)
        assert office.get(f"/v1/returns/{JIA}", year=2024).status_code == 200
    assert len(recorded(office)) == before + 1


@on_one_database
def test_a_handler_that_does_not_say_what_it_shows_shows_nothing(office: Office) -> None:
    log = DisclosureLog(office.ledger.engine, office.ledger.clock)
    asked = Entry(kind="figures", actor="a", route="GET /forgetful", key="a")

    @shows_figures
    def forgetful(*, shown: Shown) -> str:
        return f"12345 {shown}"

    with pytest.raises(RuntimeError, match="GET /forgetful"):
        forgetful(shown=Shown(log, asked))
    log.close()


def test_the_first_use_of_a_key_is_recorded_and_no_later_one(office: Office) -> None:
    for _ in range(2):
        office.get("/v1/policies", "admin")
        office.get("/v1/audit/checkpoint", "admin")
    uses = [each for each in office.read(LIST)["items"] if each["kind"] == "key-first-used"]
    assert [(each["actor"], each["key"], each["route"]) for each in uses] == [
        ("auditor", "auditor", f"GET {LIST}"),
        ("admin", "admin", "GET /v1/policies"),
    ]


def test_the_list_is_filtered_and_paged_from_the_newest(office: Office, clock: TestClock) -> None:
    fill(office)
    for day in ("01", "02", "03"):
        clock.set(f"2024-06-{day}T16:30:00Z")  # The next day in Beijing.
        office.get(f"/v1/returns/{JIA}", year=2024)
        office.get(f"/v1/returns/{code(1001)}", "statistics", year=2024)
    first = office.read(LIST, limit=2)
    items, cursor = list(first["items"]), first["next_cursor"]
    while cursor is not None:
        page = office.read(LIST, limit=2, cursor=cursor)
        items, cursor = items + page["items"], page["next_cursor"]
    whole = office.read(LIST, limit=500)
    assert (items, len(first["items"])) == (whole["items"], 2)
    assert [each["at"][:10] for each in whole["items"][:6]] == [
        "2024-06-03",
        "2024-06-03",
        "2024-06-02",
        "2024-06-02",
        "2024-06-01",
        "2024-06-01",
    ]
    assert len(recorded(office, uscc=JIA)) == 3
    theirs = office.read(f"{LIST}?who=statistics&uscc={code(1001)}")["items"]
    assert [(each["actor"], each["uscc"]) for each in theirs] == [("statistics", code(1001))] * 3
    days = [each["at"][:10] for each in recorded(office, since="2024-06-03", until="2024-06-03")]
    assert days == ["2024-06-02"] * 2
    assert len(recorded(office, since="2024-06-03T16:30:00Z")) == 2


@on_one_database
@pytest.mark.parametrize(
    "query", ["since=yesterday", "until=2024-13-01", "uscc=1", "cursor=WzFd", "limit=501", "position=1"]
)
def test_the_list_refuses_what_it_does_not_understand(office: Office, query: str) -> None:
    assert office.get(f"{LIST}?{query}").status_code == 400


@on_one_database
def test_auditors_alone_read_the_list(office: Office) -> None:
    assert [office.get(LIST, who).status_code for who in ("statistics", "commerce", "admin")] == [403] * 3


def test_what_was_asked_for_is_kept_as_text_that_steers_no_terminal(office: Office) -> None:
    with write_transaction(office.ledger.engine) as connection:
        token = create_key(connection, name="审计\u202e", role="auditor", with_figures=False, now_us=0)
    office.file(EARLIER)
    path = "/v1/events?limit=1&%6cimit=1"
    headers = {"Authorization": f"Bearer {token}"}
    assert office.client.get(path, headers=headers).status_code == 400
    assert office.client.get("/v1/events?limit=1", headers=headers).status_code == 200
    assert [each["actor"] for each in recorded(office)] == ["审计\\u202e"]
