"""The contents of cells in our workbooks: texts that Excel accepts, exact amounts, Beijing times."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from app.runtime.limits import SHEET_CELL_MAX_CHARS

EXCEL_DIGITS: Final = 15
"""Excel keeps this many significant digits of a number."""

_CUT_MARK: Final = "……"
_EPOCH: Final = datetime(1970, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))


def writable(text: str) -> str:
    """The text, fit for a cell: XML has no lone surrogates, and Excel limits the length."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= SHEET_CELL_MAX_CHARS else text[: SHEET_CELL_MAX_CHARS - 2] + _CUT_MARK


def exact_number(units: int, *, places: int) -> Decimal | None:
    """`units` of the last decimal place as a decimal number; None if Excel would round it."""
    number = Decimal(units).scaleb(-places).normalize()
    return number if len(number.as_tuple().digits) <= EXCEL_DIGITS else None


def beijing(time_us: int) -> str:
    """Microseconds since 1970 as a Beijing time, to the second."""
    return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%d %H:%M:%S}"
