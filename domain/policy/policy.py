"""A published policy, prepared for assessments, and the aggregate of its versions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from domain.errors import LedgerIntegrityError
from domain.events import (
    AnyEvent,
    PolicyAssessed,
    PolicyPublished,
    PolicyRef,
    PolicyWithdrawn,
    UnreadableEvent,
)
from domain.periods import Period, Window, periods_between, periods_of_year
from domain.policy.document import LIMIT_LENGTHS, Limit, Measure, PolicyDocument, fingerprint
from domain.policy.parts import Reading
from domain.policy.reach import Reach, derive_reach
from domain.words import record_name

MOST_ACCOUNT_FEN = 10**10
"""A hundred million yuan: no ceiling may be higher, and sums leave out an account that is. A million
enterprises and the 400 quarters of a century then make 4 × 10¹⁸ fen, so no sum passes 2⁶³."""


@dataclass(frozen=True, eq=False, slots=True)
class LimitWindow:
    """A limit, and one window in which it holds; a policy has one object for each, which is its own key.

    Attributes:
        limit: The limit.
        window: The window.
        ceiling_fen: The ceiling of the limit.
    """

    limit: Limit
    window: Window
    ceiling_fen: int


class Policy:
    """A published version of a policy document, prepared for assessments.

    Only the newest version of a policy is in force: it assesses every period that any version covered, and
    pays for the periods that it covers itself.

    Args:
        ref: Id, version and fingerprint.
        document: The content of the version.
        earlier: The reaches of the versions before it.
        is_withdrawn: Whether the version was withdrawn: then it pays for nothing.

    Attributes:
        account_limit: The limit whose window is a whole account; None without one.
        account_of: The window of the account in which the policy pays for a period; None if it does not.
        limits_of: The longer limits of a period, the smallest window first, each with its window.
        limits_in: Every limit with each of its windows in an account: the smallest first, then by time.
        open_readings: The ids of the readings with status `open`.
        period_limit: The limit of each period; None without one.
        longer_limits: The limits of longer windows, the smallest window first.
        own: The reach of this version.
        reach: The reaches of all versions up to this one.
        touched_by: The accounts that facts of a period touch: those of this version, which closes the
            accounts of earlier ones, and theirs. If an earlier version had longer accounts, a fact touches
            every account that overlaps one of them: what the long account loses, the others gain in the same
            transaction.
    """

    __slots__ = (
        "_limit_windows",
        "_places",
        "account_limit",
        "account_of",
        "document",
        "is_withdrawn",
        "limits_in",
        "limits_of",
        "longer_limits",
        "open_readings",
        "own",
        "period_limit",
        "reach",
        "ref",
        "touched_by",
    )

    def __init__(
        self,
        ref: PolicyRef,
        document: PolicyDocument,
        *,
        earlier: frozenset[Reach] = frozenset(),
        is_withdrawn: bool = False,
    ) -> None:
        self.ref = ref
        self.document = document
        self.open_readings = frozenset(
            reading.id for reading in document.readings if reading.status == "open"
        )
        limits = {limit.per: limit for limit in document.limits}
        self.period_limit = limits.pop("month", None)
        self.longer_limits = tuple(limits[per] for per in LIMIT_LENGTHS if per in limits)
        self.own = derive_reach(document)
        self.reach = earlier | {self.own}
        self.is_withdrawn = is_withdrawn
        self.account_limit: Callable[[Window], Limit | None] = cache(self._find_account_limit)
        self.account_of: Callable[[Period], Window | None] = cache(self._find_account)
        self.limits_of: Callable[[Period], tuple[LimitWindow, ...]] = cache(self._find_limits)
        self.limits_in: Callable[[Window], tuple[LimitWindow, ...]] = cache(self._find_limits_in)
        self.touched_by: Callable[[Period], tuple[Window, ...]] = cache(self._find_touched)
        self._limit_windows: dict[tuple[str, Window], LimitWindow] = {}
        self._places = {clause.id: clause.place for clause in document.clauses}

    def covers_period(self, period: Period) -> bool:
        """Whether the policy pays for this period."""
        return not self.is_withdrawn and self.own.covers(period)

    def has_account(self, window: Window) -> bool:
        """Whether the policy pays for some period in accounts of exactly this window."""
        return not self.is_withdrawn and self.own.has(window)

    def _find_account(self, period: Period) -> Window | None:
        return self.own.window(period) if self.covers_period(period) else None

    def _find_touched(self, period: Period) -> tuple[Window, ...]:
        holding = [
            window
            for reach in self.reach
            if (window := reach.window(period)).holds(period) and reach.has(window)
        ]
        if not holding:
            return ()
        widest = Window(min(window.first for window in holding), max(window.last for window in holding))
        every = {window for reach in self.reach for window in reach.windows}
        return tuple(sorted(window for window in every if window.overlaps(widest)))

    def touched_in(self, year: int) -> tuple[Window, ...]:
        """The accounts that facts of a year touch."""
        return tuple(
            sorted({window for period in periods_of_year(year) for window in self.touched_by(period)})
        )

    def _find_limits(self, period: Period) -> tuple[LimitWindow, ...]:
        return tuple(self._limit_window(limit, period) for limit in self.longer_limits)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All limits, the smallest window first."""
        of_period = () if self.period_limit is None else (self.period_limit,)
        return (*of_period, *self.longer_limits)

    def _find_limits_in(self, window: Window) -> tuple[LimitWindow, ...]:
        covered = [period for period in window.periods if self.own.covers(period)]
        windows = (
            dict.fromkeys(self._limit_window(limit, period) for period in covered) for limit in self.limits
        )
        return tuple(within for of_limit in windows for within in of_limit if window.includes(within.window))

    def _limit_window(self, limit: Limit, period: Period) -> LimitWindow:
        if limit.per == "policy":
            window = Window.of_years(self.own.first.year, self.own.last.year)
        else:
            window = Window.around(limit.per, period)
        return self._limit_windows.setdefault(
            (limit.per, window), LimitWindow(limit, window, limit.ceiling.fen)
        )

    def _find_account_limit(self, window: Window) -> Limit | None:
        first = window.periods[0]
        return next((within.limit for within in self.limits_of(first) if within.window == window), None)

    @property
    def years(self) -> frozenset[int]:
        """The years of the periods that this version assesses."""
        return frozenset(
            year for reach in self.reach for year in range(reach.first.year, reach.last.year + 1)
        )

    def covered(self) -> list[Period]:
        """The periods that this version pays for, in the order of time."""
        return [] if self.is_withdrawn else list(periods_between(self.own.first, self.own.last))

    def measure(self, measure: str) -> Measure:
        """The measure of this id."""
        return next(candidate for candidate in self.document.measures if candidate.id == measure)

    def measure_name(self, measure: str) -> str:
        """The name of a measure; its id if this version does not have it."""
        return next(
            (candidate.name for candidate in self.document.measures if candidate.id == measure), measure
        )

    def place(self, cite: str | None) -> str:
        """The clause as a reader cites it: `第14条`."""
        return self._places[cite] if cite is not None else self.document.article

    def reading(self, reading: str) -> Reading:
        """The reading of this id."""
        return next(candidate for candidate in self.document.readings if candidate.id == reading)

    def reading_label(self, reading: str) -> str:
        """The name of a reading in a sentence; its id if this version does not have it."""
        return next(
            (candidate.label for candidate in self.document.readings if candidate.id == reading), reading
        )


def policy_from_log(
    ref: PolicyRef, document: dict[str, Any], earlier: frozenset[Reach] = frozenset()
) -> Policy:
    """The policy that a `PolicyPublished` recorded.

    The checks of a publication (`document_problems`) are not repeated: a recorded version stays readable,
    even if the checks become stricter.

    Args:
        ref: Id, version and fingerprint.
        document: The published document.
        earlier: The reaches of the versions before it.

    Raises:
        LedgerIntegrityError: The document does not match its fingerprint, or is not a policy.
    """
    if fingerprint(document) != ref.sha256:
        raise LedgerIntegrityError(f"{ref.id} 版本{ref.version}的内容已被改动")
    try:
        return Policy(ref, msgspec.convert(document, PolicyDocument), earlier=earlier)
    except ValueError as error:  # From msgspec or from the periods.
        raise LedgerIntegrityError(f"{ref.id} 版本{ref.version}不是有效的政策文件：{error}") from error


class PolicyHistory:
    """The aggregate of one policy: its published versions, which of them is in force, whether it is assessed.

    Attributes:
        version: The number of events in its stream.
        versions: The number of published versions.
        in_force: The newest version, which may be withdrawn; None before the first.
        is_assessed: Whether the newest version has assessed everything filed before its publication, or
            before its withdrawal.
    """

    __slots__ = ("in_force", "is_assessed", "version", "versions")

    def __init__(self, events: Iterable[AnyEvent] = ()) -> None:
        self.version = 0
        self.versions = 0
        self.in_force: Policy | None = None
        self.is_assessed = True
        for event in events:
            self.apply(event)

    def apply(self, event: AnyEvent) -> Policy:
        """Apply the next event of the policy's stream, and return the version in force.

        Raises:
            LedgerIntegrityError: The event cannot follow what came before.
        """
        self.version += 1
        match event:
            case PolicyPublished():
                earlier = frozenset[Reach]() if self.in_force is None else self.in_force.reach
                ref = PolicyRef(event.policy, event.version, event.sha256)
                in_force = policy_from_log(ref, event.document, earlier)
                self.versions += 1
            case PolicyWithdrawn():
                before = self._before(event)
                in_force = Policy(before.ref, before.document, earlier=before.reach, is_withdrawn=True)
            case PolicyAssessed():
                in_force = self._before(event)
            case UnreadableEvent():
                raise LedgerIntegrityError(event.reason)
            case _:
                raise LedgerIntegrityError(f"{record_name(event)}不是政策的记录")
        self.in_force = in_force
        self.is_assessed = isinstance(event, PolicyAssessed)
        return in_force

    def _before(self, event: PolicyWithdrawn | PolicyAssessed) -> Policy:
        if self.in_force is None or self.in_force.ref.version != event.version:
            name = record_name(event)
            raise LedgerIntegrityError(f"{name}所指的{event.policy}版本{event.version}不是当时的最新版本")
        return self.in_force
