"""Opens the file at a path that a person gave, which may be a pipe, a device or a folder."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

_LOCK_PREFIXES: Final = ("~$", ".~")
"""Excel and WPS keep a lock file with such a name next to a workbook while it is open."""

_NOT_OPENED: Final = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)
"""The errors for opening a socket and a device without a driver."""


class NotATableError(Exception):
    """The path is not that of a regular file; the message says what it is, in Chinese."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, without ever waiting; refuse anything else.

    Raises:
        NotATableError: It is a folder, a pipe, a device, a socket, or the lock file of an open workbook.
        OSError: The file cannot be opened.
    """
    if path.name.startswith(_LOCK_PREFIXES):
        raise NotATableError(LOCK_FILE)
    try:
        # Opening a pipe would wait for a writer; opening a terminal would make it our controlling terminal.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in _NOT_OPENED:
            raise NotATableError(_NO_FILE) from error
        raise
    kind = os.fstat(descriptor).st_mode  # Of the opened file: another one may have its name by now.
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise NotATableError(_FOLDER if stat.S_ISDIR(kind) else _NO_FILE)


_FOLDER: Final = "这是文件夹，未读取。请写明其中各个文件的名称。"
_NO_FILE: Final = "这不是普通文件（而是管道、设备或套接字），未读取。请改用.xlsx或CSV文件。"
LOCK_FILE: Final = (
    "这是工作簿打开期间Excel或WPS自动生成的锁定文件，不含数据，未读取。"
    "请确认原工作簿的改动均已保存，改为提交原工作簿。"
)
