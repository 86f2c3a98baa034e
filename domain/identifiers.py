"""The 统一社会信用代码 of an enterprise (GB 32100-2015)."""

import re

from stdnum.cn import uscc as stdnum_uscc

USCC_LENGTH = 18

_SHAPE = re.compile(r"[0-9A-Z]{18}", re.ASCII)
_CHARACTERS = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}", re.ASCII)
_ORGANISATION = slice(8, 16)
_ORGANISATION_CHECK = 16
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_CHECK_CHARACTERS = "0X987654321"


def has_uscc_shape(text: str) -> bool:
    """Whether the text is 18 characters of `[0-9A-Z]`."""
    return _SHAPE.fullmatch(text) is not None


def passes_uscc_check(uscc: str) -> bool:
    """Whether both check characters are right: the code's own, and the organisation code's inside it.

    Sources: GB 32100-2015 (18th character), GB 11714-1997 (17th character). Real codes of early pilot
    regions fail; they are registered with a recorded override.
    """
    if not _CHARACTERS.fullmatch(uscc):
        return False
    return uscc[-1] == stdnum_uscc.calc_check_digit(uscc[:-1]) and uscc[
        _ORGANISATION_CHECK
    ] == organisation_check_character(uscc[_ORGANISATION])


def organisation_check_character(code: str) -> str:
    """The check character of the eight characters of an organisation code (GB 11714-1997)."""
    total = sum(
        weight * int(character, 36) for weight, character in zip(_ORGANISATION_WEIGHTS, code, strict=True)
    )
    return _ORGANISATION_CHECK_CHARACTERS[total % 11]
