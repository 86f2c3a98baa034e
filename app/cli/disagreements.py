"""`duixian audit disagreements`: the events that contradict the read models."""

import typer

from app.cli import printing
from app.cli.command import Commands, shows_no_figures
from app.cli.common import (
    AsJson,
    KnownAtOption,
    PositionOption,
    asked_moment,
    get_ledger,
    out,
    print_json,
    read_as_of,
)
from app.runtime.limits import DISAGREEMENTS_MOST_SHOWN
from projections.queries import disagreements

app = Commands()


@app.command("disagreements")
@shows_no_figures
def audit_disagreements(
    context: typer.Context,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """列出查询表无法依从的台账记录（互相矛盾或无法读取）；有则退出码仍为0。"""
    asked = asked_moment(position, known_at)
    with read_as_of(get_ledger(context), asked) as (connection, at):
        found = disagreements.page(connection, at.position, after=0, limit=DISAGREEMENTS_MOST_SHOWN)
        total = disagreements.count(connection, at.position)
    if as_json:
        print_json({"items": found, "total": total})
        return
    for row in found:
        account = " ".join(part for part in (row.uscc, row.window, row.policy, row.period) if part)
        out.print(
            f"台账序号{row.position} {row.type} {account or row.stream}：{row.reason}",
        )
    summary = f"共{total}条记录有矛盾" if total else "没有互相矛盾的记录"
    out.print(f"{summary}。{printing.as_of_text(at)}")
