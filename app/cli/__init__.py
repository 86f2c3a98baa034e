"""The command line: `duixian`."""


def main() -> None:
    """Run the command line, whose parts are loaded only here: the helpers of an import need none of them."""
    from app.cli.commands import main as run  # noqa: PLC0415 - see above

    run()
