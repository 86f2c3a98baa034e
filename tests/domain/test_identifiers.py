"""The 统一社会信用代码: GB 32100-2015, with the organisation code of GB 11714-1997 inside it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc as stdnum_uscc

from domain.identifiers import (
    has_uscc_shape,
    organisation_check_character,
    passes_uscc_check,
    uscc_check_character,
)

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CASES = json.loads((Path(__file__).parents[1] / "cases" / "article-14.json").read_text(encoding="utf-8"))
CODES = sorted(
    {row["uscc"] for case in CASES["cases"] for batch in case["batches"] for row in batch["returns"]}
)
EXAMPLE = "91110000600037341L"
"""The example in the documentation of python-stdnum."""

valid_codes = st.sampled_from([*CODES, EXAMPLE])


def check_value(first_seventeen: str) -> str:
    """The 18th character: the sum of value times 3^position, to the next multiple of 31."""
    total = sum(ALPHABET.index(character) * 3**place for place, character in enumerate(first_seventeen))
    return ALPHABET[-total % 31]


@pytest.mark.parametrize("uscc", [*CODES, EXAMPLE])
def test_a_valid_code_passes(uscc: str) -> None:
    assert has_uscc_shape(uscc)
    assert passes_uscc_check(uscc)


def test_a_real_code_of_an_early_pilot_region_has_the_shape_and_fails_the_check() -> None:
    assert has_uscc_shape("91350211M00013FA1N")
    assert not passes_uscc_check("91350211M00013FA1N")


@given(st.text(ALPHABET, min_size=17, max_size=17))
def test_the_eighteenth_character_is_the_one_that_python_stdnum_gives(code: str) -> None:
    assert uscc_check_character(code) == stdnum_uscc.calc_check_digit(code)


@given(valid_codes, st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_any_other_character_in_any_place_of_a_valid_code_fails(uscc: str, place: int, other: str) -> None:
    flipped = uscc[:place] + other + uscc[place + 1 :]
    assert passes_uscc_check(flipped) == (flipped == uscc)


@given(valid_codes, st.integers(0, 15))
def test_two_neighbours_exchanged_fail_unless_they_are_the_same(uscc: str, place: int) -> None:
    exchanged = uscc[:place] + uscc[place + 1] + uscc[place] + uscc[place + 2 :]
    assert passes_uscc_check(exchanged) == (exchanged == uscc)


@given(st.text(ALPHABET, min_size=8, max_size=8), st.text(ALPHABET, min_size=8, max_size=8))
def test_a_code_with_both_check_characters_passes_and_with_one_alone_fails(
    authority: str, organisation: str
) -> None:
    right = organisation_check_character(organisation)
    first = authority + organisation
    for inner in "0123456789X":
        code = first + inner
        assert passes_uscc_check(code + check_value(code)) == (inner == right)
        wrong = ALPHABET[(ALPHABET.index(check_value(code)) + 1) % 31]
        assert not passes_uscc_check(code + wrong)


@pytest.mark.parametrize(
    ("code", "check"),
    [("D2143569", "X"), ("60003734", "1")],
    ids=["example-of-GB-11714", "91110000600037341L"],
)
def test_an_organisation_code_has_its_own_check_character(code: str, check: str) -> None:
    assert organisation_check_character(code) == check


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9.1E+17",
        CODES[0][:17],
        CODES[0] + "0",
        CODES[0].lower(),
        " " + CODES[0],
        CODES[0] + "\n",
        "9" * 19,
    ],
)
def test_what_is_not_eighteen_digits_and_capitals_has_not_the_shape(text: str) -> None:
    assert not has_uscc_shape(text)
    assert not passes_uscc_check(text)


@pytest.mark.parametrize("letter", "IOSVZ")
def test_letters_that_the_standard_leaves_out_have_the_shape_and_fail(letter: str) -> None:
    code = CODES[0][:9] + letter + CODES[0][10:]
    assert has_uscc_shape(code)
    assert not passes_uscc_check(code)
