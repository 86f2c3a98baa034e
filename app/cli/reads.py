"""The commands that read: accounts, list, summary, returns and events, as of a moment."""

from typing import Annotated, cast

import msgspec
import typer

from app.cli import printing
from app.cli.command import Commands, disclose, shows_figures, shows_no_figures
from app.cli.common import (
    AsJson,
    KnownAtOption,
    PolicyOption,
    PositionOption,
    WindowArgument,
    asked_moment,
    get_ledger,
    known_values,
    out,
    parse_option,
    parse_uscc,
    parse_window,
    position_from,
    print_json,
    read_as_of,
    read_policy_as_of,
    refuse,
    within_the_log,
)
from app.runtime.database import read_transaction
from app.use_cases.reading.as_of import events_after, resolve_log_moment
from app.use_cases.reading.explaining import explain, read_account
from app.use_cases.reading.filters import parse_industry, parse_measure, parse_region
from app.use_cases.reading.listing import count_disputed, list_accounts, summarise
from domain.events import Return
from domain.periods import Window
from domain.words import DIMENSIONS, STAGES, STATUSES
from projections.queries.listing import ListFilter, Sort
from projections.queries.policies import policy_of
from projections.queries.returns import has_ever_filed, versions
from projections.queries.totals import Dimension

app = Commands()


@app.command()
@shows_figures
def entitlement(
    context: typer.Context,
    uscc: Annotated[str, typer.Argument(help="统一社会信用代码。")],
    window: WindowArgument,
    explained: Annotated[bool, typer.Option("--explain", help="逐期说明理由。")] = False,
    policy: PolicyOption = None,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """查询一家企业在一个期间的奖励测算结果。"""
    uscc, name, asked = parse_uscc(uscc), parse_window(window), asked_moment(position, known_at)
    ledger = get_ledger(context)
    with read_policy_as_of(ledger, name, policy, asked) as (connection, policy_as_of):
        account = read_account(connection, uscc, name, policy_as_of)
        if account is None:
            refuse(f"{uscc}在{Window.parse(name).chinese}没有登记过数据。")
        reasons = [
            found
            for period in (account.periods if explained else ())
            if (found := explain(connection, account, period.period, withheld=False)) is not None
        ]
        applied = None if account.policy is None else policy_of(connection, account.policy)
    disclose(context, ledger, sum(len(period.steps) for period in reasons), uscc=uscc)
    if as_json:
        from app.answers import presenters

        answer = presenters.entitlement(account).model_dump()
        if explained:
            answer["periods"] = [
                presenters.explained_period(period, withheld=False).model_dump() for period in reasons
            ]
        print_json(answer)
        return
    printing.print_account(out, account, applied)
    for period in reasons:
        printing.print_steps(out, period)


@app.command("list")
@shows_no_figures
def list_command(
    context: typer.Context,
    window: WindowArgument,
    region_code: Annotated[str | None, typer.Option("--region", help="处理地的代码或名称。")] = None,
    industry: Annotated[str | None, typer.Option(help="行业代码的前几位，或大类名称。")] = None,
    measure: Annotated[str | None, typer.Option(help="奖项，如零售增长奖励或retail-growth。")] = None,
    status: Annotated[str | None, typer.Option(help="结论，如符合条件或eligible。")] = None,
    stage: Annotated[str | None, typer.Option(help="阶段，如审定数或final。")] = None,
    q: Annotated[str | None, typer.Option(help="企业名称或代码的开头。")] = None,
    sort: Annotated[str, typer.Option(help="-assessed_fen、assessed_fen或uscc。")] = "-assessed_fen",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="最多列出几户。")] = 50,
    policy: PolicyOption = None,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """列出期间内登记过数据的企业。"""
    if sort not in {"-assessed_fen", "assessed_fen", "uscc"}:
        raise typer.BadParameter("应为-assessed_fen、assessed_fen或uscc。", param_hint="--sort")
    name, asked = parse_window(window), asked_moment(position, known_at)
    status, stage = parse_option("status", status, STATUSES), parse_option("stage", stage, STAGES)
    ledger = get_ledger(context)
    with read_policy_as_of(ledger, name, policy, asked) as (connection, policy_as_of), known_values():
        wanted = ListFilter(
            policy=policy_as_of.policy_id,
            window=name,
            region_code=parse_region(connection, region_code, name),
            industry=parse_industry(connection, industry, name),
            measure=parse_measure(connection, measure, policy_as_of),
            status=status,
            stage=stage,
            q=q,
        )
        order = cast("Sort", sort)
        listed = list_accounts(
            connection, wanted, policy_as_of, sort=order, limit=limit, after=None, totals=True
        )
        shown, after = listed.accounts, listed.next_after
        while after is not None and len(shown) < limit:  # Under a filter a page may end early.
            page = list_accounts(
                connection,
                wanted,
                policy_as_of,
                sort=order,
                limit=limit - len(shown),
                after=after,
                totals=False,
            )
            shown, after = shown + page.accounts, page.next_after
        disputed, progress = count_disputed(connection, policy_as_of), policy_as_of.progress()
    if as_json:
        from app.answers import presenters

        print_json(
            {
                "items": [
                    {
                        **msgspec.structs.asdict(row.account),
                        "headroom_fen": row.headroom_fen,
                        "disputed": row.disputed,
                    }
                    for row in shown
                ],
                "total": None if listed.totals is None else listed.totals.total,
                "assessed_fen": None if listed.totals is None else listed.totals.assessed_fen,
                "disputed": disputed,
                "assessment": progress,
                "as_of": presenters.as_of(policy_as_of.moment).model_dump(),
            }
        )
        return
    printing.print_list(out, [row.account for row in shown], listed.totals, policy_as_of.moment)
    printing.print_reservations(out, disputed, progress)


@app.command()
@shows_no_figures
def summary(
    context: typer.Context,
    window: WindowArgument,
    group_by: Annotated[str, typer.Option(help="处理地、行业、所属期或奖项，也可用其代码。")] = "region_code",
    policy: PolicyOption = None,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """按处理地、行业、所属期或奖项汇总期间的测算金额。"""
    group_by = parse_option("group_by", group_by, DIMENSIONS) or group_by
    name, asked = parse_window(window), asked_moment(position, known_at)
    ledger = get_ledger(context)
    with read_policy_as_of(ledger, name, policy, asked) as (connection, policy_as_of):
        groups = summarise(connection, name, cast("Dimension", group_by), policy_as_of)
        disputed, progress = count_disputed(connection, policy_as_of), policy_as_of.progress()
        newest = None if policy_as_of.newest is None else policy_of(connection, policy_as_of.newest.ref)
    if as_json:
        from app.answers import presenters

        answer = presenters.summary(groups, policy_as_of.moment, disputed=disputed, progress=progress)
        print_json(answer.model_dump())
        return
    printing.print_summary(out, groups, group_by, newest, policy_as_of.moment)
    printing.print_reservations(out, disputed, progress)


@app.command()
@shows_figures
def returns(
    context: typer.Context,
    uscc: Annotated[str, typer.Argument(help="统一社会信用代码。")],
    year: Annotated[int, typer.Argument(min=2000, max=2099, help="年份，如2024。")],
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """列出一家企业一年各期数据的全部版本。"""
    uscc, asked = parse_uscc(uscc), asked_moment(position, known_at)
    ledger = get_ledger(context)
    with read_as_of(ledger, asked) as (connection, at):
        if not has_ever_filed(connection, uscc, str(year)):
            refuse(f"{uscc}在{year}年没有登记过数据。")
        found = versions(connection, uscc, year, at.position)
    disclose(context, ledger, len(found), uscc=uscc)
    if as_json:
        from app.answers import presenters

        print_json(presenters.enterprise_returns(found, at, uscc=uscc, year=year).model_dump())
        return
    printing.print_returns(out, found, at)


@app.command()
@shows_figures
def events(
    context: typer.Context,
    after: Annotated[
        int, typer.Option(parser=position_from(0), metavar="<int>", help="从此台账序号之后开始。")
    ] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="最多列出几条。")] = 100,
    uscc: Annotated[str | None, typer.Option(help="只列此企业（统一社会信用代码）。")] = None,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """按序号列出台账记录。"""
    code, asked = None if uscc is None else parse_uscc(uscc), asked_moment(position, known_at)
    ledger = get_ledger(context)
    with read_transaction(ledger.engine) as connection, within_the_log():
        at = resolve_log_moment(ledger, connection, asked)
        entries = events_after(ledger, connection, after, at, limit=limit, uscc=code)
    disclose(context, ledger, sum(isinstance(entry.event, Return) for entry in entries), uscc=code)
    if as_json:
        from app.answers import presenters

        print_json(presenters.event_page(entries, at, after=after).model_dump())
        return
    printing.print_events(out, entries, at)
