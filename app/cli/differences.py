"""`duixian audit differences`: the changes between two moments, as lines, JSON or a workbook."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from app.answers.differences import difference_item, heading
from app.answers.moments import MomentError, parse_moment
from app.cli import printing
from app.cli.command import Commands, shows_no_figures
from app.cli.common import (
    AsJson,
    bring_up,
    get_ledger,
    known_values,
    out,
    parse_uscc,
    parse_window,
    refuse,
    within_the_log,
    write_json,
)
from app.ledger.clock import now_us
from app.ledger.corruption import REBUILD
from app.runtime.database import read_transaction
from app.runtime.reasons import reason_of
from app.runtime.times import beijing
from app.use_cases.audit.differences import (
    Cause,
    Difference,
    Moments,
    OrderError,
    Sums,
    differences,
    resolve_moments,
    sums,
)
from app.use_cases.reading.as_of import AskedMoment, check_window
from app.use_cases.reading.filters import parse_region
from app.workbooks.difference_sheet import DifferenceLine, SumsLine, write_difference_sheet
from domain.errors import LedgerIntegrityError
from domain.events import Return
from domain.money import wanyuan_text
from domain.periods import Window, period_of
from domain.regions import region_name
from domain.returns import ReturnVersion
from domain.words import RECORDS
from projections.queries.differences import Scope

app = Commands()

_MOMENT = "台账序号、RFC 3339时间或日期（北京时间）"


@app.command("differences")
@shows_no_figures
def audit_differences(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="FROM", help=f"前一时点：{_MOMENT}，日期指该日开始。")],
    last: Annotated[str, typer.Argument(metavar="TO", help=f"后一时点：{_MOMENT}，日期指该日终了。")],
    window: Annotated[str | None, typer.Option(help="只列此期间，如2024H1。")] = None,
    region_code: Annotated[
        str | None, typer.Option("--region", help="后一时点的处理地，代码或名称。")
    ] = None,
    uscc: Annotated[str | None, typer.Option(help="只列此企业（统一社会信用代码）。")] = None,
    xlsx: Annotated[Path | None, typer.Option(help="把差异清单写入此.xlsx文件。")] = None,
    as_json: AsJson = False,
) -> None:
    """列出两个时点之间测算金额的变动及原因；各项变动之和等于两时点合计之差。"""
    if xlsx is not None and as_json:
        raise typer.BadParameter("--xlsx与--json只能给一个。")
    asked = (_moment("FROM", first, is_start=True), _moment("TO", last))
    name = None if window is None else parse_window(window)
    uscc = None if uscc is None else parse_uscc(uscc)
    ledger = get_ledger(context)
    bring_up(ledger)
    with read_transaction(ledger.engine) as connection, within_the_log():
        with known_values():
            if name is not None:
                check_window(connection, name)
            scope = Scope(name, parse_region(connection, region_code, name), uscc)
        try:
            moments = resolve_moments(connection, *asked)
        except OrderError as error:
            raise typer.BadParameter("FROM晚于TO，应先写较早的时点。") from error
        summed = sums(connection, scope, moments)
        found = _adding_up(differences(connection, scope, moments), summed)
        if as_json:
            _print_json(found, summed, moments)
        elif xlsx is not None:
            _write(xlsx, found, summed, _notes(scope, moments))
        else:
            _print(found, summed, moments)


def _moment(name: str, text: str, *, is_start: bool = False) -> AskedMoment:
    try:
        return parse_moment(text, now_us=now_us(), is_start=is_start)
    except MomentError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error


def _adding_up(found: Iterable[Difference], summed: Sums) -> Iterator[Difference]:
    """Yield the differences, and check after the last one that they add up to the difference of the sums.

    Raises:
        LedgerIntegrityError: They do not, so the read models contradict each other.
    """
    total_fen = 0
    for difference in found:
        total_fen += difference.difference_fen
        yield difference
    if total_fen != summed.difference_fen:
        raise LedgerIntegrityError(
            f"各项变动合计{total_fen}分，而两时点合计相差{summed.difference_fen}分。{REBUILD}"
        )


def _print_json(found: Iterable[Difference], summed: Sums, moments: Moments) -> None:
    """Write one JSON object piece by piece: the differences of a country are never all in memory."""
    head = {
        name: value if isinstance(value, int) else value.model_dump()
        for name, value in heading(summed, moments).items()
    }
    write_json(msgspec.json.encode(head).decode()[:-1] + ',"items":[')
    separator = "\n"
    for difference in found:
        write_json(separator + difference_item(difference).model_dump_json())
        separator = ",\n"
    write_json("\n]}\n")


def _print(found: Iterable[Difference], summed: Sums, moments: Moments) -> None:
    count = 0
    for count, item in enumerate(found, 1):  # noqa: B007 - printed below
        out.print(
            f"{item.name}（{item.uscc}）{period_of(item.period).chinese}：{_amount(item.before_fen)} → "
            f"{_amount(item.after_fen)}，{_signed(item.difference_fen)}",
        )
        for change in item.changes:
            for cause in change.causes:
                out.print(f"    {_cause_text(cause)}")
    out.print(
        f"共{count}项变动。测算金额合计：{_amount(summed.before_fen)} → {_amount(summed.after_fen)}，"
        f"{_signed(summed.difference_fen)}。",
    )
    out.print(f"前一时点{printing.as_of_text(moments.first)}")
    out.print(f"后一时点{printing.as_of_text(moments.last)}")


def _amount(fen: int | None) -> str:
    return "未测算" if fen is None else printing.wanyuan(fen)


def _signed(fen: int) -> str:
    return f"增减{'+' if fen > 0 else ''}{wanyuan_text(fen)}万元"


def _cause_text(cause: Cause) -> str:
    """Describe a cause in one line: record, reason, actor, time, position in the log."""
    if isinstance(cause, ReturnVersion):
        return printing.version_text(cause)
    return (
        f"{_recorded(cause)}，经办：{cause.actor}，{beijing(cause.recorded_at_us)}，台账序号{cause.position}"
    )


def _recorded(cause: Cause) -> str:
    if isinstance(cause, ReturnVersion):
        return printing.recorded_text(cause)
    ref, withdrawn = cause.published.ref, cause.withdrawn
    if withdrawn is not None:
        reason = f"{withdrawn.reason}（{withdrawn.document}）"
        return f"{RECORDS[withdrawn.type]} {ref.id} 版本{ref.version}，{reason}"
    published = f"{RECORDS['PolicyPublished']} {ref.id}"
    if cause.before is None:
        return f"{published} 版本{ref.version}（首次发布）"
    repeated = "" if cause.repeats is None else f"（内容同版本{cause.repeats}）"
    return f"{published} 版本{cause.before.ref.version}→版本{ref.version}{repeated}"


def _fingerprint(version: ReturnVersion) -> str | None:
    source = version.event.source if isinstance(version.event, Return) else None
    return None if source is None else source.sha256


def _of_return(describe: Callable[[ReturnVersion], str | None], cause: Cause) -> str:
    """Describe a cause that is a version of a return; "" for other causes."""
    return (describe(cause) or "") if isinstance(cause, ReturnVersion) else ""


def _write(path: Path, found: Iterable[Difference], summed: Sums, notes: list[tuple[str, str]]) -> None:
    totals = SumsLine(summed.before_fen, summed.after_fen, summed.difference_fen)
    try:
        write_difference_sheet(path, map(_line, found), totals, notes)
    except OSError as error:
        refuse(f"差异清单无法写入{path}：{reason_of(error)}。请关闭已打开的文件或换一个位置。")
    out.print(f"差异清单已写入{path}。合计{_signed(summed.difference_fen)}。")


def _line(difference: Difference) -> DifferenceLine:
    causes = [cause for change in difference.changes for cause in change.causes]
    return DifferenceLine(
        uscc=difference.uscc,
        name=difference.name,
        region=region_name(difference.region_code),
        window=Window.parse(difference.window).chinese,
        period=period_of(difference.period).chinese,
        policy=difference.policy,
        before_fen=difference.before_fen,
        after_fen=difference.after_fen,
        difference_fen=difference.difference_fen,
        causes=_stacked(map(_recorded, causes)),
        actors=_stacked(cause.actor for cause in causes),
        times=_stacked(beijing(cause.recorded_at_us) for cause in causes),
        positions=_stacked(str(cause.position) for cause in causes),
        reasons=_stacked(_of_return(printing.reason_text, cause) for cause in causes),
        documents=_stacked(_of_return(lambda version: version.event.document, cause) for cause in causes),
        sources=_stacked(_of_return(printing.source_text, cause) for cause in causes),
        fingerprints=_stacked(_of_return(_fingerprint, cause) for cause in causes),
    )


def _stacked(texts: Iterable[str]) -> str:
    """Put each text on its own line, which aligns the causes across columns; "" if all texts are empty."""
    stacked = "\n".join(texts)
    return stacked if stacked.strip() else ""


def _notes(scope: Scope, moments: Moments) -> list[tuple[str, str]]:
    """The content of the second sheet: the moments, the scope, and the meaning of a line."""
    region = "全部处理地" if scope.region_code is None else region_name(scope.region_code)
    window = "全部期间" if scope.window is None else Window.parse(scope.window).chinese
    enterprise = "全部企业" if scope.uscc is None else scope.uscc
    return [
        ("前一时点", printing.as_of_text(moments.first)),
        ("后一时点", printing.as_of_text(moments.last)),
        ("范围", f"{window}，{region}，{enterprise}。处理地按后一时点计。"),
        ("列出的变动", "两个时点测算金额不同的企业和所属期，一期一行；“未测算”指该时点尚无或已无测算结果。"),
        ("合计", "末行为范围内全部测算金额在两个时点的合计；各行增减之和等于合计之差。"),
        (
            "引起变动的记录",
            "多条时逐行对应。因累计上限由前期更正引起的，列前期的更正；无数据登记的，列政策文件发布，写明由哪一版本到哪一版本。",
        ),
        ("金额", "单位为万元。测算金额不等于应付金额。"),
        ("时间", "均为北京时间，是本台账的登记时间。"),
    ]
