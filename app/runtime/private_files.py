"""Files and folders that hold figures of single units or keys: new ones are readable by their owner alone."""

import os
from pathlib import Path
from typing import Any, Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def open_private(path: Path, mode: str = "wb", **options: Any) -> Any:
    """Open a file as `open` does; one that is made by it is its owner's alone, whatever the umask.

    A file that is there already keeps its permissions: its owner has set them.

    Raises:
        OSError: It cannot be opened.
    """
    return open(path, mode, opener=_opener, **options)


def make_private_folder(path: Path) -> None:
    """Make a folder, with the folders above it, unless it is there.

    Raises:
        OSError: It cannot be made.
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
        made = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        return os.open(path, flags, FILE_MODE)  # As asked for: mode `x` refuses it.
    os.fchmod(made, FILE_MODE)  # The umask may have taken the owner's own rights.
    return made
