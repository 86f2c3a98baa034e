"""`duixian clock`: accepting the clock of this machine."""

from typing import Annotated

import typer

from app.cli.command import Commands, actor_of, shows_no_figures
from app.cli.common import get_ledger, out, refuse
from app.runtime.times import beijing
from app.use_cases.upkeep.clock import accept_clock

app = Commands(no_args_is_help=True, help="时钟：认可本机时间。")


@app.callback()
def _clock() -> None:
    """时钟：认可本机时间。"""


@app.command("accept")
@shows_no_figures
def clock_accept(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="认可的理由，如何核对的；记入台账。")],
) -> None:
    """认可本机时钟：因时钟可能被向前拨动而暂停登记的，核对无误后恢复登记。认可本身记入台账。"""
    if not reason.strip():
        raise typer.BadParameter("须写明理由。", param_hint="--reason")
    comparison = accept_clock(get_ledger(context), reason=reason.strip(), actor=actor_of(context))
    if not comparison.is_accepted:
        refuse(
            f"台账最后的登记时间{beijing(comparison.last_us)}已晚于本机时钟{beijing(comparison.now_us)}（北京时间），"
            "登记不因此暂停，无需认可。"
        )
    out.print(
        f"已认可本机时钟{beijing(comparison.now_us)}（北京时间），并记入台账。此后的登记时间不会早于它。"
    )
