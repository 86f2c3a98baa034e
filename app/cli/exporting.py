"""`duixian audit export`: the whole log as a folder of files."""

from pathlib import Path
from typing import Annotated

import typer

from app.archive.export_folder import ExportError, Manifest
from app.cli.command import Commands, disclose, shows_figures
from app.cli.common import (
    AsJson,
    get_ledger,
    out,
    position_from,
    print_json,
    progress_bar,
    refuse,
)
from app.cli.sealing import seal_and_tell
from app.runtime.reasons import reason_of
from app.runtime.settings import read_settings
from app.runtime.times import rfc_3339
from app.transparency.audit_key import AuditKeyError, read_audit_key
from app.transparency.notes import Signer
from app.use_cases.audit.exporting import ExportOptions, Signing, export_log
from app.use_cases.reading.as_of import PositionAheadError
from domain.errors import LedgerIntegrityError

app = Commands()


@app.command("export")
@shows_figures
def audit_export(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="新建的文件夹；不能已有内容。")],
    packed: Annotated[bool, typer.Option("--gzip", help="压缩台账记录。")] = False,
    until: Annotated[
        int | None,
        typer.Option(
            "--until",
            parser=position_from(0),
            metavar="<int>",
            help="只导出至该台账序号（其前已完整登记的批次）。",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """导出全部台账记录，附导出清单和带签名的日志校验点，供脱机核验。"""
    ledger = get_ledger(context)
    options = ExportOptions(
        target=target.absolute(),
        packed=packed,
        until=until,
        made_at=rfc_3339(ledger.clock()),
        signing=_signing(read_settings().audit_key_file),
    )
    try:
        seal_and_tell(ledger, read_settings().audit_key_file)
        with progress_bar("导出台账") as progress:
            manifest = export_log(ledger, options, progress, lambda size: disclose(context, ledger, size))
    except ExportError as error:
        refuse(f"{error}，未导出。请换一个位置。")
    except OSError as error:
        refuse(f"无法写入{target}：{reason_of(error)}。")
    except PositionAheadError as error:
        refuse(f"台账最后的序号是{error.head}，不能导出更后的序号。")
    except LedgerIntegrityError as error:
        refuse(f"台账与封存时的记录指纹不符（{error}），未导出。请运行duixian audit verify查明是哪一条。")
    if as_json:
        print_json(manifest)
        return
    _print_manifest(target, manifest)


def _signing(path: Path) -> Signing | None:
    """Signing with the operator's key; None without a key."""
    try:
        signer = read_audit_key(path)
    except AuditKeyError as error:
        refuse(f"签名密钥不可用：{error}")
    return None if signer is None else _signing_with(signer)


def _signing_with(signer: Signer) -> Signing:
    def sign(size: int, root: bytes) -> str:
        return signer.sign_checkpoint(size=size, root=root)

    return Signing(signer.verifier.name, signer.verifier.text, sign)


def _print_manifest(target: Path, manifest: Manifest) -> None:
    extent = f"台账序号1至{manifest.size}" if manifest.size else "台账尚无记录"
    out.print(f"台账已导出至{target}：{extent}。")
    if manifest.checkpoint is None:
        out.print("没有签名密钥，导出件不含日志校验点。需要时请先运行：duixian audit key")
    else:
        out.print(
            f"日志校验点由{manifest.origin}签名，验证公钥：{manifest.verifier_key}",
        )
