"""The terminal of the command line: nothing in a text is markup, and nothing in it steers the terminal."""

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from app.runtime.escaping import escaped

if TYPE_CHECKING:
    from rich.progress import Progress

PIPE_WIDTH: Final = 1_000_000
"""Cells: a pipe and a file have no width that a line would have to fit in."""


class Terminal(Console):
    """A console that prints texts as they are, but for what would steer it; `bold` marks a text of ours.

    It breaks no line: a terminal does that itself, and what it breaks can still be searched for and copied.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"soft_wrap": True} | options), markup=False, highlight=False, emoji=False)
        if not self.is_terminal and "width" not in options:
            self.width = PIPE_WIDTH

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text goes through here, that of a cell too; it is one line."""
        return super().render_str(escaped(text), **(options | {"markup": False, "emoji": False}))


def bold(text: str) -> Text:
    """A text in bold."""
    return Text(escaped(text), style="bold")


def progress_on(console: Console) -> "Progress":
    """A progress bar, whose descriptions are to be escaped; gone when it is done."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", style="progress.description", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
