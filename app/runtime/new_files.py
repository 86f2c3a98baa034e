"""New files and folders: each appears complete under its name, or not at all.

While it is written, it is in a temporary folder next to its target, which is locked as long as the writer
runs and whose name shows that it is incomplete. If a writer is killed, the next one for the same target
removes the folder that was left.
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
    """A private folder next to a target, which is removed at the end unless the caller has renamed it.

    Raises:
        OSError: It cannot be created, or a folder that an earlier writer left cannot be removed.
    """
    for left in _leftovers(target):
        _remove(left)
    path, lock = _create_locked(target)
    try:
        yield path
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
        os.close(lock)


def temporary_folder(name: str) -> AbstractContextManager[Path]:
    """A folder for long work; if the work is killed, the next work of the same name removes it."""
    return partial_folder(Path(tempfile.gettempdir(), name))


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A path to write to; at the end the file, complete and on disk, is renamed to `target`, replacing it.

    Only the owner can read a new file. If the target is a pipe, a terminal or the like, it is written
    directly.

    Raises:
        OSError: The file cannot be written.
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
    """Check, before any work, that a file can be written.

    Raises:
        OSError: It cannot be written.
    """
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.is_file():
        with target.open("ab"):  # A file that is protected, or open in Excel, must not be replaced.
            return
    if not target.exists():
        with partial_folder(target):
            return


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _leftovers(target: Path) -> list[Path]:
    """The folders that our writers to a target have created and not removed."""
    name = re.compile(rf"\.{re.escape(target.name)}-[a-z0-9_]{{8}}{re.escape(_SUFFIX)}")
    found = [path for path in target.parent.glob(f".*{_SUFFIX}") if name.fullmatch(path.name)]
    return [path for path in found if _is_own_folder(path)]


def _is_own_folder(path: Path) -> bool:
    with suppress(FileNotFoundError):
        status = path.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return False


def _create_locked(target: Path) -> tuple[Path, int]:
    """Create a temporary folder and lock it; the lock ends with this process."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=_SUFFIX, dir=target.parent))
        with suppress(FileNotFoundError):  # Another writer removed it before it was locked.
            lock = os.open(path, os.O_RDONLY)
            with suppress(OSError):  # Some file systems have no locks: there, leftovers stay.
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove(left: Path) -> None:
    """Remove a leftover folder, unless its writer is still running."""
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
