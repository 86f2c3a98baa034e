"""A dry run says what a filing would do, and does nothing."""

from typing import Any

import pytest

from tests.api.rows import STEP_FEN, catering, code, events, named, refused, trade
from tests.databases import Database, on_one_database
from tests.office import Office

HALF_MILLION_FEN = 50_000_000


def dry_run(office: Office, *rows: dict[str, Any], **batch: Any) -> Any:
    response = office.post({"unit": "qianyuan", "returns": list(rows), **batch}, dry_run="true")
    assert response.status_code == 200, response.text
    return response.json()


def in_order(preview: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(preview, key=lambda each: (each["uscc"], each["period"]))


def test_a_dry_run_answers_what_the_filing_then_answers(office: Office) -> None:
    office.publish()
    office.file(trade(110_000, period="2024-04"))
    rows = [
        trade(130_000),
        trade(120_000, period="2024-04", reason="更正"),
        catering(-1, number=1001, region_code="210800"),
    ]
    promised = dry_run(office, *rows)
    assert promised.pop("batch_id")
    assert in_order(promised.pop("preview")) == [
        {"uscc": code(1000), "period": "2024-03", "before_fen": None, "after_fen": 3 * STEP_FEN},
        {"uscc": code(1000), "period": "2024-04", "before_fen": STEP_FEN, "after_fen": 2 * STEP_FEN},
        {"uscc": code(1001), "period": "2024-03", "before_fen": None, "after_fen": 0},
    ]
    head = promised.pop("position")
    assert head == events(office)[-1]["position"] == 3
    kept = office.file(*rows)
    assert kept.pop("batch_id")
    assert kept.pop("position") == 9
    assert promised == kept
    assert {warning["code"] for warning in kept["warnings"]} == {"negative-figure", "unknown-region"}


@on_one_database
def test_a_correction_of_march_that_frees_room_for_june_is_previewed_in_both(office: Office) -> None:
    office.publish()
    months = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")
    office.file(*(trade(200_000, period=period) for period in months))
    preview = dry_run(office, trade(107_000, reason="企业改报"))["preview"]
    assert in_order(preview) == [
        {"uscc": code(1000), "period": "2024-03", "before_fen": HALF_MILLION_FEN, "after_fen": 0},
        {"uscc": code(1000), "period": "2024-06", "before_fen": 0, "after_fen": HALF_MILLION_FEN},
    ]


def test_a_dry_run_leaves_what_the_database_stores_as_it_was(office: Office, database: Database) -> None:
    office.publish()
    office.file(trade(110_000))
    before = database.stored()
    dry_run(office, trade(150_000, reason="更正"), trade(120_000, number=1001))
    dry_run(office, trade(110_000))
    dry_run(office, trade(130_000, period="2024-04"), stage="preliminary")
    assert database.stored() == before


def test_a_filing_does_change_what_a_dry_run_leaves(office: Office, database: Database) -> None:
    before = database.stored()
    office.file(trade(110_000))
    assert database.stored() != before


@on_one_database
@pytest.mark.parametrize("row", [trade(1.5), trade(120_000)], ids=["not acceptable", "in conflict"])
def test_a_dry_run_refuses_what_the_filing_would_refuse(
    office: Office, database: Database, row: dict[str, Any]
) -> None:
    office.file(trade(110_000))
    before = database.stored()
    batch = {"unit": "qianyuan", "returns": [row]}
    promised, kept = office.post(batch, dry_run="true"), office.post(batch)
    assert promised.status_code == kept.status_code
    body = refused(promised, kept.status_code, kept.json()["code"])
    assert named(body) == named(kept.json())
    assert database.stored() == before


def test_a_dry_run_of_a_publication_leaves_what_the_database_stores_as_it_was(
    office: Office, database: Database
) -> None:
    office.file(trade(110_000), trade(130_000, number=1001))
    before = database.stored()
    response = office.publish(dry_run="true")
    assert response.status_code == 200
    effect = response.json()
    assert (effect["id"], effect["version"]) == ("yingkou-2024-14", 1)
    assert effect["entitlements_changed"] == 2
    assert (effect["before_fen"], effect["after_fen"]) == (0, 4 * STEP_FEN)
    assert database.stored() == before
    assert office.read("/v1/policies")["items"] == []


@on_one_database
@pytest.mark.parametrize("value", ["perhaps", "2", ""])
def test_whether_it_is_a_dry_run_is_never_guessed(office: Office, value: str) -> None:
    refused(office.post({"unit": "fen", "returns": []}, dry_run=value), 400, "invalid-request")
