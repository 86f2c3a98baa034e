"""Amounts as people write them in cells."""

import re

from app.ingest.text import cleaned, one_dash, plain

_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
# A long dash, as titles have it, is never a minus sign: —5 is passed on and refused.
_MINUS = str.maketrans({"\u2212": "-", "\u2010": "-"})


def amount_text(text: str) -> str | None:
    """The amount of a cell as `POST /v1/returns` takes it: "-1234.5".

    Thousands separators in proper groups of three are removed, and full-width digits become
    ordinary ones. A blank cell or a dash is nil: None, which is not 0. Any other text is returned
    unchanged, for the validator to refuse.
    """
    if _PLAIN.fullmatch(text):
        return text
    written = plain(text).translate(_MINUS)
    if _PLAIN.fullmatch(written):
        return written
    if _GROUPED.fullmatch(written):
        return written.replace(",", "")
    return cleaned(text) if one_dash(text).strip("-") else None
