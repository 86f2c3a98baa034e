"""Amounts as people write them in cells."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from app.ingest.text import cleaned, one_dash, plain

_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_RESIDUE: Final = Decimal("0.0001")
"""Of a fen: a binary number of 15 digits differs from the decimal one that it stands for by less."""

_EXACT: Final = Context(prec=60)
# A long dash, as titles have it, is never a minus sign: —5 is passed on and refused.
_MINUS = str.maketrans({"\u2212": "-", "\u2010": "-"})


def amount_text(text: str, decimals: int) -> str | None:
    """The amount of a cell as `POST /v1/returns` takes it: "-1234.5".

    Thousands separators in proper groups of three are removed, and full-width digits become
    ordinary ones. A blank cell or a dash is nil: None, which is not 0. Any other text is returned
    unchanged, for the validator to refuse.

    Args:
        text: The text of the cell.
        decimals: The decimals of one fen in the unit of the amount. More of them are the residue of a
            binary calculation (1.10000000000036), or finer than a fen, which the validator refuses.
    """
    written = text if _PLAIN.fullmatch(text) else plain(text).translate(_MINUS)
    if _GROUPED.fullmatch(written):
        written = written.replace(",", "")
    if _PLAIN.fullmatch(written):
        return _without_residue(written, decimals)
    return cleaned(text) if one_dash(text).strip("-") else None


def _without_residue(written: str, decimals: int) -> str:
    fraction = written.partition(".")[2]
    if len(fraction) <= decimals:
        return written
    fen = Decimal(written).scaleb(decimals, _EXACT)
    whole = fen.to_integral_value(ROUND_HALF_EVEN)
    if abs(_EXACT.subtract(fen, whole)) > _RESIDUE:
        return written
    rounded = format(whole.scaleb(-decimals, _EXACT), "f")
    return rounded.rstrip("0").rstrip(".") if "." in rounded else rounded
