"""What the reader of a file returns: rows, the cells that they came from, and problems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, as a person finds it in the file.

    Attributes:
        column: The letters of the column as a spreadsheet shows them, for a CSV too: "H".
        heading: The heading of the column in the file.
        text: The text as a person sees it, not cleaned.
    """

    column: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """The column that holds a field in every row of a sheet; `index` counts from 0."""

    index: int
    column: str
    heading: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file in the shape of a row of `POST /v1/returns`.

    Attributes:
        sheet: The name of the sheet; "" for a CSV, which has none.
        row: The number of the row as a spreadsheet shows it, from 1.
        data: The row. Amounts are text in the file's unit without separators, or None for nil.
            A value that could not be understood is passed on as its text, for the validator to refuse.
        places: The columns of the sheet by the path of the field: "figures.retail_sales.current".
        texts: The texts of the row's cells, from column A, one for each column of the header.
    """

    sheet: str
    row: int
    data: dict[str, Any]
    places: Mapping[str, FieldColumn]
    texts: Sequence[str]

    @property
    def cells(self) -> dict[str, Cell]:
        """Where each value came from, by the path of the field.

        Values that did not come from a column (the form, a period from the title) are left out.
        Cells are created on demand: a file has millions, and few have a problem.
        """
        return {
            path: Cell(column=place.column, heading=place.heading, text=self.texts[place.index])
            for path, place in self.places.items()
        }


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Why a file, a sheet, a heading or a row cannot be read.

    Attributes:
        sheet: The name of the sheet; "" for a CSV or for the file as a whole.
        row: The number of the row as a spreadsheet shows it, if the problem is in a row.
        column: The letters of the column, if the problem is in a column.
        text: The text of the cell, if the problem is in a cell.
        code: The kind of problem, stable, for programs.
        message: For people: what is wrong, where, and how to correct it.
    """

    sheet: str
    row: int | None
    column: str | None
    text: str | None
    code: str
    message: str

    @property
    def is_of_unread_file(self) -> bool:
        """Whether the file itself could not be read, so that its rows say nothing."""
        return self.code in {"file-unreadable", "file-too-large", "file-changed"}

    @classmethod
    def of_file(cls, code: str, message: str) -> "FileProblem":
        """A problem of the file as a whole."""
        return cls(sheet="", row=None, column=None, text=None, code=code, message=message)

    @classmethod
    def of_sheet(cls, sheet: str, code: str, message: str) -> "FileProblem":
        """A problem of a whole sheet, which the message names."""
        text = f"工作表“{sheet}”：{message}" if sheet else message
        return cls(sheet=sheet, row=None, column=None, text=None, code=code, message=text)


FILE_MISSING: Final = FileProblem.of_file("file-unreadable", "文件不存在或没有读取权限。请核对文件名和位置。")
FILE_CHANGED: Final = FileProblem.of_file(
    "file-changed", "读取过程中文件被改动。请关闭正在编辑该文件的程序后重新提交。"
)
