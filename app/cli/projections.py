"""`duixian projections`: rebuilding the read models from the log."""

import structlog
import typer

from app.cli.command import Commands, actor_of, shows_no_figures
from app.cli.common import get_ledger, out, progress_bar, refuse
from app.use_cases.upkeep.rebuilding import RebuildError, rebuild
from domain.errors import LedgerIntegrityError
from projections.rebuild.shadow_tables import OvertakenError

_log = structlog.get_logger()

app = Commands(no_args_is_help=True, help="查询表：由台账重建。")


@app.command("rebuild")
@shows_no_figures
def projections_rebuild(context: typer.Context) -> None:
    """由台账重建全部查询表。"""
    ledger = get_ledger(context)
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
