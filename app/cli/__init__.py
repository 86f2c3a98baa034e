"""The command line: `duixian`."""

from app.runtime.memory import spare_collections


def main() -> None:
    """Run the command line, which is loaded only here: the worker processes of an import do not need it."""
    spare_collections()  # Before anything is loaded, since loading creates many objects and no garbage.
    from app.cli.commands import main as run

    run()
