"""`duixian audit replay`: derives every assessment again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from app.answers import replays as replay_models
from app.archive.export_folder import ExportError, ExportFolder
from app.bootstrap import migrate
from app.cli.command import Commands, disclose, disclose_nothing, shows_figures
from app.cli.common import (
    REFUSED,
    AsJson,
    get_ledger,
    out,
    position_from,
    print_json,
    progress_bar,
    refuse,
)
from app.cli.printing import print_unassessed, wanyuan
from app.cli.replay_words import COLUMNS, FIELDS, NOTHING, PolicyNames, column_values, outcome_values
from app.cli.terminal import Terminal, bold
from app.ledger.ledger import Ledger
from app.ledger.mapper import UndecodableEventError
from app.runtime.database import open_engine, read_transaction
from app.runtime.new_files import temporary_folder
from app.use_cases.audit.replaying import ReplayRange, ReplayResult, replay
from app.use_cases.audit.restoring import restore
from app.use_cases.reading.as_of import PositionAheadError
from domain.assessment.replay import Kind, Mismatch, Side
from domain.errors import LedgerIntegrityError
from domain.events import EntitlementAssessed
from domain.periods import period_of
from projections.rebuild.compare import RowDifference

app = Commands()

MOST_PRINTED: Final = 50
"""The number of findings to print, a screen or two; `--json` has all reported ones."""

KINDS: Final[dict[Kind, str]] = {
    "differs": "复算结果与记录不同",
    "not-derived": "有记录，但由原始登记推不出",
    "not-recorded": "由原始登记应有，但没有记录",
    "facts-contradict": "原始登记前后矛盾，其后无法复算",
    "unreadable": "记录内容无法读取，该企业该年度无法复算",
    "policy-altered": "政策文件与其指纹不符，无法据以复算",
}
TABLES: Final = {
    "returns": "登记数据",
    "enterprises": "企业",
    "entitlements": "各期测算",
    "accounts": "账户",
    "totals": "汇总",
    "transactions": "登记时点",
    "policies": "政策文件",
    "policy_marks": "政策测算和撤销",
    "disagreements": "有矛盾的记录",
    "checkpoint": "查询表所至序号",
}


@app.command("replay")
@shows_figures
def audit_replay(
    context: typer.Context,
    export: Annotated[
        Path | None,
        typer.Argument(
            metavar="EXPORT", exists=True, file_okay=False, help="导出件文件夹；省略则复算数据库。"
        ),
    ] = None,
    first: Annotated[
        int,
        typer.Option("--from", parser=position_from(1), metavar="<int>", help="从此台账序号起比对。"),
    ] = 1,
    last: Annotated[
        int | None,
        typer.Option("--to", parser=position_from(1), metavar="<int>", help="比对到此序号；省略则到最后。"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """复算：由原始登记重新推出全部测算并逐项比对；复算全部台账时一并核对查询表。有不一致时退出码为1。"""
    if last is not None and last < first:
        raise typer.BadParameter("不能小于--from。", param_hint="--to")
    try:
        with _replayed_ledger(context, export) as ledger, progress_bar("复算") as progress:
            report = replay(ledger, ReplayRange(first=first, last=last), progress)
            names = policy_names(ledger)
        if export is None:
            disclose(context, ledger, report.found.mismatch_count + report.found.row_difference_count)
        else:
            disclose_nothing(context)  # All figures come from the export.
    except PositionAheadError as error:
        refuse(f"台账最后的序号是{error.head}，不能复算更后的序号。")
    if as_json:
        print_json(replay_models.report(report).model_dump())
    else:
        print_report(out, report, names)
        if last is not None and report.last < last:
            out.print(
                f"序号{last}在一批登记之中，只复算到此前一批的末序号{report.last}；"
                f"其后的部分请用--from {report.last + 1}复算。",
            )
    if not report.is_clean:
        raise typer.Exit(REFUSED)


@contextmanager
def _replayed_ledger(context: typer.Context, export: Path | None) -> Iterator[Ledger]:
    """Open the ledger of the settings, or restore one from an export into a temporary file."""
    if export is None:
        yield get_ledger(context)
        return
    with temporary_folder("duixian-replay") as folder:
        engine = open_engine(f"sqlite:///{folder / 'restored.db'}")
        try:
            migrate(engine)
            ledger = Ledger(engine)
            with progress_bar("读取导出件") as progress:
                restore(ledger, ExportFolder(export), progress)
            yield ledger
        except ExportError as error:
            refuse(f"{error}，无法复算。请运行duixian audit verify {export}查明。")
        finally:
            engine.dispose()


def policy_names(ledger: Ledger) -> PolicyNames:
    """The names of measures and readings in every policy; empty if a policy cannot be read."""
    try:
        with read_transaction(ledger.engine) as connection:
            policies = ledger.policies(connection)
    except (LedgerIntegrityError, UndecodableEventError):  # The replay reports that itself.
        return PolicyNames({}, {})
    return PolicyNames(
        {measure.id: measure.name for policy in policies for measure in policy.document.measures},
        {reading.id: reading.label for policy in policies for reading in policy.document.readings},
    )


def print_report(console: Terminal, report: ReplayResult, names: PolicyNames) -> None:
    """Print the result of a replay.

    Args:
        console: The console to print on.
        report: The result.
        names: The names of measures and readings.
    """
    found = report.found
    if report.last < report.first:
        console.print(
            f"该范围内没有完整的登记批次（此前最后一批止于序号{report.last}），没有可比对的内容。",
        )
        return
    console.print(
        f"复算台账序号{report.first}至{report.last}：读取台账记录{found.events}条，"
        f"比对测算记录{found.assessments}条，不一致{found.mismatch_count}处。",
    )
    if found.events != report.last:
        console.print(
            f"  台账应有记录{report.last}条，能归入企业和政策的只有{found.events}条，"
            "请运行duixian audit verify查明。",
        )
    for mismatch in found.mismatches[:MOST_PRINTED]:
        _print_mismatch(console, mismatch, names)
    _print_rest(console, found.mismatch_count)
    if report.projected is not None:
        rows = "、".join(f"{TABLES[name]}{count}行" for name, count in found.rows.items())
        console.print(
            f"核对查询表（截至台账序号{report.projected}）：{rows or '没有记录'}，"
            f"不一致{found.row_difference_count}行。",
        )
        if found.uncompared:
            console.print(f"  有{found.uncompared}组企业因台账本身有问题，其查询表无法核对。")
        for difference in found.row_differences[:MOST_PRINTED]:
            _print_row(console, difference)
        _print_rest(console, found.row_difference_count)
    print_unassessed(console, report.unassessed)
    console.print("全部一致。" if report.is_clean else bold("存在不一致，请查明原因。"))


def _print_rest(console: Terminal, count: int) -> None:
    if count > MOST_PRINTED:
        console.print(f"  另有{count - MOST_PRINTED}处未列出，可用--json查看。")


def _print_mismatch(console: Terminal, mismatch: Mismatch, names: PolicyNames) -> None:
    period = "" if mismatch.period is None else f" {period_of(mismatch.period).chinese}"
    place = "" if mismatch.position is None else f" 台账序号{mismatch.position}"
    console.print(f"  {mismatch.stream}{period}{place}：{KINDS[mismatch.kind]}")
    if mismatch.detail is not None:
        console.print(f"    {mismatch.detail}")
    if mismatch.recorded is not None and mismatch.derived is not None:
        for difference in _differences(mismatch.recorded.assessed, mismatch.derived.assessed, names):
            console.print(f"    {difference}")
    if mismatch.recorded is not None:
        # The log contains no steps, so they are derived from the policy and the returns that it names.
        _print_side(console, "记录", mismatch.recorded, "按该记录所引的政策和数据推算（台账不保存步骤）：")
    if mismatch.derived is not None:
        _print_side(console, "复算", mismatch.derived, "推算步骤：")


def _differences(
    recorded: EntitlementAssessed, derived: EntitlementAssessed, names: PolicyNames
) -> Iterator[str]:
    """Yield the differences between a recorded and a derived assessment, one on a line."""
    left, right = outcome_values(recorded.outcome, names), outcome_values(derived.outcome, names)
    for field, name in FIELDS.items():
        if field in left and field in right and left[field] != right[field]:
            yield f"{name}：记录为{left[field]}，复算为{right[field]}"
    if recorded.policy != derived.policy:
        yield f"政策版本：记录为{recorded.policy.version}，复算为{derived.policy.version}"
    if recorded.records != derived.records:
        yield f"所用数据：记录为{_records(recorded)}，复算为{_records(derived)}"


def _records(assessed: EntitlementAssessed) -> str:
    return "、".join(f"{record.stream}第{record.version}版" for record in assessed.records) or NOTHING


def _print_side(console: Terminal, name: str, side: Side, steps: str) -> None:
    console.print(f"    {name}：{_amount(side.assessed)}")
    if side.steps:
        console.print(f"      {steps}")
    for n, step in enumerate(side.steps, 1):
        console.print(f"      {n}. {step.sentence}")


def _amount(assessed: EntitlementAssessed) -> str:
    if assessed.outcome is None:
        return "不再测算"
    return f"测算金额{wanyuan(assessed.outcome.assessed_fen)}（政策版本{assessed.policy.version}）"


def _print_row(console: Terminal, difference: RowDifference) -> None:
    key = "，".join(f"{COLUMNS[name]}{value}" for name, value in difference.key.items() if name in COLUMNS)
    how = "与台账不符"
    if difference.derived is None or difference.stored is None:
        how = "多出此行" if difference.derived is None else "缺少此行"
    place = f"（{key}）" if key else ""
    console.print(f"  {TABLES[difference.table]}{place}：{how}")
    if difference.stored is None or difference.derived is None:
        return
    for column, stored in difference.stored.items():
        actual, expected = column_values(column, stored, difference.derived[column])
        text = f"    {COLUMNS[column]}：查询表为{actual}，应为{expected}"
        console.print(text)
