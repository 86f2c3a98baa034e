"""The memory of `duixian import` does not grow with its file."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.ledger.ledger import Ledger
from tests.cli.test_commands import E204_1
from tests.databases import Database, on_one_database
from tests.importing.files import number_of_facts
from tests.importing.test_commands import PATIENCE_S, ROOT
from tests.ledger.history import code, publish_whole

FEW, MANY = 1_000, 7_000
REASON_LENGTH = 490
"""Rows are bulky, so that the 200 bytes kept of each to the end are little in comparison."""

IMPORT = """
import re, sys
from pathlib import Path
from app.runtime import database
from app.cli import main
from app.use_cases.filing import importing

importing.ROWS_PER_CHUNK = 100
database.SQLITE_CACHE_KIB = 1_000
try:
    main()
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
    print(peak[1], file=sys.stderr)
"""


def write_month(path: Path, rows: int) -> int:
    """Write a file of bulky rows; its size in bytes."""
    with path.open("w", encoding="utf-8", newline="") as written:
        csv.writer(written).writerow([*E204_1, "更正原因"])
        csv.writer(written).writerows(
            [
                "210802",
                code(n),
                f"示例{n}",
                "5211",
                "",
                "",
                f"{110_000 + n}",
                "100000",
                "",
                "",
                "核" * REASON_LENGTH,
            ]
            for n in range(1, rows + 1)
        )
    return path.stat().st_size


def peak_bytes(database: Database, path: Path) -> int:
    """The peak memory of the main process of an import; its worker processes hold a chunk each."""
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT, "import", path, "--unit", "千元", "--period", "2024-03"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DUIXIAN_DATABASE_URL": database.url},
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stderr.split()[-1]) * 1024


@on_one_database
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak memory of a process is read from there"
)
def test_a_file_of_seven_times_the_rows_is_imported_in_as_much_memory(
    ledger: Ledger, database: Database, tmp_path: Path
) -> None:
    publish_whole(ledger)
    few, many = tmp_path / "few.csv", tmp_path / "many.csv"
    more_to_read = write_month(many, MANY) - write_month(few, FEW)
    before = peak_bytes(database, few)
    after = peak_bytes(database, many)
    assert number_of_facts(ledger) == MANY
    assert after - before < more_to_read * 2 / 3
