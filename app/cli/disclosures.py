"""`duixian audit disclosures`: who saw single-unit statistics, and the removal of old entries."""

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from app.answers.disclosures import disclosure_item, parse_time_or_day
from app.cli.command import Commands, actor_of, command_words, disclosure_log, shows_no_figures
from app.cli.common import AsJson, get_ledger, out, parse_uscc, print_json, refuse
from app.runtime.limits import DISCLOSURES_KEPT_DAYS
from app.runtime.times import beijing, rfc_3339
from app.security.disclosures import Disclosure, Filter, Kind, TooYoungError

app = Commands()

KINDS: Final[dict[Kind, str]] = {
    "figures": "查阅单户数据",
    "key-created": "新建密钥",
    "key-first-used": "首次使用密钥",
    "key-revoked": "停用密钥",
    "removed": "删除查阅记录",
}
_TIME: Final = "日期（北京时间）或RFC 3339时间"


@app.command("disclosures")
@shows_no_figures
def audit_disclosures(
    context: typer.Context,
    who: Annotated[str | None, typer.Option(help="只列此经办人：密钥名称，或“命令行：姓名”。")] = None,
    uscc: Annotated[str | None, typer.Option(help="只列查阅此企业的（统一社会信用代码）。")] = None,
    since: Annotated[str | None, typer.Option(help=f"自何时：{_TIME}。")] = None,
    until: Annotated[str | None, typer.Option(help=f"至何时：{_TIME}。")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="最多列出几条。")] = 100,
    as_json: AsJson = False,
) -> None:
    """列出查阅记录（何人何时查阅单户数据）和密钥记录，最新的在前。"""
    criteria = Filter(
        actor=who,
        uscc=None if uscc is None else parse_uscc(uscc),
        since_us=None if since is None else _time("--since", since),
        until_us=None if until is None else _time("--until", until),
    )
    entries = disclosure_log(context, get_ledger(context)).page(criteria, limit=limit)
    if as_json:
        print_json([disclosure_item(entry).model_dump() for entry in entries])
        return
    for entry in entries:
        out.print("，".join(_parts(entry)))
    if not entries:
        out.print("没有查阅记录。")


@app.command("remove-disclosures")
@shows_no_figures
def audit_remove_disclosures(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help=f"删除此时之前的：{_TIME}。")],
) -> None:
    """删除过期的查阅记录；删除一事本身和密钥记录长期保留。"""
    before_us = _time("BEFORE", before)
    log = disclosure_log(context, get_ledger(context))
    query = f"before={rfc_3339(before_us)}"
    try:
        count = log.remove(before_us, actor=actor_of(context), route=command_words(context), query=query)
    except TooYoungError:
        refuse(f"查阅记录至少保留{DISCLOSURES_KEPT_DAYS}日，不能删除更近的，未删除。")
    out.print(f"已删除{beijing(before_us)}之前的查阅记录{count}条。")


def _time(name: str, text: str) -> int:
    try:
        return parse_time_or_day(text, is_end=name == "--until")
    except ValueError as error:
        message = "应为日期如2024-08-05，或时间如2024-08-05T18:00:00+08:00。"
        raise typer.BadParameter(message, param_hint=name) from error


def _parts(entry: Disclosure) -> Iterator[str]:
    """The parts of the line for an entry: time, kind, actor, key, route, enterprise, query, count."""
    yield beijing(entry.at_us)
    yield KINDS[entry.kind]
    yield f"经办：{entry.actor}"
    if entry.key not in {None, entry.actor}:
        yield f"密钥：{entry.key}"
    yield entry.route
    if entry.uscc is not None:
        yield entry.uscc
    if entry.query:
        yield entry.query
    if entry.count is not None:
        yield f"{entry.count}条"
