"""The commands of `duixian`. Exit codes: 0 done, 1 refused, 2 wrong usage."""

import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, ClassVar

from typer._click.exceptions import ClickException

from app.cli.command import Commands
from app.cli.common import REFUSED, UNFINISHED, WRONG_USAGE, describe_cause, err
from app.cli.lazy import LazyGroup
from app.ledger.ledger import UncertainError
from app.runtime.escaping import escaped
from app.runtime.logs import configure_logs
from app.runtime.settings import SettingsError, read_settings
from app.runtime.storable import is_storable
from app.use_cases.upkeep.projecting import NotProjectedError


class Root(LazyGroup):
    """The group of all commands; its error messages, which quote arguments, are escaped."""

    modules: ClassVar = {
        "serve": "service",
        "project": "upkeep",
        "migrate": "upkeep",
        "import": "importing",
        "entitlement": "reads",
        "list": "reads",
        "summary": "reads",
        "returns": "reads",
        "events": "reads",
        "policy": "policies",
        "audit": "audit",
        "keys": "keys",
        "clock": "clock",
        "projections": "projections",
    }

    def invoke(self, context: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(context)
        except ClickException as error:
            error.message = escaped(error.message, keep="\n")
            raise


app = Commands(cls=Root, no_args_is_help=True, add_completion=False)


@app.callback()
def _duixian() -> None:
    """兑现：社零奖励测算台账。"""


def main() -> None:
    """Run the command line; a command that cannot finish is refused, without a traceback."""
    try:
        configure_logs(read_settings().log_format)
    except SettingsError as error:
        for name, problem in error.problems.items():
            err.print(f"设置{name}无效：{problem}。")
        sys.exit(WRONG_USAGE)
    for word in sys.argv[1:]:
        # A path may have any bytes. In any other argument, bytes that are not UTF-8 are lone surrogates.
        if not is_storable(word) and not Path(word).exists():
            err.print(f"参数{word!a}含有不是UTF-8编码的字符。")
            sys.exit(WRONG_USAGE)
    try:
        app()
    except UNFINISHED as error:
        is_recording = isinstance(error, UncertainError | NotProjectedError | BrokenExecutor)
        advice = "请重试，已登记的不会重复登记。" if is_recording else ""
        err.print(describe_cause(error) + advice)
        sys.exit(REFUSED)
