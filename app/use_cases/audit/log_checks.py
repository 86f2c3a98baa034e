"""What must hold of every log, looked at row by row in the order of the log: no row is taken as sound."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from app.ledger.corruption import place_problem, row_problem, shown
from app.ledger.lines import Line, LineError, canonical, parse
from app.ledger.mapper import UndecodableEventError
from app.ledger.publications import Logged
from app.ledger.stream_index import Reference, StreamIndex, Version
from app.transparency.merkle import leaf_hash
from app.use_cases.audit.findings import Findings
from app.use_cases.policies.loader import read_document
from domain.events import (
    EntitlementAssessed,
    Event,
    LogSealed,
    PolicyAssessed,
    PolicyEvent,
    PolicyPublished,
    Return,
)
from domain.policy.document import fingerprint

_SMALL: Final = 2**31
_TIME, _END = Line._fields.index("recorded_at_us"), Line._fields.index("transaction_end") + 1
_NO_LEAF: Final = leaf_hash(b"")
"""The leaf for a row that cannot become a line; no row has this leaf."""


class LogChecks:
    """Checks the rows of a log from the first to the last.

    Args:
        decode: Decodes an event from its topic, its state and the name of its stream.
        index: Collects streams and references.
        findings: Collects the findings.

    Attributes:
        rows: The number of rows.
        position: The highest position so far.
        last: The last row that is valid by itself.
        topics: The number of events of each type.
        published: The publications and withdrawals of policies so far, by position.
        sealed: The row that was looked at last, if it says that the log was sealed up to it.
        sealed_size: How many events were sealed by what the log says so far.
    """

    def __init__(
        self, decode: Callable[[str, bytes, str], Event], index: StreamIndex, findings: Findings
    ) -> None:
        self.rows = 0
        self.last: Line | None = None
        self.topics = Counter[str]()
        self.published: dict[int, Logged] = {}
        self._begun: dict[str, int] = {}  # Where the last assessment of each policy was begun.
        self._newest: dict[str, int] = {}
        self._decode = decode
        self._index = index
        self._findings = findings
        self.position = 0
        self.sealed: LogSealed | None = None
        self.sealed_size = 0
        self._first: Line | None = None  # Of the transaction that the last row belongs to.
        self._fingerprints: dict[tuple[str, int], str] = {}

    def check_row(self, row: Sequence[Any]) -> bytes:
        """Look at the next row of a table; the hash of its leaf."""
        self.rows += 1
        self.sealed = None
        problem = row_problem(row)
        if problem is not None:
            self._skip(problem, position=row[0] if type(row[0]) is int else None)
            return _NO_LEAF
        line = Line._make(row)
        self._check(line)
        return leaf_hash(canonical(line))

    def check_line(self, text: bytes) -> bytes:
        """Look at the next line of a file; the hash of its leaf."""
        self.rows += 1
        self.sealed = None
        try:
            line = parse(text)
        except LineError as error:
            self._skip(f"不是规范的一行（{error}）", position=None)
        else:
            problem = row_problem(line)
            if problem is None:
                self._check(line)
            else:
                self._skip(problem, position=line.position)
        return leaf_hash(text)

    def _check(self, line: Line) -> None:
        self.topics[line.topic] += 1
        self._check_position(line.position)
        self._check_time(line)
        self._check_transaction(line)
        self._check_event(line)
        self.last = line

    def _skip(self, problem: str, *, position: int | None) -> None:
        """Note a row that cannot become a line, at its position or the expected one."""
        at = self.position + 1 if position is None else position
        self._findings.note("row-invalid", at, f"第{at}条记录无法读取：{problem}。")
        self._check_position(at)

    def _check_position(self, position: int) -> None:
        expected = self.position + 1
        if position > expected:
            last = position - 1
            missing = f"序号{expected}" if last == expected else f"序号{expected}至{last}"
            self._findings.note("position-gap", expected, f"缺少{missing}。")
        elif position < expected:
            self._findings.note("position-gap", position, f"序号{position}重复，或不在应在的位置。")
        self.position = max(self.position, position)

    def _check_time(self, line: Line) -> None:
        if self.last is not None and line.recorded_at_us < self.last.recorded_at_us:
            self._findings.note(
                "time-regresses", line.position, f"序号{line.position}的登记时间早于前一条记录。"
            )

    def _check_transaction(self, line: Line) -> None:
        first = self._first
        if first is None or line.position > first.transaction_end:
            self._first = line
            if line.transaction_end < line.position:
                self._findings.note(
                    "transaction-broken",
                    line.position,
                    f"序号{line.position}所记批次末序号{line.transaction_end}小于其自身序号。",
                )
        elif line[_TIME:_END] != first[_TIME:_END]:
            self._findings.note(
                "transaction-broken",
                line.position,
                f"序号{line.position}与同批首条（序号{first.position}）的登记时间、经办人、批次或批次末序号不同。",
            )

    def _check_event(self, line: Line) -> None:
        period = None
        try:
            event = self._decode(line.topic, line.state, line.stream)
        except (UndecodableEventError, RecursionError):
            self._findings.note(
                "state-unreadable",
                line.position,
                f"序号{line.position}的内容不是{shown(line.topic)}类型的记录。",
            )
        else:
            if isinstance(event, PolicyEvent):
                self._check_policy(line, event)
            elif self._is_in_place(line, event):
                if isinstance(event, EntitlementAssessed):
                    self._check_references(line, event)
                elif isinstance(event, LogSealed):
                    self.sealed = event
                    self.sealed_size = max(self.sealed_size, event.size)
                elif isinstance(event, Return):
                    period = event.period
        self._index.note(Version(line.stream, line.version, line.position, period))

    def _is_in_place(self, line: Line, event: Event) -> bool:
        problem = place_problem(line.stream, event)
        if problem is not None:
            self._findings.note("event-misplaced", line.position, f"序号{line.position}：{problem}。")
        return problem is None

    def _check_policy(self, line: Line, event: PolicyEvent) -> None:
        if not self._is_in_place(line, event):
            return
        newest = self._newest.get(event.policy, 0)
        if isinstance(event, PolicyPublished):
            newest += 1
            self._fingerprints[event.policy, event.version] = event.sha256
            for problem in _policy_problems(event):
                self._findings.note("policy-altered", line.position, f"序号{line.position}：{problem}。")
        if event.version != newest:
            message = f"序号{line.position}：政策编号或版本与所在记录流不符。"
            self._findings.note("policy-altered", line.position, message)
        self._newest[event.policy] = newest
        if isinstance(event, PolicyAssessed):
            begun = self._begun.get(event.policy)
            if begun is not None:
                self.published[begun] = self.published[begun]._replace(assessed_at=line.position)
        else:
            self._begun[event.policy] = line.position
            self.published[line.position] = Logged(event.policy, event.version, None)

    def _check_references(self, line: Line, event: EntitlementAssessed) -> None:
        policy = event.policy
        if self._fingerprints.get((policy.id, policy.version)) != policy.sha256:
            self._findings.note(
                "reference-missing",
                line.position,
                f"序号{line.position}所依据的政策{shown(policy.id)}版本{policy.version}此前未发布，或指纹不同。",
            )
        for record in event.records:
            # A version that no stream can have is as good as the version 0, which none has.
            version = record.version if 0 < record.version < _SMALL else 0
            self._index.refer(Reference(line.position, record.stream, version, event.period))

    def finish(self) -> None:
        """Make the checks that need the whole log."""
        first = self._first
        if first is not None and first.transaction_end > self.position:
            self._findings.note(
                "transaction-broken",
                first.position,
                f"最后一批从序号{first.position}起，应至序号{first.transaction_end}，"
                f"而台账止于序号{self.position}。",
            )
        self._index.finish()
        for gap in self._index.breaks():
            self._findings.note(
                "version-gap",
                gap.position,
                f"序号{gap.position}：{shown(gap.stream)}版本{gap.version}"
                + (
                    f"前面是版本{gap.before}（序号{gap.before_position}）。"
                    if gap.before
                    else "前面没有版本。"
                ),
            )
        for reference in self._index.dangling():
            self._findings.note(
                "reference-missing",
                reference.position,
                f"序号{reference.position}所引用的{shown(reference.stream)}版本{reference.version}此前没有登记。",
            )


def _policy_problems(event: PolicyPublished) -> list[str]:
    """What the parts of a publication say against each other: document, text, fingerprint."""
    problems = []
    if fingerprint(event.document) != event.sha256:
        problems.append("政策内容与其指纹（SHA-256）不符")
    if read_document(event.text) != event.document:
        problems.append("政策原文与其结构化内容不符")
    return problems
