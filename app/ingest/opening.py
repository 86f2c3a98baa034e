"""Opens a file that somebody names, which may be anything that has a name."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

_LOCK_PREFIXES: Final = ("~$", ".~")
"""Excel and WPS keep such a file beside a workbook as long as it is open."""

_NOT_OPENED: Final = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)
"""What the system says of a socket and of a device without a driver."""


class NotATableError(Exception):
    """The name is not that of a file to read; says what it is, in Chinese."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read it; nothing else is read from, and nothing is waited for.

    Raises:
        NotATableError: It is a folder, a pipe, a device, a socket, or the mark of an open workbook.
        OSError: It cannot be opened.
    """
    if path.name.startswith(_LOCK_PREFIXES):
        raise NotATableError(_LOCK)
    try:
        # The opening of a pipe would wait for somebody to write, that of a terminal make it ours.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in _NOT_OPENED:
            raise NotATableError(_NO_FILE) from error
        raise
    kind = os.fstat(descriptor).st_mode  # Of what was opened, whatever has the name by now.
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise NotATableError(_FOLDER if stat.S_ISDIR(kind) else _NO_FILE)


_FOLDER: Final = "这是文件夹，未读取。请写明其中各个文件的名称。"
_NO_FILE: Final = "这不是普通文件（而是管道、设备或套接字），未读取。请改用.xlsx或CSV文件。"
_LOCK: Final = (
    "这是工作簿打开期间Excel或WPS自动生成的锁定文件，不含数据，未读取。"
    "请确认原工作簿的改动均已保存，改为提交原工作簿。"
)
