"""Reads the rows below a header."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from app.ingest.amounts import amount_text
from app.ingest.header import Record, is_header
from app.ingest.layout import CHECK_UNIT, FormColumns, Layout
from app.ingest.periods import has_begun, in_chinese, is_october_or_january, normal_period
from app.ingest.request import ReadRequest
from app.ingest.row_kinds import are_column_letters, is_like_code, is_note, is_section, is_total
from app.ingest.rows import FieldColumn, FileProblem, FileRow
from app.ingest.text import UnclearText, cleaned, compact, plain
from app.ingest.units import DECIMALS, NAME_OF_CODE, unit_of_cell
from domain.regions import REGIONS
from domain.words import ORIGINS

Figures = dict[str, dict[str, str | None]]

_MEMBERSHIP: Final = {"是": True, "TRUE": True, "否": False, "FALSE": False}
_ORIGINS: Final = {name: code for code, name in ORIGINS.items()}
_UNREPORTED: Final[dict[str, str | None]] = {"current": None, "prior_year": None}
_DECIMAL_CODE = re.compile(r"([0-9]+)\.0+")
_CODE_IN_NAME = re.compile(r".*\(([0-9]{6,12})\)")
_WITH_LETTER = re.compile(r"[A-T]([0-9]{2,4})")
_STREET_DIGITS: Final = 12
_REGION_DIGITS: Final = 6
_REGIONS: Final = {name: code for code, name in REGIONS.items()}
# The file of a month names one period, that of a year eleven: the same few texts recur in every row.
_period_of_text = lru_cache(maxsize=256)(normal_period)


class Table:
    """Turns the records below a header into rows of returns.

    It skips rows that hold no return: blank rows, totals, footnotes and repeated headers. Any other
    row without a code is kept, for the validator to refuse.

    Args:
        layout: What each column holds; it has no problems.
        request: What the person who hands in the file says about it.
        separated: Whether the cells were split at separators, as in a CSV: there an extra cell
            means that the others may be in the wrong columns.
    """

    def __init__(self, layout: Layout, request: ReadRequest, *, separated: bool) -> None:
        self._layout = layout
        self._sheet = layout.header.sheet
        self._headings = layout.header.headings
        self._index = {field: place.index for field, place in layout.fields.items()}
        self._used = sorted({place.index for form in layout.forms for place in form.places.values()})
        self._needed = {place.index: place for form in layout.forms for place in form.places.values()}
        self._titles = list(map(compact, self._headings))
        self._unit = request.unit
        self._asked_period = request.period
        self._is_early = False
        self._separated = separated

    def read(self, records: Iterable[Record | FileProblem]) -> Iterator[FileRow | FileProblem]:
        """Yield the rows in the order of the file; problems among the records are passed on."""
        for record in records:
            if isinstance(record, FileProblem):
                yield record
            else:
                yield from self._read(*record)

    def _read(self, row: int, texts: list[str]) -> Iterator[FileRow | FileProblem]:
        missing = len(self._headings) - len(texts)
        texts = texts + [""] * missing if missing > 0 else texts
        if self._holds_no_return(texts):
            return
        problem = self._problem_of_row(row, texts, missing)
        if problem is not None:
            yield problem
            return
        unclear: dict[str, FieldColumn] = {}
        for index, place in self._needed.items():
            text = texts[index]
            if isinstance(text, UnclearText):
                unclear.setdefault(text.why, place)
        if unclear:
            yield from (self._unclear(row, place, why, texts) for why, place in unclear.items())
            return
        common = self._common(row, texts)
        if not self._is_early and not has_begun(common["period"]):
            self._is_early = True  # Once, not for every row.
            message = f"所属期{in_chinese(common['period'])}尚未开始。请核对年份和月份。"
            yield self._problem(row, "period-not-begun", message, texts)
        if self._is_of_another_period(common["period"]):
            yield self._other_period(row, texts)
        yield from self._returns(row, texts, common)

    def _holds_no_return(self, texts: list[str]) -> bool:
        if is_like_code(texts[self._index["uscc"]]):
            return False
        used = [texts[index] for index in self._used]
        if not any(map(cleaned, used)) or list(map(compact, texts[: len(self._titles)])) == self._titles:
            return True
        first, code = next(filter(cleaned, texts)), texts[self._index["uscc"]]
        identity = [texts[self._index[field]] for field in ("region_code", "name", "industry_code")]
        labels = [first, code] if compact(code).strip("-") else [first, *identity]
        name = cleaned(texts[self._index["name"]])
        if any(map(is_total, labels)) or is_note(first) or (name and are_column_letters(used)):
            return True
        return not self._has_figures(texts) and (is_section(first) or not (cleaned(code) or name))

    def _has_figures(self, texts: list[str]) -> bool:
        fields = set(self._index.values())
        return any(cleaned(texts[index]) for index in self._used if index not in fields)

    def _problem_of_row(self, row: int, texts: list[str], missing: int) -> FileProblem | None:
        """Why the cells of a row are in other columns than those of the header, or name another unit."""
        if is_header(texts):
            return self._problem(row, "header-differs", _OTHER_HEADER, texts)
        if self._separated and missing > 0:
            return self._problem(row, "columns-differ", self._fewer(missing), texts)
        if self._separated and any(texts[len(self._headings) :]):
            return self._too_many_cells(row, texts)
        unit = unit_of_cell(texts[self._layout.unit_column.index]) if self._layout.unit_column else None
        if unit not in {None, NAME_OF_CODE[self._unit]}:
            message = f"写明金额单位为{unit}，{CHECK_UNIT.format(NAME_OF_CODE[self._unit])}"
            return self._problem(row, "unit-differs", message, texts)
        if "period" in self._index and is_october_or_january(texts[self._index["period"]]):
            return self._problem(
                row, "period-invalid", _OCTOBER.format(plain(texts[self._index["period"]])), texts, "period"
            )
        return None

    def _fewer(self, missing: int) -> str:
        headings = len(self._headings)
        return (
            f"只有{headings - missing}列，表头有{headings}列，各列可能已错位。"
            "请补齐空白列的逗号，或另存为.xlsx后重新提交。"
        )

    def _common(self, row: int, texts: list[str]) -> dict[str, Any]:
        """What the returns of one row have in common."""
        index = self._index
        common: dict[str, Any] = {
            "uscc": plain(texts[index["uscc"]]).upper(),
            "name": cleaned(texts[index["name"]]),
            "region_code": _region_code(texts[index["region_code"]]),
            "industry_code": _industry_code(texts[index["industry_code"]]),
            "period": self._period(texts),
            "in_database": self._in_database(texts),
            "source_row": {"sheet": self._sheet, "row": row},
        }
        for field in ("reason", "origin", "document", "uscc_override"):
            if field in index and (text := cleaned(texts[index[field]])):
                common[field] = _ORIGINS.get(compact(text), text) if field == "origin" else text
        return common

    def _period(self, texts: list[str]) -> str:
        text = texts[self._index["period"]] if "period" in self._index else ""
        return _period_of_text(text) or self._layout.period or ""

    def _in_database(self, texts: list[str]) -> bool | str:
        """Whether the enterprise was in the survey-unit database.

        The export lists the enterprises that are in the database, so without the column every row is in it.
        """
        if "in_database" not in self._index:
            return True
        text = texts[self._index["in_database"]]
        return _MEMBERSHIP.get(compact(text).upper(), plain(text))

    def _returns(self, row: int, texts: list[str], common: dict[str, Any]) -> Iterator[FileRow | FileProblem]:
        """Yield the return of each form that the row reports on."""
        decimals = DECIMALS[self._unit]
        read = [(columns, _figures(columns, texts, decimals)) for columns in self._layout.forms]
        if len(read) > 1:
            reported = [(columns, figures) for columns, figures in read if _any_reported(figures)]
            industry = common["industry_code"][:2]
            read = reported or [pair for pair in read if industry in pair[0].form.industries]
        for columns, figures in read:
            data = {"form": columns.form.number, **common, "figures": figures}
            yield FileRow(sheet=self._sheet, row=row, data=data, places=columns.places, texts=texts)
        if not read:
            yield self._of_no_form(row, texts)

    def _is_of_another_period(self, period: str) -> bool:
        """Whether the row names another period than the one asked for; true once, not for every row."""
        if self._asked_period is None or period == self._asked_period:
            return False
        self._asked_period = None
        return True

    def _unclear(self, row: int, place: FieldColumn, why: str, texts: list[str]) -> FileProblem:
        message = f"第{row}行{place.column}列“{place.heading}”：{why}"
        whole = FileProblem.of_sheet(self._sheet, "cell-unclear", message)
        return replace(whole, row=row, column=place.column, text=str(texts[place.index]))

    def _other_period(self, row: int, texts: list[str]) -> FileProblem:
        message = (
            f"所属期与指定的{in_chinese(self._layout.period or '')}不一致（以下各行不再逐行提示）。"
            "请核对文件，或改正指定的所属期（命令行：--period）。"
        )
        return self._problem(row, "period-differs", message, texts, "period")

    def _too_many_cells(self, row: int, texts: list[str]) -> FileProblem:
        message = (
            f"有{len(texts)}列，表头只有{len(self._headings)}列，各列可能已错位。"
            "请检查名称或金额中的逗号，含逗号的内容须加英文双引号，或另存为.xlsx后重新提交。"
        )
        return self._problem(row, "columns-differ", message, texts)

    def _of_no_form(self, row: int, texts: list[str]) -> FileProblem:
        message = (
            "各指标均未填，行业代码也不是51、52、61、62开头，无法判断属于E204-1表还是S204-1表。"
            "请补填或删去该行。"
        )
        return self._problem(row, "form-unclear", message, texts, "industry_code")

    def _problem(
        self, row: int, code: str, message: str, texts: list[str], field: str | None = None
    ) -> FileProblem:
        place = self._layout.fields[field] if field else None
        whole = FileProblem.of_sheet(self._sheet, code, f"第{row}行：{message}")
        return FileProblem(
            sheet=self._sheet,
            row=row,
            column=place.column if place else None,
            text=texts[place.index] if place else None,
            code=code,
            message=whole.message,
        )


def _code(text: str) -> str:
    """A code that a spreadsheet may hold as a number with decimals: 5211.0."""
    written = plain(text)
    decimal = _DECIMAL_CODE.fullmatch(written)
    return decimal[1] if decimal else written


def _region_code(text: str) -> str:
    """The six digits of a district, from its code, the code of a street in it, or its name."""
    written = _code(text)
    named = _CODE_IN_NAME.fullmatch(written)
    code = named[1] if named else _REGIONS.get(written, written)
    return code[:_REGION_DIGITS] if code.isdecimal() and len(code) == _STREET_DIGITS else code


def _industry_code(text: str) -> str:
    """The digits of an industry, whose class may stand before them as a letter: F5211."""
    written = _code(text)
    lettered = _WITH_LETTER.fullmatch(written)
    return lettered[1] if lettered else written


_OTHER_HEADER: Final = (
    "这一行是另一个表头，各列与上面的表头不同。请将两个表分别放在各自的工作表或文件中，重新提交。"
)
_OCTOBER: Final = (
    "所属期“{}”可能是10月（作为数字填写的2024.10会丢掉末尾的0）。"
    "请将该列设为文本格式，写作2024年10月；1月、2月合并调查，写作2024年1—2月。"
)


def _figures(columns: FormColumns, texts: list[str], decimals: int) -> Figures:
    """The figures of a row; an item with any column has both months, None where it is not reported."""
    return {
        item: _UNREPORTED | {slot: amount_text(texts[place.index], decimals) for slot, place in slots.items()}
        for item, slots in columns.figures.items()
    }


def _any_reported(figures: Figures) -> bool:
    return any(amount is not None for slots in figures.values() for amount in slots.values())
