"""Works out what each column of a sheet holds, and what is wrong with the header."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from app.ingest.columns import column_letters
from app.ingest.forms import SheetForm, detect_forms, items_on
from app.ingest.header import Header
from app.ingest.headings import (
    FIELDS,
    FigureHeading,
    find_field,
    is_not_needed,
    is_unit_heading,
    parse_figure,
)
from app.ingest.periods import in_chinese
from app.ingest.request import ReadRequest
from app.ingest.rows import FieldColumn, FileProblem
from app.ingest.sheet_period import choose_period
from app.ingest.text import cleaned
from app.ingest.units import NAME_OF_CODE, units_within

_HEADING_OF_FIELD: Final = {field: heading for heading, field in reversed(FIELDS.items())}
_REQUIRED_FIELDS: Final = ("uscc", "name", "region_code", "industry_code")
_REQUIRED_SLOTS: Final = ("current", "prior_year")
_SLOTS: Final = {
    "current": "本年-本月",
    "prior_year": "上年-本月",
    "current_ytd": "本年-1—本月",
    "prior_year_ytd": "上年-1—本月",
}


@dataclass(frozen=True, slots=True)
class FormColumns:
    """The columns of one form on a sheet.

    Attributes:
        form: The form.
        figures: By the code of the item, the place of each slot: "current", "prior_year", ….
        places: By the path of the field, every place that a row of this form uses.
    """

    form: SheetForm
    figures: dict[str, dict[str, FieldColumn]]
    places: dict[str, FieldColumn]


@dataclass(frozen=True, slots=True)
class Layout:
    """What each column of a sheet holds.

    Attributes:
        header: The header.
        fields: The places of the fields other than figures.
        forms: The forms of the sheet, each with its columns.
        period: The period of the rows that do not name their own.
        unit_column: The column that names the unit in each row.
        ignored: The headings that the ledger does not know.
        problems: What is wrong with the header; if there is a problem, no row may be read.
    """

    header: Header
    fields: dict[str, FieldColumn]
    forms: list[FormColumns]
    period: str | None
    unit_column: FieldColumn | None
    ignored: list[str]
    problems: list[FileProblem]


@dataclass(frozen=True, slots=True)
class _SheetColumn:
    """One column: its place, and its meaning if the heading is a known one."""

    place: FieldColumn
    field: str | None
    figure: FigureHeading | None

    def name(self, period: str | None, current_year: int) -> str | None:
        """The heading that the platform gives such a column; None if the heading is not a known one."""
        if self.field is not None:
            return _HEADING_OF_FIELD[self.field]
        return _name_of_figure(self.figure, period, current_year) if self.figure else None


def read_layout(header: Header, request: ReadRequest) -> Layout:
    """Read a header: which column holds what."""
    columns = list(_columns(header))
    figures = [column.figure for column in columns if column.figure]
    period, period_problems = choose_period(
        request, header, figures, named_in_rows=any(column.field == "period" for column in columns)
    )
    current_year = int(period[:4]) if period else max((figure.year or 0 for figure in figures), default=0)
    named = [(column.name(period, current_year), column.place) for column in columns]
    places, twice = _places(header, named)
    fields = {field: places[heading] for field, heading in _HEADING_OF_FIELD.items() if heading in places}
    forms = detect_forms({name.partition(";")[0] for name in places if ";" in name})
    other_months = list(_other_months(header, columns, period, current_year))
    return Layout(
        header=header,
        fields=fields,
        forms=[_form_columns(form, forms, places, fields) for form in forms],
        period=period,
        unit_column=next((column.place for column in columns if is_unit_heading(column.place.heading)), None),
        ignored=[
            column.place.heading
            for column, (name, _) in zip(columns, named, strict=True)
            if name is None
            and not is_not_needed(column.place.heading)
            and not is_unit_heading(column.place.heading)
        ],
        problems=[
            *(_problem(header, code, message) for code, message in period_problems),
            *twice,
            *([] if period_problems else other_months),
            *([] if other_months else _missing(header, forms, places)),
            *_other_units(header, columns, request),
        ],
    )


def _columns(header: Header) -> Iterator[_SheetColumn]:
    for index, heading in enumerate(header.headings):
        place = FieldColumn(index, column_letters(index), cleaned(heading))
        if place.heading:
            yield _SheetColumn(place, find_field(heading), parse_figure(heading))


def _name_of_figure(figure: FigureHeading, period: str | None, current_year: int) -> str | None:
    """`零售额;本年-本月` for `2024年3月零售额`; None if its year is not the current or last one."""
    year = figure.year or (current_year - 1 if figure.prior else current_year)
    if year not in {current_year, current_year - 1} or _is_of_another_month(figure, period):
        return None
    # January and February are one period with one figure: its month is written 1—2月.
    is_month = period is not None and period.endswith(f"~{figure.month or 0:02}")
    slot = "current" if year == current_year else "prior_year"
    return f"{figure.item};{_SLOTS[slot + ('_ytd' if figure.cumulative and not is_month else '')]}"


def _is_of_another_month(figure: FigureHeading, period: str | None) -> bool:
    """Whether a heading names another month than that of the period, or the span up to another month."""
    return period is not None and figure.month is not None and figure.month != int(period[-2:])


def _other_months(
    header: Header, columns: list[_SheetColumn], period: str | None, current_year: int
) -> Iterator[FileProblem]:
    """A problem for each column of another month, unless the sheet has the one of the period as well."""
    if period is None:
        return
    for column in columns:
        figure = column.figure
        if figure is None or figure.cumulative or not _is_of_another_month(figure, period):
            continue
        same = replace(figure, month=int(period[-2:]))
        wanted = _name_of_figure(same, period, current_year)
        if wanted is not None and all(other.name(period, current_year) != wanted for other in columns):
            message = (
                f"{column.place.column}列表头“{column.place.heading}”不是{in_chinese(period)}的数。"
                "请核对文件，或改正指定的所属期（命令行：--period）。"
            )
            yield _problem(header, "period-differs", message, column.place)


def _places(
    header: Header, named: list[tuple[str | None, FieldColumn]]
) -> tuple[dict[str, FieldColumn], list[FileProblem]]:
    """The place of each heading of the platform, and a problem for each heading that occurs twice."""
    places: dict[str, FieldColumn] = {}
    problems = []
    for name, place in named:
        if name is not None and places.setdefault(name, place) is not place:
            problems.append(_twice(header, name, places[name], place))
    return places, problems


def _form_columns(
    form: SheetForm, forms: list[SheetForm], places: dict[str, FieldColumn], fields: dict[str, FieldColumn]
) -> FormColumns:
    figures = {
        code: {
            slot: places[f"{item};{words}"] for slot, words in _SLOTS.items() if f"{item};{words}" in places
        }
        for item, code in items_on(form, forms).items()
    }
    figures = {code: slots for code, slots in figures.items() if slots}
    paths = {
        f"figures.{code}.{slot}": place for code, slots in figures.items() for slot, place in slots.items()
    }
    return FormColumns(form=form, figures=figures, places={**fields, **paths})


def _missing(header: Header, forms: list[SheetForm], places: dict[str, FieldColumn]) -> Iterator[FileProblem]:
    """A problem for every missing heading without which the rows cannot be registered."""
    required = [_HEADING_OF_FIELD[field] for field in _REQUIRED_FIELDS]
    required += [f"{form.required};{_SLOTS[slot]}" for form in forms for slot in _REQUIRED_SLOTS]
    for name in required:
        if name not in places:
            yield _problem(header, "heading-missing", f"表头缺少“{name}”。请补上该列后重新提交。")
    if not forms:
        message = (
            "表头缺少指标列。请补上“零售额;本年-本月”等列（E204-1表）或“餐费收入;本年-本月”等列（S204-1表）。"
        )
        yield _problem(header, "heading-missing", message)


def _other_units(header: Header, columns: list[_SheetColumn], request: ReadRequest) -> Iterator[FileProblem]:
    """A problem for every unit in a name, title or heading that differs from the unit asked for."""
    expected = NAME_OF_CODE[request.unit]
    said = [("标题", title) for title in header.titles]
    said += [("工作表名", header.sheet), ("文件名", request.file_name)]
    for where, text in said:
        for other in sorted(units_within(text) - {expected}):
            message = f"{where}“{text}”写明金额单位为{other}，{CHECK_UNIT.format(expected)}"
            yield _problem(header, "unit-differs", message)
    for column in columns:
        if column.figure and column.figure.unit not in {None, expected}:
            message = (
                f"{column.place.column}列表头写明金额单位为{column.figure.unit}，"
                f"{CHECK_UNIT.format(expected)}"
            )
            yield _problem(header, "unit-differs", message, column.place)


CHECK_UNIT: Final = "与指定的单位{}不一致。请核对后指定正确的单位（命令行：--unit）。"


def _twice(header: Header, name: str, first: FieldColumn, second: FieldColumn) -> FileProblem:
    message = f"{first.column}列与{second.column}列的表头都是“{name}”，无法确定以哪一列为准。请删去其中一列。"
    return _problem(header, "heading-twice", message, second)


def _problem(header: Header, code: str, message: str, place: FieldColumn | None = None) -> FileProblem:
    whole = FileProblem.of_sheet(header.sheet, code, message)
    if place is None:
        return replace(whole, row=header.row)
    return replace(whole, row=header.row, column=place.column, text=place.heading)
