"""Restoring a ledger from an export into an empty database, in one transaction."""

import base64
from collections.abc import Iterator
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from app.archive.export_folder import ExportError, ExportFolder, Manifest
from app.archive.insert_unchecked import insert_lines, lock_empty, set_sequencer
from app.ledger import publications
from app.ledger.corruption import row_problem
from app.ledger.ledger import Ledger
from app.ledger.lines import Line, LineError, parse
from app.ledger.recorder import PUBLICATION_TOPICS
from app.runtime.database import CONSTRAINT_BROKEN, write_transaction
from app.transparency import merkle
from app.transparency.merkle import leaf_hash
from app.transparency.running_root import RunningRoot
from app.transparency.sealing import seal_within
from app.transparency.tiles import TileReader
from app.use_cases.audit.exporting import Progress
from app.use_cases.upkeep.projecting import project_all
from domain.errors import LedgerIntegrityError

ROWS_AT_ONCE: Final = 20_000
"""Rows per statement: its cost per row is small, and the rows fit in some tens of megabytes."""


def restore(ledger: Ledger, folder: ExportFolder, progress: Progress = lambda _done, _total: None) -> int:
    """Insert the events of a verified export unchanged into an empty ledger; return their number.

    They are sealed in the same transaction: a log that records a seal is never sealed again later. The read
    models are filled after it; if that is interrupted, the next start continues.

    Raises:
        ExportError: The export has changed since it was verified, or cannot be read.
        LedgerIntegrityError: The database returns other data than was inserted.
        NotEmptyError: The ledger is not empty.
    """
    try:
        _insert(ledger, folder, progress)
    except LineError as error:
        raise ExportError(f"导出件在核验之后有变动（{error}）") from error
    project_all(ledger)
    return folder.manifest.size


def _insert(ledger: Ledger, folder: ExportFolder, progress: Progress) -> None:
    """Insert all rows in one transaction, which commits only if they match the manifest."""
    tree, last, publication = RunningRoot(), None, 0
    with write_transaction(ledger.engine, no_timeout=True) as connection:
        lock_empty(connection)
        for lines in _chunks(folder, tree):
            insert_lines(connection, lines)
            last = lines[-1]
            published = [line.position for line in lines if line.topic in PUBLICATION_TOPICS]
            publication = max([publication, *published])
            progress(tree.size, max(tree.size, folder.manifest.size))
        if base64.b64encode(tree.root()).decode() != folder.manifest.root:
            raise LineError("总校验值（Merkle树根）与导出清单不符")
        if last is not None:
            set_sequencer(connection, last, publication=publication)
        _restore_publications(connection, folder.manifest)
        seal_within(connection, until=tree.size)
        _compare_root(connection, folder.manifest)


def _restore_publications(connection: Connection, manifest: Manifest) -> None:
    try:
        publications.restore(connection, manifest.publications)
    except CONSTRAINT_BROKEN as error:
        raise LineError("导出清单中的政策版本重复") from error


def _chunks(folder: ExportFolder, tree: RunningRoot) -> Iterator[list[Line]]:
    """The rows of an export in chunks; they are added to the tree as its leaves."""
    lines = folder.lines()
    while chunk := [_row(text, tree) for text in islice(lines, ROWS_AT_ONCE)]:
        yield chunk


def _row(text: bytes, tree: RunningRoot) -> Line:
    tree.append(leaf_hash(text))
    line = parse(text)
    problem = row_problem(line)
    if problem is not None:
        raise LineError(f"第{tree.size}行：{problem}")
    return line


def _compare_root(connection: Connection, manifest: Manifest) -> None:
    """Compare the data that the database returns with the export."""
    root = merkle.root(TileReader(connection), manifest.size)
    if base64.b64encode(root).decode() != manifest.root:
        raise LedgerIntegrityError(f"写入后的前{manifest.size}条记录与导出件不符。请换一个新的数据库重新恢复")
