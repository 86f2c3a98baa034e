"""Finds the header of a sheet."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.ingest.headings import find_field, is_recognised

Record = tuple[int, list[str]]
"""One row of a sheet: its number as a spreadsheet shows it, and the texts of its cells from column A."""

# A note may quote one heading, and a glossary may have one: only two make a header.
_FEWEST_HEADINGS = 2


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a sheet.

    Attributes:
        sheet: The name of the sheet.
        row: The number of the header's row as a spreadsheet shows it.
        headings: The texts of its cells, from column A.
        titles: The texts above the header.
    """

    sheet: str
    row: int
    headings: list[str]
    titles: list[str]


def is_header(texts: Sequence[str]) -> bool:
    """Whether a row is the header: it has the heading of the code and at least one other known heading."""
    return any(find_field(text) == "uscc" for text in texts) and is_like_header(texts)


def is_like_header(texts: Sequence[str]) -> bool:
    """Whether a row has at least two known headings, so that it may be a header that lacks the code."""
    return len({text for text in texts if is_recognised(text)}) >= _FEWEST_HEADINGS


def header_among(sheet: str, top: Sequence[Record]) -> Header | None:
    """The header among the first rows of a sheet; without one, the first row that is like a header."""
    found = next((i for i, (_, texts) in enumerate(top) if is_header(texts)), None)
    if found is None:
        found = next((i for i, (_, texts) in enumerate(top) if is_like_header(texts)), None)
    if found is None:
        return None
    titles = [text for _, texts in top[:found] for text in texts if text]
    return Header(sheet=sheet, row=top[found][0], headings=top[found][1], titles=titles)
