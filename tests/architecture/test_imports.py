"""The folders state the direction of dependence, and nothing goes against it."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("app", "domain", "projections")
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold the packages in a folder to the contracts in its `.importlinter`."""
    return subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_every_import_keeps_to_the_contracts() -> None:
    done = lint(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("domain/money.py", "import sqlalchemy", "The domain knows nothing of ours"),
        ("domain/assessment/account.py", "import datetime", "The domain knows nothing of ours"),
        ("projections/feed.py", "import app.ledger.tables", "The projections know the domain"),
        ("app/use_cases/policies/loader.py", "import sqlalchemy", "The strict loader"),
        ("app/ledger/tables.py", "import fastapi", "The log, its proofs and its archive"),
        ("app/use_cases/filing/rows.py", "import fastapi", "The use cases know no framework"),
        ("app/api/routes/returns.py", "from sqlalchemy import select", "The API does not touch"),
        ("app/api/routes/events.py", "import projections.tables", "The API does not touch"),
        ("app/ingest/text.py", "import sqlalchemy", "Readers and writers of files"),
        ("app/ledger/ledger.py", "import app.use_cases.filing.working_set", "The folders state"),
        ("app/use_cases/filing/working_set.py", "import app.answers.models", "The folders state"),
        ("app/use_cases/recording.py", "import eventsourcing.persistence", "The eventsourcing library"),
    ],
)
@pytest.mark.slow
def test_an_import_against_the_direction_breaks_a_contract(
    tmp_path: Path, module: str, line: str, contract: str
) -> None:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("*.js"))
    shutil.copy(REPOSITORY / ".importlinter", tmp_path)
    changed = tmp_path / module
    changed.write_text(f"{changed.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    (broken,) = (each for each in done.stdout.splitlines() if contract in each and "BROKEN" in each)
    assert broken.startswith(contract)


def imported(folder: str) -> Iterator[tuple[Path, str, str]]:
    """Each name that the modules of a folder import: the module, from where, the name."""
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                yield from ((path, node.module, each.name) for each in node.names)
            elif isinstance(node, ast.Import):
                yield from ((path, each.name, "") for each in node.names)


def test_use_cases_know_connections_of_the_database_and_nothing_else_of_it() -> None:
    found = {
        path.stem
        for path, module, name in imported("app/use_cases")
        if module.partition(".")[0] == "sqlalchemy" and name != "Connection"
    }
    assert found == set()


def test_settings_are_passed_on_and_not_imported() -> None:
    readers = {
        path.relative_to(REPOSITORY).parts[1].removesuffix(".py")
        for path, module, _ in imported("app")
        if module == "app.runtime.settings"
    }
    assert readers <= {"bootstrap", "cli", "demo", "main"}


@pytest.mark.parametrize("folder", ["domain", "projections", "app/use_cases"])
def test_the_environment_of_the_process_decides_nothing_here(folder: str) -> None:
    assert not [path for path, module, _ in imported(folder) if module == "os"]
