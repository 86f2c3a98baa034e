"""The log as a folder of files: its lines, the schemas of the events, and a manifest that lists them all."""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal, Self

import msgspec

from app.ledger.corruption import shown
from app.ledger.earlier_events import STORED_TYPES
from app.ledger.publications import Publication, WholeNumber
from app.ledger.schemas import schema_text
from app.runtime.limits import EXPORT_LINE_MAX_BYTES, MANIFEST_MAX_BYTES, NOTE_MAX_BYTES
from app.runtime.new_files import flush, partial_folder
from app.runtime.private_files import make_private_folder, open_private
from app.runtime.reasons import reason_of

FORMAT: Final = "duixian-export-1"
MANIFEST: Final = "manifest.json"
CHECKPOINT: Final = "checkpoint"
EVENTS: Final = "events.ndjson"
PACKED_EVENTS: Final = "events.ndjson.gz"

PACKING_LEVEL: Final = 3
"""It compresses the lines to a tenth; a higher level takes several times as long and gains little."""

_README: Final = Path(__file__).with_name("export_readme.md")
"""It says how to check an export by hand, without this software; every export contains it."""

_NAME: Final = re.compile(r"(schemas/)?[A-Za-z0-9][A-Za-z0-9.]*", re.ASCII)


class ExportError(Exception):
    """The folder is not a readable export; the message says which file and why, in Chinese."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of `manifest.json`, which describes an export.

    Attributes:
        format: The version of the format.
        made_at: When the export was made, by the clock of that machine; RFC 3339.
        origin: The name of the log in its checkpoint; None without a checkpoint.
        size: The number of events.
        first_position: 1; None if the log is empty.
        last_position: The same number as the size; None if the log is empty.
        root: The root of the Merkle tree over the lines (RFC 9162), in base64.
        checkpoint: The name of the file with the signed checkpoint; None if there was no key to sign with.
        verifier_key: The operator's key that verifies the checkpoint, `name+id+base64`.
        event_types: The number of events of each type.
        publications: For each publication, how far the assessment of the earlier filings had come.
        files: The SHA-256 of each other file, in hexadecimal.
    """

    format: Literal["duixian-export-1"] = FORMAT
    made_at: str
    origin: str | None
    size: WholeNumber
    first_position: WholeNumber | None
    last_position: WholeNumber | None
    root: str
    checkpoint: Literal["checkpoint"] | None
    verifier_key: str | None
    event_types: dict[str, WholeNumber]
    publications: tuple[Publication, ...]
    files: dict[str, str]


class NewFolder:
    """An export while it is written, under a temporary name that cannot be mistaken for a complete one.

    Args:
        path: The folder under its temporary name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    @contextmanager
    def opened(cls, target: Path) -> Iterator[Self]:
        """Create a folder that is renamed to `target` once it is complete, and removed if an error occurs.

        Only its owner can read it, since it holds single-unit statistics.

        Raises:
            ExportError: The target exists already.
            OSError: The folder cannot be written.
        """
        if target.is_symlink() or (target.exists() and not _is_empty_folder(target)):
            raise ExportError(f"{target}已存在且不是空文件夹")
        with partial_folder(target) as path:
            yield cls(path)
            flush(path)
            path.rename(target)
            flush(target.parent)

    @contextmanager
    def events(self, *, packed: bool) -> Iterator[IO[bytes] | gzip.GzipFile]:
        """A file for the lines, each with its newline; the same lines always result in the same bytes."""
        with open_private(self._path / (PACKED_EVENTS if packed else EVENTS), "xb") as file:
            if packed:
                with gzip.GzipFile("", "wb", PACKING_LEVEL, file, mtime=0) as packing:
                    yield packing
            else:
                yield file

    def finish(self, manifest: Manifest, checkpoint: str | None) -> Manifest:
        """Write the other files, and at last the manifest, which lists them all."""
        make_private_folder(self._path / "schemas")
        for topic in STORED_TYPES:
            self._write(f"schemas/{topic}.json", schema_text(topic).encode())
        self._write("README.md", _README.read_bytes())
        if checkpoint is not None:
            self._write(CHECKPOINT, checkpoint.encode())
        names = sorted(str(path.relative_to(self._path)) for path in self._path.rglob("*") if path.is_file())
        files = {name: _sha256(self._path / name) for name in names}
        whole = msgspec.structs.replace(manifest, files=files)
        self._write(MANIFEST, msgspec.json.format(msgspec.json.encode(whole)) + b"\n")
        for name in (*names, MANIFEST, "schemas"):
            flush(self._path / name)
        return whole

    def _write(self, name: str, content: bytes) -> None:
        with open_private(self._path / name) as file:
            file.write(content)


class ExportFolder:
    """Reads an export without trusting its contents.

    Args:
        path: The folder.

    Attributes:
        manifest: The manifest.

    Raises:
        ExportError: The manifest cannot be read, or is not valid.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with (path / MANIFEST).open("rb") as file:
                text = file.read(MANIFEST_MAX_BYTES + 1)
        except OSError as error:
            raise ExportError(f"{MANIFEST}无法读取（{reason_of(error)}）") from error
        if len(text) > MANIFEST_MAX_BYTES:
            raise ExportError(f"{MANIFEST}超过{MANIFEST_MAX_BYTES}字节")
        try:
            json.loads(text, object_pairs_hook=_refuse_duplicates)
            self.manifest = msgspec.json.decode(text, type=Manifest)
        except _DuplicateKeyError as error:
            raise ExportError(f"{MANIFEST}中“{shown(error.key)}”重复") from error
        except (ValueError, RecursionError) as error:
            raise ExportError(f"{MANIFEST}不是本格式的导出清单（{error}）") from error

    def file_problems(self) -> Iterator[str]:
        """Yield the problems, in Chinese, with the files that the manifest lists and with any other files."""
        named = self.manifest.files
        if (EVENTS in named) + (PACKED_EVENTS in named) != 1:
            yield f"清单中应有{EVENTS}或{PACKED_EVENTS}之一"
        if self.manifest.checkpoint is not None and CHECKPOINT not in named:
            yield f"清单中没有{CHECKPOINT}"
        for name, sha256 in named.items():
            if _NAME.fullmatch(name) is None:
                yield f"清单中的文件名{shown(name)}无效"
                continue
            try:
                if _sha256(self._path / name) != sha256:
                    yield f"{name}的SHA-256与清单不符"
            except OSError as error:
                yield f"{name}无法读取（{reason_of(error)}）"
        for path in sorted(self._path.rglob("*")):
            name = path.relative_to(self._path).as_posix()
            if name not in {*named, MANIFEST} and (path.is_symlink() or not path.is_dir()):
                yield f"{shown(name)}不在清单中，不属于本导出件"

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the log without their newlines.

        Raises:
            ExportError: The file cannot be read to its end.
        """
        name = PACKED_EVENTS if PACKED_EVENTS in self.manifest.files else EVENTS
        opening = gzip.open if name == PACKED_EVENTS else open
        try:
            with opening(self._path / name, "rb") as file:
                while line := file.readline(EXPORT_LINE_MAX_BYTES + 1):
                    if len(line) > EXPORT_LINE_MAX_BYTES:
                        raise ExportError(f"{name}中有一行超过{EXPORT_LINE_MAX_BYTES}字节")
                    yield line.removesuffix(b"\n")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ExportError(f"{name}不完整，或不是gzip压缩的文件") from error
        except OSError as error:
            raise ExportError(f"{name}无法读取（{reason_of(error)}）") from error

    def checkpoint(self) -> str | None:
        """The signed checkpoint of the export; None if it has none.

        Raises:
            ExportError: The checkpoint cannot be read.
        """
        if self.manifest.checkpoint is None:
            return None
        try:
            return read_note(self._path / CHECKPOINT)
        except (OSError, ValueError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            raise ExportError(f"{CHECKPOINT}无法读取（{reason}）") from error


def read_note(path: Path) -> str:
    """Read the text of a file with a signed note.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not UTF-8, or longer than `NOTE_MAX_BYTES`.
    """
    with path.open("rb") as file:
        text = file.read(NOTE_MAX_BYTES + 1)
    if len(text) > NOTE_MAX_BYTES:
        raise ValueError(f"超过{NOTE_MAX_BYTES}字节")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ValueError("不是UTF-8编码的文字") from error


class _DuplicateKeyError(Exception):
    """A JSON object has the same key twice; parsers disagree on which value counts."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _DuplicateKeyError(key)
        seen.add(key)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
