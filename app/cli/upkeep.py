"""`duixian project` and `duixian migrate`: keeping the read models and the schema up to date."""

from typing import Annotated

import typer

from app.bootstrap import migrate
from app.cli.command import Commands, shows_no_figures
from app.cli.common import (
    AsJson,
    bring_up,
    err,
    get_ledger,
    opened_ledger,
    out,
    print_json,
    stop_signals,
)
from app.cli.sealing import seal_and_tell
from app.runtime.settings import read_settings
from app.transparency.audit_key import verifier_key_in
from app.use_cases.policies.publishing import PublicationWatch
from app.use_cases.upkeep.projecting import follow

app = Commands()


@app.command("project")
@shows_no_figures
def project_command(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="更新到台账现有的最后序号即结束。")] = False,
    as_json: AsJson = False,
) -> None:
    """跟随台账持续更新查询表并封存台账，收到停止信号（SIGTERM或Ctrl+C）时结束。"""
    ledger, key_file = get_ledger(context), read_settings().audit_key_file
    if once:
        bring_up(ledger)
        position = seal_and_tell(ledger, key_file)
    else:
        with stop_signals() as signals:
            err.print("正在跟随台账更新查询表；按Ctrl+C停止。")
            look_after = PublicationWatch(ledger).look
            position = follow(ledger, lambda: bool(signals), look_after, lambda: verifier_key_in(key_file))
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
