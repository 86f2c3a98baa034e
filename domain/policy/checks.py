"""The checks of a policy document at its publication, beyond the types of its vocabulary."""

from collections.abc import Iterator

import msgspec

from domain.forms import FORMS
from domain.money import FEN_LIMIT, FEN_PER_YUAN
from domain.periods import PeriodError, period_of
from domain.policy.document import PolicyDocument
from domain.policy.parts import Amount, Basis, DocumentProblem, Path, Rate
from domain.policy.policy import MOST_ACCOUNT_FEN

RATE_LIMIT_BP = 1_000_000
"""A hundredfold: no growth gate is higher, so a higher rate is a mistake of units."""


def document_problems(document: PolicyDocument) -> list[DocumentProblem]:
    """The problems that the types alone do not find: dangling names, gaps, numbers without a source."""
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


def _bases(part: object, path: Path) -> Iterator[tuple[Path, Basis]]:
    if isinstance(part, Basis):
        yield path, part
    if isinstance(part, msgspec.Struct):
        for name in part.__struct_fields__:
            yield from _bases(getattr(part, name), (*path, name))
    elif isinstance(part, tuple):
        for index, element in enumerate(part):
            yield from _bases(element, (*path, index))


def _reading_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    for index, reading in enumerate(document.readings):
        if (reading.status == "confirmed") != (reading.decision is not None):
            yield DocumentProblem(
                ("readings", index, "decision"),
                "a confirmed reading names its decision (by, document, date), and only a confirmed one does",
            )
        if reading.quote is not None and not any(reading.quote in clause.text for clause in document.clauses):
            yield DocumentProblem(
                ("readings", index, "quote"), f"the words '{reading.quote[:40]}' stand in no clause"
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
        yield from measure.reward.problems((*path, "reward"))


def _limit_problems(document: PolicyDocument) -> Iterator[DocumentProblem]:
    seen: set[str] = set()
    for index, limit in enumerate(document.limits):
        if limit.per in seen:
            yield DocumentProblem(
                ("limits", index, "per"), f"a second limit per {limit.per}: one for each window is expected"
            )
        seen.add(limit.per)
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
