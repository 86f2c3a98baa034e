"""`duixian audit replay`: deriving every assessment again."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from app.api import replay_models
from app.bootstrap import migrate
from app.cli.common import REFUSED, AsJson, ledger_of, out, print_json, progress_bar, refuse
from app.cli.printing import wanyuan
from app.database import open_engine
from app.ledger.export_folder import ExportError, ExportFolder
from app.ledger.ledger import Ledger
from app.use_cases.reading import PositionAheadError
from app.use_cases.replaying import Report, Wanted, replay
from app.use_cases.restoring import restore
from domain.events import EntitlementAssessed
from domain.periods import period_of
from domain.replay import Kind, Mismatch, Side
from projections.comparing import RowDifference

MOST_PRINTED: Final = 50
"""A screen or two; all that are reported come with `--json`."""

KINDS: Final[dict[Kind, str]] = {
    "differs": "复算结果与记录不同",
    "not-derived": "有记录,但由原始登记推不出",
    "not-recorded": "由原始登记应有,但没有记录",
    "facts-contradict": "原始登记前后矛盾,其后无法复算",
    "unreadable": "记录内容无法读取,该企业该年度无法复算",
    "policy-altered": "政策文件与其指纹不符,无法据以复算",
}
TABLES: Final = {
    "returns": "登记数据",
    "enterprises": "企业",
    "entitlements": "各期测算",
    "accounts": "半年账户",
    "totals": "汇总",
    "transactions": "登记时点",
    "policies": "政策文件",
    "checkpoint": "查询表所至序号",
}
FIELDS: Final = {
    "stage": "阶段",
    "status": "结论",
    "measure": "奖项",
    "measures": "各奖项结论",
    "rule_fen": "条件测算额(分)",
    "selected_fen": "择高后金额(分)",
    "assessed_fen": "测算金额(分)",
    "open_fen": "其中口径待明确(分)",
    "bound_by": "核减原因",
    "open_readings": "待明确口径",
    "policy": "政策版本",
    "returns": "所用数据",
}


def audit_replay(
    context: typer.Context,
    export: Annotated[
        Path | None,
        typer.Argument(
            metavar="EXPORT", exists=True, file_okay=False, help="导出件文件夹;省略则复算数据库。"
        ),
    ] = None,
    first: Annotated[int, typer.Option("--from", min=1, help="从此台账序号起比对。")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="比对到此序号;省略则到最后。")] = None,
    as_json: AsJson = False,
) -> None:
    """复算:由原始登记重新推出全部测算并逐项比对;复算全部台账时一并核对查询表。有不一致时退出码为1。"""
    if last is not None and last < first:
        raise typer.BadParameter("不能小于--from。", param_hint="--to")
    try:
        with _replayed_ledger(context, export) as ledger, progress_bar("复算") as progress:
            report = replay(ledger, Wanted(first=first, last=last), progress)
    except PositionAheadError as error:
        refuse(f"台账最后的序号是{error.head},不能复算更后的序号。")
    if as_json:
        print_json(replay_models.report(report).model_dump())
    else:
        print_report(out, report)
    if not report.is_clean:
        raise typer.Exit(REFUSED)


@contextmanager
def _replayed_ledger(context: typer.Context, export: Path | None) -> Iterator[Ledger]:
    """The ledger of the settings; or one in a temporary file, restored from an export."""
    if export is None:
        yield ledger_of(context)
        return
    with tempfile.TemporaryDirectory(prefix="duixian-replay-") as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'restored.db'}")
        try:
            migrate(engine)
            ledger = Ledger(engine)
            with progress_bar("读取导出件") as progress:
                restore(ledger, ExportFolder(export), progress)
            yield ledger
        except ExportError as error:
            refuse(f"{error},无法复算。请运行duixian audit verify {export}查明。")
        finally:
            engine.dispose()


def print_report(console: Console, report: Report) -> None:
    """What a replay found."""
    found = report.found
    console.print(
        f"复算台账序号{report.first}至{report.last}:读取台账记录{found.events}条,"
        f"比对测算记录{found.assessments}条,不一致{found.mismatch_count}处。",
        soft_wrap=True,
    )
    if found.events != report.last:
        console.print(
            f"  台账应有记录{report.last}条,能归入企业和政策的只有{found.events}条,"
            "请运行duixian audit verify查明。",
            soft_wrap=True,
        )
    for each in found.mismatches[:MOST_PRINTED]:
        _print_mismatch(console, each)
    _print_rest(console, found.mismatch_count)
    if report.projected is not None:
        rows = "、".join(f"{TABLES[name]}{count}行" for name, count in found.rows.items())
        console.print(
            f"核对查询表(截至台账序号{report.projected}):{rows or '没有记录'},"
            f"不一致{found.row_difference_count}行。",
            soft_wrap=True,
        )
        if found.uncompared:
            console.print(f"  有{found.uncompared}组企业因台账本身有问题,其查询表无法核对。")
        for difference in found.row_differences[:MOST_PRINTED]:
            _print_row(console, difference)
        _print_rest(console, found.row_difference_count)
    if report.last < report.first:
        console.print("该范围内没有完整的登记批次,没有可比对的内容。")
        return
    console.print("全部一致。" if report.is_clean else "[bold]存在不一致,请查明原因。[/]")


def _print_rest(console: Console, count: int) -> None:
    if count > MOST_PRINTED:
        console.print(f"  另有{count - MOST_PRINTED}处未列出,可用--json查看。")


def _print_mismatch(console: Console, mismatch: Mismatch) -> None:
    period = "" if mismatch.period is None else f" {period_of(mismatch.period).chinese}"
    place = "" if mismatch.position is None else f" 台账序号{mismatch.position}"
    console.print(f"  {mismatch.stream}{period}{place}:{KINDS[mismatch.kind]}", markup=False, soft_wrap=True)
    if mismatch.detail is not None:
        console.print(f"    {mismatch.detail}", markup=False, soft_wrap=True)
    if mismatch.recorded is not None and mismatch.derived is not None:
        recorded, derived = _fields(mismatch.recorded.assessed), _fields(mismatch.derived.assessed)
        for field, name in FIELDS.items():
            if recorded.get(field) != derived.get(field):
                told = f"    {name}:记录为{recorded.get(field)},复算为{derived.get(field)}"
                console.print(told, markup=False, soft_wrap=True)
    for name, side in (("记录", mismatch.recorded), ("复算", mismatch.derived)):
        if side is not None:
            _print_side(console, name, side)


def _print_side(console: Console, name: str, side: Side) -> None:
    console.print(f"    {name}:{_amount(side.assessed)}", markup=False, soft_wrap=True)
    for n, each in enumerate(side.steps, 1):
        console.print(f"      {n}. {each.sentence}", markup=False, soft_wrap=True)


def _fields(assessed: EntitlementAssessed) -> dict[str, Any]:
    """What an assessment says, by its fields; an outcome only where there is one."""
    data = msgspec.to_builtins(assessed)
    outcome = data.pop("outcome")
    return {**data, **(outcome or {})}


def _amount(assessed: EntitlementAssessed) -> str:
    if assessed.outcome is None:
        return "不再测算"
    return f"测算金额{wanyuan(assessed.outcome.assessed_fen)}(政策版本{assessed.policy.version})"


def _print_row(console: Console, difference: RowDifference) -> None:
    key = " ".join(str(each) for each in difference.key.values())
    what = "、".join((difference.derived or difference.stored or {}).keys())
    how = f"以下各列不同:{what}"
    if difference.derived is None or difference.stored is None:
        how = "多出此行" if difference.derived is None else "缺少此行"
    console.print(f"  {TABLES[difference.table]} {key}:{how}", markup=False, soft_wrap=True)
    if difference.stored is not None and difference.derived is not None:
        console.print(f"    查询表:{difference.stored}", markup=False, soft_wrap=True)
        console.print(f"    应为:{difference.derived}", markup=False, soft_wrap=True)
