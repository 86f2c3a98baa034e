"""Texts that every database can store."""

import re
from typing import Final

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def is_storable_text(text: str) -> bool:
    """Whether a text has neither NUL, which PostgreSQL refuses, nor a lone surrogate, which is not UTF-8."""
    return _UNSTORABLE.search(text) is None
