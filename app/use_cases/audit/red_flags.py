"""The red flags (疑点) of a window, as it stood at a moment: enterprise by enterprise, in slices.

A country has 600,000 enterprises: in memory are one slice, what is found, and the counts of the groups.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.runtime.limits import RED_FLAGS_MOST_GROUPED, RED_FLAGS_MOST_SCANNED
from app.use_cases.reading.as_of import PolicyAsOf
from domain.periods import Period, Window
from domain.red_flags.enterprise_flags import DETECTORS, enterprise_flags
from domain.red_flags.group_flags import COUNTERS
from domain.red_flags.kinds import (
    EnterpriseFlagId,
    EnterpriseHistory,
    FlagId,
    GroupFlagId,
    RedFlag,
    Scope,
)
from projections.queries import histories, totals
from projections.queries.histories import Known

ENTERPRISE_FLAGS: Final[tuple[EnterpriseFlagId, ...]] = tuple(DETECTORS)
"""The questions about one enterprise each."""

GROUP_FLAGS: Final[tuple[GroupFlagId, ...]] = tuple(COUNTERS)
"""The questions about many returns together."""

SLICE: Final = 500
"""Enterprises that are read at once: some 10,000 versions, ten megabytes."""

_BEIJING: Final = timezone(timedelta(hours=8))
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RedFlagQuery(msgspec.Struct, frozen=True):
    """Which flags of which window and region are asked for; None for all regions."""

    window: Window
    flags: Collection[FlagId]
    region_code: str | None = None


class Place(NamedTuple):
    """Where a page ends: after this enterprise, and after so many questions about the next one."""

    uscc: str
    taken: int


BEGINNING: Final = Place("", 0)


class Page(NamedTuple):
    """A page of questions, and where the next one begins; None after the last."""

    found: list[RedFlag]
    next_after: Place | None


class TooManyError(Exception):
    """More enterprises than are looked through in one call.

    Args:
        enterprises: How many there are.
    """

    def __init__(self, enterprises: int) -> None:
        super().__init__(f"{enterprises} enterprises, more than {RED_FLAGS_MOST_GROUPED}")
        self.enterprises = enterprises


def red_flags(
    connection: Connection, asked: RedFlagQuery, books: PolicyAsOf, progress: Callable[[int], None]
) -> Iterator[RedFlag]:
    """Every question: those about one enterprise by code, then those about many returns.

    Args:
        connection: In a transaction that reads, open until the last question.
        asked: What is asked for.
        books: The moment, and the policy.
        progress: Told after each slice how many enterprises are done.
    """
    scope = _scope(asked, books)
    counters = [made(scope) for flag, made in COUNTERS.items() if flag in asked.flags]
    done = 0
    for known in _slices(connection, asked, books, ""):
        for history in _histories(connection, asked, books, known):
            yield from enterprise_flags(history, scope, asked.flags)
            for counter in counters:
                counter.add(history)
        done += len(known)
        progress(done)
    for counter in counters:
        yield from counter.flags()


def enterprises_asked(connection: Connection, asked: RedFlagQuery, books: PolicyAsOf) -> int:
    """How many enterprises are looked through."""
    filed = totals.filed(connection, str(asked.window), books.moment.position)
    return sum(each.enterprises for each in filed if asked.region_code in {None, each.region_code})


def group_flags(connection: Connection, asked: RedFlagQuery, books: PolicyAsOf) -> list[RedFlag]:
    """The questions about many returns together.

    Raises:
        TooManyError: There are too many enterprises for one call.
    """
    enterprises = enterprises_asked(connection, asked, books)
    if enterprises > RED_FLAGS_MOST_GROUPED:
        raise TooManyError(enterprises)
    return list(red_flags(connection, asked, books, lambda _: None))


def red_flag_page(
    connection: Connection, asked: RedFlagQuery, books: PolicyAsOf, *, limit: int, after: Place
) -> Page:
    """The next questions about one enterprise each, by code.

    A page looks through a bounded number of enterprises: it may be shorter than `limit`, even empty, before
    the last one.
    """
    scope = _scope(asked, books)
    found: list[RedFlag] = []
    scanned, (last, taken) = 0, after
    for known in _slices(connection, asked, books, last):
        for history in _histories(connection, asked, books, known):
            questions = list(enterprise_flags(history, scope, asked.flags))[taken:]
            room = limit - len(found)
            found += questions[:room]
            if len(questions) > room:
                return Page(found, Place(last, taken + room))
            last, taken = history.uscc, 0
        scanned += len(known)
        last, taken = known[-1].uscc, 0
        if scanned >= RED_FLAGS_MOST_SCANNED:
            return Page(found, Place(last, 0))
    return Page(found, None)


def _scope(asked: RedFlagQuery, books: PolicyAsOf) -> Scope:
    ended_at_us = (datetime(*asked.window.end, 1, tzinfo=_BEIJING) - _EPOCH) // _MICROSECOND
    policy = books.policy()
    paying = policy if policy is not None and policy.has_account(asked.window) else None
    return Scope(asked.window, ended_at_us, paying, asked.region_code)


def _slices(
    connection: Connection, asked: RedFlagQuery, books: PolicyAsOf, after: str
) -> Iterator[Sequence[Known]]:
    """The enterprises of the window, a slice at a time, of all regions."""
    at = books.moment.position
    histories.walk_along_keys(connection)
    while known := histories.enterprises_after(connection, str(asked.window), at, after=after, limit=SLICE):
        yield known
        after = known[-1].uscc


def _histories(
    connection: Connection, asked: RedFlagQuery, books: PolicyAsOf, known: Sequence[Known]
) -> Iterator[EnterpriseHistory]:
    """The histories of those of a slice that are in the region asked for."""
    wanted = [each for each in known if asked.region_code in {None, each.region_code}]
    versions = histories.versions_of(
        connection, [each.uscc for each in wanted], _periods(asked.window), books.moment.position
    )
    by_uscc = {
        uscc: {key: list(group) for key, group in groupby(of_uscc, key=lambda each: (each.form, each.period))}
        for uscc, of_uscc in groupby(versions, key=lambda each: each.uscc)
    }
    for each in wanted:
        yield EnterpriseHistory(each.uscc, each.name, each.region_code, by_uscc[each.uscc])


def _periods(window: Window) -> list[Period]:
    """The periods of a window, those before it in its first year, and the same periods a year before."""
    last = window.periods[-1]
    so_far = [
        period for period in Window.of_years(window.first_year, window.last_year).periods if period <= last
    ]
    return list({*so_far, *(period.year_before for period in window.periods)})
