"""Exporting the log for an auditor, from one snapshot and exactly as it was sealed."""

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
"""Called with the number of events done and their total."""

_TOPIC = Line._fields.index("topic")


class Signing(msgspec.Struct, frozen=True):
    """Signing with the operator's key.

    Attributes:
        origin: The name of the log.
        verifier_key: The public key, `name+id+base64`.
        sign: Returns the signed checkpoint for a size and a root.
    """

    origin: str
    verifier_key: str
    sign: Callable[[int, bytes], str]


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to export, and how.

    Attributes:
        target: The folder to create.
        packed: Whether to compress the lines with gzip.
        until: A position; the export ends with the last transaction that ends by then. None exports all.
        made_at: The time of the export, RFC 3339.
        signing: None without a key: then the export has no checkpoint.
    """

    target: Path
    packed: bool
    until: int | None
    made_at: str
    signing: Signing | None


def export_log(
    ledger: Ledger,
    options: ExportOptions,
    progress: Progress = lambda _done, _total: None,
    announce: Callable[[int], None] = lambda _size: None,
) -> Manifest:
    """Write the log into a new folder, which gets its name only once it is complete.

    Args:
        ledger: The ledger.
        options: What to export, and where.
        progress: Called with the number of events written and their total.
        announce: Called with the number of events before the first is written.

    Raises:
        ExportError: The target exists already.
        LedgerIntegrityError: The log differs from what was sealed, so the export would not be trustworthy.
        OSError: The folder cannot be written.
        PositionAheadError: `until` is after the head.
    """
    seal(ledger)
    with read_transaction(ledger.engine) as connection, NewFolder.opened(options.target) as folder:
        disable_timeouts(connection)
        size = _size(connection, options.until)
        announce(size)
        tree, topics = RunningRoot(), Counter[str]()
        with folder.events(packed=options.packed) as file, streamed_rows(connection, until=size) as chunks:
            for rows in chunks:
                file.writelines(_lines(rows, tree))
                topics.update(row[_TOPIC] for row in rows)
                progress(tree.size, size)
        root = tree.root()
        if tree.size != size or root != root_at(connection, size):
            raise LedgerIntegrityError(f"前{size}条记录的总校验值（Merkle树根）与封存时的不同")
        manifest = _manifest(options, size, root, topics, _publications(ledger, connection, size))
        checkpoint = None if options.signing is None else options.signing.sign(size, root)
        return folder.finish(manifest, checkpoint)


def _size(connection: Connection, until: int | None) -> int:
    """The number of sealed events, or the end of the last transaction that ends by a position.

    Raises:
        PositionAheadError: `until` is after the last sealed event.
    """
    sealed = sealed_size(connection)
    if until is None:
        return sealed
    if until > sealed:
        raise PositionAheadError(sealed)
    return ended_by(connection, until)


def _lines(rows: Iterable[Sequence[Any]], tree: RunningRoot) -> list[bytes]:
    """The lines of rows, which are added to the tree as its leaves.

    Raises:
        LedgerIntegrityError: A row was altered so that it has no canonical line.
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
    """The publications to export, with their progress, which the ledger records only as of the head.

    If the export ends before the head, their progress at its end is unknown: a restored ledger assesses them
    again.
    """
    published = publications.up_to(connection, size)
    if size < ledger.head(connection):
        return tuple(_as_of(publication, size) for publication in published)
    return tuple(published)


def _as_of(publication: Publication, size: int) -> Publication:
    """A publication with the progress that a ledger restored from the first `size` events continues from."""
    if publication.assessed_at is not None and publication.assessed_at <= size:
        return publication
    return msgspec.structs.replace(publication, after_stream="", done=0, assessed_at=None)


def _manifest(
    options: ExportOptions,
    size: int,
    root: bytes,
    topics: Counter[str],
    published: tuple[Publication, ...],
) -> Manifest:
    signing = options.signing
    return Manifest(
        made_at=options.made_at,
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
