"""What worker processes do in tests; it imports little, since every one of them imports it."""

import os
import signal
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn


def end() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class EndsItsReader:
    """An object that ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return end, ()


def size(_: object, *given: Any) -> int:
    return len(given)


def end_at_work(_: object) -> NoReturn:
    end()


def end_after(sent: Callable[[bytes], bytes]) -> None:
    """Make this process end after it has sent a part of its next message."""

    def send(connection: Connection, message: memoryview) -> NoReturn:
        part = sent(struct.pack("!i", len(message)) + bytes(message))
        assert os.write(connection.fileno(), part) == len(part)
        end()

    Connection._send_bytes = send  # type: ignore[attr-defined]


def end_before_the_answer(_: object) -> None:
    end_after(lambda _: b"")


def end_within_the_length(_: object) -> None:
    end_after(lambda message: message[:2])


def end_after_the_length(_: object) -> None:
    end_after(lambda message: message[:4])


def end_within_the_answer(_: object) -> bytes:
    end_after(lambda message: message[:20_000])
    return bytes(40_000)


def end_after_the_answer(_: object) -> int:
    end_after(lambda message: message)
    return 1


def wait_for_ever(_: object) -> None:
    signal.pause()


def same(_: object, number: int) -> int:
    return number


def meet(_: object, mine: Path, other: Path) -> int:
    """Say that this task has begun, and go on when the other one has."""
    mine.touch()
    while not other.exists():
        time.sleep(0.01)
    return os.getpid()


def fail(_: object, error: type[Exception], of: object) -> NoReturn:
    raise error(of)


def fail_at(_: object, number: int) -> int:
    if number == 1:
        raise ZeroDivisionError
    return number
