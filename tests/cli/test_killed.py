"""A command that is killed while it writes leaves nothing that the next one does not remove."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from tests.cli.test_audit import stocked
from tests.cli.test_commands import JIA, Desk, desk
from tests.databases import on_one_database
from tests.docs.codes import ROOT

__all__ = ["desk", "stocked"]  # pytest looks for fixtures in the module.

KILLED_BEFORE_IT_IS_ON_THE_DISK = """
import os, signal
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
from app.cli import main
main()
"""


@on_one_database
@pytest.mark.parametrize(
    "words",
    [
        ("audit", "export", "export"),
        ("audit", "receipt", JIA, "2024H1", "--out", "receipt.json"),
        ("audit", "differences", "0", "3", "--xlsx", "differences.xlsx"),
    ],
    ids=["an export", "a receipt", "a sheet"],
)
def test_what_a_killed_command_leaves_goes_with_the_next_one(stocked: Desk, words: tuple[str, ...]) -> None:
    target = stocked.folder / words[-1]
    before = set(stocked.folder.iterdir())
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_IT_IS_ON_THE_DISK, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = set(stocked.folder.iterdir()) - before
    assert left.name.startswith(f".{target.name}-")
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    stocked.run(*words)
    assert set(stocked.folder.iterdir()) - before == {target}
    assert target.stat().st_mode & 0o077 == 0
