"""The command line: `duixian`."""

from app.cli.commands import main

__all__ = ["main"]
