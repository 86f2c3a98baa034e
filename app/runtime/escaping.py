"""Makes texts from files and data safe to show: characters that control a terminal become their codes."""

import re
import unicodedata
from typing import Final

_STEERING: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: controls, including escapes; invisible format characters, including those that change
the direction of text; surrogates; separators of lines and of paragraphs."""

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7e]")


def escaped(text: str, *, keep: str = "") -> str:
    r"""The text with characters that control a terminal as their codes: `\x1b`, `\n`, `\u202e`.

    Args:
        text: Any text, as from a file, a name or an error.
        keep: Characters to leave unchanged.
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if _steers(char) and char not in keep else char
        for char in text
    )


def escaped_json(text: str) -> str:
    r"""JSON of the same value, with such characters escaped in its texts: `\u202e`.

    JSON itself escapes the control characters of ASCII except DEL.
    """
    return _NOT_ASCII.sub(lambda found: _json_code(found[0]) if _steers(found[0]) else found[0], text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in _STEERING


def _json_code(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
