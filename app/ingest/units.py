"""Units of amounts, as files and people name them."""

import re
from typing import Final

from app.ingest.text import compact
from domain.money import FEN_PER_UNIT

CODES: Final = {"元": "yuan", "千元": "qianyuan", "万元": "wanyuan"}
NAME_OF_CODE: Final = {code: name for name, code in CODES.items()}

UNIT_PATTERN: Final = "亿元|百万元|万元|千元|元"
"""Every unit that statistical tables use, longer names first; the ledger accepts only some of them."""

DECIMALS: Final = {code: len(str(FEN_PER_UNIT[code])) - 1 for code in NAME_OF_CODE}
"""The decimals of one fen, by the code of the unit."""

# 单位:千元, 单位:户、万元, 金额单位:人民币万元, (万元): a phrase may name what other columns count, too.
_IN_TITLE = re.compile(
    rf"单位:?(?:[户家个人%][、,/]|人民币)*({UNIT_PATTERN})|\((?:单位:?|人民币)?({UNIT_PATTERN})\)"
)
_UNIT: Final = re.compile(f"(?:人民币)?({UNIT_PATTERN})")


def unit_code(name: str) -> str:
    """The code of 元, 千元 or 万元 for `POST /v1/returns`.

    Raises:
        ValueError: It is any other name.
    """
    try:
        return CODES[compact(name)]
    except KeyError:
        raise ValueError(f"金额单位“{name}”不能使用。请写元、千元或万元。") from None


def unit_of_cell(text: str) -> str | None:
    """The unit that a cell names and nothing else: 万元, 人民币万元, (千元); None for any other text."""
    found = _UNIT.fullmatch(compact(text).strip("()"))
    return None if found is None else found[1]


def units_within(text: str) -> frozenset[str]:
    """The units that a title states: `单位:千元`, `(万元)`."""
    return frozenset(found[1] or found[2] for found in _IN_TITLE.finditer(compact(text)))
