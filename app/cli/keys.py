"""`duixian keys`: making, listing and revoking API keys."""

import sys
from typing import Annotated

import typer

from app.api.times import rfc_3339
from app.cli.common import AsJson, ledger_of, out, print_json, refuse
from app.database import reading, writing
from app.exports.cells import beijing
from app.security.keys import ROLES, SEE_FIGURES, create_key, list_keys, revoke_key

keys_app = typer.Typer(no_args_is_help=True, help="接口密钥:新建、查看、停用。")


@keys_app.command("create")
def keys_create(
    context: typer.Context,
    role: Annotated[str, typer.Option(help="statistics、commerce、auditor或admin。")],
    name: Annotated[str, typer.Option(help="持有人的名称;台账中记为经办人。")],
    with_figures: Annotated[
        bool, typer.Option("--with-figures", help="commerce、admin密钥可见单户数据,admin可试算政策。")
    ] = False,
) -> None:
    """新建密钥;只显示这一次。"""
    if role not in ROLES:
        raise typer.BadParameter(f"应为{'、'.join(ROLES)}之一。", param_hint="--role")
    if not name.strip() or not name.isprintable() or len(name) > 100:  # noqa: PLR2004 - a line of a list
        raise typer.BadParameter("应为1至100个可显示的字符。", param_hint="--name")
    ledger = ledger_of(context)
    with writing(ledger.engine) as connection:
        token = create_key(connection, name=name, role=role, with_figures=with_figures, now_us=ledger.clock())
    if token is None:
        refuse(f"名称“{name}”已用过。台账以名称记录经办人,请换一个名称。")
    sys.stdout.write(token + "\n")


@keys_app.command("list")
def keys_list(context: typer.Context, as_json: AsJson = False) -> None:
    """列出全部密钥(不显示密钥本身)。"""
    with reading(ledger_of(context).engine) as connection:
        keys = list_keys(connection)
    if as_json:
        print_json(keys)
        return
    for key in keys:
        figures = ",可见单户数据" if key.sees_figures and key.role not in SEE_FIGURES else ""
        state = "" if key.revoked_at_us is None else f",{beijing(key.revoked_at_us)}停用"
        out.print(
            f"{key.name}({key.role}{figures}){rfc_3339(key.created_at_us)[:10]}新建{state}", markup=False
        )


@keys_app.command("revoke")
def keys_revoke(context: typer.Context, name: str) -> None:
    """停用密钥。"""
    ledger = ledger_of(context)
    with writing(ledger.engine) as connection:
        revoked = revoke_key(connection, name, now_us=ledger.clock())
    if not revoked:
        refuse(f"没有名称为“{name}”的有效密钥。")
    out.print(f"{name}已停用。", markup=False)
