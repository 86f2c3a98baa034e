"""A published policy, made ready to assess by, and the aggregate of its versions."""

from collections.abc import Iterable
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
from domain.periods import Period, Window, period_of, periods_between
from domain.policy.document import Measure, PolicyDocument, fingerprint
from domain.policy.parts import Reading
from domain.words import record_name

MOST_ACCOUNT_FEN = 10**10
"""A hundred million yuan: no ceiling is higher, and no account with more counts in a sum. With a million
enterprises and the 200 half-years of a century, which make 2 × 10¹⁸ fen, no sum passes 2⁶³."""

Range = tuple[Period, Period]
"""Periods from the first to the last, both included."""


class Policy:
    """A published version of a document, made ready to assess by.

    The newest version alone speaks for its id: it assesses every period that any version covered, and pays
    for those that it covers itself.

    Args:
        ref: Id, version and fingerprint.
        document: What it says.
        earlier: What the versions before it covered.
        is_withdrawn: Whether it was withdrawn: then it pays for nothing.

    Attributes:
        open_readings: The ids of the readings with status `open`.
        month_limit: The ceiling of each month; half_year_limit: of each half-year.
        covers: The periods that the document is about.
        reach: The periods that any version up to this one was about.
    """

    __slots__ = (
        "_places",
        "covers",
        "document",
        "half_year_limit",
        "is_withdrawn",
        "month_limit",
        "open_readings",
        "reach",
        "ref",
    )

    def __init__(
        self,
        ref: PolicyRef,
        document: PolicyDocument,
        *,
        earlier: frozenset[Range] = frozenset(),
        is_withdrawn: bool = False,
    ) -> None:
        self.ref = ref
        self.document = document
        self.open_readings = frozenset(each.id for each in document.readings if each.status == "open")
        self.month_limit, self.half_year_limit = document.limits
        self.covers: Range = (period_of(document.covers.first), period_of(document.covers.last))
        self.reach = earlier | {self.covers}
        self.is_withdrawn = is_withdrawn
        self._places = {clause.id: clause.place for clause in document.clauses}

    def covers_period(self, period: Period) -> bool:
        """Whether the policy pays for this period."""
        return not self.is_withdrawn and self.covers[0] <= period <= self.covers[1]

    def covers_window(self, window: Window) -> bool:
        """Whether the policy pays for some period of this half-year."""
        return not self.is_withdrawn and self.covers[0].window <= window <= self.covers[1].window

    def reaches_window(self, window: Window) -> bool:
        """Whether some version was about a period of this half-year: then this one assesses it."""
        return any(first.window <= window <= last.window for first, last in self.reach)

    @property
    def years(self) -> frozenset[int]:
        """The years of the periods that it assesses."""
        return frozenset(year for first, last in self.reach for year in range(first.year, last.year + 1))

    def covered(self) -> list[Period]:
        """The periods that it pays for, in the order of time."""
        return [] if self.is_withdrawn else list(periods_between(*self.covers))

    def measure(self, measure: str) -> Measure:
        """The measure of this id."""
        return next(each for each in self.document.measures if each.id == measure)

    def measure_name(self, measure: str) -> str:
        """The name of a measure; its id where this version does not have it."""
        return next((each.name for each in self.document.measures if each.id == measure), measure)

    def place(self, cite: str | None) -> str:
        """The clause as a reader cites it: `第14条`."""
        return self._places[cite] if cite is not None else self.document.article

    def reading(self, reading: str) -> Reading:
        """The reading of this id."""
        return next(each for each in self.document.readings if each.id == reading)

    def reading_label(self, reading: str) -> str:
        """How a sentence names a reading; its id where this version does not have it."""
        return next((each.label for each in self.document.readings if each.id == reading), reading)


def policy_from_log(
    ref: PolicyRef, document: dict[str, Any], earlier: frozenset[Range] = frozenset()
) -> Policy:
    """The policy that a `PolicyPublished` recorded.

    What is asked of a document when it is published (`document_problems`) is not asked again: a version that
    is recorded stays readable, whatever is asked of later ones.

    Args:
        ref: Id, version and fingerprint.
        document: What was published.
        earlier: What the versions before it covered.

    Raises:
        LedgerIntegrityError: The document is not the one that its fingerprint names, or is no policy.
    """
    if fingerprint(document) != ref.sha256:
        raise LedgerIntegrityError(f"{ref.id} 版本{ref.version}的内容已被改动")
    try:
        return Policy(ref, msgspec.convert(document, PolicyDocument), earlier=earlier)
    except ValueError as error:  # Of msgspec, of the periods, of the limits.
        raise LedgerIntegrityError(f"{ref.id} 版本{ref.version}不是有效的政策文件：{error}") from error


class PolicyHistory:
    """The aggregate of one policy: its published versions, which of them is in force, whether it is assessed.

    Attributes:
        version: The number of events in its stream.
        versions: How many versions were published.
        in_force: The newest version, which may be withdrawn; None before the first.
        is_assessed: Whether everything filed before its publication, or its withdrawal, is assessed by it.
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
        """Bring the policy up to date with the next event of its stream; the version in force.

        Raises:
            LedgerIntegrityError: The event cannot follow what came before.
        """
        self.version += 1
        match event:
            case PolicyPublished():
                earlier = frozenset[Range]() if self.in_force is None else self.in_force.reach
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
