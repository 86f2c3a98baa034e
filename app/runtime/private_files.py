"""Files and folders with single-unit statistics or keys: only the owner can read new ones."""

import os
from pathlib import Path
from typing import Any, Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def open_private(path: Path, mode: str = "wb", **options: Any) -> Any:
    """Open a file as `open` does; only the owner can read a new file, whatever the umask.

    An existing file keeps its permissions: its owner has set them.

    Raises:
        OSError: The file cannot be opened.
    """
    return open(path, mode, opener=_opener, **options)


def make_private_folder(path: Path) -> None:
    """Create a folder and its parents, unless it exists.

    Raises:
        OSError: It cannot be created.
    """
    if path.is_dir():
        return
    make_private_folder(path.parent)
    try:
        path.mkdir(FOLDER_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(FOLDER_MODE)


def _opener(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        return os.open(path, flags, FILE_MODE)  # The file exists: mode `x` fails here.
    os.fchmod(descriptor, FILE_MODE)  # The umask may have removed the owner's rights.
    return descriptor
