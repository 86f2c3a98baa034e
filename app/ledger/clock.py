"""Whether the clock of this machine can be believed: what is dated wrongly once, dates all that follows."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from app.runtime.limits import CLOCK_AHEAD_SAID_S, CLOCK_REST_MOST_S, CLOCK_STEP_MOST_S

STEP_MOST_US: Final = CLOCK_STEP_MOST_S * 1_000_000
REST_MOST_US: Final = CLOCK_REST_MOST_S * 1_000_000
AHEAD_SAID_US: Final = CLOCK_AHEAD_SAID_S * 1_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger()


def now_us() -> int:
    """Microseconds since 1970-01-01T00:00:00Z, by a clock that can be set."""
    return time.time_ns() // 1000


def steady_us() -> int:
    """Microseconds since some moment. Nobody sets this clock, and it goes on while the machine sleeps."""
    # Linux alone has it; elsewhere a sleep of more than a day looks like a step.
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000


def time_text(time_us: int) -> str:
    """A time as RFC 3339, in UTC."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def beijing_text(time_us: int) -> str:
    """A time in Beijing, as officials read it."""
    return f"{_EPOCH + timedelta(hours=8, microseconds=time_us):%Y-%m-%d %H:%M:%S}（北京时间）"


class ClockError(Exception):
    """The clock is far ahead of the last record, and nobody has vouched for it: nothing is recorded.

    Args:
        now_us: What it tells, in microseconds since 1970.
        last_us: The time of the last record.
    """

    def __init__(self, now_us: int, last_us: int) -> None:
        super().__init__(now_us, last_us)
        self.now_us = now_us
        self.last_us = last_us

    def __str__(self) -> str:
        """What is doubtful, and what to do, in Chinese."""
        return (
            f"本机时钟为{beijing_text(self.now_us)}，台账最后的登记时间为{beijing_text(self.last_us)}，"
            "时钟可能被向前拨动；为免此后的登记时间全部有误，暂停登记。"
            "请核对时钟，时间无误的，请运行duixian clock accept予以认可"
        )


class ClockWatch:
    """Compares the clock with one that nobody sets, with that of the database, and with the last record.

    Args:
        clock: Microseconds since 1970.
        steady: Microseconds by a clock that nobody sets; None takes `clock` for one.
    """

    def __init__(self, clock: Callable[[], int], steady: Callable[[], int] | None) -> None:
        self._clock = clock
        self._steady = clock if steady is None else steady
        self._reference = clock(), self._steady()
        self._agrees_with_database = False
        self._is_ahead = False

    def now(self) -> int:
        """What the clock tells."""
        return self._clock()

    def believed_after_us(self, connection: Connection, now_us: int) -> int:
        """The time that the last record must at least have, for the clock to be believed.

        As far as other clocks say that time has passed, a start after a rest of `REST_MOST_US` is believed. A
        clock that is further on is believed if a record was made by it since, as by `duixian clock accept`.
        """
        expected_us = self._expected_us(connection, now_us)
        if now_us > expected_us + STEP_MOST_US:
            return max(expected_us + STEP_MOST_US, now_us - REST_MOST_US)
        return self._reference[0] - REST_MOST_US

    def _expected_us(self, connection: Connection, now_us: int) -> int:
        """What the clock would tell if nobody had set it."""
        began_us, steady_us = self._reference
        expected_us = began_us + self._steady() - steady_us
        if self._agrees_with_database or connection.dialect.name != "postgresql":
            return expected_us
        found = connection.exec_driver_sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        theirs_us: int = found.scalar_one()
        self._agrees_with_database = now_us <= theirs_us + STEP_MOST_US
        return min(expected_us, theirs_us)

    def recorded(self, now_us: int, recorded_at_us: int) -> None:
        """Take note of a record that was made: a clock that was believed is the one to compare with.

        A ledger that is ahead is said once in the log of the process, each time that it becomes so.
        """
        began_us, steady_us = self._reference
        if now_us > began_us + self._steady() - steady_us + STEP_MOST_US:
            self._reference = now_us, self._steady()
            self._agrees_with_database = True
        is_ahead = recorded_at_us - now_us > AHEAD_SAID_US
        if is_ahead and not self._is_ahead:
            _log.warning("the ledger is ahead of the clock", recorded_at=time_text(recorded_at_us))
        self._is_ahead = is_ahead
