"""The common parts of our workbooks: headings, page layout, texts, and the sheet that explains the first."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]

from app.runtime.new_files import new_file
from app.workbooks.cells import writable

NOTES_NAME: Final = "说明"


@contextmanager
def new_workbook(path: Path) -> Iterator[Any]:
    """A workbook that is written line by line and appears under its name once it is complete.

    Raises:
        OSError: It cannot be written, for example because it is open in Excel.
    """
    with new_file(path) as temporary, temporary.open("xb") as file:
        # xlsxwriter keeps lines in temporary files: in this folder, they are removed even if the process is
        # killed.
        options = {"constant_memory": True, "tmpdir": str(temporary.parent)}
        with xlsxwriter.Workbook(file, options) as workbook:
            yield workbook


def begin_sheet(workbook: Any, name: str, columns: Iterable[tuple[str, int]]) -> Any:
    """Add a sheet with its headings, which stay in view and are printed on every page.

    Args:
        workbook: The workbook.
        name: The name of the sheet.
        columns: The heading and the width in characters of each column.
    """
    sheet, heading = workbook.add_worksheet(name), heading_format(workbook)
    for index, (title, width) in enumerate(columns):
        sheet.set_column(index, index, width)
        sheet.write_string(0, index, title, heading)
    sheet.freeze_panes(1, 0)
    _print_on_wide_pages(sheet)
    return sheet


def write_notes(workbook: Any, notes: Sequence[tuple[str, str]]) -> None:
    """Add the second sheet, which explains the first one: headings and texts."""
    sheet = workbook.add_worksheet(NOTES_NAME)
    heading, text = heading_format(workbook), text_format(workbook)
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 110)
    for row, (title, body) in enumerate(notes):
        sheet.write_string(row, 0, writable(title), heading)
        sheet.write_string(row, 1, writable(body), text)
    _print_on_wide_pages(sheet)


def heading_format(workbook: Any) -> Any:
    """The format of headings."""
    return workbook.add_format({"bold": True, "bg_color": "#D9E2EC", "border": 1, "valign": "vcenter"})


def text_format(workbook: Any) -> Any:
    """The format of texts; the quote prefix keeps a text that begins with = + - or @ a text."""
    return workbook.add_format({"text_wrap": True, "valign": "top", "quote_prefix": True})


def _print_on_wide_pages(sheet: Any) -> None:
    """Print a sheet in landscape, fitted to the width of the paper, with its headings on every page."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
