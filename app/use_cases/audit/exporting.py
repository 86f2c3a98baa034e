"""Exporting the log: what an auditor takes away, of one snapshot, and the same that was sealed."""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.archive.export_folder import CHECKPOINT, Manifest, NewFolder
from app.ledger import publications
from app.ledger.corruption import row_problem, shown
from app.ledger.ledger import Ledger
from app.ledger.lines import Line, canonical, ended_by, streamed_rows
from app.ledger.publications import Publication
from app.runtime.database import disable_timeouts, read_transaction
from app.transparency.merkle import leaf_hash
from app.transparency.running_root import RunningRoot
from app.transparency.sealing import seal
from app.transparency.tiles import root_at, sealed_size
from app.use_cases.reading.as_of import PositionAheadError
from domain.errors import LedgerIntegrityError

Progress = Callable[[int, int], None]
"""Called with how many events are done, and how many there are."""

_TOPIC = Line._fields.index("topic")


class Signing(msgspec.Struct, frozen=True):
    """The operator's key.

    Attributes:
        origin: The name of the log.
        verifier_key: What others verify by, `name+id+base64`.
        sign: The signed checkpoint of a size and a root.
    """

    origin: str
    verifier_key: str
    sign: Callable[[int, bytes], str]


class ExportWanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported, and how.

    Attributes:
        target: The folder that is made.
        packed: Whether the lines are packed by gzip.
        until: A position; the export ends with the last transaction that had ended by then. None is all.
        made_at: The time, RFC 3339.
        signing: None where there is no key: then there is no checkpoint.
    """

    target: Path
    packed: bool
    until: int | None
    made_at: str
    signing: Signing | None


def export_log(
    ledger: Ledger,
    wanted: ExportWanted,
    progress: Progress = lambda _done, _total: None,
    announce: Callable[[int], None] = lambda _size: None,
) -> Manifest:
    """Write the log into a new folder, which has its name only when it is whole.

    Args:
        ledger: The ledger.
        wanted: What is to be exported, and where.
        progress: Told how many events are written, and of how many.
        announce: Told how many events there will be, before the first is written.

    Raises:
        ExportError: Something stands where the folder is to be.
        LedgerIntegrityError: The log is not what was sealed, so that nothing can be vouched for.
        OSError: The folder cannot be written.
        PositionAheadError: `until` is above the head.
    """
    seal(ledger)
    with read_transaction(ledger.engine) as connection, NewFolder.opened(wanted.target) as folder:
        disable_timeouts(connection)
        size = _size(connection, wanted.until)
        announce(size)
        tree, topics = RunningRoot(), Counter[str]()
        with folder.events(packed=wanted.packed) as file, streamed_rows(connection, until=size) as chunks:
            for rows in chunks:
                file.writelines(_lines(rows, tree))
                topics.update(row[_TOPIC] for row in rows)
                progress(tree.size, size)
        root = tree.root()
        if tree.size != size or root != root_at(connection, size):
            raise LedgerIntegrityError(f"前{size}条记录的总校验值（Merkle树根）与封存时的不同")
        manifest = _manifest(wanted, size, root, topics, _publications(ledger, connection, size))
        checkpoint = None if wanted.signing is None else wanted.signing.sign(size, root)
        return folder.finish(manifest, checkpoint)


def _size(connection: Connection, until: int | None) -> int:
    """How many events are sealed, or where the last transaction ends that had ended by a position."""
    sealed = sealed_size(connection)
    if until is None:
        return sealed
    if until > sealed:
        raise PositionAheadError(sealed)
    return ended_by(connection, until)


def _lines(rows: Iterable[Sequence[Any]], tree: RunningRoot) -> list[bytes]:
    """The lines of rows, which are leaves of the tree.

    Raises:
        LedgerIntegrityError: A row was altered so that it makes no line.
    """
    lines = []
    for row in rows:
        problem = row_problem(row)
        if problem is not None:
            raise LedgerIntegrityError(f"序号{shown(row[0])}的记录已被改动：{problem}")
        line = canonical(Line._make(row))
        tree.append(leaf_hash(line))
        lines.append(line + b"\n")
    return lines


def _publications(ledger: Ledger, connection: Connection, size: int) -> tuple[Publication, ...]:
    """The publications that are exported, with their progress, which is noted as of the head.

    How far each was where the export ends before the head is not known: whoever restores it begins again.
    """
    published = publications.up_to(connection, size)
    if size < ledger.head(connection):
        return tuple(_as_of(each, size) for each in published)
    return tuple(published)


def _as_of(publication: Publication, size: int) -> Publication:
    """A publication as whoever restores the first events can take it up."""
    if publication.assessed_at is not None and publication.assessed_at <= size:
        return publication
    return msgspec.structs.replace(publication, after_stream="", done=0, assessed_at=None)


def _manifest(
    wanted: ExportWanted,
    size: int,
    root: bytes,
    topics: Counter[str],
    published: tuple[Publication, ...],
) -> Manifest:
    signing = wanted.signing
    return Manifest(
        made_at=wanted.made_at,
        origin=None if signing is None else signing.origin,
        size=size,
        first_position=1 if size else None,
        last_position=size or None,
        root=base64.b64encode(root).decode(),
        checkpoint=None if signing is None else CHECKPOINT,
        verifier_key=None if signing is None else signing.verifier_key,
        event_types=dict(sorted(topics.items())),
        publications=published,
        files={},
    )
