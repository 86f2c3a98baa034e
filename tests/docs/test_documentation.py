"""What the software can say and take is in the documentation, and the documentation names nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from domain.assessment.explanation import SENTENCES
from domain.assessment.withholding import STATISTICAL_RULES
from tests.docs.codes import ROOT

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


@pytest.mark.parametrize("document", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_when_it_was_made_and_whether_it_stands(document: Path) -> None:
    line = document.read_text(encoding="utf-8").splitlines()[2]
    assert re.fullmatch(r"Date: 20\d\d-\d\d-\d\d\. Status: (accepted|superseded by \[\d{4}\]\(.+\))\.", line)


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


@pytest.mark.slow
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
