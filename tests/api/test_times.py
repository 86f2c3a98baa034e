"""Texts of times and moments: what is one, which instant it is, and what is said of one that is none."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answers.moments import BEYOND, MomentError, parse_known_at, parse_moment, parse_position
from app.runtime.times import parse_rfc_3339
from app.use_cases.reading.as_of import NOW

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEW_YEAR_2017_US = 1_483_228_800_000_000
NOON_US = NEW_YEAR_2017_US + 12 * 3_600_000_000


def at(text: str) -> int:
    """A time of UTC in microseconds since 1970."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-04-10T08:00:00Z", at("2024-04-10T08:00:00")),
        ("2024-04-10t08:00:00z", at("2024-04-10T08:00:00")),
        ("2024-04-10T16:00:00+08:00", at("2024-04-10T08:00:00")),
        ("2024-04-10T08:00:00-00:00", at("2024-04-10T08:00:00")),
        ("2024-04-11T07:59:00+23:59", at("2024-04-10T08:00:00")),
        ("2024-04-09T08:01:00-23:59", at("2024-04-10T08:00:00")),
        ("2024-04-10T08:00:00.1Z", at("2024-04-10T08:00:00.100000")),
        ("2024-04-10T08:00:00.1234569Z", at("2024-04-10T08:00:00.123456")),
        (f"2024-04-10T08:00:00.{'9' * 60}Z", at("2024-04-10T08:00:00.999999")),
        ("0001-01-01T00:00:00Z", at("0001-01-01T00:00:00")),
        ("0001-01-01T00:00:00+23:59", at("0001-01-01T00:00:00") - (23 * 60 + 59) * 60_000_000),
        ("9999-12-31T23:59:59Z", at("9999-12-31T23:59:59")),
        ("9999-12-31T23:59:59-23:59", at("9999-12-31T23:59:59") + (23 * 60 + 59) * 60_000_000),
        ("2016-12-31T23:59:60Z", NEW_YEAR_2017_US - 1),
        ("2016-12-31T23:59:60.5z", NEW_YEAR_2017_US - 1),
        ("2017-01-01T07:59:60+08:00", NEW_YEAR_2017_US - 1),
        ("2016-12-31T15:59:60-08:00", NEW_YEAR_2017_US - 1),
        ("9999-12-31T23:59:60Z", at("9999-12-31T23:59:59.999999")),
    ],
)
def test_a_time_of_rfc_3339_is_its_instant(text: str, instant: int) -> None:
    assert parse_rfc_3339(text) == instant
    assert parse_known_at(text, now_us=0).known_at_us == instant
    assert parse_moment(text.replace("+", " "), now_us=0) == parse_known_at(text, now_us=0)


WRONG = [
    "",
    "now",
    "2024-04-10T08:00:00",
    "2024-04-10T08:00Z",
    "2024-04-10T24:00:00Z",
    "2024-04-10T08:60:00Z",
    "2024-04-10T08:00:61Z",
    "2024-04-10T08:00:60Z",
    "2016-12-31T23:59:60+08:00",
    "2024-04-10T08:00:00.Z",
    "2024-04-10T08:00:00,5Z",
    "2024-04-10T08:00:00+24:00",
    "2024-04-10T08:00:00+08:60",
    "2024-04-10T08:00:00+0800",
    "2024-02-30T08:00:00Z",
    "0000-12-31T23:59:59Z",
    "10000-01-01T00:00:00Z",
    "2024-4-1",
    "2024-04-31",
    "2023-02-29",
    "0000-01-01",
    "20240410T080000Z",
    "\uff12\uff10\uff12\uff14-04-10",
    "2024-04-10T08:00:00Z\n",
    "-1",
    "1.0",
    "\u0663",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_moment_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(MomentError, match="应为台账序号如32518，日期"):
        parse_moment(text, now_us=0)
    with pytest.raises(MomentError, match="应为日期"):
        parse_known_at(text, now_us=0)


def test_a_day_that_is_none_and_a_leap_second_at_the_wrong_time_are_named() -> None:
    with pytest.raises(MomentError, match="没有这一天"):
        parse_known_at("2023-02-29", now_us=0)
    with pytest.raises(MomentError, match="闰秒只有世界时23:59:60"):
        parse_known_at("2024-04-10T08:00:60Z", now_us=0)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    with suppress(MomentError):
        assert parse_moment(text, now_us=0) != NOW


def test_a_day_begins_after_all_that_was_known_before_midnight_in_beijing_and_ends_before_the_next() -> None:
    start_us = at("2016-12-31T16:00:00")
    start = parse_moment("2017-01-01", now_us=NOON_US, is_start=True)
    end = parse_moment("2017-01-01", now_us=NOON_US)
    assert (start.known_at_us, end.known_at_us) == (start_us - 1, start_us + 86_400_000_000 - 1)
    assert parse_known_at("2017-01-01", now_us=NOON_US) == end


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0", 0),
        ("007", 7),
        ("0" * 5_000 + "1", 1),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), BEYOND),
        (str(2**63 + 1), BEYOND),
        ("9" * 19, BEYOND),
        ("9" * 20, BEYOND),
        ("9" * 5_000, BEYOND),
    ],
)
def test_a_position_of_any_length_is_read(text: str, position: int) -> None:
    assert parse_position(text) == position
