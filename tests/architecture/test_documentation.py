"""What an operator may set is written down."""

import re
from pathlib import Path

import msgspec
import pytest

from app.runtime.settings import PREFIX, Settings, variable_of

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
NAMES = {variable_of(field.name): field.default for field in msgspec.structs.fields(Settings)}


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_stands_in_the_table_of_the_readme_with_its_default(name: str) -> None:
    rows = [line for line in REFERENCE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    (row,) = (each for each in rows if f"`{name}`" in each)
    assert f"`{NAMES[name]}`" in row


def test_the_readme_names_no_setting_that_there_is_not() -> None:
    named = re.findall(rf"{PREFIX}[A-Z]+(?:_[A-Z]+)*", REFERENCE.read_text(encoding="utf-8"))
    assert set(named) <= NAMES.keys()
