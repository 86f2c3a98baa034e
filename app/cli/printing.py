"""Prints answers for people, in Chinese."""

from collections.abc import Iterable, Sequence

from app.cli.tables import Column, print_table
from app.cli.terminal import Terminal, bold
from app.ledger.publications import Publication
from app.runtime.times import beijing
from app.use_cases.reading.as_of import AsOf, Progress
from app.use_cases.reading.explaining import Account, ExplainedPeriod
from domain.events import LogEntry, Return, ReturnWithdrawn, UnreadableEvent
from domain.money import qianyuan_text, wanyuan_text
from domain.periods import Window, period_of
from domain.policy.policy import Policy
from domain.regions import region_name
from domain.returns import ReturnVersion, required_figure
from domain.words import (
    CEILINGS,
    DIMENSIONS,
    ORIGINS,
    RECORDS,
    STAGES,
    STATUSES,
    cut_name,
    headroom_name,
)
from projections.queries.listing import ListedAccount, ListTotals
from projections.queries.totals import Group

IN_PROGRESS = "；该日尚未结束，截至现在"


def wanyuan(fen: int) -> str:
    """Format an amount with its unit."""
    return f"{wanyuan_text(fen)}万元"


def as_of_text(moment: AsOf) -> str:
    """Format the moment of an answer."""
    in_progress = IN_PROGRESS if moment.day_in_progress else ""
    if moment.recorded_at_us is None:
        return f"截至当时台账尚无记录（台账序号0{in_progress}）"
    which = f"台账序号{moment.position}{in_progress}"
    return f"截至{beijing(moment.recorded_at_us)}（北京时间，{which}）"


def print_account(console: Terminal, account: Account, policy: Policy | None) -> None:
    """Print an account, with the version of its policy."""
    window = Window.parse(account.window)
    who = (bold(account.name), f"（{account.uscc}）") if account.name else (account.uscc,)
    console.print(*who, f"{window.chinese}奖励测算结果", sep="")
    if account.policy is None or policy is None:
        console.print(f"尚无覆盖该期间的政策，未测算。{as_of_text(account.as_of)}。")
        return
    columns = (
        Column("所属期"),
        Column("阶段"),
        Column("结论"),
        Column("奖项", "text"),
        *(Column(heading, "figure") for heading in ("限额前测算金额", "测算金额", "其中口径待明确")),
        Column("核减原因", "text"),
    )
    rows = (
        (
            period_of(period.period).chinese,
            STAGES[period.outcome.stage],
            STATUSES[period.outcome.status],
            "—" if period.outcome.measure is None else policy.measure_name(period.outcome.measure),
            wanyuan(period.outcome.rule_fen),
            wanyuan(period.outcome.assessed_fen),
            wanyuan(period.outcome.open_fen),
            "、".join(CEILINGS[name] for name in period.outcome.capped_by),
        )
        for period in account.periods
    )
    print_table(console, columns, rows)
    counted = sum(period.outcome.assessed_fen > 0 for period in account.periods)
    preliminary_fen = account.preliminary_fen
    preliminary = f"，其中初报数{wanyuan(preliminary_fen)}" if preliminary_fen else ""
    limit, headroom = policy.account_limit(window), ""
    if limit is not None and account.headroom_fen is not None:
        headroom = f"；{headroom_name(limit.id)}{wanyuan(account.headroom_fen)}"
    console.print(
        f"{window.chinese}共{counted}期有测算金额，合计{wanyuan(account.assessed_fen)}，"
        f"其中依据待明确口径{wanyuan(account.open_fen)}{preliminary}{headroom}。"
        f"{as_of_text(account.as_of)}，政策版本{account.policy.version}。",
    )
    if account.disputed:
        positions = "、".join(map(str, account.disputed))
        console.print(
            f"该账户与台账记录有矛盾（台账序号{positions}），以上为最后一次记录的结果，不计入合计。",
        )


def print_steps(console: Terminal, explained: ExplainedPeriod) -> None:
    """Print the steps of a period."""
    console.print(bold(period_of(explained.period.period).chinese))
    for n, step in enumerate(explained.steps, 1):
        console.print(f"  {n}. {step.sentence}")


def print_list(
    console: Terminal, accounts: Iterable[ListedAccount], totals: ListTotals | None, moment: AsOf
) -> None:
    """Print a page of the list."""
    columns = (
        Column("统一社会信用代码"),
        Column("企业", "text"),
        Column("处理地"),
        *(Column(heading, "figure") for heading in ("期数", "测算金额", "其中口径待明确", "其中初报数")),
    )
    rows = (
        (
            account.uscc,
            account.name,
            region_name(account.region_code),
            str(account.periods),
            wanyuan(account.assessed_fen),
            wanyuan(account.open_fen),
            wanyuan(account.preliminary_fen),
        )
        for account in accounts
    )
    print_table(console, columns, rows)
    if totals is not None:
        console.print(f"共{totals.total}户，测算金额合计{wanyuan(totals.assessed_fen)}。", end="")
    console.print(as_of_text(moment))


def print_reservations(console: Terminal, disputed: int, progress: Progress | None) -> None:
    """Print what the sums leave out, and whether they still mix two versions of the policy."""
    if disputed:
        disputed_text = f"另有{disputed}户与台账记录有矛盾，未计入合计"
        console.print(f"{disputed_text}；请运行duixian audit disagreements查看。")
    if progress is not None:
        done = "" if progress.done is None else f"，已测算{progress.done}/{progress.total}"
        console.print(f"政策版本{progress.version}的测算正在进行{done}：各户金额可能仍属此前版本。")


def print_unassessed(console: Terminal, unassessed: Iterable[Publication]) -> None:
    """Print the publications whose assessment is not complete."""
    for publication in unassessed:
        console.print(
            f"政策{publication.policy}版本{publication.version}发布（或撤销）后的测算尚未完成，已测算{publication.done_before_end}/{publication.total}；"
            "运行duixian project --once或启动服务即继续。",
        )


def print_summary(
    console: Terminal, groups: Sequence[Group], group_by: str, policy: Policy | None, moment: AsOf
) -> None:
    """Print the sums of a window by group; the policy has the names of measures."""
    limits = list(dict.fromkeys(limit for group in groups for limit in group.capped))
    figures = ("户数", "测算金额", "其中口径待明确", "其中初报数", *map(cut_name, limits))
    columns = (Column(DIMENSIONS[group_by], "text"), *(Column(heading, "figure") for heading in figures))
    rows = (
        (
            _group_name(group.key, group_by, policy),
            str(group.enterprises),
            wanyuan(group.assessed_fen),
            wanyuan(group.open_fen),
            wanyuan(group.preliminary_fen),
            *(f"{group.capped[limit]}期" for limit in limits),
        )
        for group in groups
    )
    print_table(console, columns, rows)
    assessed_fen = sum(group.assessed_fen for group in groups)
    console.print(f"测算金额合计{wanyuan(assessed_fen)}。{as_of_text(moment)}")


def _group_name(key: str, group_by: str, policy: Policy | None) -> str:
    if group_by == "region_code":
        return region_name(key)
    if group_by == "period":
        return period_of(key).chinese
    if group_by == "measure" and policy is not None:
        return policy.measure_name(key)
    return key


def print_returns(console: Terminal, versions: Iterable[ReturnVersion], moment: AsOf) -> None:
    """Print the versions of an enterprise's returns."""
    columns = (
        *map(Column, ("所属期", "表号", "记录", "阶段")),
        *(Column(heading, "figure") for heading in ("本期数（千元）", "上年同期数（千元）")),
        *(Column(heading, "text") for heading in ("来源文件", "经办人")),
        Column("登记时间（北京时间）"),
        Column("台账序号", "figure"),
        Column("原因", "text"),
    )
    rows = (
        (
            period_of(version.period).chinese,
            version.form,
            RECORDS[version.type],
            *_registered(version),
            version.actor,
            beijing(version.recorded_at_us),
            str(version.position),
            version.event.reason or "",
        )
        for version in versions
    )
    print_table(console, columns, rows)
    console.print(as_of_text(moment))


def _registered(version: ReturnVersion) -> tuple[str, str, str, str]:
    """Stage, figures of the required item and source file; empty texts for a withdrawal."""
    event = version.event
    if isinstance(event, ReturnWithdrawn):
        return "", "", "", ""
    figure = required_figure(event)
    source = "" if event.source is None else event.source.name or ""
    return (
        STAGES[event.stage],
        _qianyuan(figure.current_fen),
        _qianyuan(figure.prior_year_fen),
        source,
    )


def _qianyuan(fen: int | None) -> str:
    return "未填" if fen is None else qianyuan_text(fen)


def version_text(version: ReturnVersion) -> str:
    """Describe a version of a return in one line: record, source, reason, actor, time, position."""
    parts = (
        recorded_text(version),
        source_text(version),
        reason_text(version),
        version.event.document,
        f"经办：{version.actor}",
        beijing(version.recorded_at_us),
        f"台账序号{version.position}",
    )
    return "，".join(part for part in parts if part)


def recorded_text(version: ReturnVersion) -> str:
    """The kind of the record, its period and its form."""
    return f"{RECORDS[version.type]} {period_of(version.period).chinese} {version.form}"


def source_text(version: ReturnVersion) -> str:
    """The file, the sheet and the row of a version; "" if no source is known."""
    source = version.event.source if isinstance(version.event, Return) else None
    if source is None:
        return ""
    row = "" if source.row is None else f"第{source.row}行"
    return " ".join(part for part in (source.name, source.sheet, row) if part)


def reason_text(version: ReturnVersion) -> str:
    """The reason and the origin of a correction or withdrawal; "" for a first version."""
    origin = "" if version.event.origin is None else f"（{ORIGINS[version.event.origin]}）"
    return f"{version.event.reason or ''}{origin}"


def print_events(console: Terminal, entries: Iterable[LogEntry], moment: AsOf) -> None:
    """Print events of the log, one on a line."""
    for entry in entries:
        console.print(
            f"{entry.position} {beijing(entry.recorded_at_us)} {RECORDS[entry.type]} {entry.stream}"
            f" 第{entry.version}版 经办：{entry.actor}"
            + (f" 内容无法读取：{entry.event.reason}" if isinstance(entry.event, UnreadableEvent) else ""),
        )
    console.print(as_of_text(moment))


def print_policy(console: Terminal, policy: Policy) -> None:
    """Print a policy in a few lines."""
    document = policy.document
    console.print(
        bold(document.policy),
        f"：《{document.title}》（{document.document_number}）{document.article}",
        sep="",
    )
    console.print(f"  指纹（SHA-256）：{policy.ref.sha256}")
    console.print(
        f"  适用期：{period_of(document.covers.first).chinese}至{period_of(document.covers.last).chinese}"
    )
    limits = "、".join(f"{CEILINGS[limit.id]}{wanyuan(limit.ceiling.fen)}" for limit in policy.limits)
    console.print(f"  上限：{limits or '无'}")
    waiting = "、".join(reading.label for reading in document.readings if reading.status == "open") or "无"
    console.print(f"  口径待明确：{waiting}")
