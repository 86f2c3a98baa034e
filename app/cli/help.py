"""The help of commands, which wraps by the width of characters and truncates nothing."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from typer._click.core import Context
from typer._click.formatting import HelpFormatter
from typer.core import TyperCommand, TyperGroup

_WORD: Final = re.compile(r"(?:[!-~]+|.)[，。、；：？！）”》]* *")


class Formatter(HelpFormatter):
    """A formatter for help in Chinese, which has no spaces and whose characters are two cells wide."""

    def write_text(self, text: str) -> None:
        """Write a text."""
        for line in _folded(text, self.width - self.current_indent):
            self.write(f"{'':>{self.current_indent}}{line}\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms with their meanings next to them, or below a term that is too long."""
        longest = min(max((cell_len(term) for term, _ in rows), default=0), col_max)
        left = self.current_indent + longest + col_spacing
        for term, meaning in rows:
            lines = list(_folded(meaning, self.width - left))
            first = lines.pop(0) if lines and cell_len(term) <= longest else ""
            space = " " * (left - self.current_indent - cell_len(term))
            self.write(f"{'':>{self.current_indent}}{term}{space}{first}".rstrip() + "\n")
            for line in lines:
                self.write(f"{'':>{left}}{line}\n")


class HelpContext(Context):
    """A context that formats help with `Formatter`."""

    formatter_class = Formatter


class Command(TyperCommand):
    """A command that formats help with `Formatter` and has its whole help in the list of commands."""

    context_class = HelpContext

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - nothing is shortened
        """Its whole help."""
        return self.help or ""


class HelpGroup(TyperGroup):
    """A group that formats help with `Formatter` and has its whole help in the list of commands."""

    context_class = HelpContext

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - nothing is shortened
        """Its whole help."""
        return self.help or ""


def _folded(text: str, width: int) -> Iterator[str]:
    """Fold a text into lines: anywhere, except inside words that are not Chinese and before closing marks."""
    line = ""
    for word in _WORD.findall(text):
        if line and cell_len(f"{line}{word}".rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += word
    if line:
        yield line.rstrip()
