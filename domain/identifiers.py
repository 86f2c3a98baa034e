"""The 统一社会信用代码 of an enterprise (GB 32100-2015)."""

import re
from operator import mul

USCC_LENGTH = 18

_SHAPE = re.compile(r"[0-9A-Z]{18}", re.ASCII)
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CHARACTERS = re.compile(f"[{_ALPHABET}]{{18}}", re.ASCII)
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_ORGANISATION = slice(8, 16)
_ORGANISATION_CHECK = 16
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_VALUES = {character: int(character, 36) for character in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_ORGANISATION_CHECK_CHARACTERS = "0X987654321"


def has_uscc_shape(text: str) -> bool:
    """Whether the text is 18 characters of `[0-9A-Z]`."""
    return _SHAPE.fullmatch(text) is not None


def passes_uscc_check(uscc: str) -> bool:
    """Whether both check characters are right: that of the code, and that of the organisation code in it.

    Sources: GB 32100-2015 (18th character), GB 11714-1997 (17th character). Real codes from early pilot
    regions fail the check; they are registered with a recorded override.
    """
    if not _CHARACTERS.fullmatch(uscc):
        return False
    return uscc[-1] == uscc_check_character(uscc[:-1]) and uscc[
        _ORGANISATION_CHECK
    ] == organisation_check_character(uscc[_ORGANISATION])


def uscc_check_character(code: str) -> str:
    """The check character of the first 17 characters of a code (GB 32100-2015): modulo 31, weights 3^i."""
    total = sum(map(mul, _WEIGHTS, map(_VALUES.__getitem__, code)))
    return _ALPHABET[-total % 31]


def organisation_check_character(code: str) -> str:
    """The check character of the eight characters of an organisation code (GB 11714-1997)."""
    total = sum(map(mul, _ORGANISATION_WEIGHTS, map(_ORGANISATION_VALUES.__getitem__, code)))
    return _ORGANISATION_CHECK_CHARACTERS[total % 11]
