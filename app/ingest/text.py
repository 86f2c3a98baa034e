"""The text of cells: how it is cleaned and compared, and how other values become text."""

import datetime as dt
import re
import unicodedata
from typing import Self

# Spaces of every width (all are below U+3001), and the zero-width marks that copied text contains.
_EDGES = (
    "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + "\u200b\u200c\u200d\u2060\ufeff"
)
_SPACES = re.compile(f"[{_EDGES}]+")
# Marks that print nothing: zero-width, of the writing direction, soft hyphens, the end of a file of DOS.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\x1a]+")
_LINE_BREAKS = re.compile("[ \t]*[\r\n\v\f\u0085\u2028\u2029]+[ \t]*")
_WORD_BREAK = re.compile("(?<=[0-9A-Za-z])\n(?=[0-9A-Za-z])")
# Full-width forms of ASCII. NFKC would also turn footnote marks and superscripts into digits.
_NARROW = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20}
# All the characters that people and programs write for the dash of 1—本月, box-drawing lines included.
_DASHES = re.compile("[\u2010-\u2015\u2212\u2500\u2501\u2e3a\u2e3b]")


class UnclearText(str):
    """The text of a cell that does not say what the cell means; `why` tells the person what to do."""

    __slots__ = ("why",)
    why: str

    def __new__(cls, text: str, why: str) -> Self:
        """The text, with the reason."""
        made = super().__new__(cls, text)
        made.why = why
        return made


CellValue = bool | int | float | str | dt.datetime | dt.date | dt.time | dt.timedelta
"""What python-calamine returns for a cell; an empty cell is ""."""


def cleaned(text: str) -> str:
    """The text on one line, without invisible marks, white space around it and a leading apostrophe.

    A line break only wraps a cell: between two Latin words it becomes a space, elsewhere it goes.
    """
    text = _INVISIBLE.sub("", text).strip(_EDGES)
    text = text[1:].lstrip(_EDGES) if text.startswith("'") else text
    if text.isprintable():
        return text
    return _WORD_BREAK.sub(" ", _LINE_BREAKS.sub("\n", text)).replace("\n", "")


def plain(text: str) -> str:
    """The cleaned text in ordinary width, for codes, amounts and periods."""
    return cleaned(text if text.isascii() else text.translate(_NARROW))


def one_dash(text: str) -> str:
    """The plain text with one kind of dash, the hyphen of ASCII."""
    return _DASHES.sub("-", plain(text))


def compact(text: str) -> str:
    """The text in NFKC with one kind of dash and without any white space, to compare words and headings."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _SPACES.sub("", one_dash(text))


def cell_text(value: CellValue) -> str:
    """The text of a spreadsheet's cell, as close to what a person sees as its value allows.

    No float leaves this function: a number becomes text by Excel's own rule.
    """
    match value:
        case str():
            return value
        case float():
            return number_text(value)
        case dt.datetime():
            return value.isoformat(sep=" ")
        case dt.timedelta():
            return _duration_text(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value).upper()


def number_text(value: float) -> str:
    """A number with the 15 significant digits that Excel keeps, and with its exponent as Excel shows it.

    A code of 18 digits that was typed as a number becomes 9.12108021234568E+17, as in Excel: the file
    has lost its last digits already.
    """
    text = f"{value:.15g}".upper()
    return "0" if text == "-0" else text


def _duration_text(value: dt.timedelta) -> str:
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
