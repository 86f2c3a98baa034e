"""Every worked case of article 14 through HTTP."""

import json
from typing import Any

import pytest

from tests.office import CASES, Office

_CASES = json.loads((CASES / "article-14.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
@pytest.mark.parametrize("published_first", [True, False], ids=["policy first", "returns first"])
def test_a_worked_case_is_answered_as_stated(
    office: Office, case: dict[str, Any], *, published_first: bool
) -> None:
    if published_first:
        assert office.publish().status_code == 202
    for batch in case["batches"]:
        assert office.post(batch).status_code == 201
    if not published_first:
        assert office.publish().status_code == 202
    uscc = case["batches"][0]["returns"][0]["uscc"]
    answer = office.entitlement(uscc, case["expect"]["window"])
    assert answer["assessed_fen"] == case["expect"]["assessed_fen"]
    periods = {period["period"]: period for period in answer["periods"]}
    for expected in case["expect"]["periods"]:
        found = periods[expected["period"]]
        assert {name: found[name] for name in expected} == expected
