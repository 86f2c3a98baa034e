"""The help of commands, which wraps by the cells that characters take and cuts nothing."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from typer._click.core import Context
from typer._click.formatting import HelpFormatter
from typer.core import TyperCommand, TyperGroup

_WORD: Final = re.compile(r"(?:[!-~]+|.)[，。、；：？！）”》]* *")


class Formatter(HelpFormatter):
    """A formatter of help for texts in Chinese: without spaces, and of characters that take two cells."""

    def write_text(self, text: str) -> None:
        """Write a text."""
        for line in _folded(text, self.width - self.current_indent):
            self.write(f"{'':>{self.current_indent}}{line}\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms and, beside them, what they mean; below them where a term is too long."""
        longest = min(max((cell_len(term) for term, _ in rows), default=0), col_max)
        left = self.current_indent + longest + col_spacing
        for term, meaning in rows:
            lines = list(_folded(meaning, self.width - left))
            beside = lines.pop(0) if lines and cell_len(term) <= longest else ""
            space = " " * (left - self.current_indent - cell_len(term))
            self.write(f"{'':>{self.current_indent}}{term}{space}{beside}".rstrip() + "\n")
            for line in lines:
                self.write(f"{'':>{left}}{line}\n")


class HelpContext(Context):
    """A context whose help is by `Formatter`."""

    formatter_class = Formatter


class Command(TyperCommand):
    """A command whose help is by `Formatter`, and stands whole in the list of commands."""

    context_class = HelpContext

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - nothing is shortened
        """Its whole help."""
        return self.help or ""


class Group(TyperGroup):
    """A group of commands whose help is by `Formatter`, and stands whole in the list of commands."""

    context_class = HelpContext

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - nothing is shortened
        """Its whole help."""
        return self.help or ""


def _folded(text: str, width: int) -> Iterator[str]:
    """The lines of a text, broken anywhere but within what is no Chinese and before a mark that closes."""
    line = ""
    for word in _WORD.findall(text):
        if line and cell_len(f"{line}{word}".rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += word
    if line:
        yield line.rstrip()
