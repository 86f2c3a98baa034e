"""`duixian` in processes of its own, started as the image starts it."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import msgspec

from app.ledger.ledger import Ledger
from app.ledger.mapper import StoredEvent
from app.ledger.recorder import AppendRequest
from app.runtime.database import read_transaction, write_transaction
from app.security.keys import ROLES, create_key
from app.transparency.tiles import sealed_size
from projections.projector import position_of
from tests.databases import Database
from tests.ledger.history import Row, file

ROOT = Path(__file__).parents[2]
STARTED = "Application startup complete"
PATIENCE_S = 60
"""When a test gives up: far longer than anything takes, also on a machine that is busy with other things."""


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["app.main", "tests.ledger.history"])


def forked(work: Callable[..., object], *args: Any) -> ForkServerProcess:
    """Start a module-level function in a process of its own, forked from one that has imported the program.

    For processes that are killed: what they do is looked at, and not how they start.
    """
    with chdir(ROOT):
        forkserver.ensure_running()
    process = _FORKS.Process(target=work, args=args)
    process.start()
    return process


def kills_itself(work: Callable[..., object], *args: Any) -> None:
    """Run a function in a process of its own, which must be killed meanwhile."""
    process = forked(work, *args)
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL
    process.close()


class ActsBeforeTheCommit(Ledger):
    """A process that does something between what it records and the commit.

    Args:
        ledger: The ledger that it records in.
        act: What it does.
    """

    def __init__(self, ledger: Ledger, act: Callable[[], object]) -> None:
        super().__init__(ledger.engine, ledger.clock)
        self._act = act

    def record(self, new_events: Sequence[StoredEvent], recording: AppendRequest) -> int:
        """Record, and act."""
        acting = msgspec.structs.replace(recording, in_same_transaction=lambda _, __: self._act())
        return super().record(new_events, acting)


class EndedError(Exception):
    """The process ends here."""


class EndsAfterTheCommit(Ledger):
    """A process that ends between what it records and what it projects."""

    def record(self, new_events: Sequence[StoredEvent], recording: AppendRequest) -> int:
        """Record, and end."""
        super().record(new_events, recording)
        raise EndedError


class Overtaken(Ledger):
    """A process that something else gets ahead of before each of its appends.

    Args:
        ledger: Its ledger.
        ahead: What gets ahead.

    Attributes:
        times: How often it did.
    """

    def __init__(self, ledger: Ledger, ahead: Callable[[], object]) -> None:
        super().__init__(ledger.engine, ledger.clock)
        self._ahead = ahead
        self.times = 0

    def record(self, new_events: Sequence[StoredEvent], recording: AppendRequest) -> int:
        """Record too late."""
        self.times += 1
        self._ahead()
        return super().record(new_events, recording)


def leave_unprojected(ledger: Ledger, *rows: Row) -> int:
    """File rows in a process that ends before it projects them; the head of the log."""
    with suppress(EndedError):
        file(EndsAfterTheCommit(ledger.engine, ledger.clock), *rows)
    with read_transaction(ledger.engine) as connection:
        return ledger.head(connection)


def projected(ledger: Ledger) -> int:
    """How far the read models are."""
    with read_transaction(ledger.engine) as connection:
        return position_of(connection)


def sealed(ledger: Ledger) -> int:
    """How far the log is sealed."""
    with read_transaction(ledger.engine) as connection:
        return sealed_size(connection)


def make_keys(ledger: Ledger) -> dict[str, dict[str, str]]:
    """By role, the headers of a caller."""
    headers: dict[str, dict[str, str]] = {}
    with write_transaction(ledger.engine) as connection:
        for role in ROLES:
            key = create_key(connection, name=role, role=role, with_figures=False, now_us=0)
            headers[role] = {"Authorization": f"Bearer {key}"}
    return headers


def eventually(look: Callable[[], bool]) -> None:
    """Go on as soon as it is so."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < give_up_at, "it did not come about"
        time.sleep(0.02)


def script_of_the_image() -> str:
    """The script that is `duixian` in the image."""
    (written,) = re.findall(
        r"^RUN printf '(.*?)'", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    return str(written).replace("\\n", "\n")


class Running:
    """A process that was started.

    Args:
        command: The words that start it.
        environment: All of its environment.
        log: Where its standard error goes.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                command,
                cwd=log.parent,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=written,
                encoding="utf-8",
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def logged(self) -> str:
        """What it wrote to standard error."""
        return self.log.read_text(encoding="utf-8")

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Go on as soon as it has logged this so many times."""

        def is_logged() -> bool:
            has_ended = self._process.poll() is not None
            found = self.logged().count(text) >= times
            assert found or not has_ended, self.logged()
            return found

        eventually(is_logged)

    def ended(self) -> tuple[int, str]:
        """Its exit code and its standard output, when it has ended."""
        told, _ = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, told

    def stopped(self, by: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code and its standard output, after a signal."""
        self._process.send_signal(by)
        return self.ended()

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self.stopped()
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Machine:
    """Where processes are started that work on one database.

    Args:
        database: The database.
        folder: For their logs.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._folder = folder
        self._script = folder / "duixian"
        self._script.write_text(script_of_the_image(), encoding="utf-8")
        self.environment = {
            "DUIXIAN_DATABASE_URL": database.url,
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
        }
        self._started: list[Running] = []

    def start(self, *words: str | Path) -> Running:
        """Start `duixian` with these words."""
        log = self._folder / f"{len(self._started)}-{words[0]}.log"
        command = [sys.executable, str(self._script), *(str(word) for word in words)]
        self._started.append(Running(command, self.environment, log))
        return self._started[-1]

    def run(self, *words: str | Path) -> tuple[int, str]:
        """The exit code and the standard output of `duixian` with these words."""
        return self.start(*words).ended()

    @contextmanager
    def serving(self, workers: int) -> Iterator[tuple[Running, str]]:
        """The service, and its address; it must end well when it is told to."""
        service = self.start("serve", "--port", "0", "--workers", str(workers))
        service.wait_for_log(STARTED, times=workers)
        found = re.search(r"http://127\.0\.0\.1:[0-9]+", service.logged())
        assert found is not None
        yield service, found.group()
        assert service.stopped()[0] == 0

    def close(self) -> None:
        """End what runs still."""
        for each in self._started:
            each.close()
