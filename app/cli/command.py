"""What every command has: the name of who runs it, and whether it may show figures of single units."""

import getpass
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, TypeVar

import typer

from app.cli.common import refuse
from app.cli.help import Command, Group
from app.ledger.ledger import Ledger
from app.security.disclosures import DisclosureLog, Entry
from app.security.keys import is_name

PROGRAM: Final = "duixian"
ACTOR: Final = "命令行"
"""Before the name of who runs a command; no key has a name that begins so."""

MAY_SHOW_FIGURES: Final[dict[Callable[..., Any], bool]] = {}
"""Whether a command may show figures of single units, on the terminal or in a file; a test looks for all."""

_NAME: Final = "duixian.name"
_SAID: Final = "duixian.said"

AsName = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="经办人姓名；默认为系统登录名。"),
]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def shows_figures(command: CommandT) -> CommandT:
    """Mark a command that may show figures: it calls `disclose` before it shows or writes anything."""
    MAY_SHOW_FIGURES[command] = True
    return command


def shows_no_figures(command: CommandT) -> CommandT:
    """Mark a command that never shows figures of single units."""
    MAY_SHOW_FIGURES[command] = False
    return command


class Commands(typer.Typer):
    """A group of commands: each takes `--as`, and is marked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"cls": Group} | options), rich_markup_mode=None)

    def command(self, name: str | None = None, **options: Any) -> Callable[[CommandT], CommandT]:
        """As of any group."""
        register = super().command(name, cls=Command, **options)

        def add(command: CommandT) -> CommandT:
            register(_accountable(command))
            return command

        return add


def _accountable(command: Callable[..., None]) -> Callable[..., None]:
    """A command with `--as`, which does not end well if it may show figures and does not say whether."""
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
        if may_show and _SAID not in context.meta:
            raise RuntimeError(f"{route_of(context)} does not say what figures it shows")

    ours = {"context": typer.Context, "as_name": AsName}
    kept = [each for name, each in signature.parameters.items() if name not in ours]
    made = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=ours[name]) for name in ours]
    made[1] = made[1].replace(default=None)
    run.__dict__["__signature__"] = signature.replace(parameters=[*kept, *made])
    run.__annotations__ = {**inspect.get_annotations(command), **ours}
    return run


def actor_of(context: typer.Context) -> str:
    """Who runs the command, as the ledger records it."""
    name = context.meta.get(_NAME) or _login_name()
    return f"{ACTOR}：{name}"


def route_of(context: typer.Context) -> str:
    """The words that call the command."""
    words: list[str] = []
    at: Any = context
    while at.parent is not None:
        words.insert(0, at.info_name)
        at = at.parent
    return " ".join([PROGRAM, *words])


def disclose(context: typer.Context, ledger: Ledger, count: int, *, uscc: str | None = None) -> None:
    """Record that so many records with figures, or figures of so many enterprises, are about to be shown.

    Raises:
        DisclosureError: It could not be recorded: nothing may be shown.
    """
    context.meta[_SAID] = True
    if count:
        entry = Entry(
            kind="figures",
            actor=actor_of(context),
            route=route_of(context),
            uscc=uscc,
            query=_query(context),
            count=count,
        )
        disclosure_log(context, ledger).record(entry)


def disclose_nothing(context: typer.Context) -> None:
    """Say that no figure is shown that the reader has not brought along."""
    context.meta[_SAID] = True


def disclosure_log(context: typer.Context, ledger: Ledger) -> DisclosureLog:
    """Where it is recorded who saw what, until the command ends."""
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
    except (KeyError, OSError):  # Nobody has the number that this process runs under.
        name = ""
    if not is_name(name):
        refuse("无法得知系统登录名，请用--as写明经办人姓名。")
    return name
