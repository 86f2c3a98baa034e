"""What the cells of our workbooks hold: texts that Excel takes, amounts exact, times in Beijing."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from app.runtime.limits import SHEET_CELL_MAX_CHARS

EXCEL_DIGITS: Final = 15
"""A number in Excel keeps so many digits."""

_CUT_MARK: Final = "……"
_EPOCH: Final = datetime(1970, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))


def writable(text: str) -> str:
    """The text as a cell can hold it: XML knows no lone surrogates, Excel no longer texts."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= SHEET_CELL_MAX_CHARS else text[: SHEET_CELL_MAX_CHARS - 2] + _CUT_MARK


def exact_number(units: int, *, places: int) -> Decimal | None:
    """So many units of the last decimal place as a number; None where Excel would round it."""
    number = Decimal(units).scaleb(-places).normalize()
    return number if len(number.as_tuple().digits) <= EXCEL_DIGITS else None


def beijing(time_us: int) -> str:
    """A time in Beijing, to the second, of microseconds since 1970."""
    return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%d %H:%M:%S}"
