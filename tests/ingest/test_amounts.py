import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.amounts import amount_text
from app.ingest.text import cleaned
from tests.ingest.files import full_width

AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("123456", "123456"),
        ("-12.50", "-12.50"),
        ("0", "0"),
        (" 123 ", "123"),
        ("'123", "123"),
        ("1,234,567.8", "1234567.8"),
        (full_width("1,234,567"), "1234567"),
        (full_width("-123.5"), "-123.5"),
        ("1\uff0c234", "1234"),
        ("\u22125", "-5"),
    ],
)
def test_an_amount_is_written_without_separators_in_ordinary_width(written: str, amount: str) -> None:
    assert amount_text(written, 6) == amount


@pytest.mark.parametrize("nil", ["", " ", "\u3000", "-", "--", "—", "——", "–", "\uff0d", "'", " — "])
def test_a_blank_or_a_dash_is_nil_and_not_zero(nil: str) -> None:
    assert amount_text(nil, 6) is None


@pytest.mark.parametrize(
    "text",
    [
        "12,34",
        "1,2345",
        ",123",
        "1.2E+15",
        "9.1E+17",
        "¥5",
        "5元",
        "—5",
        "+5",
        "5.",
        ".5",
        "#REF!",
        "1 234",
        "٣",
    ],
)
def test_text_that_is_no_amount_is_passed_on_unchanged(text: str) -> None:
    assert amount_text(f" {text} ", 6) == text


@given(st.integers(), st.sampled_from(["{}", "{:,}", " {:,}\u3000", "'{}"]))
def test_a_whole_number_comes_back_however_it_is_grouped(number: int, pattern: str) -> None:
    assert amount_text(pattern.format(number), 6) == str(number)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2))
def test_full_width_digits_come_back_in_ordinary_width(number: object) -> None:
    assert amount_text(full_width(f"{number:,f}"), 6) == f"{number:f}"


@given(st.text())
def test_any_other_text_is_nil_or_an_amount_or_unchanged(text: str) -> None:
    amount = amount_text(text, 6)
    assert amount is None or AMOUNT.fullmatch(amount) or amount == cleaned(text)


@given(st.text())
def test_an_amount_once_read_reads_the_same_again(text: str) -> None:
    amount = amount_text(text, 6)
    assert amount is None or amount_text(amount, 6) == amount
