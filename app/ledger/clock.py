"""Checks whether the clock of this machine can be trusted: one wrong time would affect all later records."""

import time
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Connection

from app.runtime.limits import CLOCK_AHEAD_SAID_S, CLOCK_REST_MOST_S, CLOCK_STEP_MOST_S
from app.runtime.times import beijing, rfc_3339

STEP_MOST_US: Final = CLOCK_STEP_MOST_S * 1_000_000
REST_MOST_US: Final = CLOCK_REST_MOST_S * 1_000_000
AHEAD_SAID_US: Final = CLOCK_AHEAD_SAID_S * 1_000_000

_log = structlog.get_logger()


def now_us() -> int:
    """The time in microseconds since 1970-01-01T00:00:00Z, by the clock that people can set."""
    return time.time_ns() // 1000


def steady_us() -> int:
    """Microseconds since an arbitrary moment, by a clock that cannot be set and runs during sleep."""
    # Only Linux has such a clock; elsewhere a sleep of more than a day looks like a step of the clock.
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000


def beijing_text(time_us: int) -> str:
    """Format a time for officials, in Beijing time."""
    return f"{beijing(time_us)}（北京时间）"


class ClockError(Exception):
    """The clock is far ahead of the last record, and no operator has accepted it, so nothing is recorded.

    Args:
        now_us: The time of the clock, in microseconds since 1970.
        last_us: The time of the last record, in microseconds since 1970.
    """

    def __init__(self, now_us: int, last_us: int) -> None:
        super().__init__(now_us, last_us)
        self.now_us = now_us
        self.last_us = last_us

    def __str__(self) -> str:
        """The problem and its remedy, in Chinese."""
        return (
            f"本机时钟为{beijing_text(self.now_us)}，台账最后的登记时间为{beijing_text(self.last_us)}，"
            "时钟可能被向前拨动；为免此后的登记时间全部有误，暂停登记。"
            "请核对时钟，时间无误的，请运行duixian clock accept予以认可"
        )


class ClockWatch:
    """Compares the clock with a steady clock, with the clock of the database, and with the last record.

    Args:
        clock: Returns microseconds since 1970.
        steady: Returns microseconds of a clock that cannot be set; None assumes that `clock` cannot be set.
    """

    def __init__(self, clock: Callable[[], int], steady: Callable[[], int] | None) -> None:
        self._clock = clock
        self._steady = clock if steady is None else steady
        self._reference = clock(), self._steady()
        self._agrees_with_database = False
        self._is_ahead = False

    def now(self) -> int:
        """The time of the clock, in microseconds since 1970."""
        return self._clock()

    def believed_after_us(self, connection: Connection, now_us: int) -> int:
        """The minimum time of the last record for the clock to be trusted, in microseconds since 1970.

        If the other clocks agree with the clock, it is trusted after a pause of the ledger of up to
        `REST_MOST_US` before this process started. A clock ahead of them is trusted only if a record has been
        made by it since, for example by `duixian clock accept`.
        """
        expected_us = self._expected_us(connection, now_us)
        if now_us > expected_us + STEP_MOST_US:
            return max(expected_us + STEP_MOST_US, now_us - REST_MOST_US)
        return self._reference[0] - REST_MOST_US

    def _expected_us(self, connection: Connection, now_us: int) -> int:
        """The time that the clock would show if it had not been set."""
        began_us, steady_us = self._reference
        expected_us = began_us + self._steady() - steady_us
        if self._agrees_with_database or connection.dialect.name != "postgresql":
            return expected_us
        found = connection.exec_driver_sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        theirs_us: int = found.scalar_one()
        self._agrees_with_database = now_us <= theirs_us + STEP_MOST_US
        return min(expected_us, theirs_us)

    def recorded(self, now_us: int, recorded_at_us: int) -> None:
        """Note that a record was made: a clock that was trusted becomes the reference.

        If the ledger gets ahead of the clock, the process logs one warning.
        """
        began_us, steady_us = self._reference
        if now_us > began_us + self._steady() - steady_us + STEP_MOST_US:
            self._reference = now_us, self._steady()
            self._agrees_with_database = True
        is_ahead = recorded_at_us - now_us > AHEAD_SAID_US
        if is_ahead and not self._is_ahead:
            _log.warning("the ledger is ahead of the clock", recorded_at=rfc_3339(recorded_at_us))
        self._is_ahead = is_ahead
