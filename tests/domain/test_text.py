"""Texts that every database can store."""

import pytest

from domain.text import is_storable_text


@pytest.mark.parametrize("text", ["", "营口市站前区", "\x01", "\ud7ff", "\ue000", "\U0001f600"])
def test_a_text_of_unicode_characters_can_be_stored(text: str) -> None:
    assert is_storable_text(text)
    assert text.encode().decode() == text


@pytest.mark.parametrize("text", ["a\0", "\ud800", "营口\udfff"])
def test_nul_and_lone_surrogates_cannot_be_stored(text: str) -> None:
    assert not is_storable_text(text)
