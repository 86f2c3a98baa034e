"""The log as a folder of files: its lines, the schemas of the events, and a manifest that names them all."""

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
"""A tenth of the size; a higher level takes several times as long for little."""

_README: Final = Path(__file__).with_name("export_readme.md")
"""How an export is checked by hand, without this software; it goes with every one."""

_NAME: Final = re.compile(r"(schemas/)?[A-Za-z0-9][A-Za-z0-9.]*", re.ASCII)


class ExportError(Exception):
    """The folder is no export that can be read; says which file and why, in Chinese."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an export says of itself; `manifest.json`.

    Attributes:
        format: The version of the format.
        made_at: RFC 3339, by the clock of the machine that made it.
        origin: The name of the log in its checkpoint; None without one.
        size: How many events there are.
        first_position: 1, or None of an empty log.
        last_position: The same number as the size, or None.
        root: Of the Merkle tree over the lines (RFC 9162), in base64.
        checkpoint: The name of the file with the signed checkpoint; None where there was no key to sign with.
        verifier_key: The operator's key to verify it by, `name+id+base64`.
        event_types: How many events there are of each type.
        publications: How far the assessment of what was filed before each publication had come.
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
    """An export that is being written, under a name that nobody takes for that of a whole one.

    Args:
        path: The folder under its temporary name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    @contextmanager
    def opened(cls, target: Path) -> Iterator[Self]:
        """A folder that gets its name when all of it is written, and is gone where it is not.

        It is its owner's alone, as it holds the figures of single units.

        Raises:
            ExportError: Something stands where it is to be.
            OSError: It cannot be written.
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
        """Where the lines are written, each with its newline; the same lines always make the same bytes."""
        with open_private(self._path / (PACKED_EVENTS if packed else EVENTS), "xb") as file:
            if packed:
                with gzip.GzipFile("", "wb", PACKING_LEVEL, file, mtime=0) as packing:
                    yield packing
            else:
                yield file

    def finish(self, manifest: Manifest, checkpoint: str | None) -> Manifest:
        """Write what goes with the lines, and as the last the manifest, which names all of them."""
        make_private_folder(self._path / "schemas")
        for topic in STORED_TYPES:
            self._write(f"schemas/{topic}.json", schema_text(topic).encode())
        self._write("README.md", _README.read_bytes())
        if checkpoint is not None:
            self._write(CHECKPOINT, checkpoint.encode())
        names = sorted(str(each.relative_to(self._path)) for each in self._path.rglob("*") if each.is_file())
        files = {name: _sha256_of(self._path / name) for name in names}
        whole = msgspec.structs.replace(manifest, files=files)
        self._write(MANIFEST, msgspec.json.format(msgspec.json.encode(whole)) + b"\n")
        for each in (*names, MANIFEST, "schemas"):
            flush(self._path / each)
        return whole

    def _write(self, name: str, content: bytes) -> None:
        with open_private(self._path / name) as file:
            file.write(content)


class ExportFolder:
    """An export that is read. Anything may stand in it.

    Args:
        path: The folder.

    Attributes:
        manifest: What it says of itself.

    Raises:
        ExportError: The manifest cannot be read, or is none.
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
            json.loads(text, object_pairs_hook=_without_doubles)
            self.manifest = msgspec.json.decode(text, type=Manifest)
        except _DoubleKeyError as error:
            raise ExportError(f"{MANIFEST}中“{shown(error.key)}”重复") from error
        except (ValueError, RecursionError) as error:
            raise ExportError(f"{MANIFEST}不是本格式的导出清单（{error}）") from error

    def file_problems(self) -> Iterator[str]:
        """What is wrong with the files that the manifest names, and with those beside them, in Chinese."""
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
                if _sha256_of(self._path / name) != sha256:
                    yield f"{name}的SHA-256与清单不符"
            except OSError as error:
                yield f"{name}无法读取（{reason_of(error)}）"
        for each in sorted(self._path.rglob("*")):
            name = each.relative_to(self._path).as_posix()
            if name not in {*named, MANIFEST} and (each.is_symlink() or not each.is_dir()):
                yield f"{shown(name)}不在清单中，不属于本导出件"

    def lines(self) -> Iterator[bytes]:
        """The lines of the log without their newlines.

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
        """The signed checkpoint that goes with it; None if there is none.

        Raises:
            ExportError: It cannot be read.
        """
        if self.manifest.checkpoint is None:
            return None
        try:
            return read_note(self._path / CHECKPOINT)
        except (OSError, ValueError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            raise ExportError(f"{CHECKPOINT}无法读取（{reason}）") from error


def read_note(path: Path) -> str:
    """The text of a file with a signed note.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no UTF-8, or longer than any note.
    """
    with path.open("rb") as file:
        text = file.read(NOTE_MAX_BYTES + 1)
    if len(text) > NOTE_MAX_BYTES:
        raise ValueError(f"超过{NOTE_MAX_BYTES}字节")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ValueError("不是UTF-8编码的文字") from error


class _DoubleKeyError(Exception):
    """A key stands twice in an object of JSON: readers differ in which of them counts."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _without_doubles(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _DoubleKeyError(key)
        seen.add(key)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
