"""The command line: `duixian`."""

from app.runtime.memory import spare_collections


def main() -> None:
    """Run the command line, whose parts are loaded only here: the helpers of an import need none of them."""
    spare_collections()  # Before anything is loaded, as loading makes many objects and no garbage.
    from app.cli.commands import main as run

    run()
