"""The terminal of the command line: texts are not markup, and their control characters are escaped."""

from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from app.runtime.escaping import escaped

if TYPE_CHECKING:
    from rich.progress import Progress

PIPE_WIDTH: Final = 1_000_000
"""The width of a pipe or a file in cells: lines are never wrapped there."""


class Terminal(Console):
    """A console that prints texts literally, with control characters escaped; only `bold` adds markup.

    It does not wrap lines: the terminal does, and text that the terminal wraps can still be searched and
    copied.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"soft_wrap": True} | options), markup=False, highlight=False, emoji=False)
        if not self.is_terminal and "width" not in options:
            self.width = PIPE_WIDTH

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape a text and keep it on one line; rich calls this for every text, including cells."""
        return super().render_str(escaped(text), **(options | {"markup": False, "emoji": False}))


def bold(text: str) -> Text:
    """A text in bold."""
    return Text(escaped(text), style="bold")


def progress_on(console: Console) -> "Progress":
    """A progress bar that disappears when it is done; callers must escape its descriptions."""
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
