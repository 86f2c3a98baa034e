"""Why the system refuses a file, in Chinese."""

import errno
from typing import Final

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


def reason_of(error: OSError) -> str:
    """Why the system refuses a file; in its own words where it is none of the usual reasons."""
    return _REASONS.get(error.errno or 0, str(error.strerror))
