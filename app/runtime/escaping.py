"""Texts from files and data as people see them: what would steer a terminal is shown as its code."""

import re
import unicodedata
from typing import Final

_STEERING: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Controls, escapes among them; invisible format characters, among them those that turn the direction of
writing; halves of characters; separators of lines and paragraphs."""

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7e]")


def escaped(text: str, *, keep: str = "") -> str:
    r"""The text with what would steer a terminal as its code: `\x1b`, `\n`, `\u202e`.

    Args:
        text: Of a file, a name, an error: of anybody.
        keep: Characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode() if _steers(each) and each not in keep else each
        for each in text
    )


def escaped_json(text: str) -> str:
    r"""JSON of the same value, whose texts are as safe to see: `\u202e` stands for the character.

    JSON itself escapes the controls of ASCII but for DEL.
    """
    return _NOT_ASCII.sub(lambda found: _json_code(found[0]) if _steers(found[0]) else found[0], text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in _STEERING


def _json_code(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
