"""The tables of the reference are those of the code, and what is written by hand in them is there."""

import re

import pytest

from app.runtime.limits import (
    BODY_MAX_BYTES,
    RED_FLAGS_MOST_GROUPED,
    RED_FLAGS_MOST_SCANNED,
    RETURNS_MAX_ROWS,
    VERIFY_MOST_PLACES,
)
from app.runtime.settings import PREFIX, Settings, variable_of
from app.security.keys import ROLES
from domain.red_flags.kinds import THRESHOLDS
from domain.red_flags.questions import FLAG_MEANINGS
from domain.words import FLAGS
from tests.api.test_access import ROUTES
from tests.docs.reference import REFERENCE, TABLES, generated, routes
from tests.docs.test_documentation import section

DOCUMENT = REFERENCE.read_text(encoding="utf-8")
MARKS = re.findall("<!-- (begin|end): ([a-z-]+) -->", DOCUMENT)


def test_every_table_stands_in_the_reference_once() -> None:
    names = [name for mark, name in MARKS if mark == "begin"]
    assert sorted(names) == sorted(TABLES)
    assert [(mark, name) for name in names for mark in ("begin", "end")] == MARKS


def test_the_tables_of_the_reference_are_those_of_the_code() -> None:
    assert generated(DOCUMENT) == DOCUMENT, "the code changed: run make docs, then look at the difference"


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_a_table_says_what_it_means(name: str) -> None:
    block = DOCUMENT.partition(f"<!-- begin: {name} -->\n")[2].partition("<!-- end")[0]
    rows = block.splitlines()[2:]
    columns = block.splitlines()[0].count("|")
    assert rows
    assert [row for row in rows if row.endswith("|  |") or row.count("|") != columns] == []


def test_what_is_written_by_hand_stays_with_its_row_and_a_row_that_is_no_more_goes() -> None:
    line = next(line for line in DOCUMENT.splitlines() if line.startswith("| `late-correction` |"))
    without = DOCUMENT.replace(f"{line}\n", "")
    assert "| `late-correction` | 期间结束后更正 |  |" in generated(without)
    more = DOCUMENT.replace(line, f"{line}\n| `gone` | 无 | Something else. |")
    assert generated(more) == DOCUMENT


def test_the_roles_of_the_routes_are_those_that_are_let_in() -> None:
    told = {route.strip("`"): allowed for route, allowed, _ in routes().rows}
    for method, path, allowed in ROUTES:
        (pattern,) = (each for each in told if _is_of(each, f"{method} {path.partition('?')[0]}"))
        roles = set(ROLES) if told[pattern] == "any" else set(told[pattern].split(", "))
        assert roles == allowed, pattern


def _is_of(pattern: str, call: str) -> bool:
    return re.fullmatch(re.sub(r"\{[a-z_]+\}", "[^/]+", pattern), call) is not None


def test_the_reference_names_no_setting_that_there_is_not() -> None:
    named = re.findall(rf"{PREFIX}[A-Z]+(?:_[A-Z]+)*", DOCUMENT)
    assert set(named) == {variable_of(name) for name in Settings.model_fields}


def test_the_reference_tells_how_many_places_a_verification_names() -> None:
    assert f"first {VERIFY_MOST_PLACES} positions" in section("Codes of a verification")


def test_the_reference_tells_the_limits_of_a_call() -> None:
    row = next(line for line in section("Codes of a request").splitlines() if "`too-large`" in line)
    assert f"{RETURNS_MAX_ROWS:,} rows" in row
    assert f"{BODY_MAX_BYTES // 1024 // 1024} MiB" in row


def test_the_reference_tells_the_limits_of_the_calls_about_red_flags() -> None:
    told = section("Red flags")
    assert FLAGS.keys() == FLAG_MEANINGS.keys()
    assert f"at most {RED_FLAGS_MOST_SCANNED:,} enterprises" in told
    assert f"at most {RED_FLAGS_MOST_GROUPED:,}." in told
    assert f"up to {THRESHOLDS.listed_most} of the returns" in told
