"""Amounts: exact in fen, from input to output."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import (
    FEN_LIMIT,
    FEN_PER_UNIT,
    AmountError,
    qianyuan_text,
    to_fen,
    wanyuan_text,
    yuan_text,
)

UNITS = {"fen": 1, "yuan": 100, "qianyuan": 100_000, "wanyuan": 1_000_000}
TEXTS = [(wanyuan_text, "wanyuan"), (yuan_text, "yuan"), (qianyuan_text, "qianyuan")]
fen_amounts = st.integers(min_value=-FEN_LIMIT + 1, max_value=FEN_LIMIT - 1)


def test_the_units_are_worth_what_they_are() -> None:
    assert FEN_PER_UNIT == UNITS


@pytest.mark.parametrize(
    ("amount", "unit", "fen"),
    [
        (1, "fen", 1),
        (1, "yuan", 100),
        (1, "qianyuan", 100_000),
        (1, "wanyuan", 1_000_000),
        (-7, "qianyuan", -700_000),
        (0, "wanyuan", 0),
        ("123456", "qianyuan", 12_345_600_000),
        ("11000.5", "wanyuan", 11_000_500_000),
        ("109999999.99", "yuan", 10_999_999_999),
        ("-0.01", "yuan", -1),
        ("0.000001", "wanyuan", 1),
        ("0.00001", "qianyuan", 1),
        ("007", "fen", 7),
        ("-0", "fen", 0),
        ("1.000", "fen", 1),
        ("1." + "0" * 5_000, "yuan", 100),
        ("0" * 5_000 + "1", "yuan", 100),
        ("90072001254740.99", "yuan", 9_007_200_125_474_099),
    ],
)
def test_an_amount_is_read_in_its_unit(amount: int | str, unit: str, fen: int) -> None:
    assert to_fen(amount, unit) == fen


@pytest.mark.parametrize("unit", UNITS)
def test_an_amount_is_under_a_hundred_thousand_million_million_fen(unit: str) -> None:
    most = (FEN_LIMIT - 1) // UNITS[unit]
    for amount in (most, -most):
        assert to_fen(amount, unit) == to_fen(str(amount), unit) == amount * UNITS[unit]
    for amount in (most + 1, -most - 1, 10**40):
        for written in (amount, str(amount)):
            with pytest.raises(AmountError, match=r"not under 10\^17 fen"):
                to_fen(written, unit)


def test_the_limit_itself_is_refused_and_a_fen_less_is_not() -> None:
    assert to_fen("99999999999999999", "fen") == 10**17 - 1
    assert to_fen("999999999999999.99", "yuan") == 10**17 - 1
    for amount, unit in (("100000000000000000", "fen"), ("1000000000000000.00", "yuan")):
        with pytest.raises(AmountError):
            to_fen(amount, unit)


@pytest.mark.parametrize(
    ("amount", "unit"),
    [("0.1", "fen"), ("0.001", "yuan"), ("1.000001", "qianyuan"), ("0.0000001", "wanyuan")],
)
def test_an_amount_that_is_not_exact_in_fen_is_refused(amount: str, unit: str) -> None:
    with pytest.raises(AmountError, match="not exact in fen"):
        to_fen(amount, unit)


@pytest.mark.parametrize(
    "amount",
    [
        *("", " ", "-", "—", ".", "1.", ".5", "+1", "--1", "1-", "1e3", "1E3", "0x1", "1_000", "1,000"),
        *(" 1", "1 ", "1\n", "\uff11\uff12", "\u0661", "1.2.3", "NaN", "Infinity", "一万"),
        *(1.0, 1.5, 1e3, True, False, None, [1], {"fen": 1}, b"1", Decimal(1), Fraction(1)),
    ],
    ids=repr,
)
def test_a_value_that_is_neither_an_integer_nor_a_plain_decimal_is_refused(amount: object) -> None:
    with pytest.raises(AmountError):
        to_fen(amount, "yuan")


@given(fen_amounts)
def test_an_amount_shown_in_any_unit_is_read_back_exactly(fen: int) -> None:
    for text, unit in TEXTS:
        assert to_fen(text(fen), unit) == fen


@given(fen_amounts)
def test_an_amount_is_shown_without_trailing_zeros(fen: int) -> None:
    for text, unit in TEXTS:
        shown = text(fen)
        assert Fraction(shown) == Fraction(fen, UNITS[unit])
        assert "." not in shown or not shown.endswith(("0", "."))


@pytest.mark.parametrize(
    ("fen", "wanyuan", "yuan", "qianyuan"),
    [
        (0, "0", "0", "0"),
        (12_345_600, "12.3456", "123456", "123.456"),
        (1, "0.000001", "0.01", "0.00001"),
        (-50, "-0.00005", "-0.5", "-0.0005"),
        (5_000_000, "5", "50000", "50"),
    ],
)
def test_an_amount_is_shown(fen: int, wanyuan: str, yuan: str, qianyuan: str) -> None:
    assert (wanyuan_text(fen), yuan_text(fen), qianyuan_text(fen)) == (wanyuan, yuan, qianyuan)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6))
def test_a_decimal_is_exact_or_refused_never_rounded(amount: Decimal) -> None:
    exact = Fraction(amount) * UNITS["yuan"]
    written = format(amount, "f")
    if exact.denominator == 1:
        assert to_fen(written, "yuan") == exact
    else:
        with pytest.raises(AmountError):
            to_fen(written, "yuan")
