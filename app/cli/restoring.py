"""`duixian audit restore`: a ledger from an export."""

from pathlib import Path
from typing import Annotated

import typer

from app.archive.export_folder import ExportError, ExportFolder
from app.archive.insert_unchecked import NotEmptyError
from app.cli.command import Commands, shows_no_figures
from app.cli.common import AsJson, get_ledger, out, print_json, progress_bar, refuse
from app.cli.verifying import KeyAsked, given_verifier, print_findings, verify_opened
from app.use_cases.audit.restoring import restore

app = Commands()


@app.command("restore")
@shows_no_figures
def audit_restore(
    context: typer.Context,
    export: Annotated[
        Path, typer.Argument(metavar="EXPORT", exists=True, file_okay=False, help="导出件文件夹。")
    ],
    key: KeyAsked = None,
    as_json: AsJson = False,
) -> None:
    """由导出件恢复台账：先核验导出件，再原样写入空的数据库。"""
    verifier, ledger = given_verifier(key), get_ledger(context)
    try:
        folder = ExportFolder(export)
    except ExportError as error:
        refuse(f"{error}，未恢复。")
    report = verify_opened(folder, verifier, None)
    if not report.clean:
        print_findings(report)
        refuse("导出件核验发现问题，未恢复。")
    try:
        with progress_bar("恢复台账") as progress:
            size = restore(ledger, folder, progress)
    except NotEmptyError:
        refuse("数据库中已有台账记录，不能恢复：请换一个空的数据库（先运行duixian migrate）。")
    except ExportError as error:
        refuse(f"{error}，未恢复，数据库没有变化。")
    if as_json:
        print_json({"size": size, "root": report.root})
    else:
        out.print(f"台账已由{export}恢复，共{size}条记录。")
