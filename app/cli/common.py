"""What the commands share: where they print, the ledger, the moment asked for, how they refuse."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer
from eventsourcing.persistence import MapperDeserialisationError
from rich.console import Console
from rich.progress import Progress as ProgressBar

from app.api.times import parse_rfc_3339
from app.bootstrap import is_migrated, open_ledger
from app.database import is_full, missing_file
from app.ledger.ledger import Ledger, UncertainError
from app.reasons import reason_of
from app.settings import Settings
from app.use_cases.attempts import INTERRUPTED
from app.use_cases.projecting import NotProjectedError
from app.use_cases.reading import AskedMoment, Opened, PositionAheadError, opened
from domain.errors import LedgerIntegrityError
from domain.identifiers import has_uscc_shape
from domain.periods import PeriodError, Window

REFUSED: Final = 1
WRONG_USAGE: Final = 2
ACTOR: Final = "命令行"
POSITION_MOST: Final = 2**63 - 1
"""No database counts further."""

UNFINISHED: Final = (*INTERRUPTED, LedgerIntegrityError, MapperDeserialisationError)
"""What keeps a command from its end, and is a refusal: `cause_of` tells it."""


class HeardOut(Console):
    """A console whose reader may leave, as `head` does: what is left is done all the same, in silence."""

    def on_broken_pipe(self) -> None:
        """Go on, silently."""
        self.quiet = True
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


# A pipe has no width to fit in: names and headings stay whole.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="以JSON输出。")]
WindowAsked = Annotated[str, typer.Argument(metavar="WINDOW", help="半年,如2024H1。")]
PolicyAsked = Annotated[str | None, typer.Option("--policy", help="政策文件编号;只有一个时可省略。")]
PositionAsked = Annotated[int | None, typer.Option("--position", min=0, help="按该台账序号时的情况。")]
KnownAtAsked = Annotated[str | None, typer.Option("--known-at", help="按该时间已登记的情况(RFC 3339)。")]


def refuse(message: str) -> NoReturn:
    """Say why on standard error, and end with `REFUSED`."""
    err.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(REFUSED)


def cause_of(error: Exception) -> str:
    """What kept a command from its end, `UNFINISHED` or an error of the system, as far as it is known."""
    if isinstance(error, UncertainError):
        return f"登记时数据库连接中断,批次{error.batch_id}是否已登记尚不确定。"
    if isinstance(error, NotProjectedError):
        return f"台账已登记至序号{error.position},但数据库连接中断,查询表尚未更新。"
    if isinstance(error, BrokenExecutor):
        return "协助处理的进程意外终止(可能是内存不足),本次未完成。"
    if isinstance(error, LedgerIntegrityError | MapperDeserialisationError):
        return f"台账数据前后不符,本次未完成。请保留数据库现状并报告。详情:{error}"
    if isinstance(error, OSError):
        advice = "请检查临时文件夹(环境变量TMPDIR)的权限和所在磁盘的空间。"
        return f"系统拒绝了所需的操作:{reason_of(error)}。{advice}"
    return _cause_in_database(error)


def _cause_in_database(error: Exception) -> str:
    if is_full(error):
        return "数据库所在的磁盘空间不足。"
    return f"数据库不可用:{getattr(error, 'orig', error)}"


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """The signals to stop that came, which then end nothing by themselves; a second one ends the process.

    The handler only notes the first: what it interrupts may hold a lock that anything else could wait for.
    """
    asked: list[int] = []

    def note(number: int, _: object) -> None:
        asked.append(number)
        for each in before:
            signal.signal(each, signal.SIG_DFL)

    before: dict[signal.Signals, Any] = {}
    for each in (signal.SIGTERM, signal.SIGINT):
        before[each] = signal.signal(each, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def opened_ledger(context: typer.Context) -> Ledger:
    """The ledger of the settings, migrated or not, until the command ends."""
    try:
        ledger = open_ledger(Settings())
    except OSError as error:
        refuse(f"数据库文件所在的文件夹无法建立:{reason_of(error)}({error.filename})。")
    context.call_on_close(ledger.engine.dispose)
    return ledger


def ledger_of(context: typer.Context) -> Ledger:
    """The ledger of the settings, until the command ends."""
    ledger = opened_ledger(context)
    missing = missing_file(ledger.engine)
    if missing is not None:
        refuse(f"数据库文件{missing}不存在。请核对DUIXIAN_DATABASE_URL;如需新建,请先运行:duixian migrate")
    if not is_migrated(ledger.engine):
        refuse("数据库结构不是当前版本,请先运行:duixian migrate")
    return ledger


def print_json(value: Any) -> None:
    """Print a value of structs, lists and mappings as JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


@contextmanager
def progress_bar(label: str, total: int | None = None) -> Iterator[Any]:
    """A progress bar on a terminal, else nothing."""
    with ProgressBar(console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task(label, total=total)

        def progress(done: int, of: int | None = None, doing: str = "") -> None:
            bar.update(task, completed=done, total=of, description=f"{label} {doing}".rstrip())

        yield progress


def window_of(text: str) -> str:
    """The half-year of an argument."""
    try:
        return str(Window.parse(text))
    except PeriodError as error:
        raise typer.BadParameter(str(error), param_hint="WINDOW") from error


def asked_moment(position: int | None, known_at: str | None) -> AskedMoment:
    """The moment of the options `--position` and `--known-at`."""
    if known_at is None:
        return AskedMoment(position=position)
    if position is not None:
        raise typer.BadParameter("--position与--known-at只能给一个。")
    try:
        return AskedMoment(known_at_us=parse_rfc_3339(known_at))
    except ValueError as error:
        raise typer.BadParameter("应如2024-08-05T18:00:00+08:00。", param_hint="--known-at") from error


@contextmanager
def within_the_log() -> Iterator[None]:
    """Refuse a position that the log has not reached."""
    try:
        yield
    except PositionAheadError as error:
        refuse(f"台账最后的序号是{error.head},不能查询更后的序号。")


def books_of(connection: Any, window: str, policy: str | None, asked: AskedMoment) -> Opened:
    """The books of a half-year at the moment that the options ask for."""
    with within_the_log():
        books = opened(connection, window, policy, asked)
    if books == "policy-unknown":
        refuse(f"没有发布过编号为{policy}的政策文件。")
    if books == "policy-ambiguous":
        refuse("有多个政策文件覆盖该半年,请用--policy指定。")
    if isinstance(books, str):
        raise TypeError(books)
    return books


def uscc_of(text: str) -> str:
    """The code of an argument."""
    if not has_uscc_shape(text):
        raise typer.BadParameter("应为18位数字和大写字母。", param_hint="USCC")
    return text
