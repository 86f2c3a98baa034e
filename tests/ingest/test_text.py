import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.columns import column_index, column_letters
from app.ingest.text import cell_text, cleaned, compact, number_text, plain
from tests.ingest.files import full_width


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (123456.0, "123456"),
        (0.1 + 0.2, "0.3"),
        (-0.0, "0"),
        (1234567.89, "1234567.89"),
        (912108020010002000.0, "9.12108020010002E+17"),
        (9.1e17, "9.1E+17"),
        (999999999999999.0, "999999999999999"),
        (0.00001, "1E-05"),
    ],
)
def test_a_number_is_shown_with_the_fifteen_digits_that_excel_keeps(value: float, shown: str) -> None:
    assert number_text(value) == shown


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=4))
def test_a_number_of_up_to_fifteen_digits_is_shown_as_it_was_typed(typed: object) -> None:
    text = f"{typed:f}".rstrip("0").rstrip(".")
    assert number_text(float(str(typed))) == ("0" if text in {"-0", ""} else text)


@given(st.floats(min_value=-1e300, max_value=1e300, allow_subnormal=False))
def test_no_more_than_the_sixteenth_digit_of_a_number_is_lost(value: float) -> None:
    assert math.isclose(float(number_text(value)), value, rel_tol=1e-14)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "TRUE"),
        (False, "FALSE"),
        (7, "7"),
        (dt.date(2024, 3, 1), "2024-03-01"),
        (dt.datetime(2024, 3, 1, 10, 30), "2024-03-01 10:30:00"),  # noqa: DTZ001  cells have no zone
        (dt.time(10, 30), "10:30:00"),
        (dt.timedelta(hours=26, minutes=5, seconds=9), "26:05:09"),
        (" 原样 ", " 原样 "),
    ],
)
def test_other_values_become_the_text_that_a_person_would_write(value: object, shown: str) -> None:
    assert cell_text(value) == shown  # type: ignore[arg-type]


@pytest.mark.parametrize("around", [" ", "\t", "\u3000", "\u00a0", "\u200b", "\ufeff", " \u3000\n"])
def test_white_space_of_every_width_around_a_text_is_removed(around: str) -> None:
    assert cleaned(f"{around}营口 某某{around}") == "营口 某某"


def test_a_leading_apostrophe_is_removed_but_not_one_inside() -> None:
    assert cleaned(" '91210802MA0010002C ") == "91210802MA0010002C"
    assert cleaned("O'Neill") == "O'Neill"


def test_codes_become_ordinary_width() -> None:
    assert plain(full_width(" 91210802MA0010002C ")) == "91210802MA0010002C"
    assert plain(full_width("(GB/T4754-2017)%")) == "(GB/T4754-2017)%"


@pytest.mark.parametrize("dash", "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2500\uff0d\ufe63\ufe58")
def test_every_kind_of_dash_is_the_same_in_a_heading(dash: str) -> None:
    assert compact(f"1{dash} 本月") == "1-本月"


def test_columns_are_named_as_a_spreadsheet_names_them() -> None:
    assert [column_letters(index) for index in (0, 7, 25, 26, 701, 702, 16383)] == [
        "A", "H", "Z", "AA", "ZZ", "AAA", "XFD",
    ]  # fmt: skip


@given(st.integers(min_value=0, max_value=16383))
def test_letters_of_a_column_lead_back_to_it(index: int) -> None:
    assert column_index(column_letters(index)) == index
