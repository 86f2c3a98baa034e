"""What the software can say and take is in the documentation, and the documentation names nothing else."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.api.http import problems
from app.runtime.limits import (
    BODY_MAX_BYTES,
    RED_FLAGS_MOST_GROUPED,
    RED_FLAGS_MOST_SCANNED,
    RETURNS_MAX_ROWS,
    VERIFY_MOST_PLACES,
)
from app.runtime.settings import Settings, variable_of
from app.use_cases.audit.findings import CHECKS
from domain.assessment.explanation import SENTENCES
from domain.assessment.withholding import STATISTICAL_RULES
from domain.events import EVENT_TYPES
from domain.red_flags.kinds import THRESHOLDS
from domain.red_flags.questions import FLAG_MEANINGS, FLAG_NAMES
from tests.command_line import COMMANDS
from tests.docs.codes import ROOT, codes_in

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
README_MOST_BYTES = 6_000
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
SOURCES = ("app", "domain", "projections")


def read(document: str) -> str:
    """A document of the project."""
    return (ROOT / document).read_text(encoding="utf-8")


def section(title: str, document: str = "docs/reference.md") -> str:
    """What stands under a heading, up to the next one."""
    text = read(document)
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,6}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no heading {title}"
    return match.group(2)


def first_column(text: str) -> set[str]:
    """The names in backticks in the first column of the tables of a text."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def documented_commands() -> dict[str, str]:
    """The rows of the table of commands by the words that call them."""
    rows = [line for line in section("The command line").splitlines() if line.startswith("| `duixian ")]
    return {" ".join(re.findall(r"\b[a-z]+(?:-[a-z]+)*\b", row.split("|")[1])): row for row in rows}


def options_of(command: Any) -> set[str]:
    """The long options of a command, but for those that each has."""
    found = {name for each in command.params for name in each.opts if name.startswith("--")}
    return found - {"--help", "--as"}


def test_the_table_of_settings_names_every_setting_and_no_other() -> None:
    names = {variable_of(field.name) for field in msgspec.structs.fields(Settings)}
    assert first_column(section("Settings")) == names


def test_the_table_of_commands_names_every_command_and_no_other() -> None:
    assert documented_commands().keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_row_of_a_command_names_its_options_and_no_other(name: str) -> None:
    assert set(re.findall(r"`(--[a-z-]+)`", documented_commands()[name])) == options_of(COMMANDS[name])


def test_the_codes_of_requests_are_those_of_the_api() -> None:
    raised = codes_in("app/api", "app/main.py") | set(problems._CODES.values())
    also_of_rows = {"period-invalid", "unknown-form"}
    assert raised - also_of_rows == first_column(section("Codes of a request"))
    assert also_of_rows <= first_column(section("Codes of a row"))


def test_the_codes_of_rows_and_the_warnings_are_those_of_the_use_cases() -> None:
    told = first_column(section("Codes of a row")) | first_column(section("Warnings"))
    assert codes_in("app/use_cases", "domain/returns.py") == told


def test_the_warnings_are_those_of_the_notices() -> None:
    assert codes_in("app/use_cases/filing/notices.py") == first_column(section("Warnings"))


def test_the_codes_of_files_are_those_of_the_readers() -> None:
    assert codes_in("app/ingest") - {"period-invalid"} == first_column(section("Codes of a file"))


def test_the_codes_of_a_verification_are_those_of_its_checks() -> None:
    assert first_column(section("Codes of a verification")) == CHECKS.keys()


def test_the_reference_tells_how_many_places_a_verification_names() -> None:
    assert f"first {VERIFY_MOST_PLACES} positions" in section("Codes of a verification")


def test_the_table_of_events_names_every_type_and_no_other() -> None:
    assert first_column(section("Events")) == EVENT_TYPES.keys()


def test_the_reference_tells_the_limits_of_a_call() -> None:
    row = next(line for line in section("Codes of a request").splitlines() if "`too-large`" in line)
    assert f"{RETURNS_MAX_ROWS:,} rows" in row
    assert f"{BODY_MAX_BYTES // 1024 // 1024} MiB" in row


def test_the_reference_names_every_red_flag_and_the_limits_of_its_calls() -> None:
    told = section("Red flags")
    assert first_column(told) == FLAG_NAMES.keys() == FLAG_MEANINGS.keys()
    assert f"at most {RED_FLAGS_MOST_SCANNED:,} enterprises" in told
    assert f"at most {RED_FLAGS_MOST_GROUPED:,}." in told
    assert f"up to {THRESHOLDS.listed_most} of the returns" in told


def test_the_glossary_explains_every_rule_of_a_step_and_marks_what_is_withheld() -> None:
    rules = section("The rules of the steps", "docs/glossary.md")
    assert first_column(rules) == SENTENCES.keys()
    assert set(re.findall(r"^\| `([a-z-]+)` \*", rules, re.MULTILINE)) == STATISTICAL_RULES


def test_every_name_in_the_glossary_is_one_of_the_code() -> None:
    glossary = read("docs/glossary.md")
    rows = [line.split("|") for line in glossary.splitlines() if line.startswith("|")]
    named = {name for row in rows if len(row) == 6 for name in re.findall(r"`([^`]+)`", row[2])}
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml"}
    )
    assert named, "the glossary has no table of four columns"
    assert {name for name in named if re.search(rf"\b{re.escape(name)}\b", code) is None} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_begins_with_a_sentence_to_quote_under_its_number(document: Path) -> None:
    number = int(document.name[:4])
    first_line = document.read_text(encoding="utf-8").splitlines()[0]
    assert first_line.startswith(f"# {number}. ")
    assert len(first_line) <= 110


def test_the_decisions_are_numbered_without_gaps() -> None:
    assert [int(document.name[:4]) for document in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_every_file_that_a_decision_names_is_there() -> None:
    named = {
        name
        for document in DECISIONS
        for name in re.findall(r"`([a-z_/]+(?:\.py|/))`", document.read_text(encoding="utf-8"))
    }
    assert named, "the decisions name no file"
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(read("README.md").encode()) <= README_MOST_BYTES


def test_every_make_target_is_documented_and_no_other() -> None:
    makefile = read("Makefile")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    documented = set(re.findall(r"`make ([a-z]+)`", read("README.md") + read("CONTRIBUTING.md")))
    assert documented == set(phony.group(1).split())
    assert set(re.findall(r"^([a-z]+):.* ## ", makefile, re.MULTILINE)) == documented


def test_every_folder_that_the_dockerfile_copies_is_let_through_to_the_build() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (?!--)([a-z._]+) ", dockerfile, re.MULTILINE))
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert {"app", "domain", "projections", "migrations"} <= copied


def test_the_example_of_the_policy_language_is_what_the_command_line_says_of_a_number_without_a_source(
    tmp_path: Path,
) -> None:
    text = (ROOT / "domain" / "policies" / "yingkou-2024-14.yaml").read_text(encoding="utf-8")
    (tmp_path / "broken.yaml").write_text(text.replace(', cite: "14.3"', ""), encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "policy", "check", "broken.yaml"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert checked.returncode == 1
    assert checked.stderr.strip() in read("docs/policy-language.md").splitlines()
