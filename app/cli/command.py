"""What every command has: the name of its user, and whether it may show single-unit statistics."""

import getpass
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, TypeVar

import typer

from app.cli.common import refuse
from app.cli.help import Command, HelpGroup
from app.ledger.ledger import Ledger
from app.security.disclosures import DisclosureLog, Entry
from app.security.keys import is_name

PROGRAM: Final = "duixian"
ACTOR: Final = "命令行"
"""The prefix of the name of a command's user; no name of a key begins like that."""

MAY_SHOW_FIGURES: Final[dict[Callable[..., Any], bool]] = {}
"""Whether a command may show single-unit statistics, on the terminal or in a file; a test checks them all."""

_NAME: Final = "duixian.name"
_DECLARED: Final = "duixian.said"

AsName = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="经办人姓名；默认为系统登录名。"),
]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def shows_figures(command: CommandT) -> CommandT:
    """Mark a command that may show figures: it must call `disclose` before it shows or writes anything."""
    MAY_SHOW_FIGURES[command] = True
    return command


def shows_no_figures(command: CommandT) -> CommandT:
    """Mark a command that never shows single-unit statistics."""
    MAY_SHOW_FIGURES[command] = False
    return command


class Commands(typer.Typer):
    """A group of commands, which all have `--as` and are marked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"cls": HelpGroup} | options), rich_markup_mode=None)

    def command(self, name: str | None = None, **options: Any) -> Callable[[CommandT], CommandT]:
        """Add a command, as `typer.Typer.command` does."""
        register = super().command(name, cls=Command, **options)

        def add(command: CommandT) -> CommandT:
            register(_accountable(command))
            return command

        return add


def _accountable(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--as` to a command, which fails if it may show figures and does not declare whether it did."""
    may_show = MAY_SHOW_FIGURES[command]
    signature = inspect.signature(command)
    takes_context = "context" in signature.parameters

    @wraps(command)
    def run(context: typer.Context, as_name: str | None, **given: Any) -> None:
        if as_name is not None:
            if not is_name(as_name):
                raise typer.BadParameter("应为1至100个可显示的字符。", param_hint="--as")
            context.meta[_NAME] = as_name.strip()
        command(**{"context": context, **given} if takes_context else given)
        if may_show and _DECLARED not in context.meta:
            raise RuntimeError(f"{command_words(context)} does not declare the figures that it shows")

    ours = {"context": typer.Context, "as_name": AsName}
    others = [parameter for name, parameter in signature.parameters.items() if name not in ours]
    added = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=ours[name]) for name in ours]
    added[1] = added[1].replace(default=None)
    run.__dict__["__signature__"] = signature.replace(parameters=[*others, *added])
    run.__annotations__ = {**inspect.get_annotations(command), **ours}
    return run


def actor_of(context: typer.Context) -> str:
    """The user of the command, as the ledger records it."""
    name = context.meta.get(_NAME) or _login_name()
    return f"{ACTOR}：{name}"


def command_words(context: typer.Context) -> str:
    """The words of the command line that name the command."""
    words: list[str] = []
    at: Any = context
    while at.parent is not None:
        words.insert(0, at.info_name)
        at = at.parent
    return " ".join([PROGRAM, *words])


def disclose(context: typer.Context, ledger: Ledger, count: int, *, uscc: str | None = None) -> None:
    """Record that `count` records with figures, or figures of `count` enterprises, are about to be shown.

    Raises:
        DisclosureError: The disclosure could not be recorded, so nothing may be shown.
    """
    context.meta[_DECLARED] = True
    if count:
        entry = Entry(
            kind="figures",
            actor=actor_of(context),
            route=command_words(context),
            uscc=uscc,
            query=_query(context),
            count=count,
        )
        disclosure_log(context, ledger).record(entry)


def disclose_nothing(context: typer.Context) -> None:
    """Declare that the command shows no figures except those that the user supplied."""
    context.meta[_DECLARED] = True


def disclosure_log(context: typer.Context, ledger: Ledger) -> DisclosureLog:
    """Open the log of disclosures until the command ends."""
    log = DisclosureLog(ledger.engine, ledger.clock)
    context.call_on_close(log.close)
    return log


def _query(context: typer.Context) -> str:
    """The arguments and options of the command."""
    given = {name: value for name, value in context.params.items() if value and name != "as_name"}
    return " ".join(f"{name}={_text(value)}" for name, value in given.items())


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _login_name() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # The user id of this process has no name.
        name = ""
    if not is_name(name):
        refuse("无法得知系统登录名，请用--as写明经办人姓名。")
    return name
