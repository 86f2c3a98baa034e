"""The commands of the program, by the words that call them."""

from collections.abc import Iterator
from typing import Any

import typer

from app.cli.commands import app


def _commands(found: Any, path: str = "duixian") -> Iterator[tuple[str, Any]]:
    """The commands that do something: a group of commands does nothing by itself."""
    below = getattr(found, "commands", None)
    if below is None:
        yield path, found
        return
    for name, each in below.items():
        yield from _commands(each, f"{path} {name}")


COMMANDS = dict(_commands(typer.main.get_command(app)))
