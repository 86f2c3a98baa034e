"""Where the header of a sheet is."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.ingest.headings import field_of, is_recognised

Record = tuple[int, list[str]]
"""One row of a sheet: its number as the sheet shows it, and the texts of its cells from column A."""

# A glossary below one heading is no table, and a note may well quote one heading: it takes two.
_FEWEST_HEADINGS = 2


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a sheet, with what stands above it."""

    sheet: str
    row: int
    headings: list[str]
    titles: list[str]


def is_header(texts: Sequence[str]) -> bool:
    """Whether a row is the header: the heading of the code with at least one more of ours."""
    return any(field_of(text) == "uscc" for text in texts) and is_like_header(texts)


def is_like_header(texts: Sequence[str]) -> bool:
    """Whether a row has at least two of our headings, so that it may be a header without the code."""
    return len({text for text in texts if is_recognised(text)}) >= _FEWEST_HEADINGS


def header_among(sheet: str, top: Sequence[Record]) -> Header | None:
    """The header among the first rows of a sheet, or else the first row that is like one."""
    found = next((i for i, (_, texts) in enumerate(top) if is_header(texts)), None)
    if found is None:
        found = next((i for i, (_, texts) in enumerate(top) if is_like_header(texts)), None)
    if found is None:
        return None
    titles = [text for _, texts in top[:found] for text in texts if text]
    return Header(sheet=sheet, row=top[found][0], headings=top[found][1], titles=titles)
