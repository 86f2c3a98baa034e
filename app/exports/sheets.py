"""What the sheets for auditors have in common: headings, pages, and the sheet that explains the first one."""

from collections.abc import Sequence
from typing import Any, Final

from app.exports.cells import writable

NOTES_NAME: Final = "说明"


def write_notes(workbook: Any, notes: Sequence[tuple[str, str]]) -> None:
    """Add the second sheet: what the first one says and how it is to be read, heading and text."""
    sheet = workbook.add_worksheet(NOTES_NAME)
    heading = heading_format(workbook)
    text = workbook.add_format({"text_wrap": True, "valign": "top", "quote_prefix": True})
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 110)
    for row, (title, told) in enumerate(notes):
        sheet.write_string(row, 0, writable(title), heading)
        sheet.write_string(row, 1, writable(told), text)
    print_on_wide_pages(sheet)


def heading_format(workbook: Any) -> Any:
    """How headings look."""
    return workbook.add_format({"bold": True, "bg_color": "#D9E2EC", "border": 1, "valign": "vcenter"})


def print_on_wide_pages(sheet: Any) -> None:
    """Have a sheet printed across, as wide as the paper, with its heading on every page."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
