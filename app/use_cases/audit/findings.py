"""The findings of a verification: each kind has a stable code and lists the first places."""

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
    "table-loose": "数据表只存规定类型的值",
    "database-damaged": "数据库可以读完",
    "file-differs": "文件指纹一致",
    "manifest-differs": "导出清单与内容一致",
    "signature-invalid": "日志校验点签名有效",
    "log-shorter": "末尾无缺失",
    "checkpoint-differs": "台账与日志校验点一致",
}
"""The checks, by the code of the finding if a check fails, in the order of a report."""


class FindingPlace(msgspec.Struct, frozen=True):
    """One place where a check failed.

    Attributes:
        position: The position in the log; None if the problem is not about a single record.
        message: What is wrong, in Chinese.
    """

    position: int | None
    message: str


class Finding(msgspec.Struct, frozen=True):
    """All failures of one check.

    Attributes:
        code: One of `CHECKS`.
        count: The number of places.
        places: The first places, at most `VERIFY_MOST_PLACES`.
    """

    code: str
    count: int
    places: tuple[FindingPlace, ...]


class Findings:
    """Collects findings in bounded memory, however many there are."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(CHECKS, 0)
        self._places: dict[str, list[FindingPlace]] = {code: [] for code in CHECKS}

    def note(self, code: str, position: int | None, message: str) -> None:
        """Add one place to the finding with this code."""
        self._counts[code] += 1
        if len(self._places[code]) < VERIFY_MOST_PLACES:
            self._places[code].append(FindingPlace(position, message))

    def __iter__(self) -> Iterator[Finding]:
        """The findings, in the order of `CHECKS`."""
        for code, count in self._counts.items():
            if count:
                yield Finding(code, count, tuple(self._places[code]))


_OF_LEDGER: Final = {
    "sequencer-differs",
    "publication-differs",
    "leaf-differs",
    "seal-shorter",
    "table-loose",
    "database-damaged",
}
_OF_EXPORT: Final = {"file-differs", "manifest-differs"}
_OF_CHECKPOINT: Final = {"signature-invalid", "checkpoint-differs"}


def performed(code: str, subject: Literal["ledger", "export"], *, signed: bool) -> bool:
    """Whether a verification makes a check; that depends on its subject and on a signed checkpoint."""
    left_out = _OF_EXPORT if subject == "ledger" else _OF_LEDGER
    return code not in left_out and (signed or code not in _OF_CHECKPOINT)
