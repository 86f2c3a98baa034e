"""`duixian keys`: creating, listing and revoking API keys."""

import sys
from typing import Annotated, Final

import typer

from app.cli.command import ACTOR, Commands, actor_of, command_words, disclosure_log, shows_no_figures
from app.cli.common import AsJson, get_ledger, out, print_json, refuse
from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction, write_transaction
from app.runtime.times import beijing, rfc_3339
from app.security.disclosures import Entry, Kind
from app.security.keys import ROLES, SEE_FIGURES, Key, create_key, is_name, list_keys, revoke_key

app = Commands(no_args_is_help=True, help="接口密钥：新建、查看、停用。")

_TAKEN: Final = "名称“{}”已用过。台账以名称记录经办人，请换一个名称。"


@app.command("create")
@shows_no_figures
def keys_create(
    context: typer.Context,
    role: Annotated[str, typer.Option(help="statistics、commerce、auditor或admin。")],
    name: Annotated[str, typer.Option(help="持有人的名称；台账中记为经办人。")],
    with_figures: Annotated[
        bool, typer.Option("--with-figures", help="commerce、admin密钥可见单户数据，admin可试算政策。")
    ] = False,
) -> None:
    """新建密钥；只显示这一次。"""
    if role not in ROLES:
        raise typer.BadParameter(f"应为{'、'.join(ROLES)}之一。", param_hint="--role")
    if not is_name(name) or name.startswith(ACTOR):
        message = f"应为1至100个可显示的字符，不能以“{ACTOR}”开头。"
        raise typer.BadParameter(message, param_hint="--name")
    ledger = get_ledger(context)
    if name in {key.name for key in _keys(ledger)}:
        refuse(_TAKEN.format(name))
    _record(context, ledger, "key-created", name, role + ("(with figures)" if with_figures else ""))
    with write_transaction(ledger.engine) as connection:
        token = create_key(connection, name=name, role=role, with_figures=with_figures, now_us=ledger.clock())
    if token is None:
        refuse(_TAKEN.format(name))
    sys.stdout.write(token + "\n")


@app.command("list")
@shows_no_figures
def keys_list(context: typer.Context, as_json: AsJson = False) -> None:
    """列出全部密钥（不显示密钥本身）。"""
    keys = _keys(get_ledger(context))
    if as_json:
        print_json(keys)
        return
    for key in keys:
        figures = "，可见单户数据" if key.sees_figures and key.role not in SEE_FIGURES else ""
        state = "" if key.revoked_at_us is None else f"，{beijing(key.revoked_at_us)}停用"
        out.print(f"{key.name}（{key.role}{figures}）{rfc_3339(key.created_at_us)[:10]}新建{state}")


@app.command("revoke")
@shows_no_figures
def keys_revoke(context: typer.Context, name: str) -> None:
    """停用密钥。"""
    ledger = get_ledger(context)
    if name in {key.name for key in _keys(ledger) if key.revoked_at_us is None}:
        _record(context, ledger, "key-revoked", name, None)
    with write_transaction(ledger.engine) as connection:
        revoked = revoke_key(connection, name, now_us=ledger.clock())
    if not revoked:
        refuse(f"没有名称为“{name}”的有效密钥。")
    out.print(f"{name}已停用。")


def _keys(ledger: Ledger) -> list[Key]:
    with read_transaction(ledger.engine) as connection:
        return list_keys(connection)


def _record(context: typer.Context, ledger: Ledger, kind: Kind, key: str, query: str | None) -> None:
    """Record an event in the life of a key before it happens."""
    entry = Entry(kind=kind, actor=actor_of(context), route=command_words(context), key=key, query=query)
    disclosure_log(context, ledger).record(entry)
