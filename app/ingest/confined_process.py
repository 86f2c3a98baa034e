"""The process that reads one file: it sets its own limits, reads, answers, and ends with its caller."""

import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from app.ingest.frames import (
    LENGTH_BYTES,
    OUT_OF_MEMORY,
    End,
    Fault,
    Frame,
    Limits,
    ReadTask,
    Row,
    RowBatch,
    Trouble,
)
from app.ingest.reading import FileReading
from app.ingest.rows import FieldColumn, FileProblem, FileRow
from app.runtime.limits import READING_MOST_PROBLEMS, ROW_MAX_CHARS

_ITEMS_PER_FRAME: Final = 200
_CHARS_PER_FRAME: Final = 500_000
_CPU_GRACE_S: Final = 5

_encoder = msgspec.msgpack.Encoder()


def main() -> None:
    """Read the file of the task on standard input, and write frames to standard output."""
    asked = sys.stdin.buffer
    length = int.from_bytes(asked.read(LENGTH_BYTES), "big")
    task = msgspec.msgpack.decode(asked.read(length), type=ReadTask)
    confine(task.limits)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    with suppress(BrokenPipeError):
        _answer(task)
    os._exit(0)  # The system frees the memory of a large workbook faster than Python does.


def confine(limits: Limits) -> None:
    """Have the system end this process when it exceeds these limits."""
    with suppress(OSError):  # When the machine runs out of memory, the kernel kills this process first.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    _limit(resource.RLIMIT_CORE, 0)  # A core dump would contain the figures of the file.
    _limit(resource.RLIMIT_CPU, limits.cpu_s, _CPU_GRACE_S)
    with suppress(OSError, ValueError):  # Some systems cannot limit the address space.
        _limit(resource.RLIMIT_AS, limits.memory_bytes)


def _limit(kind: int, most: int, grace: int = 0) -> None:
    """Set a limit unless a lower one is in force already."""
    _, before = resource.getrlimit(kind)
    if before == resource.RLIM_INFINITY or before > most + grace:
        resource.setrlimit(kind, (most, most + grace))


def _answer(task: ReadTask) -> None:
    reading = FileReading(Path(os.fsdecode(task.path)), task.request, task.fingerprint)
    try:
        for batch in _batches(reading.rows()):
            _send(batch)
        _send(End(reading.ignored))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BrokenPipeError:
        raise
    except BaseException:  # noqa: BLE001 - a panic in Rust arrives as a BaseException
        _send(Fault(traceback.format_exc()))


def _batches(given: Iterable[FileRow | FileProblem]) -> Iterator[RowBatch]:
    """Collect rows and problems in batches of a bounded size."""
    batch, room, known = RowBatch([], []), _CHARS_PER_FRAME, list[Mapping[str, FieldColumn]]()
    number = -1
    for item in _within_limits(given):
        if isinstance(item, FileProblem):
            batch.items.append(Trouble(item))
        else:
            if number < 0 or item.places is not known[number]:
                number = _number_places(item.places, known, batch)
            texts = list(item.texts)
            batch.items.append(Row(item.sheet, item.row, item.data, number, texts))
            room -= _chars(item)
        if room <= 0 or len(batch.items) == _ITEMS_PER_FRAME:
            yield batch
            batch, room = RowBatch([], []), _CHARS_PER_FRAME
    yield batch


def _number_places(
    places: Mapping[str, FieldColumn], known: list[Mapping[str, FieldColumn]], batch: RowBatch
) -> int:
    """The number of these places; they are added to the batch when no earlier batch had them."""
    for number, other in enumerate(known):
        if other is places:
            return number
    known.append(places)
    batch.places.append(dict(places))
    return len(known) - 1


def _within_limits(given: Iterable[FileRow | FileProblem]) -> Iterator[FileRow | FileProblem]:
    """Turn rows that are too long into problems, and stop after too many problems."""
    problems = 0
    for item in given:
        if isinstance(item, FileRow):
            if _chars(item) <= ROW_MAX_CHARS:
                yield item
                continue
            problem = _too_long(item)
        else:
            problem = item
        problems += 1
        if problems > READING_MOST_PROBLEMS:
            yield FileProblem.of_file("file-unreadable", _MANY_PROBLEMS)
            return
        yield problem


def _too_long(row: FileRow) -> FileProblem:
    return FileProblem(
        sheet=row.sheet,
        row=row.row,
        column=None,
        text=None,
        code="line-unreadable",
        message=f"第{row.row}行：内容超过{ROW_MAX_CHARS}个字，无法读取。请删去该行中不属于本表的内容。",
    )


def _chars(row: FileRow) -> int:
    return len(row.sheet) + len(row.texts) + sum(map(len, row.texts))


def _send(frame: Frame) -> None:
    packed = _encoder.encode(frame)
    sys.stdout.buffer.write(len(packed).to_bytes(LENGTH_BYTES, "big"))
    sys.stdout.buffer.write(packed)
    sys.stdout.buffer.flush()


def _end_with_caller() -> None:
    """End this process when its caller has closed standard input or has ended."""
    os.read(0, 1)
    os._exit(1)


_MANY_PROBLEMS: Final = f"无法读取之处超过{READING_MOST_PROBLEMS}处，其余未再读取。请核对是否选错了文件。"
