"""A repeated line of the log is written a few times, then only counted."""

import logging

from app.runtime.limits import LOG_REPEATS_MOST, LOG_REPEATS_WINDOW_S
from app.runtime.logs import Repeats, RepeatsFilter


class Clock:
    """A clock that the test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_last_line_before_the_silence_says_so_and_the_first_after_it_counts_those_left_out() -> None:
    clock = Clock()
    repeats = Repeats(clock)
    said = [repeats.admit("a line") for _ in range(LOG_REPEATS_MOST + 25)]
    assert said[: LOG_REPEATS_MOST - 1] == [""] * (LOG_REPEATS_MOST - 1)
    assert said[LOG_REPEATS_MOST - 1] == f"the same within {LOG_REPEATS_WINDOW_S} seconds is left out"
    assert said[LOG_REPEATS_MOST:] == [None] * 25
    clock.now_s = LOG_REPEATS_WINDOW_S - 1
    assert repeats.admit("a line") is None
    clock.now_s = LOG_REPEATS_WINDOW_S
    assert repeats.admit("a line") == "26 times more before"
    assert repeats.admit("a line") == ""


def test_lines_that_differ_do_not_count_for_each_other() -> None:
    repeats = Repeats(Clock())
    for number in range(5_000):
        assert repeats.admit("a line", str(number)) == ""


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("asyncio", level, "", 0, text, None, None)


def test_a_line_of_a_library_counts_by_its_first_line_which_names_no_socket() -> None:
    bounded = RepeatsFilter()
    texts = [f"socket.accept() out of system resource\nsocket: <fd={number}>" for number in range(2_000)]
    let_through = [text for text in texts if bounded.filter(record(logging.ERROR, text))]
    assert let_through == texts[:LOG_REPEATS_MOST]


def test_lines_that_only_inform_are_all_written() -> None:
    bounded = RepeatsFilter()
    assert all(bounded.filter(record(logging.INFO, "the same")) for _ in range(100))
