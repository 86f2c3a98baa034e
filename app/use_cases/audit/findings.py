"""What a verification finds: each kind under a stable code, with the first places of it."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from app.runtime.limits import VERIFY_MOST_PLACES

CHECKS: Final = {
    "row-invalid": "记录格式",
    "position-gap": "序号连续",
    "version-gap": "记录流版本连续",
    "transaction-broken": "批次完整",
    "time-regresses": "登记时间不倒退",
    "state-unreadable": "记录内容符合类型",
    "event-misplaced": "记录与所在记录流相符",
    "policy-altered": "政策文件与指纹一致",
    "reference-missing": "测算所引用的政策和数据存在",
    "sequencer-differs": "序号登记与台账一致",
    "publication-differs": "政策测算进度与台账一致",
    "leaf-differs": "记录与封存时的指纹一致",
    "root-differs": "总校验值（Merkle树根）一致",
    "seal-shorter": "封存无缺失",
    "database-damaged": "数据库可以读完",
    "file-differs": "文件指纹一致",
    "manifest-differs": "导出清单与内容一致",
    "signature-invalid": "日志校验点签名有效",
    "log-shorter": "末尾无缺失",
    "checkpoint-differs": "台账与日志校验点一致",
}
"""What is verified, by the code of what is found where it is not so; the order is that of a report."""


class Place(msgspec.Struct, frozen=True):
    """One finding.

    Attributes:
        position: In the log; None where it is about none.
        message: What is wrong, in Chinese.
    """

    position: int | None
    message: str


class Finding(msgspec.Struct, frozen=True):
    """What was found of one kind.

    Attributes:
        code: One of `CHECKS`.
        count: How many there are.
        places: The first of them, `VERIFY_MOST_PLACES` at most.
    """

    code: str
    count: int
    places: tuple[Place, ...]


class Findings:
    """Collects what is found, in bounded memory however much it is."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(CHECKS, 0)
        self._places: dict[str, list[Place]] = {code: [] for code in CHECKS}

    def note(self, code: str, position: int | None, message: str) -> None:
        """Take one finding."""
        self._counts[code] += 1
        if len(self._places[code]) < VERIFY_MOST_PLACES:
            self._places[code].append(Place(position, message))

    def __iter__(self) -> Iterator[Finding]:
        """What was found, in the order of `CHECKS`."""
        for code, count in self._counts.items():
            if count:
                yield Finding(code, count, tuple(self._places[code]))


_OF_LEDGER: Final = {
    "sequencer-differs",
    "publication-differs",
    "leaf-differs",
    "seal-shorter",
    "database-damaged",
}
_OF_EXPORT: Final = {"file-differs", "manifest-differs"}
_OF_CHECKPOINT: Final = {"signature-invalid", "checkpoint-differs"}


def performed(code: str, subject: Literal["ledger", "export"], *, signed: bool) -> bool:
    """Whether a check is made of a ledger or of an export, with a signed checkpoint or without one."""
    left_out = _OF_EXPORT if subject == "ledger" else _OF_LEDGER
    return code not in left_out and (signed or code not in _OF_CHECKPOINT)
