"""Every worked case of article 14 through HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.office import CASES, NewOffice, Office, TestClock, unchanged

_CASES = json.loads((CASES / "article-14.json").read_text(encoding="utf-8"))["cases"]


ORDERS = (("sqlite", "policy first"), ("sqlite", "returns first"), ("postgresql", "returns first"))
"""In which order on which database: the other one of PostgreSQL is that of most other tests."""


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, new_office: NewOffice) -> Office:
    """A ledger in which all cases are filed, each of an enterprise of its own."""
    enterprises = [{row["uscc"] for batch in case["batches"] for row in batch["returns"]} for case in _CASES]
    assert len(set.union(*enterprises)) == sum(len(each) for each in enterprises)
    office = new_office(TestClock())
    if request.param == "policy first":
        assert office.publish().status_code == 202
    for case in _CASES:
        for batch in case["batches"]:
            assert office.post(batch).status_code == 201
    if request.param == "returns first":
        assert office.publish().status_code == 202
    return office


@pytest.fixture
def office(shared: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared) as opened:
        yield opened


@pytest.mark.parametrize(("host", "shared"), ORDERS, indirect=True)
@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
def test_a_worked_case_is_answered_as_stated(office: Office, case: dict[str, Any]) -> None:
    uscc = case["batches"][0]["returns"][0]["uscc"]
    answer = office.entitlement(uscc, case["expect"]["window"])
    assert answer["assessed_fen"] == case["expect"]["assessed_fen"]
    periods = {period["period"]: period for period in answer["periods"]}
    for expected in case["expect"]["periods"]:
        found = periods[expected["period"]]
        assert {name: found[name] for name in expected} == expected
