"""A command loads what it needs: a read waits for no server, no migrations and no writer of workbooks."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
READS = (
    ("list", "2024H1"),
    ("summary", "2024H1"),
    ("entitlement", JIA, "2024H1"),
    ("returns", JIA, "2024"),
    ("events",),
    ("keys", "list"),
)
PROGRAM = """
import json, sys
from app.cli import main
for words in json.load(sys.stdin):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit:
        pass
    print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
"""Runs one command after the other, and says after each what has been loaded by then."""


@only_on_sqlite
def test_a_read_loads_nothing_that_it_does_not_need(desk: Desk) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(READS),
        cwd=desk.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    loaded = [set(line.split()) for line in result.stderr.splitlines() if line.startswith("loaded ")]
    for words, names in zip(READS, loaded, strict=True):
        assert "sqlalchemy" in names, result.stderr
        assert names & HEAVY == set(), words
