"""Verifying a log, in its database or as an export: nothing is written, and nothing is trusted."""

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.archive.export_folder import ExportError, ExportFolder, Manifest
from app.ledger import publications
from app.ledger.ledger import Ledger
from app.ledger.lines import streamed_rows
from app.ledger.mapper import EventMapper
from app.ledger.publications import Publication
from app.ledger.singletons import find_numbers
from app.ledger.stream_index import StreamIndex
from app.runtime.database import DamagedError, read_untrusted
from app.transparency.merkle import EMPTY_ROOT, HASH_BYTES
from app.transparency.raw_tables import (
    Sequenced,
    find_loose_tables,
    read_leaf_tiles,
    read_root,
    read_sealed_size,
    read_sequencer,
)
from app.transparency.running_root import RunningRoot
from app.transparency.sealing import shortened
from app.transparency.tiles import TILE_HASHES
from app.use_cases.audit.findings import Findings
from app.use_cases.audit.log_checks import LogChecks
from domain.errors import LedgerIntegrityError
from domain.events import LogSealed
from projections.tables import LIVE

Progress = Callable[[int, int], None]
"""Called with the number of events verified and their expected total."""


class KnownRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A root that is known from another source.

    Attributes:
        code: The code of the finding if the log has another root.
        name: The source of the root, in Chinese.
        size: The number of events that it covers.
        root: The root, 32 bytes.
    """

    code: str
    name: str
    size: int
    root: bytes


class Verified(msgspec.Struct, frozen=True):
    """What was verified.

    Attributes:
        size: The number of events.
        root: The root over them, computed from the events.
        sealed: The number of events compared with the tiles; None for an export, which has no tiles.
        sealed_by_log: The number of events that were sealed according to the log itself.
        unassessed: The publications whose assessment is not complete.
    """

    size: int
    root: bytes
    sealed: int | None
    sealed_by_log: int
    unassessed: list[Publication]


class _LogReading:
    """One pass over a log, from the first event to the last."""

    def __init__(self, index: StreamIndex, findings: Findings, sizes: Iterable[int]) -> None:
        self.checks = LogChecks(EventMapper().decode, index, findings)
        self.tree = RunningRoot()
        self.roots = {0: EMPTY_ROOT}
        self._findings = findings
        self._sizes = frozenset(sizes)

    def take(self, leaf: bytes) -> bytes:
        """Add the leaf of the row just checked, and remember the root at each size that will be compared."""
        if self.checks.sealed is not None:
            self._compare_told(self.checks.sealed)
        self.tree.append(leaf)
        if self.tree.size in self._sizes:
            self.roots[self.tree.size] = self.tree.root()
        return leaf

    def _compare_told(self, sealed: LogSealed) -> None:
        """Compare the log so far with the seal that the next row records."""
        recorded = sealed.size, sealed.root
        if recorded != (self.tree.size, base64.b64encode(self.tree.root()).decode()):
            position = self.tree.size + 1
            self._findings.note(
                "root-differs",
                position,
                f"前{self.tree.size}条记录的总校验值（Merkle树根）与序号{position}所记封存时的不符：其中有记录被改动。",
            )

    def compare(self, known: KnownRoot) -> None:
        """Compare the log with a known root."""
        size, end = self.tree.size, self.checks.position
        if known.size > size:
            self._findings.note(
                "log-shorter",
                end + 1 if end < known.size else None,
                f"{known.name}含{known.size}条记录，现有{size}条，缺少{known.size - size}条。",
            )
        elif self.roots[known.size] != known.root:
            self._findings.note(
                known.code,
                None,
                f"前{known.size}条记录的总校验值（Merkle树根）与{known.name}不符：其中有记录被改动。",
            )


def verify_ledger(
    ledger: Ledger,
    known: Sequence[KnownRoot],
    findings: Findings,
    progress: Progress = lambda _done, _total: None,
) -> Verified | None:
    """Verify the whole log of a database, in one snapshot and in bounded memory.

    Args:
        ledger: The ledger.
        known: The roots that the log must have.
        findings: Collects what is wrong.
        progress: Called as the verification proceeds.

    Returns:
        None if the database is damaged so that it cannot be read completely.
    """
    try:
        with read_untrusted(ledger.engine) as connection, StreamIndex.open() as index:
            return _verify_rows(connection, index, known, findings, progress)
    except DamagedError as error:
        findings.note("database-damaged", None, f"{error}。")
        return None


def _verify_rows(
    connection: Connection,
    index: StreamIndex,
    known: Sequence[KnownRoot],
    findings: Findings,
    progress: Progress,
) -> Verified:
    sealed, sequenced = _sealed_size(connection, findings), read_sequencer(connection)
    log = _LogReading(index, findings, [sealed, *(root.size for root in known)])
    with streamed_rows(connection) as chunks:
        for rows in chunks:
            leaves = [log.take(log.checks.check_row(row)) for row in rows]
            _compare_leaves(connection, rows, leaves, sealed, findings)
            progress(log.tree.size, max(log.tree.size, 0 if sequenced is None else sequenced.last))
    progress(log.tree.size, log.tree.size)
    log.checks.finish()
    _compare_sequencer(sequenced, log.checks, findings)
    _compare_projected(connection, log.checks, findings)
    unassessed = _compare_publications(connection, log.checks, findings)
    sealed_by_log = log.checks.sealed_size
    problem = shortened(sealed_by_log, sealed)
    if problem is not None:
        findings.note("seal-shorter", None, f"{problem}。其后的改动，封存不能证明。")
    for table in find_loose_tables(connection):
        findings.note("table-loose", None, f"{table}表的定义被改动，可存任何类型的值。")
    for root in (*_sealed_root(connection, sealed, findings), *known):
        log.compare(root)
    return Verified(log.tree.size, log.tree.root(), min(sealed, log.tree.size), sealed_by_log, unassessed)


def _sealed_size(connection: Connection, findings: Findings) -> int:
    size = read_sealed_size(connection)
    if size is None:
        findings.note("sequencer-differs", None, "封存记录数应有且只有一行数值。")
    return size or 0


def _compare_sequencer(sequenced: Sequenced | None, checks: LogChecks, findings: Findings) -> None:
    """Compare the sequencer with the log: both advance in the same transaction."""
    if sequenced is None:
        findings.note("sequencer-differs", None, "序号登记应有且只有一行数值。")
        return
    last = checks.last
    expected = Sequenced(
        last=0 if last is None else last.position,
        recorded_at_us=0 if last is None else last.recorded_at_us,
        publication=max(checks.published, default=0),
    )
    for name, recorded, value in zip(Sequenced._fields, sequenced, expected, strict=True):
        if recorded != value:
            findings.note("sequencer-differs", None, f"序号登记表的{name}列为{recorded}，台账中为{value}。")


def _compare_projected(connection: Connection, checks: LogChecks, findings: Findings) -> None:
    """Compare the position of the read models with the log, which they never overtake."""
    position_row = find_numbers(connection, [LIVE.checkpoint.c.position])
    last = 0 if checks.last is None else checks.last.position
    if position_row is None:
        findings.note("sequencer-differs", None, "查询表所至序号应有且只有一行数值。")
    elif position_row[0] > last:
        findings.note("sequencer-differs", None, f"查询表已至序号{position_row[0]}，台账止于序号{last}。")


def _compare_publications(connection: Connection, checks: LogChecks, findings: Findings) -> list[Publication]:
    """Compare the recorded progress of the assessment after each publication with the log.

    Returns:
        The publications whose assessment is not complete.
    """
    try:
        noted = publications.read_all(connection)
    except LedgerIntegrityError as error:
        findings.note("publication-differs", None, f"{error}。")
        return []
    for problem in publications.find_problems(noted, checks.published):
        findings.note("publication-differs", None, f"{problem}。")
    return publications.unassessed(noted)


def _compare_leaves(
    connection: Connection,
    rows: Sequence[Sequence[Any]],
    leaves: Sequence[bytes],
    sealed: int,
    findings: Findings,
) -> None:
    """Compare rows with the hashes that were sealed after they were recorded."""
    placed = [
        (row[0], leaf)
        for row, leaf in zip(rows, leaves, strict=True)
        if type(row[0]) is int and 0 < row[0] <= sealed
    ]
    if not placed:
        return
    tiles = read_leaf_tiles(connection, first=placed[0][0], last=placed[-1][0])
    for position, leaf in placed:
        tile, place = divmod(position - 1, TILE_HASHES)
        at = place * HASH_BYTES
        if tiles.get(tile, b"")[at : at + HASH_BYTES] != leaf:
            findings.note("leaf-differs", position, f"序号{position}的记录与封存时的记录指纹不符：已被改动。")


def _sealed_root(connection: Connection, sealed: int, findings: Findings) -> list[KnownRoot]:
    """The root computed from the tiles; empty if the tiles are incomplete."""
    try:
        root = read_root(connection, sealed)
    except LedgerIntegrityError as error:
        findings.note("root-differs", None, f"已封存的记录指纹不完整（{error}）。")
        return []
    return [KnownRoot(code="root-differs", name="封存时的总校验值", size=sealed, root=root)]


def verify_export(
    folder: ExportFolder,
    known: Sequence[KnownRoot],
    findings: Findings,
    progress: Progress = lambda _done, _total: None,
) -> Verified:
    """Verify an export: its files, its manifest, every line. The arguments are those of `verify_ledger`."""
    manifest = folder.manifest
    for problem in folder.file_problems():
        findings.note("file-differs", None, f"{problem}。")
    claimed = _claimed_root(manifest, findings)
    with StreamIndex.open() as index:
        log = _LogReading(index, findings, [root.size for root in (*claimed, *known)])
        try:
            for line in folder.lines():
                log.take(log.checks.check_line(line))
                if log.tree.size % 10_000 == 0:
                    progress(log.tree.size, max(log.tree.size, manifest.size))
        except ExportError as error:
            findings.note("file-differs", log.tree.size + 1, f"{error}。")
        progress(log.tree.size, log.tree.size)
        log.checks.finish()
    _compare_manifest(manifest, log.checks, findings)
    for root in (*claimed, *known):
        log.compare(root)
    unassessed = publications.unassessed(manifest.publications)
    return Verified(log.tree.size, log.tree.root(), None, log.checks.sealed_size, unassessed)


def _claimed_root(manifest: Manifest, findings: Findings) -> list[KnownRoot]:
    try:
        root = base64.b64decode(manifest.root, validate=True)
    except ValueError:
        root = b""
    if len(root) != HASH_BYTES or manifest.size < 0:
        findings.note("manifest-differs", None, "导出清单的记录数或总校验值（Merkle树根）无效。")
        return []
    return [KnownRoot(code="root-differs", name="导出清单", size=manifest.size, root=root)]


def _compare_manifest(manifest: Manifest, checks: LogChecks, findings: Findings) -> None:
    """Compare the manifest with the lines."""
    size = checks.rows
    for name, claimed, actual in (
        ("size", manifest.size, size),
        ("first_position", manifest.first_position, 1 if size else None),
        ("last_position", manifest.last_position, size or None),
        ("event_types", manifest.event_types, dict(checks.topics)),
    ):
        if claimed != actual:
            findings.note("manifest-differs", None, f"导出清单的{name}与台账记录不符。")
    for problem in publications.find_problems(manifest.publications, checks.published):
        findings.note("manifest-differs", None, f"导出清单的publications：{problem}。")
