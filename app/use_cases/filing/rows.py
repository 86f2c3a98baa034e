"""Reads rows in the shape of `POST /v1/returns`, from HTTP or files: a draft, or every problem of a row."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import msgspec

from app.runtime.times import parse_rfc_3339
from app.use_cases.filing import wording
from domain.errors import Problem
from domain.events import Figure, Origin, Return, Source, Stage
from domain.forms import FORMS, Form
from domain.identifiers import has_uscc_shape, passes_uscc_check
from domain.money import AmountError, FinerThanFenError, to_fen
from domain.periods import PeriodError, period_of
from domain.words import ORIGINS

TEXT_MAX_CHARS: Final = 500
"""Longer than any name of an enterprise, any reason in one sentence, or any name of a file."""

TIME_MAX_CHARS: Final = 40
"""Longer than a time with nine decimals of a second."""

REQUIRED: Final = (
    "form",
    "uscc",
    "name",
    "region_code",
    "industry_code",
    "period",
    "in_database",
    "figures",
)
OPTIONAL: Final = ("reported_at", "source_row", "reason", "origin", "document", "uscc_override")
COLUMNS: Final = {
    "current": "current_fen",
    "prior_year": "prior_year_fen",
    "current_ytd": "current_ytd_fen",
    "prior_year_ytd": "prior_year_ytd_fen",
}
REQUIRED_COLUMNS: Final = ("current", "prior_year")

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_REGION = re.compile(r"[0-9A-Za-z]{1,20}", re.ASCII)
_INDUSTRY = re.compile(r"[0-9]{2,4}", re.ASCII)


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A row that is valid by itself: its index, the enterprise, and the return to register."""

    row: int
    uscc: str
    registered: Return


class RowReader:
    """Reads the rows of one batch.

    Args:
        unit: The unit of the amounts, a key of `FEN_PER_UNIT`.
        stage: The stage of the returns.
        source: The file that the rows come from.
    """

    def __init__(self, *, unit: str, stage: Stage, source: Source | None) -> None:
        self._unit = unit
        self._stage = stage
        self._source = source

    def read(self, row: int, data: Any) -> Draft | list[Problem]:
        """Read a row: its draft, or all its problems."""
        if not isinstance(data, dict):
            return [Problem(row=row, field=None, code="field-invalid", message=wording.NOT_A_ROW)]
        problems = _RowProblems(row)
        _check_names(problems, data)
        form = _form(problems, data.get("form")) if "form" in data else None
        values = {name: read(problems, name, data[name]) for name, read in _READERS.items() if name in data}
        _check_code(problems, values)
        figures = self._figures(problems, form, data["figures"]) if form and "figures" in data else {}
        if form and isinstance(data.get("figures"), dict):
            _check_figures(problems, form, figures, data["figures"])
        source_row = _source_row(problems, data.get("source_row"))
        if problems.all or form is None:
            return problems.all
        return Draft(row, values.pop("uscc"), self._registered(form, values, figures, source_row))

    def _registered(
        self, form: Form, values: dict[str, Any], figures: dict[str, Figure], source_row: Source
    ) -> Return:
        base = self._source or Source()
        source = Source(base.name, base.sha256, source_row.sheet, source_row.row)
        return Return(
            form=form.code,
            stage=self._stage,
            figures=figures,
            source=None if source == Source() else source,
            **values,
        )

    def _figures(self, problems: "_RowProblems", form: Form, data: Any) -> dict[str, Figure]:
        if not isinstance(data, dict):
            problems.add("figures", "field-invalid", wording.not_of_type("figures", "对象"))
            return {}
        figures = {}
        for item, columns in data.items():
            path = f"figures.{item}"
            if item not in form.items:
                shown = _shown(item)
                problems.add(f"figures.{shown}", "unknown-item", wording.unknown_item(shown, form))
            elif not isinstance(columns, dict):
                problems.add(path, "field-invalid", wording.not_of_type(path, "对象"))
            else:
                figure = self._figure(problems, path, columns)
                if figure != Figure() or item == form.required_item:
                    figures[item] = figure
        return figures

    def _figure(self, problems: "_RowProblems", path: str, columns: dict[str, Any]) -> Figure:
        for name in columns.keys() - COLUMNS.keys():
            problems.add(f"{path}.{_shown(name)}", "field-invalid", wording.unknown_field(_shown(name)))
        for name in REQUIRED_COLUMNS:
            if name not in columns:
                problems.add(f"{path}.{name}", "field-missing", wording.field_missing(f"{path}.{name}"))
        amounts = {}
        for name, column in COLUMNS.items():
            value = columns.get(name)
            if value is not None:
                at = f"{path}.{name}"
                try:
                    amounts[column] = to_fen(value, self._unit)
                except FinerThanFenError:
                    problems.add(at, "amount-invalid", wording.finer_than_fen(at, _shown(value)))
                except AmountError:
                    problems.add(at, "amount-invalid", wording.amount_invalid(at, _shown(value)))
        return Figure(**amounts)


class _RowProblems:
    """Collects the problems of one row."""

    def __init__(self, row: int) -> None:
        self.row = row
        self.all: list[Problem] = []

    def add(self, field: str, code: str, message: str) -> None:
        self.all.append(Problem(row=self.row, field=field, code=code, message=message))

    def has(self, field: str) -> bool:
        return any(problem.field == field for problem in self.all)


def _check_names(problems: _RowProblems, data: dict[str, Any]) -> None:
    for name in REQUIRED:
        if name not in data:
            problems.add(name, "field-missing", wording.field_missing(name))
    for name in map(_shown, data.keys() - {*REQUIRED, *OPTIONAL}):
        problems.add(name, "field-invalid", wording.unknown_field(name))


def _check_figures(
    problems: _RowProblems, form: Form, figures: dict[str, Figure], data: dict[str, Any]
) -> None:
    required = f"figures.{form.required_item}"
    if form.required_item not in data:
        problems.add(required, "field-missing", wording.field_missing(required))
    elif (
        not problems.has(required)
        and not problems.has(f"{required}.current")
        and figures[form.required_item].current_fen is None
    ):
        problems.add(f"{required}.current", "field-missing", wording.nothing_reported(form))
    for part, whole in form.parts:
        for name, column in _exceeding(figures, part, whole):
            part_fen = getattr(figures[part], column)
            message = wording.part_exceeds_whole(
                form, part, part_fen, whole, getattr(figures[whole], column), column
            )
            problems.add(f"figures.{part}.{name}", "part-exceeds-whole", message)


def _exceeding(figures: dict[str, Figure], part: str, whole: str) -> Iterator[tuple[str, str]]:
    if part not in figures or whole not in figures:
        return
    for name, column in COLUMNS.items():
        part_fen, whole_fen = getattr(figures[part], column), getattr(figures[whole], column)
        if part_fen is not None and whole_fen is not None and part_fen > whole_fen:
            yield name, column


def _form(problems: _RowProblems, value: Any) -> Form | None:
    form = FORMS.get(value) if isinstance(value, str) else None
    if form is None:
        problems.add("form", "unknown-form", wording.unknown_form(_shown(value)))
    return form


def _text(problems: _RowProblems, field: str, value: Any) -> str:
    if not isinstance(value, str):
        problems.add(field, "field-invalid", wording.not_of_type(field, "文字"))
        return ""
    text = value.strip()
    if not text or len(text) > TEXT_MAX_CHARS or _UNPRINTABLE.search(text):
        problems.add(field, "field-invalid", wording.text_invalid(field, TEXT_MAX_CHARS))
    return text


def _optional_text(problems: _RowProblems, field: str, value: Any) -> str | None:
    return None if value is None else _text(problems, field, value)


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[_RowProblems, str, Any], str]:
    def read(problems: _RowProblems, field: str, value: Any) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            problems.add(field, "field-invalid", wording.not_like(field, _shown(value), expected))
            return ""
        return value

    return read


def _uscc(problems: _RowProblems, field: str, value: Any) -> str:
    if not isinstance(value, str) or not has_uscc_shape(value):
        problems.add(field, "field-invalid", wording.uscc_shape(_shown(value)))
        return ""
    return value


def _check_code(problems: _RowProblems, values: dict[str, Any]) -> None:
    uscc = values.get("uscc")
    if uscc and not values.get("uscc_override") and not passes_uscc_check(uscc):
        problems.add("uscc", "uscc-check", wording.uscc_check(uscc))


def _period(problems: _RowProblems, field: str, value: Any) -> str:
    if not isinstance(value, str):
        problems.add(field, "period-invalid", wording.not_of_type(field, "文字"))
        return ""
    try:
        period_of(value)
    except PeriodError as error:
        problems.add(field, "period-invalid", _UNPRINTABLE.sub("?", str(error)))
    return value


def _in_database(problems: _RowProblems, field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        problems.add(field, "field-invalid", wording.NOT_IN_OR_OUT)
        return False
    return value


def _reported_at(problems: _RowProblems, field: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= TIME_MAX_CHARS:
        try:
            parse_rfc_3339(value)
        except ValueError:
            pass
        else:
            return value
    problems.add(field, "field-invalid", wording.not_like(field, _shown(value), "2024-04-10T08:00:00+08:00"))
    return None


def _origin(problems: _RowProblems, field: str, value: Any) -> Origin | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in ORIGINS:
        problems.add(field, "field-invalid", wording.origin_invalid(_shown(value)))
        return None
    return cast("Origin", value)


def _source_row(problems: _RowProblems, value: Any) -> Source:
    if value is None:
        return Source()
    if (
        isinstance(value, dict)
        and value.keys() <= {"sheet", "row"}
        and (value.get("sheet") is None or isinstance(value["sheet"], str))
        and type(value.get("row")) is int
        and 0 < value["row"] < 2**31
    ):
        sheet = _text(problems, "source_row.sheet", value["sheet"]) if value.get("sheet") else None
        return Source(sheet=sheet, row=value["row"])
    problems.add("source_row", "field-invalid", wording.not_like("source_row", "", '{"sheet": …, "row": 12}'))
    return Source()


def printable(text: str) -> str:
    """The part of a text that may be recorded: at most `TEXT_MAX_CHARS` printable characters."""
    return _UNPRINTABLE.sub("?", text[:TEXT_MAX_CHARS])


def _shown(value: Any) -> str:
    """A value in a form fit for a message: short and printable."""
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    text = value if isinstance(value, str) else repr(value)
    return _UNPRINTABLE.sub("?", text[:60])


_READERS: Final[dict[str, Callable[[_RowProblems, str, Any], Any]]] = {
    "uscc": _uscc,
    "name": _text,
    "region_code": _matching(_REGION, "210802"),
    "industry_code": _matching(_INDUSTRY, "5211"),
    "period": _period,
    "in_database": _in_database,
    "reported_at": _reported_at,
    "reason": _optional_text,
    "origin": _origin,
    "document": _optional_text,
    "uscc_override": _optional_text,
}
