"""The commands of `duixian`. Exit codes: 0 done, 1 refused, 2 wrong usage."""

import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
from pydantic import ValidationError

from app.bootstrap import migrate
from app.cli.audit import audit_app
from app.cli.clock import clock_app
from app.cli.command import Commands, Root, actor_of, shows_no_figures
from app.cli.common import (
    REFUSED,
    UNFINISHED,
    WRONG_USAGE,
    AsJson,
    bring_up,
    cause_of,
    err,
    ledger_of,
    opened_ledger,
    out,
    print_json,
    progress_bar,
    refuse,
    seal_and_tell,
    stop_signals,
)
from app.cli.importing import import_app
from app.cli.keys import keys_app
from app.cli.policies import policies_app
from app.cli.reads import reads_app
from app.cli.serving import serve_http
from app.ledger.ledger import UncertainError
from app.runtime.logs import configure_logs
from app.runtime.memory import spare_collections
from app.runtime.settings import Settings
from app.runtime.storable import is_storable
from app.transparency.audit_key import verifier_key_in
from app.use_cases.policies.publishing import PublicationWatch
from app.use_cases.upkeep.projecting import NotProjectedError, follow
from app.use_cases.upkeep.rebuilding import RebuildError, rebuild
from domain.errors import LedgerIntegrityError
from projections.rebuild.shadow_tables import OvertakenError

_log = structlog.get_logger()

app = Commands(cls=Root, no_args_is_help=True, add_completion=False, help="兑现：社零奖励测算台账。")
projections_app = Commands(no_args_is_help=True, help="查询表：由台账重建。")
app.add_typer(import_app)
app.add_typer(reads_app)
app.add_typer(policies_app, name="policy")
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")
app.add_typer(clock_app, name="clock")
app.add_typer(projections_app, name="projections")


_SETTING_PROBLEMS: Final = {
    "int_parsing": "应为整数",
    "int_parsing_size": "应为整数",
    "greater_than_equal": "不能小于{ge}",
    "less_than_equal": "不能大于{le}",
    "string_pattern_mismatch": "应为text或json",
}
"""By the types of pydantic; what is not here says in its own words what is wrong."""


def main() -> None:
    """Run the command line; what keeps a command from its end is a refusal, not a traceback."""
    spare_collections()
    try:
        configure_logs(Settings().log_format)
    except ValidationError as error:
        for each in error.errors():
            name = f"DUIXIAN_{each['loc'][0]}".upper()
            told = _SETTING_PROBLEMS.get(each["type"], each["msg"]).format(**each.get("ctx", {}))
            err.print(f"设置{name}无效：{told}。")
        sys.exit(WRONG_USAGE)
    for word in sys.argv[1:]:
        # A path may be of any bytes; in any other word those that are no UTF-8 are lone surrogates.
        if not is_storable(word) and not Path(word).exists():
            err.print(f"参数{word!a}含有不是UTF-8编码的字符。")
            sys.exit(WRONG_USAGE)
    try:
        app()
    except UNFINISHED as error:
        is_recording = isinstance(error, UncertainError | NotProjectedError | BrokenExecutor)
        advice = "请重试，已登记的不会重复登记。" if is_recording else ""
        err.print(cause_of(error) + advice)
        sys.exit(REFUSED)


@app.command()
@shows_no_figures
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="监听地址；默认取DUIXIAN_HOST。")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口；默认取DUIXIAN_PORT。")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="服务进程数；默认取DUIXIAN_WORKERS。")] = None,
) -> None:
    """启动接口服务。"""
    settings = Settings()
    ledger_of(context).engine.dispose()
    served = serve_http(
        settings,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers or settings.workers,
    )
    if not served:
        refuse("服务进程未能启动，原因见日志。")


@app.command("project")
@shows_no_figures
def project_command(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="更新到台账现有的最后序号即结束。")] = False,
    as_json: AsJson = False,
) -> None:
    """跟随台账持续更新查询表并封存台账，收到停止信号（SIGTERM或Ctrl+C）时结束。"""
    ledger, key_file = ledger_of(context), Settings().audit_key_file
    if once:
        bring_up(ledger)
        position = seal_and_tell(ledger, key_file)
    else:
        with stop_signals() as asked:
            err.print("正在跟随台账更新查询表；按Ctrl+C停止。")
            look_after = PublicationWatch(ledger).look
            position = follow(ledger, lambda: bool(asked), look_after, lambda: verifier_key_in(key_file))
    if as_json:
        print_json({"position": position})
    else:
        out.print(f"查询表已更新至台账序号{position}。")


@app.command("migrate")
@shows_no_figures
def migrate_command(context: typer.Context) -> None:
    """建立或升级数据库结构。"""
    migrate(opened_ledger(context).engine)
    out.print("数据库结构已是当前版本。")


@projections_app.command("rebuild")
@shows_no_figures
def projections_rebuild(context: typer.Context) -> None:
    """由台账重建全部查询表。"""
    ledger = ledger_of(context)
    try:
        with progress_bar("重建查询表") as progress:
            position = rebuild(ledger, progress)
    except OvertakenError:
        refuse("另一项重建已经开始，本次未完成；查询表未受影响。")
    except RebuildError:
        refuse("查询表一直被占用，本次未能切换；查询表未受影响，请稍后重试。")
    except LedgerIntegrityError as error:
        refuse(f"台账本身有问题，不能据以重建，查询表未受影响：{error}。")
    _log.info("read models rebuilt", actor=actor_of(context), position=position)
    out.print(f"查询表已由台账重建，至序号{position}。")
