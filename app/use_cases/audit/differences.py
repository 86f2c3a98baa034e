"""What changed between two moments (变动明细): each amount before and after, and what caused the change.

A change is caused by the returns that its transaction registers, corrects or withdraws: those of its own
period, and where a longer limit cut the amount before or after, those of earlier periods too, which
leave more or less of it. A transaction with none of them assessed what was filed before a publication.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.ledger.corruption import REBUILD
from app.use_cases.reading.as_of import AskedMoment, AsOf, moment_of
from domain.errors import LedgerIntegrityError
from domain.periods import period_of, window_of
from domain.returns import ReturnVersion
from projections.queries import differences as queries
from projections.queries.differences import BEGINNING, AmountInForce, Identity, Place, Scope, Span
from projections.queries.policies import PolicyMark, PolicyVersion, published, states
from projections.temporal_rows import chunks

MOST_SLICES: Final = 10
"""Looked through for one page at the most, 20,000 rows: some tens of milliseconds."""

DETAILED_AT_ONCE: Final = 200
"""Periods whose enterprises and causes are read in one go: those of a page of the usual length, or two."""


class Publication(msgspec.Struct, frozen=True):
    """A version of a policy that was published, and what it took the place of; or its withdrawal.

    Attributes:
        published: The version.
        before: The version before it; None of a first one.
        repeats: The number of the first earlier version whose document it is; None of a new document.
        withdrawn: Its withdrawal, where that is the cause.
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
        """Of its record in the log."""
        return self._record.position

    @property
    def recorded_at_us(self) -> int:
        """When it was published or withdrawn, in microseconds since 1970."""
        return self._record.recorded_at_us

    @property
    def actor(self) -> str:
        """Who published or withdrew it."""
        return self._record.actor


Cause = ReturnVersion | Publication
"""What was registered, corrected or withdrawn, or which version was published or withdrawn."""


class Moments(msgspec.Struct, frozen=True):
    """The two moments that are compared, the earlier one first."""

    first: AsOf
    last: AsOf

    @property
    def span(self) -> Span:
        """What was recorded in between."""
        return Span(self.first.position, self.last.position)


class Change(msgspec.Struct, frozen=True):
    """A change of an amount by one transaction.

    Attributes:
        position: The end of the transaction.
        recorded_at_us: Its time, in microseconds since 1970.
        before_fen: None where the period was not assessed.
        after_fen: None where it is not any more.
        causes: In the order of the log.
    """

    position: int
    recorded_at_us: int
    before_fen: int | None
    after_fen: int | None
    causes: list[Cause]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A period of an account whose amount at one moment is not that at the other.

    Attributes:
        before_fen: None where the period was not assessed at the first moment.
        after_fen: None where it is not at the last one.
        changes: What led from the one to the other, in the order of the log.
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
        """What is more afterwards; negative where it is less."""
        return (self.after_fen or 0) - (self.before_fen or 0)


class Sums(NamedTuple):
    """The sums of all amounts at both moments, in fen."""

    before_fen: int
    after_fen: int

    @property
    def difference_fen(self) -> int:
        """What all differences sum up to."""
        return self.after_fen - self.before_fen


class Page(NamedTuple):
    """A page of differences, and where the next one begins; None after the last."""

    differences: list[Difference]
    next_after: Place | None


class OrderError(ValueError):
    """The first moment lies after the last one."""


def moments_of(connection: Connection, first: AskedMoment, last: AskedMoment) -> Moments:
    """The moments asked for.

    Raises:
        PositionAheadError: A position is above the head.
        DayAheadError: A day has not begun.
        OrderError: The first moment lies after the last one.
    """
    moments = Moments(moment_of(connection, first), moment_of(connection, last))
    # Two moments within one transaction are the same one, in whichever order they were given.
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
    """The sums at both moments; an enterprise counts in the region that it has at the last one."""
    versions = published(connection, moments.last.position)
    return Sums(*queries.read_sums(connection, scope, moments.span, versions))


def difference_page(
    connection: Connection, scope: Scope, moments: Moments, *, limit: int, after: Place = BEGINNING
) -> Page:
    """At most `limit` differences after a place, in the order of places; fewer may not be the last."""
    found: list[Difference] = []
    for _ in range(MOST_SLICES):
        end = queries.slice_end(connection, scope, after)
        for each in _within(connection, scope, moments.span, after, end):
            if len(found) == limit:
                last = found[-1]
                return Page(found, Place(last.uscc, last.policy, last.window, last.period))
            found.append(each)
        if end is None:
            return Page(found, None)
        after = end
    return Page(found, after)


def differences(connection: Connection, scope: Scope, moments: Moments) -> Iterator[Difference]:
    """All differences, by code, policy, window and period; one slice of them is in memory."""
    after: Place | None = BEGINNING
    while after is not None:
        end = queries.slice_end(connection, scope, after)
        yield from _within(connection, scope, moments.span, after, end)
        after = end


def _within(
    connection: Connection, scope: Scope, span: Span, after: Place, end: Place | None
) -> Iterator[Difference]:
    """The differences of a slice."""
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
    """What is read beside some amounts: who the enterprises are, and what was recorded of them.

    Args:
        connection: In a transaction.
        span: What is compared.
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
        """Name and region of the enterprise."""
        return self._identities[held.window, held.uscc]

    def difference(self, held: Sequence[AmountInForce], identity: Identity) -> Difference:
        """The difference that these amounts of one period, in the order of time, make."""
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
                causes = self._causes(end, [each for each in (before, after) if each is not None])
                yield Change(end, self._times[end], before_fen, after_fen, causes)

    def _causes(self, end: int, sides: Sequence[AmountInForce]) -> list[Cause]:
        """What caused a change, of which one side or both are given."""
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

    def _publication(self, policy: str, end: int) -> Publication:
        """The version of a policy that was the newest one when a transaction ended, or its withdrawal."""
        state = self._states.get(policy)
        versions = [each for each in (state.versions if state else ()) if each.position <= end]
        if state is None or not versions:
            told = f"查询表中政策{policy}在序号{end}已用于测算，其发布却在其后"
            raise LedgerIntegrityError(f"{told}。{REBUILD}")
        *earlier, newest = versions
        withdrawn = [each for each in state.withdrawals if newest.position < each.position <= end]
        if withdrawn:
            return Publication(newest, None, None, withdrawn[-1])
        repeated = (each.ref.version for each in earlier if each.ref.sha256 == newest.ref.sha256)
        return Publication(newest, earlier[-1] if earlier else None, next(repeated, None))


def _ends(held: AmountInForce, span: Span) -> list[int]:
    """Where in the span an amount began and ended to hold."""
    return [end for end in (held.from_position, held.to_position) if span.first < end <= span.last]
