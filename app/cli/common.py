"""The common parts of the commands: consoles, the ledger, options for moments, and refusals."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer
from sqlalchemy import Connection

from app.answers.moments import MomentError, parse_known_at, parse_position
from app.bootstrap import is_migrated, open_ledger
from app.cli.terminal import Terminal, progress_on
from app.ledger import publications
from app.ledger.clock import ClockError, now_us
from app.ledger.ledger import Ledger, UncertainError
from app.ledger.mapper import UndecodableEventError
from app.runtime.database import missing_file, read_transaction, refusal_of
from app.runtime.escaping import escaped, escaped_json
from app.runtime.reasons import REFUSALS, reason_of
from app.runtime.settings import read_settings
from app.security.disclosures import DisclosureError
from app.use_cases.reading.as_of import (
    AskedMoment,
    AsOf,
    DayAheadError,
    PolicyAsOf,
    PositionAheadError,
    choose_policy,
    resolve_moment,
)
from app.use_cases.recording import INTERRUPTED
from app.use_cases.upkeep.projecting import NotProjectedError, project_all
from domain.errors import LedgerIntegrityError
from domain.identifiers import has_uscc_shape
from domain.periods import PeriodError, Window
from domain.words import UnknownValueError, parse_code

REFUSED: Final = 1
WRONG_USAGE: Final = 2

UNFINISHED: Final = (*INTERRUPTED, LedgerIntegrityError, UndecodableEventError, DisclosureError)
"""Errors that end a command early as a refusal; `describe_cause` describes them."""


class HeardOut(Terminal):
    """A console whose reader may leave, as `head` does; the command then continues in silence."""

    def on_broken_pipe(self) -> None:
        """Continue without output."""
        self.quiet = True
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


out = Terminal()
err = Terminal(stderr=True)


def position_from(least: int) -> Callable[[Any], int]:
    """Create a parser of positions and sizes of the log, of any size from `least` on."""

    def parse(given: Any) -> int:
        try:
            position = parse_position(str(given))
        except MomentError as error:
            raise typer.BadParameter(str(error)) from error
        if position < least:
            raise typer.BadParameter(f"不能小于{least}。")
        return position

    return parse


AsJson = Annotated[bool, typer.Option("--json", help="以JSON输出。")]
WindowArgument = Annotated[
    str, typer.Argument(metavar="WINDOW", help="期间：2024H1（上半年）、2024Q2、2024等。")
]
PolicyOption = Annotated[str | None, typer.Option("--policy", help="政策文件编号；只有一个时可省略。")]
PositionOption = Annotated[
    int | None,
    typer.Option("--position", parser=position_from(0), metavar="<int>", help="按该台账序号时的情况。"),
]
KnownAtOption = Annotated[
    str | None,
    typer.Option(
        "--known-at", help="按该时间（RFC 3339）或该日终了（北京时间）已登记的情况；当日为截至现在。"
    ),
]


def refuse(message: str) -> NoReturn:
    """Print a message on standard error, and exit with `REFUSED`."""
    err.print(message)
    raise typer.Exit(REFUSED)


def describe_cause(error: Exception) -> str:
    """Describe why a command ended early: an error of `UNFINISHED`, or of the operating system."""
    if isinstance(error, UncertainError):
        return f"登记时数据库连接中断，批次{error.batch_id}是否已登记尚不确定。"
    if isinstance(error, NotProjectedError):
        return f"台账已登记至序号{error.position}，但数据库连接中断，查询表尚未更新。"
    if isinstance(error, BrokenExecutor):
        return "协助处理的进程意外终止（可能是内存不足），本次未完成。"
    if isinstance(error, LedgerIntegrityError | UndecodableEventError):
        return f"台账数据前后不符，本次未完成。请保留数据库现状并报告。详情：{error}"
    if isinstance(error, OSError):
        advice = "请检查临时文件夹（环境变量TMPDIR）的权限和所在磁盘的空间。"
        return f"系统拒绝了所需的操作：{reason_of(error)}。{advice}"
    return _cause_in_database(error)


def _cause_in_database(error: Exception) -> str:
    if isinstance(error, DisclosureError):
        return f"查阅记录无法写入，单户数据因此不予显示；已登记的不受影响。详情：{error}"
    if isinstance(error, ClockError):
        return f"{error}。"
    refusal = refusal_of(error)
    if refusal is not None:
        return f"{REFUSALS[refusal]}。"
    return f"数据库不可用：{getattr(error, 'orig', error)}"


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect the signals to stop instead of ending; a second signal ends the process.

    The handler only notes the first signal, since the interrupted code may hold any lock.
    """
    received: list[int] = []

    def note(number: int, _: object) -> None:
        received.append(number)
        for handled in before:
            signal.signal(handled, signal.SIG_DFL)

    before: dict[signal.Signals, Any] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def opened_ledger(context: typer.Context) -> Ledger:
    """Open the ledger of the settings, migrated or not, until the command ends."""
    try:
        ledger = open_ledger(read_settings())
    except OSError as error:
        refuse(f"数据库文件所在的文件夹无法建立：{reason_of(error)}（{error.filename}）。")
    context.call_on_close(ledger.engine.dispose)
    return ledger


def get_ledger(context: typer.Context) -> Ledger:
    """Open the ledger of the settings until the command ends; refuse if it is not migrated."""
    ledger = opened_ledger(context)
    missing = missing_file(ledger.engine)
    if missing is not None:
        refuse(f"数据库文件{missing}不存在。请核对DUIXIAN_DATABASE_URL；如需新建，请先运行：duixian migrate")
    if not is_migrated(ledger.engine):
        refuse("数据库结构不是当前版本，请先运行：duixian migrate")
    return ledger


def bring_up(ledger: Ledger) -> int:
    """Update the read models, and finish an interrupted assessment; return the position they have reached."""
    position = project_all(ledger)
    with read_transaction(ledger.engine) as connection:
        is_finished = publications.unfinished(connection) is None
    if is_finished:
        return position
    from app.use_cases.policies.publishing import assess_published

    err.print("此前发布的政策尚未测算完毕，现继续测算。")
    with progress_bar("测算此前登记的数据") as progress:
        assess_published(ledger, progress)
    return project_all(ledger)


def print_json(value: Any) -> None:
    """Print a value of structs, lists and mappings as JSON."""
    write_json(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def write_json(text: str) -> None:
    """Write JSON, or a part of it, to standard output."""
    sys.stdout.write(escaped_json(text))


@contextmanager
def progress_bar(label: str, total: int | None = None) -> Iterator[Any]:
    """Show a progress bar on a terminal; elsewhere show nothing."""
    if not err.is_terminal:
        yield lambda *_: None
        return
    with progress_on(err) as bar:
        task = bar.add_task(escaped(label), total=total)

        def progress(done: int, of: int | None = None, doing: str = "") -> None:
            bar.update(task, completed=done, total=of, description=escaped(f"{label} {doing}".rstrip()))

        yield progress


def parse_window(text: str) -> str:
    """Parse the argument WINDOW."""
    try:
        return str(Window.parse(text))
    except PeriodError as error:
        raise typer.BadParameter(str(error), param_hint="WINDOW") from error


def asked_moment(position: int | None, known_at: str | None) -> AskedMoment:
    """Parse the options `--position` and `--known-at`."""
    if known_at is None:
        return AskedMoment(position=position)
    if position is not None:
        raise typer.BadParameter("--position与--known-at只能给一个。")
    try:
        return parse_known_at(known_at, now_us=now_us())
    except MomentError as error:
        raise typer.BadParameter(str(error), param_hint="--known-at") from error


_OPTIONS: Final = {"region_code": "--region", "group_by": "--group-by", "window": "WINDOW"}


@contextmanager
def known_values() -> Iterator[None]:
    """Refuse a value that is neither a code nor a Chinese name of one, and name the known ones."""
    try:
        yield
    except UnknownValueError as error:
        option = _OPTIONS.get(error.field, f"--{error.field}")
        raise typer.BadParameter(f"{error}。", param_hint=option) from error


def parse_option(field: str, text: str | None, names: Mapping[str, str]) -> str | None:
    """Parse an option that names a code, or its Chinese name; None if the option is not given."""
    with known_values():
        return None if text is None else parse_code(field, text, names)


@contextmanager
def within_the_log() -> Iterator[None]:
    """Refuse a position that the log has not reached, and a day that has not begun."""
    try:
        yield
    except PositionAheadError as error:
        refuse(f"台账最后的序号是{error.head}，不能查询更后的序号。")
    except DayAheadError as error:
        refuse(f"{error.day}尚未开始（北京时间），不能查询。")


def require_policy(
    ledger: Ledger, connection: Connection, window: str, policy: str | None, asked: AskedMoment
) -> PolicyAsOf:
    """Choose the policy of a window as of a moment; refuse if there is none or it is ambiguous."""
    with within_the_log(), known_values():
        policy_as_of = choose_policy(ledger, connection, window, policy, asked)
    if policy_as_of == "policy-unknown":
        refuse(f"没有发布过编号为{policy}的政策文件。")
    if policy_as_of == "policy-ambiguous":
        refuse("有多个政策文件覆盖该期间，请用--policy指定。")
    if isinstance(policy_as_of, str):
        raise TypeError(policy_as_of)
    return policy_as_of


@contextmanager
def read_as_of(ledger: Ledger, asked: AskedMoment) -> Iterator[tuple[Connection, AsOf]]:
    """Update the read models, and open a read transaction with the requested moment."""
    bring_up(ledger)
    with read_transaction(ledger.engine) as connection, within_the_log():
        yield connection, resolve_moment(connection, asked)


@contextmanager
def read_policy_as_of(
    ledger: Ledger, window: str, policy: str | None, asked: AskedMoment
) -> Iterator[tuple[Connection, PolicyAsOf]]:
    """Update the read models, and open a read transaction with the policy of a window as of a moment."""
    bring_up(ledger)
    with read_transaction(ledger.engine) as connection:
        yield connection, require_policy(ledger, connection, window, policy, asked)


def parse_uscc(text: str) -> str:
    """Check the argument USCC."""
    if not has_uscc_shape(text):
        raise typer.BadParameter("应为18位数字和大写字母。", param_hint="USCC")
    return text
