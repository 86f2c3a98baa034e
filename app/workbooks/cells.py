"""The contents of cells in our workbooks: texts that Excel accepts, exact amounts."""

from decimal import Decimal
from typing import Final

from app.runtime.limits import SHEET_CELL_MAX_CHARS

EXCEL_DIGITS: Final = 15
"""Excel keeps this many significant digits of a number."""

_CUT_MARK: Final = "……"


def writable(text: str) -> str:
    """The text, fit for a cell: XML has no lone surrogates, and Excel limits the length."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= SHEET_CELL_MAX_CHARS else text[: SHEET_CELL_MAX_CHARS - 2] + _CUT_MARK


def exact_number(units: int, *, places: int) -> Decimal | None:
    """`units` of the last decimal place as a decimal number; None if Excel would round it."""
    number = Decimal(units).scaleb(-places).normalize()
    return number if len(number.as_tuple().digits) <= EXCEL_DIGITS else None
