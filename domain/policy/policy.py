"""A policy document as data: a closed vocabulary, in which every number says where it comes from.

The order in which a document is applied is fixed, whatever the order in the text:
eligibility → base → conditions → reward → monthly limits → choice → longer limits, smallest window first.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

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
from domain.forms import FORMS
from domain.money import FEN_LIMIT, FEN_PER_YUAN
from domain.periods import Period, PeriodError, Window, period_of, periods_between
from domain.structs import prepared
from domain.words import record_name

RATE_LIMIT_BP = 1_000_000
"""A hundredfold: no growth gate is higher, and a rate in percent by mistake stays visible."""

MOST_ACCOUNT_FEN = 10**10
"""A hundred million yuan: no ceiling is higher, and no account with more counts in a sum. With a million
enterprises and the 200 half-years of a century, which make 2 × 10¹⁸ fen, no sum passes 2⁶³."""

ReadingStatus = Literal["text", "open", "confirmed"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the document; a key that is not in the vocabulary is refused."""


class Basis(_Part, frozen=True, kw_only=True):
    """Where something rests: on a clause (`cite`), on a reading, or on both.

    Attributes:
        cite: The id of a clause.
        reading: The id of a reading.
    """

    cite: str | None = None
    reading: str | None = None


class Amount(Basis, frozen=True, kw_only=True):
    """An amount of money in whole yuan."""

    yuan: int

    @property
    def fen(self) -> int:
        """The amount in fen."""
        return self.yuan * FEN_PER_YUAN


class Rate(Basis, frozen=True, kw_only=True):
    """A rate in basis points: 800 is 8%."""

    basis_points: int


class Clause(_Part, frozen=True, kw_only=True):
    """A clause of the text, word for word. `place` names it for a reader: `第14条`."""

    id: str
    place: str
    text: str


class Decision(_Part, frozen=True, kw_only=True):
    """Who decided an open reading, in which document, on which day (`2024-06-30`)."""

    by: str
    document: str
    date: str


class Reading(_Part, frozen=True, kw_only=True):
    """A recorded answer to a question that the text leaves to be answered (适用口径).

    Attributes:
        name: What it is called in a sentence; documents of earlier days have none.
    """

    id: str
    name: str | None = None
    question: str
    answer: str
    status: ReadingStatus
    decision: Decision | None = None

    @property
    def label(self) -> str:
        """How a sentence names it: by its name, or by its question where it has none."""
        return self.name or self.question


class InDatabase(Basis, frozen=True, kw_only=True):
    """The enterprise is in the survey-unit database in the period."""


class Industries(Basis, frozen=True, kw_only=True):
    """The industry code of the period begins with one of `prefixes`."""

    prefixes: tuple[str, ...]


class Eligibility(_Part, frozen=True, kw_only=True):
    """Which returns a measure looks at."""

    in_database: InDatabase
    industries: Industries


class GrowthOver(Basis, frozen=True, kw_only=True, tag_field="kind", tag="growth-over"):
    """Growth on the comparable base is strictly more than `rate`, compared without division."""

    rate: Rate


Condition = GrowthOver
"""The conditions of the vocabulary; a further one makes this a union."""


class PerWholeStep(Basis, frozen=True, kw_only=True, tag_field="kind", tag="per-whole-step"):
    """`award` for each whole `step` of the increment. The basis is that of counting whole steps."""

    step: Amount
    award: Amount


class Band(Basis, frozen=True, kw_only=True):
    """`award` where the increment is in the half-open band [`at_least`, `below`)."""

    at_least: Amount
    below: Amount
    award: Amount


class Tail(Basis, frozen=True, kw_only=True):
    """From `at_least` up: `first`, and `award` for each whole `step` of what exceeds `beyond`."""

    at_least: Amount
    first: Amount
    beyond: Amount
    step: Amount
    award: Amount


class BandsWithTail(_Part, frozen=True, kw_only=True, tag_field="kind", tag="bands-with-tail"):
    """Bands that follow each other without a gap, and a tail above the last."""

    bands: tuple[Band, ...]
    tail: Tail


Reward = PerWholeStep | BandsWithTail


class Measure(_Part, frozen=True, kw_only=True):
    """One award of the policy: which figure, of whom, on which conditions, how much.

    Attributes:
        base: The basis of calling a missing, zero or negative prior-year figure undetermined.
        decrease: The basis of giving nothing for a negative increment.
    """

    id: str
    name: str
    form: str
    item: str
    eligibility: Eligibility
    base: Basis
    decrease: Basis
    conditions: tuple[Condition, ...]
    reward: Reward


class Limit(_Part, frozen=True, kw_only=True):
    """A ceiling for each enterprise over all measures, in a month or in a half-year."""

    per: Literal["month", "half-year"]
    ceiling: Amount

    @property
    def id(self) -> str:
        """The name of the ceiling in `bound_by`: `month-ceiling` or `half-year-ceiling`."""
        return f"{self.per}-ceiling"


class Choice(Basis, frozen=True, kw_only=True):
    """Several measures met: the highest, never the sum."""

    kind: Literal["highest"]


class CombinedPeriod(_Part, frozen=True, kw_only=True):
    """A period of several months that is assessed as one: the reading it rests on."""

    reading: str


class Coverage(_Part, frozen=True, kw_only=True):
    """The first and the last period that the policy covers."""

    first: str
    last: str


@prepared
class PolicyDocument(_Part, frozen=True, kw_only=True):
    """A policy, whole.

    Attributes:
        policy: Its id, the same for all versions.
        title: Its name; `document_number` its 文号; `article` the article, as a reader cites it.
    """

    policy: str
    title: str
    document_number: str
    article: str
    issuer: str
    issued_on: str
    responsible: str
    level: Literal["municipal", "provincial", "national"]
    covers: Coverage
    clauses: tuple[Clause, ...]
    readings: tuple[Reading, ...]
    combined_period: CombinedPeriod
    measures: tuple[Measure, ...]
    limits: tuple[Limit, ...]
    choice: Choice


class DocumentProblem(msgspec.Struct, frozen=True):
    """What is wrong with a document, and the path to the place: `("measures", 0, "reward")`."""

    path: tuple[str | int, ...]
    message: str


def document_problems(document: PolicyDocument) -> list[DocumentProblem]:
    """What the vocabulary's types alone do not refuse: dangling names, gaps, numbers without a source."""
    return [
        *_naming_problems(document),
        *_basis_problems(document),
        *_reading_problems(document),
        *_measure_problems(document),
        *_limit_problems(document),
        *_coverage_problems(document),
    ]


def _naming_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    for name in ("clauses", "readings", "measures"):
        seen: set[str] = set()
        for index, part in enumerate(getattr(document, name)):
            if part.id in seen:
                yield DocumentProblem((name, index, "id"), f"the id '{part.id}' stands twice in {name}")
            seen.add(part.id)
    if not document.policy or set(document.policy) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
        yield DocumentProblem(("policy",), "an id is made of a-z, 0-9 and '-'")


def _basis_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    clauses = {clause.id for clause in document.clauses}
    readings = {reading.id for reading in document.readings}
    for path, basis in _bases(document, ()):
        if basis.cite is None and basis.reading is None:
            what = "a number" if isinstance(basis, Amount | Rate) else "a rule"
            yield DocumentProblem(path, f"{what} without a source: give 'cite' (a clause) or 'reading'")
        if basis.cite is not None and basis.cite not in clauses:
            yield DocumentProblem((*path, "cite"), f"unknown clause '{basis.cite}'")
        if basis.reading is not None and basis.reading not in readings:
            yield DocumentProblem((*path, "reading"), f"unknown reading '{basis.reading}'")
        if isinstance(basis, Amount) and not 0 <= basis.fen < FEN_LIMIT:
            yield DocumentProblem((*path, "yuan"), "an amount is at least 0 and under 10^15 yuan")
        if isinstance(basis, Rate) and not 0 <= basis.basis_points <= RATE_LIMIT_BP:
            yield DocumentProblem(
                (*path, "basis_points"), f"a rate is from 0 to {RATE_LIMIT_BP} basis points"
            )
    if document.combined_period.reading not in readings:
        yield DocumentProblem(
            ("combined_period", "reading"), f"unknown reading '{document.combined_period.reading}'"
        )


def _bases(part: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Basis]]:
    if isinstance(part, Basis):
        yield path, part
    if isinstance(part, msgspec.Struct):
        for name in part.__struct_fields__:
            yield from _bases(getattr(part, name), (*path, name))
    elif isinstance(part, tuple):
        for index, each in enumerate(part):
            yield from _bases(each, (*path, index))


def _reading_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    for index, reading in enumerate(document.readings):
        if (reading.status == "confirmed") != (reading.decision is not None):
            yield DocumentProblem(
                ("readings", index, "decision"),
                "a confirmed reading names its decision (by, document, date), and only a confirmed one does",
            )


def _measure_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    if not document.measures:
        yield DocumentProblem(("measures",), "a policy has at least one measure")
    for index, measure in enumerate(document.measures):
        path = ("measures", index)
        form = FORMS.get(measure.form)
        if form is None:
            yield DocumentProblem((*path, "form"), f"unknown form '{measure.form}'")
        elif measure.item != form.required_item:
            yield DocumentProblem(
                (*path, "item"), f"'{measure.item}' is not the item that every {form.code} carries"
            )
        if isinstance(measure.reward, PerWholeStep):
            if measure.reward.step.yuan <= 0:
                yield DocumentProblem((*path, "reward", "step"), "a step is more than 0")
        else:
            yield from _band_problems(measure.reward, (*path, "reward"))


def _band_problems(reward: BandsWithTail, path: tuple[str | int, ...]) -> Iterator[DocumentProblem]:
    if not reward.bands:
        yield DocumentProblem((*path, "bands"), "at least one band stands before a tail")
    if reward.tail.step.yuan <= 0:
        yield DocumentProblem((*path, "tail", "step"), "a step is more than 0")
    if reward.tail.beyond.yuan > reward.tail.at_least.yuan:
        yield DocumentProblem((*path, "tail", "beyond"), "the tail counts from no more than it begins at")
    starts = [(band.at_least, (*path, "bands", index)) for index, band in enumerate(reward.bands)]
    starts.append((reward.tail.at_least, (*path, "tail")))
    for index, band in enumerate(reward.bands):
        if band.at_least.yuan <= 0 or band.below.yuan <= band.at_least.yuan:
            yield DocumentProblem((*path, "bands", index), "a band starts above 0 and ends above its start")
        following, at = starts[index + 1]
        if band.below.yuan != following.yuan:
            what = "a gap" if band.below.yuan < following.yuan else "an overlap"
            yield DocumentProblem(
                (*at, "at_least"), f"{what} between bands: {band.below.yuan} and {following.yuan} yuan"
            )


def _limit_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    if [limit.per for limit in document.limits] != ["month", "half-year"]:
        yield DocumentProblem(("limits",), "one limit per month, then one per half-year, are expected")
    for index, limit in enumerate(document.limits):
        if limit.ceiling.fen > MOST_ACCOUNT_FEN:
            yield DocumentProblem(
                ("limits", index, "ceiling", "yuan"),
                f"a ceiling is at most {MOST_ACCOUNT_FEN // FEN_PER_YUAN} yuan for each enterprise",
            )


def _coverage_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    try:
        first, last = period_of(document.covers.first), period_of(document.covers.last)
    except PeriodError as error:
        yield DocumentProblem(("covers",), str(error))
        return
    if last < first:
        yield DocumentProblem(("covers",), "the last period is before the first")


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


def canonical_form(document: dict[str, Any]) -> bytes:
    """The bytes that identify a document: JSON in UTF-8, keys sorted, no white space, no float."""
    return msgspec.json.encode(document, order="sorted")


def fingerprint(document: dict[str, Any]) -> str:
    """The SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical_form(document)).hexdigest()


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
