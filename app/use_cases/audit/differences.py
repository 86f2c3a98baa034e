"""Compares two moments (变动明细): each amount before and after, and the causes of its changes.

A change is caused by the returns that its transaction registers, corrects or withdraws: returns of the same
period, and if a longer limit cut the amount before or after, returns of earlier periods too, which leave more
or less of that limit. A transaction without such returns belongs to the assessment after a publication.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.ledger.corruption import REBUILD
from app.use_cases.reading.as_of import AskedMoment, AsOf, resolve_moment
from domain.errors import LedgerIntegrityError
from domain.periods import period_of, window_of
from domain.returns import ReturnVersion
from projections.queries import differences as queries
from projections.queries.differences import BEGINNING, AmountInForce, Identity, Place, Scope, Span
from projections.queries.policies import PolicyMark, PolicyVersion, published, states
from projections.temporal_rows import chunks

MOST_SLICES: Final = 10
"""The most slices to search for one page: 20,000 rows, some tens of milliseconds."""

DETAILED_AT_ONCE: Final = 200
"""The number of periods whose enterprises and causes are read at once: one or two pages of usual length."""


class PublicationCause(msgspec.Struct, frozen=True):
    """The publication of a policy version, or the withdrawal of the policy, as the cause of a change.

    Attributes:
        published: The version.
        before: The version before it; None for the first one.
        repeats: The number of the first earlier version with the same document; None for a new document.
        withdrawn: The withdrawal, if it is the cause; otherwise None.
    """

    published: PolicyVersion
    before: PolicyVersion | None
    repeats: int | None
    withdrawn: PolicyMark | None = None

    @property
    def _record(self) -> PolicyVersion | PolicyMark:
        return self.withdrawn or self.published

    @property
    def position(self) -> int:
        """The position of the publication or the withdrawal in the log."""
        return self._record.position

    @property
    def recorded_at_us(self) -> int:
        """The time of the publication or the withdrawal, in microseconds since 1970."""
        return self._record.recorded_at_us

    @property
    def actor(self) -> str:
        """The actor of the publication or the withdrawal."""
        return self._record.actor


Cause = ReturnVersion | PublicationCause
"""The cause of a change: a return registered, corrected or withdrawn, or a publication or withdrawal."""


class Moments(msgspec.Struct, frozen=True):
    """The two moments that are compared, the earlier one first."""

    first: AsOf
    last: AsOf

    @property
    def span(self) -> Span:
        """The positions between the two moments."""
        return Span(self.first.position, self.last.position)


class Change(msgspec.Struct, frozen=True):
    """A change of an amount by one transaction.

    Attributes:
        position: The position of the last event of the transaction.
        recorded_at_us: The time of the transaction, in microseconds since 1970.
        before_fen: None if the period was not assessed before.
        after_fen: None if it is no longer assessed.
        causes: The causes, in the order of the log.
    """

    position: int
    recorded_at_us: int
    before_fen: int | None
    after_fen: int | None
    causes: list[Cause]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A period of an account whose amounts at the two moments differ.

    Attributes:
        before_fen: None if the period was not assessed at the first moment.
        after_fen: None if it is not assessed at the last one.
        changes: The changes between the moments, in the order of the log.
    """

    uscc: str
    name: str
    region_code: str
    policy: str
    window: str
    period: str
    before_fen: int | None
    after_fen: int | None
    changes: list[Change]

    @property
    def difference_fen(self) -> int:
        """The increase from the first moment to the last; negative for a decrease."""
        return (self.after_fen or 0) - (self.before_fen or 0)


class Sums(NamedTuple):
    """The sums of all amounts at both moments, in fen."""

    before_fen: int
    after_fen: int

    @property
    def difference_fen(self) -> int:
        """The sum of all differences."""
        return self.after_fen - self.before_fen


class Page(NamedTuple):
    """A page of differences, and where the next one begins; None after the last."""

    differences: list[Difference]
    next_after: Place | None


class OrderError(ValueError):
    """The first moment lies after the last one."""


def resolve_moments(connection: Connection, first: AskedMoment, last: AskedMoment) -> Moments:
    """Resolve the two moments that a request names.

    Raises:
        PositionAheadError: A position is above the head.
        DayAheadError: A day has not begun.
        OrderError: The first moment lies after the last one.
    """
    moments = Moments(resolve_moment(connection, first), resolve_moment(connection, last))
    # Two moments within one transaction are equal, in whichever order the request names them.
    are_later = (
        _is_later(first.position, last.position),
        _is_later(first.known_at_us, last.known_at_us),
        first.day is not None and last.day is not None and first.day.start_us > last.day.start_us,
        moments.first.position > moments.last.position,
    )
    if any(are_later):
        raise OrderError(f"{moments.first.position} is after {moments.last.position}")
    return moments


def _is_later(first: int | None, last: int | None) -> bool:
    return first is not None and last is not None and first > last


def sums(connection: Connection, scope: Scope, moments: Moments) -> Sums:
    """Compute the sums at both moments; an enterprise counts in its region as of the last one."""
    versions = published(connection, moments.last.position)
    return Sums(*queries.read_sums(connection, scope, moments.span, versions))


def difference_page(
    connection: Connection, scope: Scope, moments: Moments, *, limit: int, after: Place = BEGINNING
) -> Page:
    """Read at most `limit` differences after a place; a shorter page may not be the last one."""
    found: list[Difference] = []
    for _ in range(MOST_SLICES):
        end = queries.slice_end(connection, scope, after)
        for difference in _within(connection, scope, moments.span, after, end):
            if len(found) == limit:
                last = found[-1]
                return Page(found, Place(last.uscc, last.policy, last.window, last.period))
            found.append(difference)
        if end is None:
            return Page(found, None)
        after = end
    return Page(found, after)


def differences(connection: Connection, scope: Scope, moments: Moments) -> Iterator[Difference]:
    """Yield all differences, by code, policy, window and period; one slice of them is in memory."""
    after: Place | None = BEGINNING
    while after is not None:
        end = queries.slice_end(connection, scope, after)
        yield from _within(connection, scope, moments.span, after, end)
        after = end


def _within(
    connection: Connection, scope: Scope, span: Span, after: Place, end: Place | None
) -> Iterator[Difference]:
    """Yield the differences of a slice."""
    rows = queries.held_within(connection, scope, span, after=after, until=end)
    by_place = (list(group) for _, group in groupby(rows, key=lambda row: row.place))
    changed = (held for held in by_place if _first_fen(held, span) != _last_fen(held, span))
    for chunk in chunks(changed, DETAILED_AT_ONCE):
        details = _Details(connection, span, [row for held in chunk for row in held])
        for held in chunk:
            identity = details.identity(held[0])
            if scope.region_code in {None, identity.region_code}:
                yield details.difference(held, identity)


def _first_fen(held: Sequence[AmountInForce], span: Span) -> int | None:
    return held[0].assessed_fen if held[0].from_position <= span.first else None


def _last_fen(held: Sequence[AmountInForce], span: Span) -> int | None:
    return held[-1].assessed_fen if held[-1].to_position > span.last else None


class _Details:
    """The names, regions and records of the enterprises that some amounts belong to.

    Args:
        connection: A connection in a read transaction.
        span: The positions between the two moments.
        rows: The amounts.
    """

    def __init__(self, connection: Connection, span: Span, rows: Sequence[AmountInForce]) -> None:
        self._span = span
        codes = sorted({row.uscc for row in rows})
        self._identities = queries.identities(connection, {row.window for row in rows}, codes, span.last)
        self._versions: dict[tuple[int, str], list[ReturnVersion]] = {}
        for end, version in queries.versions_within(connection, span, codes):
            self._versions.setdefault((end, version.uscc), []).append(version)
        self._times = queries.read_times(connection, {end for row in rows for end in _ends(row, span)})
        self._states = states(connection, span.last)

    def identity(self, held: AmountInForce) -> Identity:
        """The name and the region of the enterprise that an amount belongs to."""
        return self._identities[held.window, held.uscc]

    def difference(self, held: Sequence[AmountInForce], identity: Identity) -> Difference:
        """The difference that results from the amounts of one period, given in the order of time."""
        first = held[0]
        return Difference(
            uscc=first.uscc,
            name=identity.name,
            region_code=identity.region_code,
            policy=first.policy,
            window=first.window,
            period=first.period,
            before_fen=_first_fen(held, self._span),
            after_fen=_last_fen(held, self._span),
            changes=list(self._changes(held)),
        )

    def _changes(self, held: Sequence[AmountInForce]) -> Iterator[Change]:
        began = {row.from_position: row for row in held}
        ended = {row.to_position: row for row in held}
        for end in sorted({end for row in held for end in _ends(row, self._span)}):
            before, after = ended.get(end), began.get(end)
            before_fen = None if before is None else before.assessed_fen
            after_fen = None if after is None else after.assessed_fen
            if before_fen != after_fen:
                causes = self._causes(end, [row for row in (before, after) if row is not None])
                yield Change(end, self._times[end], before_fen, after_fen, causes)

    def _causes(self, end: int, sides: Sequence[AmountInForce]) -> list[Cause]:
        """The causes of a change, given as the amount before it, the amount after it, or both."""
        changed = sides[0]
        is_cut, window = any(side.is_cut for side in sides), window_of(changed.window)
        causes: list[Cause] = [
            version
            for version in self._versions.get((end, changed.uscc), ())
            if version.period == changed.period
            or (
                is_cut
                and window.holds(period_of(version.period))
                and period_of(version.period) < period_of(changed.period)
            )
        ]
        return causes or [self._publication(changed.policy, end)]

    def _publication(self, policy: str, end: int) -> PublicationCause:
        """The last publication or withdrawal of a policy by the end of a transaction."""
        state = self._states.get(policy)
        versions = [version for version in (state.versions if state else ()) if version.position <= end]
        if state is None or not versions:
            message = f"查询表中政策{policy}在序号{end}已用于测算，其发布却在其后"
            raise LedgerIntegrityError(f"{message}。{REBUILD}")
        *earlier, newest = versions
        withdrawn = [mark for mark in state.withdrawals if newest.position < mark.position <= end]
        if withdrawn:
            return PublicationCause(newest, None, None, withdrawn[-1])
        repeated = (version.ref.version for version in earlier if version.ref.sha256 == newest.ref.sha256)
        return PublicationCause(newest, earlier[-1] if earlier else None, next(repeated, None))


def _ends(held: AmountInForce, span: Span) -> list[int]:
    """The positions within the span at which an amount began and ceased to be in force."""
    return [end for end in (held.from_position, held.to_position) if span.first < end <= span.last]
