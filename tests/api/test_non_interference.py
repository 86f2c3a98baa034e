"""Ledgers of other figures and the same verdicts and amounts answer alike to a key without figures.

Two ledgers are filled in step: the same enterprises, files, positions and times, other figures. Then every
route of the application is asked the same of both, with every parameter that it describes: a new route or
parameter fails here until this file says what to ask.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from fastapi import FastAPI
from httpx2 import Response
from starlette.routing import BaseRoute, Mount, Route

from app.ledger.ledger import Ledger
from app.transparency.audit_key import make_audit_key
from tests.api.rows import catering, code, trade
from tests.builders import SHIPPED_TEXT, edited
from tests.databases import Database, on_one_database
from tests.office import Office, TestClock

POLICY: Final = edited(
    SHIPPED_TEXT,
    (
        "answer: 该月计0元，不结转到其他月份。\n    status: text",
        "answer: 该月计0元，不结转到其他月份。\n    status: open",
    ),
)
"""The shipped policy with the reading of a negative increment still open."""

PERIODS: Final = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")

Pair = tuple[dict[str, Any], dict[str, Any]]


def traded(number: int, first: tuple[Any, Any], second: tuple[Any, Any], **other: Any) -> Pair:
    """A row of E204-1 with the figures of either ledger, in 千元."""
    return trade(*first, number=number, **other), trade(*second, number=number, **other)


def catered(number: int, first: tuple[Any, Any], second: tuple[Any, Any], **other: Any) -> Pair:
    """A row of S204-1 with the figures of either ledger."""
    return catering(*first, number=number, **other), catering(*second, number=number, **other)


def with_others(pair: Pair, item: str) -> Pair:
    """The rows with another item and with cumulative figures, which no award is about."""
    for row, figure in zip(pair, (1_000_000, 3_141_592), strict=True):
        (required,) = row["figures"].values()
        required["current_ytd"] = figure
        row["figures"][item] = {"current": figure, "prior_year": None, "prior_year_ytd": -figure}
    return pair


YEAR_BEFORE: Final = [traded(1000, (90_000, 1), (4_000, None), period="2023-03")]
FILED: Final = [
    traded(1000, (110_000, None), (7, 0)),
    traded(1001, (110_000, 0), (120_000, -4)),
    catered(1002, (1_995, 2_000), (2_999, 2_000)),
    traded(1003, (108_001, 100_000), (109_000, 100_000)),
    traded(1004, (107_900, 100_000), (50_000, 100_000)),
    with_others(traded(1005, (110_000, 100_000), (119_999, 100_000)), "sales"),
    traded(1006, (300_000, 100_000), (250_000, 41_000)),
    with_others(catered(1007, (3_000, 2_000), (1_999, 900)), "turnover"),
    catered(1008, (28_000, 2_000), (36_500, 10_400)),
    traded(1009, (150_000, 100_000), (300_001, 249_000)),
    catered(1009, (4_000, 2_000), (6_950, 4_200)),
    traded(1010, (110_000, None), (-3, -3)),
    catered(1010, (1_000, 2_000), (2_000, 2_000)),
    traded(1011, (150_000, 100_000), (3, 4), in_database=False),
    traded(1012, (150_000, 100_000), (3, 4), industry_code="7211"),
    *(traded(1013, (250_000, 100_000), (159_999, 1), period=period) for period in PERIODS),
    traded(1014, (110_000, 100_000), (111_000, 100_000)),
    traded(1015, (110_000, 100_000), (111_000, 100_000)),
]
PRELIMINARY: Final = [
    traded(1016, (110_000, 100_000), (114_000, 100_000)),
    catered(1017, (1_500, None), (1_400, -1), period="2024-01~02"),
]
CORRECTED: Final = [
    traded(1003, (108_500, 100_000), (108_002, 100_000), reason="企业改报", origin="enterprise"),
    traded(1014, (118_000, 100_000), (117_000, 100_000), reason="企业改报", origin="enterprise"),
]
WITHDRAWN: Final = [traded(1015, (0, 0), (0, 0))]

TRIALS: Final[dict[str, Any]] = {"GET": None, "POST": {}}
"""What is sent to a route, by method."""

VALUES: Final[dict[str, list[Any]]] = {
    "uscc": [code(number) for number in (1014, *range(1000, 1014), *range(1015, 1018))],
    "window": ["2024H1"],
    "period": ["2024-03", "2024-01~02"],
    "policy": ["yingkou-2024-14"],
    "n": [1],
    "form": ["E204-1"],
    "id": ["0" * 32],
    "group_by": ["region_code", "industry", "period", "measure"],
    "position": [2, 45],
    "known_at": ["2024-04-10T08:00:00Z"],
    "wait_for": [1],
    "region_code": ["210802"],
    "industry": ["5211", "62"],
    "measure": ["retail-growth", "catering-increment"],
    "status": ["eligible", "undetermined", "not-eligible"],
    "stage": ["final", "preliminary"],
    "min_assessed_fen": [1, 4_000_000, 5_000_000, 50_000_001],
    "q": ["示例商贸100", code(1000)[:10]],
    "sort": ["-assessed_fen", "assessed_fen", "uscc"],
    "limit": [5],
    "totals": ["true"],
}
"""What is asked for, by the name of a parameter."""

FOLLOWED: Final = {"cursor"}
"""Parameters whose values come with the page before."""

UNTIMED: Final = re.compile(r"^http_(?!.*(?:duration|_created)).*$", re.MULTILINE)
"""The metrics but those of time, and those of the process itself."""


class Question(NamedTuple):
    """A route and what it is asked."""

    method: str
    path: str
    params: tuple[tuple[str, Any], ...] = ()


class Ledgers(NamedTuple):
    """Two offices over ledgers that differ in their figures."""

    first: Office
    second: Office

    def file(self, pairs: list[Pair], **batch: Any) -> None:
        for office, rows in zip(self, zip(*pairs, strict=True), strict=True):
            office.file(*rows, **batch)

    def ask(self, question: Question, who: str) -> Response:
        """The answer of both, which is one."""
        answers = [_ask(office, question, who) for office in self]
        told = [_told(question, each) for each in answers]
        assert told[0] == told[1], question
        return answers[0]


def _ask(office: Office, question: Question, who: str) -> Response:
    return office.client.request(
        question.method,
        question.path,
        params=dict(question.params),
        json=TRIALS[question.method],
        headers=office.headers(who),
        follow_redirects=False,
    )


def _told(question: Question, response: Response) -> object:
    """All of an answer but the number of the request, and the times in metrics."""
    if question.path == "/metrics":
        return UNTIMED.findall(response.text)
    headers = [(name, value) for name, value in response.headers.items() if name != "x-request-id"]
    return response.status_code, headers, response.content


@pytest.fixture
def ledgers(migrated: Database, tmp_path: Path) -> Iterator[Ledgers]:
    """Two ledgers with the same history but for their figures."""
    audit_key_file = tmp_path / "audit.key"
    make_audit_key(audit_key_file, "duixian.example/log")
    with ExitStack() as stack:
        made = Ledgers(*(_office(stack, migrated, audit_key_file) for _ in range(2)))
        for office in made:
            assert office.publish(POLICY.encode()).status_code == 202
        made.file(YEAR_BEFORE)
        made.file(FILED)
        made.file(PRELIMINARY, stage="preliminary")
        made.file(CORRECTED)
        for office in made:
            assert office.withdraw(WITHDRAWN[0][0], reason="登记有误", origin="returned").status_code == 200
        yield made


def _office(stack: ExitStack, migrated: Database, audit_key_file: Path) -> Office:
    database = migrated.copy()
    stack.callback(database.drop)
    engine = database.open()
    stack.callback(engine.dispose)
    return stack.enter_context(Office(Ledger(engine, TestClock()), audit_key_file))


@on_one_database
def test_a_key_without_figures_gets_the_same_bytes_of_every_route(ledgers: Ledgers) -> None:
    check_the_premise(ledgers)
    for route in routes(ledgers.first):
        answered = set()
        for question in questions(ledgers, route):
            response = ledgers.ask(question, "commerce")
            answered.add(response.status_code)
            if question.path == "/v1/entitlements":
                follow(ledgers, question, response)
        assert answered & {200, 307} or answered == {403}, f"{route} was asked in vain: {answered}"


def check_the_premise(ledgers: Ledgers) -> None:
    """An auditor sees the same verdicts and amounts in both ledgers, and other figures."""
    for row, _ in [*FILED, *PRELIMINARY]:
        if row["uscc"] == code(1015):
            continue
        path = f"/v1/entitlements/{row['uscc']}/2024H1/{row['period']}"
        first, second = (office.read(path) for office in ledgers)
        assert verdicts_and_amounts(first) == verdicts_and_amounts(second), path
        if row["in_database"] and row["industry_code"] != "7211":
            assert first["steps"] != second["steps"], path


def verdicts_and_amounts(answer: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in answer.items() if name not in {"open_readings", "steps", "as_of"}}
    return {**told, "steps": [(step["measure"], step["met"]) for step in answer["steps"]]}


def routes(office: Office) -> list[tuple[str, str, dict[str, bool]]]:
    """Method and path of every route, and its parameters: whether each is required."""
    app = office.client.app
    assert isinstance(app, FastAPI)
    described = app.openapi()["paths"]
    found = []
    for route in flattened(app.routes):
        for method in (route.methods or set()) - {"HEAD"}:
            operation = described.get(route.path, {}).get(method.lower(), {})
            params = {each["name"]: each["required"] for each in operation.get("parameters", ())}
            found.append((method, route.path, params))
    return found


def flattened(found: Iterable[BaseRoute]) -> Iterator[Route]:
    """The routes, those of included routers too; but for the files of the program, which are mounted."""
    for route in found:
        if isinstance(route, Route):
            yield route
        elif not isinstance(route, Mount):
            yield from flattened(route.original_router.routes)  # type: ignore[attr-defined]


def questions(ledgers: Ledgers, route: tuple[str, str, dict[str, bool]]) -> Iterator[Question]:
    """All that is asked of a route: each value of the required parameters, of the first with one more too."""
    method, path, params = route
    in_path = re.findall(r"{(\w+)}", path)
    alone = Question(method, path.format(**{name: VALUES[name][0] for name in in_path}))
    if ledgers.ask(alone, "commerce").status_code == 403:
        yield alone
        return
    required = [name for name, is_required in params.items() if is_required]
    optional = [name for name, is_required in params.items() if not is_required and name not in FOLLOWED]
    for number, values in enumerate(product(*(VALUES[name] for name in required))):
        given = dict(zip(required, values, strict=True))
        filled = path.format(**{name: given.pop(name) for name in in_path})
        asked = tuple(given.items())
        yield Question(method, filled, asked)
        for name in () if number else optional:
            for value in VALUES[name]:
                yield Question(method, filled, (*asked, (name, value)))


def follow(ledgers: Ledgers, question: Question, response: Response) -> None:
    """The pages after a page."""
    while (cursor := response.json().get("next_cursor")) is not None:
        response = ledgers.ask(question._replace(params=(*question.params, ("cursor", cursor))), "commerce")
