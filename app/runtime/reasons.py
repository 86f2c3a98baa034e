"""Why the system refuses a file, or the database a write, in Chinese."""

import errno
from typing import Final, Literal

_REASONS: Final = {
    errno.ENOENT: "文件或文件夹不存在",
    errno.EACCES: "没有权限",
    errno.EPERM: "没有权限",
    errno.EEXIST: "已存在同名的文件",
    errno.EISDIR: "这是一个文件夹",
    errno.ENOTDIR: "上级不是文件夹",
    errno.EROFS: "磁盘是只读的",
    errno.ENOSPC: "磁盘空间不足",
    errno.EDQUOT: "磁盘配额已用完",
    errno.EFBIG: "文件超过系统允许的大小",
}


Refusal = Literal["full", "read-only", "input-output", "cannot-open", "denied"]
"""Why a database that can be reached accepts no writes."""

REFUSALS: Final[dict[Refusal, str]] = {
    "full": "数据库所在的磁盘空间不足",
    "read-only": "数据库是只读的（磁盘或文件只读、没有写入权限、只读设置或只读备机）",
    "input-output": "数据库所在的磁盘读写出错",
    "cannot-open": "数据库文件无法打开，请检查文件及其文件夹的权限",
    "denied": "数据库用户没有所需的权限",
}


def reason_of(error: OSError) -> str:
    """Why the system refuses a file; for an unusual reason, the system's own words."""
    return _REASONS.get(error.errno or 0, str(error.strerror))
