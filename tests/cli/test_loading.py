"""A command loads what it needs: a read waits for no server, no migrations and no writer of workbooks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import JIA, Desk, desk
from tests.databases import only_on_sqlite

__all__ = ["desk"]

HEAVY = {
    "alembic",
    "cryptography",
    "fastapi",
    "prometheus_client",
    "psycopg",
    "python_calamine",
    "uvicorn",
    "xlsxwriter",
    "yaml",
}
PROGRAM = """
import sys
from app.cli import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@only_on_sqlite
@pytest.mark.parametrize(
    "words",
    [
        ("list", "2024H1"),
        ("summary", "2024H1"),
        ("entitlement", JIA, "2024H1"),
        ("returns", JIA, "2024"),
        ("events",),
        ("keys", "list"),
    ],
    ids=" ".join,
)
def test_a_read_loads_nothing_that_it_does_not_need(desk: Desk, words: tuple[str, ...]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=desk.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    loaded = set(result.stderr.splitlines()[-1].split())
    assert "sqlalchemy" in loaded, result.stderr
    assert loaded & HEAVY == set()
