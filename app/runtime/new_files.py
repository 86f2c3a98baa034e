"""New files and folders: each appears whole under its name, or not at all.

What is being written lies in a folder beside its place, under a name that nobody takes for that of a whole
one, and locked as long as its writer lives. The next that writes to the same place removes what a writer has
left that was killed.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from app.runtime.reasons import reason_of

_SUFFIX: Final = ".partial"


@contextmanager
def partial_folder(target: Path) -> Iterator[Path]:
    """A folder of its owner alone beside a place, which is gone in the end unless it was renamed.

    Raises:
        OSError: It cannot be made, or what an earlier writer has left cannot be removed.
    """
    for left in _leftovers(target):
        _remove(left)
    path, lock = _made(target)
    try:
        yield path
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
        os.close(lock)


def temporary_folder(name: str) -> AbstractContextManager[Path]:
    """A folder for work that takes long, which the next work of that name removes if this one is killed."""
    return partial_folder(Path(tempfile.gettempdir(), name))


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Where to write a file, which is on the disk whole when it gets its name and replaces one that has it.

    A new one is its owner's alone. What is no regular file, as a pipe or a terminal, is written to as it is.

    Raises:
        OSError: It cannot be written.
    """
    target = Path(os.path.realpath(target))
    check_writable(target)
    if target.exists() and not target.is_file():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, target.name)
            yield path
            with path.open("rb") as whole, target.open("wb") as file:
                shutil.copyfileobj(whole, file)
        return
    with partial_folder(target) as partial:
        path = partial / target.name
        yield path
        path.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o600)
        flush(path)
        path.replace(target)
        flush(target.parent)


def check_writable(target: Path) -> None:
    """Find out before any work whether a file can be written.

    Raises:
        OSError: It cannot.
    """
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.is_file():
        with target.open("ab"):  # One that is protected, or open in Excel, is not replaced.
            return
    if not target.exists():
        with partial_folder(target):
            return


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _leftovers(target: Path) -> list[Path]:
    """The folders of our own that writers to a place have made and not removed."""
    name = re.compile(rf"\.{re.escape(target.name)}-[a-z0-9_]{{8}}{re.escape(_SUFFIX)}")
    found = [each for each in target.parent.glob(f".*{_SUFFIX}") if name.fullmatch(each.name)]
    return [each for each in found if _is_own_folder(each)]


def _is_own_folder(path: Path) -> bool:
    with suppress(FileNotFoundError):
        status = path.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return False


def _made(target: Path) -> tuple[Path, int]:
    """A new folder, and the lock on it, which ends with this process."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=_SUFFIX, dir=target.parent))
        with suppress(FileNotFoundError):  # Another writer took it for left, between its making and its lock.
            lock = os.open(path, os.O_RDONLY)
            with suppress(OSError):  # Not every file system has locks; then nobody removes it but by hand.
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove(left: Path) -> None:
    """Remove a folder that was left, unless its writer is alive."""
    try:
        lock = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
        finally:
            os.close(lock)
    except (FileNotFoundError, BlockingIOError):
        return
    except OSError as error:
        raise OSError(0, _LEFT.format(left, reason_of(error)), str(left)) from error


_LEFT: Final = (
    "以前中断的写入留下了{}，无法自动清除（{}）。请确认没有程序正在写入，手工删除后重试，或换一个位置"
)
