"""Measures one month of a country on PostgreSQL, by command line, with the memory of all its processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.ledgers import new_ledger
from bench.places import places
from bench.rows import write_month

PERIOD = "2024-03"
SAMPLE_INTERVAL_S = 0.2
MIB = 1024 * 1024


def run(enterprises: int) -> None:
    """Import a month; print its time and its peak memory, without and with the worker processes."""
    with places("postgresql") as place:
        url = place.database()
        new_ledger(url).engine.dispose()
        path = place.folder / "month.csv"
        write_month(path, enterprises, PERIOD)
        started = time.perf_counter()
        words = ["-m", "bench.command_line", "import", str(path), "--unit", "千元", "--period", PERIOD]
        environment = {**os.environ, "DUIXIAN_DATABASE_URL": url}
        with subprocess.Popen([sys.executable, *words], env=environment) as process:
            alone, together = _peak_memory(process)
        taken = time.perf_counter() - started
        if process.returncode:
            raise SystemExit("the import was refused")
    print(f"one month, {enterprises} enterprises, postgresql, by the command line")
    print(f"  {taken:.1f} s, {enterprises / taken:,.0f} rows/s")
    print(f"  peak memory {alone // MIB} MiB; {together // MIB} MiB with its worker processes", flush=True)


def _peak_memory(process: "subprocess.Popen[bytes]") -> tuple[int, int]:
    alone = together = 0
    while process.poll() is None:
        sizes = {pid: _private_bytes(pid) for pid in (process.pid, *_children(process.pid))}
        alone = max(alone, sizes[process.pid])
        together = max(together, sum(sizes.values()))
        time.sleep(SAMPLE_INTERVAL_S)
    return alone, together


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _private_bytes(pid: int) -> int:
    """The memory of a process, with its proportional share of shared libraries (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
