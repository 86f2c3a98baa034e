"""The commands of `duixian`. Exit codes: 0 done, 1 refused, 2 wrong usage."""

import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from eventsourcing.persistence import MapperDeserialisationError
from pydantic import ValidationError

from app.bootstrap import migrate
from app.cli import printing
from app.cli.audit import audit_app
from app.cli.common import (
    ACTOR,
    REFUSED,
    WRONG_USAGE,
    AsJson,
    err,
    ledger_of,
    opened_ledger,
    out,
    print_json,
    progress_bar,
    refuse,
)
from app.cli.files import ImportOptions, import_file
from app.cli.keys import keys_app
from app.cli.policies import policies_app
from app.cli.reads import reads_app
from app.cli.serving import serve_http
from app.exports.problem_sheet import write_problem_sheet
from app.ingest.units import unit_code
from app.ledger.ledger import UncertainError
from app.ledger.sealing import seal
from app.logs import configure_logs
from app.memory import spare_collections
from app.reasons import reason_of
from app.settings import Settings
from app.use_cases.attempts import INTERRUPTED
from app.use_cases.projecting import NotProjectedError, follow, project_all
from app.use_cases.rebuilding import RebuildError, rebuild
from app.use_cases.rows import ORIGINS
from domain.errors import LedgerIntegrityError
from domain.events import Stage
from projections.scratch import OvertakenError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="兑现:社零奖励测算台账。")
projections_app = typer.Typer(no_args_is_help=True, help="查询表:由台账重建。")
app.add_typer(reads_app)
app.add_typer(policies_app, name="policy")
app.add_typer(audit_app, name="audit")
app.add_typer(keys_app, name="keys")
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
            err.print(f"设置{name}无效:{told}。", markup=False, soft_wrap=True)
        sys.exit(WRONG_USAGE)
    try:
        app()
    except INTERRUPTED as error:
        err.print(_unfinished(error), markup=False, soft_wrap=True)
        sys.exit(REFUSED)
    except (LedgerIntegrityError, MapperDeserialisationError) as error:
        told = f"台账数据前后不符,本次未完成。请保留数据库现状并报告。详情:{error}"
        err.print(told, markup=False, soft_wrap=True)
        sys.exit(REFUSED)


def _unfinished(error: Exception) -> str:
    """What is known of a command that was kept from its end."""
    if isinstance(error, UncertainError):
        return f"登记时数据库连接中断,批次{error.batch_id}是否已登记尚不确定。请重试,已登记的不会重复登记。"
    if isinstance(error, NotProjectedError):
        return (
            f"台账已登记至序号{error.position},但数据库连接中断,查询表尚未更新。请重试,已登记的不会重复登记。"
        )
    if isinstance(error, BrokenExecutor):
        return "协助处理的进程意外终止(可能是内存不足),本次未完成。请重试,已登记的不会重复登记。"
    return f"数据库不可用:{getattr(error, 'orig', error)}"


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="监听地址;默认取DUIXIAN_HOST。")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口;默认取DUIXIAN_PORT。")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="服务进程数;默认取DUIXIAN_WORKERS。")] = None,
) -> None:
    """启动接口服务。"""
    settings = Settings()
    ledger_of(context).engine.dispose()
    served = serve_http(
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers or settings.workers,
    )
    if not served:
        refuse("服务进程未能启动,原因见日志。")


@app.command("project")
def project_command(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="更新到台账现有的最后序号即结束。")] = False,
    as_json: AsJson = False,
) -> None:
    """跟随台账持续更新查询表并封存台账,收到停止信号(SIGTERM或Ctrl+C)时结束。"""
    ledger = ledger_of(context)
    if once:
        position = project_all(ledger)
        seal(ledger)
    else:
        with _stop_signals() as is_stopped:
            err.print("正在跟随台账更新查询表;按Ctrl+C停止。")
            position = follow(ledger, is_stopped)
    if as_json:
        print_json({"position": position})
    else:
        out.print(f"查询表已更新至台账序号{position}。")


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT came, which then end nothing by themselves.

    The handler only notes it: what the signal interrupts may hold a lock that anything else could wait for.
    """
    asked: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: asked.append(number))
        for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@app.command("migrate")
def migrate_command(context: typer.Context) -> None:
    """建立或升级数据库结构。"""
    migrate(opened_ledger(context).engine)
    out.print("数据库结构已是当前版本。")


@app.command("import")
def import_command(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=".xlsx或CSV,直报平台导出的格式。")],
    unit: Annotated[str, typer.Option(help="文件中金额的单位:元、千元或万元。")],
    period: Annotated[str | None, typer.Option(help="所属期,如2024-03;文件已写明的可省略。")] = None,
    stage: Annotated[str, typer.Option(help="final(审定数)或preliminary(初报数)。")] = "final",
    reason: Annotated[str | None, typer.Option(help="更正原因,用于文件中未写原因的行。")] = None,
    origin: Annotated[str | None, typer.Option(help="更正来源:enterprise、returned或enforcement。")] = None,
    document: Annotated[str | None, typer.Option(help="依据文号。")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只试算,不登记。")] = False,
    problems: Annotated[Path | None, typer.Option(help="把审核问题清单写入此.xlsx文件。")] = None,
    as_json: AsJson = False,
) -> None:
    """登记文件中的数据:整份核对无误才登记。"""
    options = _import_options(unit, period, stage, reason, origin, document, dry_run=dry_run)
    ledger = ledger_of(context)
    project_all(ledger)
    done = []
    for path in files:
        with progress_bar(path.name) as progress:
            imported = import_file(ledger, path, options, actor=ACTOR, progress=progress)
        done.append(imported)
        if not as_json:
            printing.print_import(out, imported, dry_run=dry_run)
        printing.print_lines(err, imported.lines)
        if imported.answer is None:
            break
    if problems is not None:
        _write_problems(problems, [line for each in done for line in each.lines])
    if as_json:
        print_json([{"file": each.name, "answer": each.answer, "lines": each.lines} for each in done])
    if done[-1].answer is None:
        left = files[len(done) :]
        if left:
            err.print(f"其后的文件未处理:{'、'.join(path.name for path in left)}", markup=False)
        raise typer.Exit(REFUSED)


def _import_options(
    unit: str,
    period: str | None,
    stage: str,
    reason: str | None,
    origin: str | None,
    document: str | None,
    *,
    dry_run: bool,
) -> ImportOptions:
    try:
        code = unit_code(unit)
    except ValueError as error:
        raise typer.BadParameter("单位应为元、千元或万元。", param_hint="--unit") from error
    if stage not in {"final", "preliminary"}:
        raise typer.BadParameter("应为final或preliminary。", param_hint="--stage")
    if origin is not None and origin not in ORIGINS:
        raise typer.BadParameter(f"应为{'、'.join(ORIGINS)}之一。", param_hint="--origin")
    return ImportOptions(
        unit=code,
        period=period,
        stage=cast("Stage", stage),
        reason=reason,
        origin=origin,
        document=document,
        dry_run=dry_run,
    )


def _write_problems(path: Path, lines: list[Any]) -> None:
    try:
        write_problem_sheet(path, lines)
    except OSError as error:
        refuse(f"审核问题清单无法写入{path}:{reason_of(error)}。请关闭已打开的文件或换一个位置。")
    err.print(f"审核问题清单已写入{path},共{len(lines)}行。", markup=False)


@projections_app.command("rebuild")
def projections_rebuild(context: typer.Context) -> None:
    """由台账重建全部查询表。"""
    ledger = ledger_of(context)
    try:
        with progress_bar("重建查询表") as progress:
            position = rebuild(ledger, progress)
    except OvertakenError:
        refuse("另一项重建已经开始,本次未完成;查询表未受影响。")
    except RebuildError:
        refuse("查询表一直被占用,本次未能切换;查询表未受影响,请稍后重试。")
    except LedgerIntegrityError as error:
        refuse(f"台账本身有问题,不能据以重建,查询表未受影响:{error}。")
    out.print(f"查询表已由台账重建,至序号{position}。")
