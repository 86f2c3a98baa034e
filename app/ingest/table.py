"""Reads the rows below a header."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from app.ingest.amounts import amount_text
from app.ingest.header import Record
from app.ingest.layout import FormColumns, Layout
from app.ingest.periods import in_chinese, normal_period
from app.ingest.rows import FieldColumn, FileProblem, FileRow
from app.ingest.text import UnclearText, cleaned, compact, plain
from domain.words import ORIGINS

Figures = dict[str, dict[str, str | None]]

_MEMBERSHIP: Final = {"是": True, "TRUE": True, "否": False, "FALSE": False}
_ORIGINS: Final = {name: code for code, name in ORIGINS.items()}
_UNREPORTED: Final[dict[str, str | None]] = {"current": None, "prior_year": None}
_TOTAL = re.compile(r".{0,12}(?:合计|总计|小计|共计)(?:\(.*\)|[0-9]+[家户个])?:?")
_FOOTNOTE = re.compile(
    r"\(?(?:注|备注|附注|说明|数据来源|填表人|填报人|制表人?|审核人|复核人|单位负责人|统计负责人|联系人|联系电话|报出日期)"
    r"[0-9]*:"
)
# The file of a month names one period, that of a year eleven: the same few texts recur in every row.
_period_of_text = lru_cache(maxsize=256)(normal_period)


class Table:
    """Turns the records below a header into rows of returns.

    It skips rows that hold no return: blank rows, totals, footnotes and repeated headers. Any other
    row without a code is kept, for the validator to refuse.

    Args:
        layout: What each column holds; it has no problems.
        asked_period: The period that was asked for, in normal form.
        separated: Whether the cells were split at separators, as in a CSV: there an extra cell
            means that the others may be in the wrong columns.
    """

    def __init__(self, layout: Layout, asked_period: str | None, *, separated: bool) -> None:
        self._layout = layout
        self._sheet = layout.header.sheet
        self._headings = layout.header.headings
        self._index = {field: place.index for field, place in layout.fields.items()}
        self._used = sorted({place.index for form in layout.forms for place in form.places.values()})
        self._needed = {place.index: place for form in layout.forms for place in form.places.values()}
        self._asked_period = asked_period
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
        if self._separated and any(texts[len(self._headings) :]):
            yield self._too_many_cells(row, texts)
            return
        unclear = {
            text.why: place
            for index, place in self._needed.items()
            if isinstance(text := texts[index], UnclearText)
        }
        if unclear:
            yield from (self._unclear(row, place, why, texts) for why, place in unclear.items())
            return
        common = self._common(row, texts)
        if self._is_of_another_period(common["period"]):
            yield self._other_period(row, texts)
        yield from self._returns(row, texts, common)

    def _holds_no_return(self, texts: list[str]) -> bool:
        code = texts[self._index["uscc"]]
        if code.isascii() and code.strip(" -"):
            return False
        if not any(cleaned(texts[index]) for index in self._used) or texts == self._headings:
            return True
        name, first = compact(texts[self._index["name"]]), compact(next(filter(cleaned, texts)))
        total = _TOTAL.fullmatch(first) or (not compact(code).strip("-") and _TOTAL.fullmatch(name))
        return bool(total or _FOOTNOTE.match(first))

    def _common(self, row: int, texts: list[str]) -> dict[str, Any]:
        """What the returns of one row have in common."""
        index = self._index
        common: dict[str, Any] = {
            "uscc": plain(texts[index["uscc"]]),
            "name": cleaned(texts[index["name"]]),
            "region_code": plain(texts[index["region_code"]]),
            "industry_code": plain(texts[index["industry_code"]]),
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
        read = [(columns, _figures(columns, texts)) for columns in self._layout.forms]
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


def _figures(columns: FormColumns, texts: list[str]) -> Figures:
    """The figures of a row; an item with any column has both months, None where it is not reported."""
    return {
        item: _UNREPORTED | {slot: amount_text(texts[place.index]) for slot, place in slots.items()}
        for item, slots in columns.figures.items()
    }


def _any_reported(figures: Figures) -> bool:
    return any(amount is not None for slots in figures.values() for amount in slots.values())
