"""Money and figures: integers in fen from input to output."""

import re

FEN_PER_UNIT = {"fen": 1, "yuan": 100, "qianyuan": 100_000, "wanyuan": 1_000_000}
"""The units of input amounts, in fen."""

FEN_LIMIT = 10**17
"""The absolute value of an amount is below this, so that a sum over a whole country fits a 64-bit column."""

FEN_PER_YUAN = FEN_PER_UNIT["yuan"]
FEN_PER_WANYUAN = FEN_PER_UNIT["wanyuan"]

_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_MOST_WHOLE_DIGITS = len(str(FEN_LIMIT - 1))
_MOST_DECIMALS = len(str(FEN_PER_WANYUAN)) - 1


class AmountError(ValueError):
    """The value is not an amount that is exact in fen."""


class FinerThanFenError(AmountError):
    """The value is a number with parts of a fen."""

    def __init__(self) -> None:
        super().__init__("not exact in fen")


def to_fen(amount: object, unit: str) -> int:
    r"""Convert an amount to fen.

    Args:
        amount: An integer, or a string matching `-?[0-9]+(\.[0-9]+)?` in ASCII.
        unit: A key of `FEN_PER_UNIT`.

    Raises:
        FinerThanFenError: The amount is not exact in fen.
        AmountError: The amount has another type or form, or is not under `FEN_LIMIT`.
    """
    if type(amount) is int:
        fen = amount * FEN_PER_UNIT[unit]
    elif isinstance(amount, str):
        plain = len(amount) <= _MOST_WHOLE_DIGITS and amount.isdecimal() and amount.isascii()
        fen = int(amount) * FEN_PER_UNIT[unit] if plain else _text_to_fen(amount, unit)
    else:
        raise AmountError("neither an integer nor a decimal string")
    if not -FEN_LIMIT < fen < FEN_LIMIT:
        raise AmountError("not under 10^17 fen")
    return fen


def _text_to_fen(text: str, unit: str) -> int:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise AmountError("not a decimal number")
    sign, whole, fraction = match.group(1), match.group(2).lstrip("0"), (match.group(3) or "").rstrip("0")
    if len(whole) > _MOST_WHOLE_DIGITS:
        raise AmountError("not under 10^17 fen")
    if len(fraction) > _MOST_DECIMALS:
        raise FinerThanFenError
    scale: int = 10 ** len(fraction)
    fen, rest = divmod(int(f"0{whole}{fraction}") * FEN_PER_UNIT[unit], scale)
    if rest:
        raise FinerThanFenError
    return -fen if sign else fen


def wanyuan_text(fen: int) -> str:
    """The amount in 万元, exact, without the unit and without trailing zeros: 12345600 fen is `12.3456`."""
    return _decimal(fen, 6)


def yuan_text(fen: int) -> str:
    """The amount in 元, exact, without the unit and without trailing zeros."""
    return _decimal(fen, 2)


def qianyuan_text(fen: int) -> str:
    """The amount in 千元, exact, without the unit and without trailing zeros."""
    return _decimal(fen, 5)


def _decimal(units: int, places: int) -> str:
    whole, fraction = divmod(abs(units), 10**places)
    text = str(whole)
    if fraction:
        text += "." + str(fraction).zfill(places).rstrip("0")
    return "-" + text if units < 0 else text
