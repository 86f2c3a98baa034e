"""Finds the red flags (疑点) of a window as of a moment: enterprise by enterprise, in slices.

A country has 600,000 enterprises. Memory holds one slice of them, the flags found, and the counts of groups.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.runtime.limits import RED_FLAGS_MOST_GROUPED, RED_FLAGS_MOST_SCANNED
from app.runtime.times import BEIJING, to_us
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
"""The questions about a single enterprise."""

GROUP_FLAGS: Final[tuple[GroupFlagId, ...]] = tuple(COUNTERS)
"""The questions about many returns together."""

SLICE: Final = 500
"""The number of enterprises read at once: some 10,000 versions, ten megabytes."""


class RedFlagQuery(msgspec.Struct, frozen=True):
    """The window, the flags and the region of a request; None for all regions."""

    window: Window
    flags: Collection[FlagId]
    region_code: str | None = None


class Place(NamedTuple):
    """The end of a page: after the enterprise `uscc`, and after `taken` questions about the next one."""

    uscc: str
    taken: int


BEGINNING: Final = Place("", 0)


class Page(NamedTuple):
    """A page of questions, and where the next one begins; None after the last."""

    found: list[RedFlag]
    next_after: Place | None


class TooManyError(Exception):
    """There are more enterprises than one call may search.

    Args:
        enterprises: The number of enterprises.
    """

    def __init__(self, enterprises: int) -> None:
        super().__init__(f"{enterprises} enterprises, more than {RED_FLAGS_MOST_GROUPED}")
        self.enterprises = enterprises


def red_flags(
    connection: Connection, query: RedFlagQuery, policy_as_of: PolicyAsOf, progress: Callable[[int], None]
) -> Iterator[RedFlag]:
    """Yield every question: first those about single enterprises by code, then those about many returns.

    Args:
        connection: A connection in a read transaction, open until the last question.
        query: The request.
        policy_as_of: The moment, and the policy.
        progress: Called after each slice with the number of enterprises done.
    """
    scope = _scope(query, policy_as_of)
    counters = [made(scope) for flag, made in COUNTERS.items() if flag in query.flags]
    done = 0
    for known in _slices(connection, query, policy_as_of, ""):
        for history in _histories(connection, query, policy_as_of, known):
            yield from enterprise_flags(history, scope, query.flags)
            for counter in counters:
                counter.add(history)
        done += len(known)
        progress(done)
    for counter in counters:
        yield from counter.flags()


def count_enterprises(connection: Connection, query: RedFlagQuery, policy_as_of: PolicyAsOf) -> int:
    """The number of enterprises to search."""
    filed = totals.filed(connection, str(query.window), policy_as_of.moment.position)
    return sum(group.enterprises for group in filed if query.region_code in {None, group.region_code})


def group_flags(connection: Connection, query: RedFlagQuery, policy_as_of: PolicyAsOf) -> list[RedFlag]:
    """Find the questions about many returns together.

    Raises:
        TooManyError: There are too many enterprises for one call.
    """
    enterprises = count_enterprises(connection, query, policy_as_of)
    if enterprises > RED_FLAGS_MOST_GROUPED:
        raise TooManyError(enterprises)
    return list(red_flags(connection, query, policy_as_of, lambda _: None))


def red_flag_page(
    connection: Connection, query: RedFlagQuery, policy_as_of: PolicyAsOf, *, limit: int, after: Place
) -> Page:
    """Read a page of questions about single enterprises, by code.

    A page searches a bounded number of enterprises, so any page may be shorter than `limit`, even empty.
    """
    scope = _scope(query, policy_as_of)
    found: list[RedFlag] = []
    scanned, (last, taken) = 0, after
    for known in _slices(connection, query, policy_as_of, last):
        for history in _histories(connection, query, policy_as_of, known):
            questions = list(enterprise_flags(history, scope, query.flags))[taken:]
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


def _scope(query: RedFlagQuery, policy_as_of: PolicyAsOf) -> Scope:
    ended_at_us = to_us(datetime(*query.window.end, 1, tzinfo=BEIJING))
    policy = policy_as_of.policy()
    paying = policy if policy is not None and policy.has_account(query.window) else None
    return Scope(query.window, ended_at_us, paying, query.region_code)


def _slices(
    connection: Connection, query: RedFlagQuery, policy_as_of: PolicyAsOf, after: str
) -> Iterator[Sequence[Known]]:
    """Yield the enterprises of the window, of all regions, in slices."""
    at = policy_as_of.moment.position
    histories.walk_along_keys(connection)
    while known := histories.enterprises_after(connection, str(query.window), at, after=after, limit=SLICE):
        yield known
        after = known[-1].uscc


def _histories(
    connection: Connection, query: RedFlagQuery, policy_as_of: PolicyAsOf, known: Sequence[Known]
) -> Iterator[EnterpriseHistory]:
    """Yield the histories of the enterprises of a slice that are in the requested region."""
    enterprises = [row for row in known if query.region_code in {None, row.region_code}]
    versions = histories.versions_of(
        connection, [row.uscc for row in enterprises], _periods(query.window), policy_as_of.moment.position
    )
    by_uscc = {
        uscc: {key: list(group) for key, group in groupby(own, key=lambda row: (row.form, row.period))}
        for uscc, own in groupby(versions, key=lambda row: row.uscc)
    }
    for row in enterprises:
        yield EnterpriseHistory(row.uscc, row.name, row.region_code, by_uscc[row.uscc])


def _periods(window: Window) -> list[Period]:
    """The periods from the start of the window's first year to its end, and its periods a year before."""
    last = window.periods[-1]
    so_far = [
        period for period in Window.of_years(window.first_year, window.last_year).periods if period <= last
    ]
    return list({*so_far, *(period.year_before for period in window.periods)})
