"""Every case of `tests/cases/article-14.json` through the domain alone."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.returns import Conflict
from tests.builders import Enterprise, return_of_row

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "article-14.json").read_text(encoding="utf-8")
)["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case_of_article_14(case: dict[str, Any]) -> None:
    assert len({row["uscc"] for batch in case["batches"] for row in batch["returns"]}) == 1
    enterprise = Enterprise()
    for batch in case["batches"]:
        for row in batch["returns"]:
            draft = return_of_row(row, unit=batch["unit"], stage=batch.get("stage", "final"))
            (result,) = enterprise.file(draft)
            assert result is not None
            assert not isinstance(result, Conflict)
    expected = case["expect"]
    assert enterprise.accounts[expected["window"]].assessed_fen == expected["assessed_fen"]
    outcomes = enterprise.outcomes(expected["window"])
    for period in expected["periods"]:
        outcome = msgspec.to_builtins(outcomes[period["period"]], builtin_types=())
        outcome["bound_by"] = outcome.pop("capped_by")
        named = {name: value for name, value in period.items() if name != "period"}
        found = {name: outcome[name] for name in named}
        assert {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()} == named


def test_the_file_holds_the_cases() -> None:
    assert len(CASES) == 39
    assert len({case["name"] for case in CASES}) == len(CASES)
