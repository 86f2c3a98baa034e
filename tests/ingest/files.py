"""Makes real files for the tests, in the layout of the platform's export."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from app.ingest.fingerprint import take_fingerprint
from app.ingest.periods import normal_period
from app.ingest.reading import FileReading
from app.ingest.request import ReadRequest
from app.ingest.rows import FileProblem, FileRow

CODE = "91210802MA0010002C"
BASE = ["处理地编码", "统一社会信用代码", "单位详细名称", "[201-1] 行业代码(GB/T4754-2017)"]
TRADE = [*BASE, "零售额;本年-本月", "零售额;上年-本月"]
CATERING = [*BASE, "餐费收入;本年-本月", "餐费收入;上年-本月"]
SHOP = ["210802", CODE, "营口某某商贸有限公司", "5211"]
INN = ["210803", "91210803MA0010003A", "营口某某饭店", "6210"]

Sheet = Sequence[Sequence[Any]]

_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


def full_width(text: str) -> str:
    """The text with every ASCII character in full width, as Chinese input methods write it."""
    return text.translate(_FULL_WIDTH)


def write_csv(path: Path, rows: Sheet, *, encoding: str = "utf-8-sig", delimiter: str = ",") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def write_xlsx(path: Path, sheets: Mapping[str, Sheet]) -> Path:
    """Write a workbook in which text stays text and numbers stay numbers, as if a person had typed them."""
    with xlsxwriter.Workbook(path, {"strings_to_numbers": False}) as workbook:
        for name, rows in sheets.items():
            sheet = workbook.add_worksheet(name)
            for index, row in enumerate(rows):
                sheet.write_row(index, 0, row)
    return path


def read(
    path: Path, *, unit: str = "qianyuan", period: str | None = "2024-03"
) -> tuple[list[FileRow], list[FileProblem]]:
    """The rows and the problems of a file, read in this process."""
    request = ReadRequest(path.name, unit, normal_period(period) if period else None)
    given = list(FileReading(path, request, take_fingerprint(path)).rows())
    return (
        [item for item in given if isinstance(item, FileRow)],
        [item for item in given if isinstance(item, FileProblem)],
    )


def read_rows(path: Path, *, unit: str = "qianyuan", period: str | None = "2024-03") -> list[FileRow]:
    """The rows of a file that has no problems."""
    rows, problems = read(path, unit=unit, period=period)
    assert problems == []
    return rows


def codes(problems: Sequence[FileProblem]) -> list[str]:
    return [problem.code for problem in problems]


def table(*rows: Sequence[Any], headings: Sequence[str] = TRADE) -> list[Sequence[Any]]:
    """A sheet with its header."""
    return [headings, *rows]
