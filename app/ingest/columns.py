"""The letters by which spreadsheets name columns."""

from typing import Final

_LETTERS: Final = 26


def column_letters(index: int) -> str:
    """The letters of a column by its index from 0: A, B, …, Z, AA."""
    letters = ""
    number = index + 1
    while number:
        number, letter = divmod(number - 1, _LETTERS)
        letters = chr(ord("A") + letter) + letters
    return letters


def column_index(letters: str) -> int:
    """The index from 0 of the column that these capital letters name."""
    number = 0
    for letter in letters:
        number = number * _LETTERS + ord(letter) - ord("A") + 1
    return number - 1
