"""The commands of `duixian audit` about the tamper-evident log: its key, checkpoints, proofs, receipts."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from app.answers import proofs as proof_models
from app.cli import printing
from app.cli.command import Commands, disclose, shows_figures, shows_no_figures
from app.cli.common import (
    AsJson,
    KnownAtOption,
    PositionOption,
    WindowArgument,
    asked_moment,
    get_ledger,
    out,
    parse_window,
    position_from,
    print_json,
    refuse,
    within_the_log,
)
from app.cli.sealing import seal_and_tell
from app.runtime.database import read_transaction
from app.runtime.new_files import new_file
from app.runtime.reasons import reason_of
from app.runtime.settings import read_settings
from app.transparency.audit_key import AuditKeyError, make_audit_key, read_audit_key
from app.transparency.notes import NoteError, Signer
from app.use_cases.audit.proving import NotSealedError, prove_consistency, prove_inclusion, tree_at
from app.use_cases.audit.receipts import write_receipt
from app.use_cases.reading.as_of import PositionAheadError
from domain.identifiers import has_uscc_shape
from domain.periods import Window

app = Commands()

DEFAULT_ORIGIN: Final = "duixian.local/ledger"
"""An address without a scheme, as c2sp.org/tlog-checkpoint recommends; several logs need several names."""

SizeOption = Annotated[
    int | None,
    typer.Option(
        "--size",
        parser=position_from(0),
        metavar="<int>",
        help="校验点所含台账记录数；默认为全部记录。",
    ),
]
OutOption = Annotated[Path | None, typer.Option("--out", help="写入该文件，不在屏幕显示。")]


@app.command("key")
@shows_no_figures
def audit_key(
    name: Annotated[str, typer.Option("--name", help="台账名称，如不带协议的网址。")] = DEFAULT_ORIGIN,
    as_json: AsJson = False,
) -> None:
    """新建校验点签名密钥，显示验证公钥；请审计人员自行留存公钥。"""
    path = read_settings().audit_key_file
    try:
        signer = make_audit_key(path, name)
    except NoteError as error:
        raise typer.BadParameter("台账名称不能为空，不能含空格和加号。", param_hint="--name") from error
    except FileExistsError:
        refuse(f"签名密钥{path}已存在，不会覆盖：换密钥会使已留存的公钥失效。")
    except OSError as error:
        refuse(f"签名密钥无法写入{path}：{reason_of(error)}。")
    if as_json:
        print_json({"verifier_key": signer.verifier.text, "origin": name, "file": str(path)})
    else:
        sys.stdout.write(f"{signer.verifier.text}\n")


@app.command("checkpoint")
@shows_no_figures
def audit_checkpoint(
    context: typer.Context, size: SizeOption = None, out_file: OutOption = None, as_json: AsJson = False
) -> None:
    """签发日志校验点：先封存至台账现有的最后序号。"""
    ledger, signer = get_ledger(context), _signer()
    seal_and_tell(ledger, read_settings().audit_key_file)
    with _refusing_what_is_ahead(), read_transaction(ledger.engine) as connection:
        tree = tree_at(ledger, connection, size)
    answer = proof_models.checkpoint_answer(tree, signer)
    if out_file is not None:
        _write(out_file, answer.checkpoint)
        out.print(f"日志校验点已写入{out_file}，含台账记录{tree.size}条。")
    elif as_json:
        print_json(answer.model_dump())
    else:
        sys.stdout.write(answer.checkpoint)


@app.command("inclusion")
@shows_figures
def audit_inclusion(
    context: typer.Context,
    position: Annotated[int, typer.Argument(metavar="POSITION", parser=position_from(1), help="台账序号。")],
    size: SizeOption = None,
    as_json: AsJson = False,
) -> None:
    """证明一条台账记录包含在校验点内。"""
    ledger, signer = get_ledger(context), _signer()
    seal_and_tell(ledger, read_settings().audit_key_file)
    with _refusing_what_is_ahead(), read_transaction(ledger.engine) as connection:
        proved = prove_inclusion(ledger, connection, position=position, size=size)
    disclose(context, ledger, 0 if proved.uscc is None else 1, uscc=proved.uscc)
    answer = proof_models.inclusion_answer(proved, signer)
    if as_json:
        print_json(answer.model_dump())
        return
    out.print(f"台账序号{position}的记录包含在以下校验点内。")
    out.print(f"记录：{answer.leaf}")
    out.print(f"记录指纹：{answer.leaf_hash}")
    _print_proof("包含证明", answer.proof, answer.checkpoint)


@app.command("consistency")
@shows_no_figures
def audit_consistency(
    context: typer.Context,
    first: Annotated[
        int, typer.Argument(metavar="FIRST", parser=position_from(0), help="较早校验点的台账记录数。")
    ],
    second: Annotated[
        int, typer.Argument(metavar="SECOND", parser=position_from(0), help="较晚校验点的台账记录数。")
    ],
    as_json: AsJson = False,
) -> None:
    """证明较早校验点的全部记录原样包含在较晚校验点内。"""
    if first > second:
        raise typer.BadParameter("FIRST不能大于SECOND。")
    ledger, signer = get_ledger(context), _signer()
    seal_and_tell(ledger, read_settings().audit_key_file)
    with _refusing_what_is_ahead(), read_transaction(ledger.engine) as connection:
        proved = prove_consistency(ledger, connection, first=first, second=second)
    answer = proof_models.consistency_answer(proved, signer)
    if as_json:
        print_json(answer.model_dump())
        return
    out.print(f"前{first}条台账记录原样包含在前{second}条内。")
    out.print(f"前{first}条的总校验值（Merkle树根）：{answer.first_root}")
    out.print(f"前{second}条的总校验值（Merkle树根）：{answer.second_root}")
    _print_proof("一致性证明", answer.proof, answer.checkpoint)


@app.command("receipt")
@shows_figures
def audit_receipt(
    context: typer.Context,
    uscc: Annotated[str, typer.Argument(metavar="USCC", help="统一社会信用代码。")],
    window: WindowArgument,
    out_file: OutOption = None,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
) -> None:
    """签发一家企业在一个期间的核验凭据（JSON），可用docs/verify_receipt.py脱机核验。"""
    if not has_uscc_shape(uscc):
        raise typer.BadParameter("应为18位数字和大写字母。", param_hint="USCC")
    name, asked = parse_window(window), asked_moment(position, known_at)
    ledger, signer = get_ledger(context), _signer()
    seal_and_tell(ledger, read_settings().audit_key_file)
    with within_the_log(), read_transaction(ledger.engine) as connection:
        receipt = write_receipt(ledger, connection, uscc=uscc, window=name, asked=asked)
    if receipt is None:
        refuse(f"{uscc}在{Window.parse(name).chinese}没有登记过数据。")
    disclose(context, ledger, len(receipt.events), uscc=uscc)
    answer = proof_models.receipt_answer(receipt, signer).model_dump()
    if out_file is None:
        print_json(answer)
        return
    _write(out_file, msgspec.json.format(msgspec.json.encode(answer)).decode() + "\n")
    in_progress = printing.IN_PROGRESS if receipt.day_in_progress else ""
    content = f"含台账记录{len(receipt.events)}条及其证明，截至台账序号{receipt.tree.size}{in_progress}"
    out.print(f"核验凭据已写入{out_file}，{content}。")


def _signer() -> Signer:
    """Load the key that signs checkpoints; refuse if there is none."""
    path = read_settings().audit_key_file
    try:
        signer = read_audit_key(path)
    except AuditKeyError as error:
        refuse(f"签名密钥不可用：{error}")
    if signer is None:
        refuse(f"没有签名密钥{path}，请先运行：duixian audit key")
    return signer


@contextmanager
def _refusing_what_is_ahead() -> Iterator[None]:
    try:
        yield
    except PositionAheadError as error:
        refuse(f"校验点内最后的序号是{error.head}，不能查询更后的序号。")
    except NotSealedError as error:  # Events recorded since this command sealed the log.
        refuse(f"台账已封存至序号{error.sealed}，其后的序号尚未封存。请再次运行同一命令。")


def _print_proof(name: str, proof: list[str], checkpoint: str) -> None:
    out.print(f"{name}（RFC 9162），共{len(proof)}个指纹：")
    for hash_text in proof:
        out.print(f"  {hash_text}")
    out.print("日志校验点：")
    sys.stdout.write(checkpoint)


def _write(path: Path, text: str) -> None:
    try:
        with new_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        refuse(f"无法写入{path}：{reason_of(error)}。请关闭已打开的文件或换一个位置。")
