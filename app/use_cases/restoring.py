"""Restoring a ledger from an export, into an empty database: all of it in one transaction, or nothing."""

import base64
from collections.abc import Iterator
from itertools import islice
from typing import Final

from sqlalchemy import Connection, select, update
from sqlalchemy import exc as sql_errors

from app.database import reading, writing
from app.ledger import publications
from app.ledger.export_folder import ExportError, ExportFolder, Manifest
from app.ledger.ledger import Ledger
from app.ledger.lines import Line, LineError, parse
from app.ledger.merkle import leaf_hash
from app.ledger.recorder import PUBLICATION_TOPIC, insert_rows
from app.ledger.running_root import RunningRoot
from app.ledger.sealing import seal
from app.ledger.tables import events, sequencer
from app.ledger.tiles import root_at
from app.use_cases.exporting import Progress
from app.use_cases.log_checks import row_problem
from app.use_cases.projecting import project_all
from domain.errors import LedgerIntegrityError

ROWS_AT_ONCE: Final = 20_000
"""A statement costs little for each of them, and they fit in some tens of megabytes."""


class NotEmptyError(Exception):
    """The ledger has events already."""


def restore(ledger: Ledger, folder: ExportFolder, progress: Progress = lambda _done, _total: None) -> int:
    """Put the events of an export that was verified into an empty ledger, as they are; how many.

    What follows from them, the read models and the tiles, is made anew after the transaction; where that is
    cut off, the next start goes on with it.

    Raises:
        ExportError: The export is not what it was when it was verified, or cannot be read.
        LedgerIntegrityError: The database does not give back what was put into it.
        NotEmptyError: The ledger is not empty.
    """
    with writing(ledger.engine, unhurried=True) as connection:
        _refuse_events(connection)
        tree, last, published = RunningRoot(), None, 0
        for rows in _chunks(folder, tree):
            _insert(connection, rows)
            last = rows[-1]
            published = max([published, *(row.position for row in rows if row.topic == PUBLICATION_TOPIC)])
            progress(tree.size, folder.manifest.size)
        if base64.b64encode(tree.root()).decode() != folder.manifest.root:
            raise ExportError("导出件在核验之后有变动")
        if last is not None:
            set_to = {"last": last.position, "recorded_at_us": last.recorded_at_us, "publication": published}
            connection.execute(update(sequencer).values(set_to))
        publications.restore(connection, folder.manifest.publications)
    project_all(ledger)
    seal(ledger)
    _compare_root(ledger, folder.manifest)
    return folder.manifest.size


def _compare_root(ledger: Ledger, manifest: Manifest) -> None:
    """Compare what the database gives back with what was exported."""
    with reading(ledger.engine) as connection:
        root = root_at(connection, manifest.size)
    if root is None or base64.b64encode(root).decode() != manifest.root:
        raise LedgerIntegrityError(f"the first {manifest.size} events are not those that were restored")


def _refuse_events(connection: Connection) -> None:
    """Lock the sequencer, so that nobody records before this has ended, and look whether somebody has."""
    taken = connection.execute(update(sequencer).where(sequencer.c.last == 0).values(last=0)).rowcount
    if taken != 1 or connection.execute(select(events.c.position).limit(1)).first() is not None:
        raise NotEmptyError("the ledger has events already")


def _chunks(folder: ExportFolder, tree: RunningRoot) -> Iterator[list[Line]]:
    """The rows of an export, so many at once, which are leaves of the tree."""
    lines = folder.lines()
    while chunk := [_row(text, tree) for text in islice(lines, ROWS_AT_ONCE)]:
        yield chunk


def _row(text: bytes, tree: RunningRoot) -> Line:
    tree.append(leaf_hash(text))
    try:
        row = parse(text)
    except LineError as error:
        raise ExportError(f"第{tree.size}行不是规范的一行({error})") from error
    problem = row_problem(row)
    if problem is not None:
        raise ExportError(f"第{tree.size}行:{problem}")
    return row


def _insert(connection: Connection, rows: list[Line]) -> None:
    try:
        insert_rows(connection, rows)
    except sql_errors.IntegrityError as error:
        raise ExportError("有序号或版本重复的记录") from error
