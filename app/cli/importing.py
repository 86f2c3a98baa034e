"""`duixian import`: registers files one after the other; if it ends early, it reports its progress."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

import typer

from app.cli.command import Commands, actor_of, disclose, shows_figures
from app.cli.common import (
    REFUSED,
    UNFINISHED,
    AsJson,
    HeardOut,
    bring_up,
    describe_cause,
    err,
    get_ledger,
    parse_option,
    print_json,
    progress_bar,
    refuse,
    stop_signals,
)
from app.cli.files import ImportedFile, ImportOptions, import_file
from app.cli.printing import wanyuan
from app.cli.terminal import Terminal, bold
from app.ingest.reader import shown_name
from app.ingest.units import unit_code
from app.ledger.ledger import Ledger, UncertainError
from app.runtime.limits import PROBLEMS_MOST_LISTED
from app.runtime.new_files import check_writable
from app.runtime.reasons import reason_of
from app.use_cases.filing.importing import Progress
from app.use_cases.filing.row_warnings import ABOUT_ROW_ALONE
from app.use_cases.upkeep.projecting import project_all
from app.workbooks.problem_sheet import ProblemLine, write_problem_sheet
from domain.events import Stage
from domain.periods import period_of
from domain.words import ORIGINS, STAGES

app = Commands()

State = Literal["done", "refused", "unfinished", "stopped", "not-begun"]

_SIGNALS: Final = {signal.SIGINT: "Ctrl+C", signal.SIGTERM: "SIGTERM"}
_OVERTAKEN: Final = "核对之后，其他程序登记了与本文件冲突的数据，登记中断。"
_AGAIN: Final = "请再次运行同一命令，从中断处继续；已登记的行计为无变化。"

_out = HeardOut()


class _StoppedError(Exception):
    """The process received a signal to stop."""


class ImportOutcome(NamedTuple):
    """The outcome of importing a file.

    Attributes:
        imported: The result, with the problems and warnings of the file.
        state: `done`: recorded, or tried, to the last row. `refused`: invalid, and not recorded.
            `unfinished`: ended by an error. `stopped`: ended by a signal. `not-begun`: not read.
        recorded: Number of leading rows already in the log.
        rows: Number of rows in the file; None if they were not all validated, or are not to be recorded.
        reason: Why the import ended early, in Chinese; two sentences at most.
        is_uncertain: Whether it is unknown if the chunk after the recorded ones was recorded too.
    """

    imported: ImportedFile
    state: State
    recorded: int = 0
    rows: int | None = None
    reason: str | None = None
    is_uncertain: bool = False


class _Extent:
    """The progress of importing a file.

    Attributes:
        recorded: Number of leading rows already in the log.
        rows: Number of rows in the file, once it is known.
    """

    def __init__(self) -> None:
        self.recorded = 0
        self.rows: int | None = None

    def watch(self, progress: Progress, signals: Sequence[int]) -> Progress:
        """Wrap `progress` to note the recorded rows, and to stop between two chunks after a signal."""

        def watched(done: int, of: int | None, doing: str) -> None:
            if of is not None:
                self.recorded, self.rows = done, of
            progress(done, of, doing)
            if signals and done != of:
                raise _StoppedError

        return watched


@app.command("import")
@shows_figures
def import_command(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=".xlsx或CSV，直报平台导出的格式。")],
    unit: Annotated[str, typer.Option(help="文件中金额的单位：元、千元或万元。")],
    period: Annotated[str | None, typer.Option(help="所属期，如2024-03；文件已写明的可省略。")] = None,
    stage: Annotated[str, typer.Option(help="审定数（final）或初报数（preliminary）。")] = "final",
    reason: Annotated[str | None, typer.Option(help="更正原因，用于文件中未写原因的行。")] = None,
    origin: Annotated[
        str | None, typer.Option(help="更正来源：企业改报、审核退回或执法认定，也可用其代码。")
    ] = None,
    document: Annotated[str | None, typer.Option(help="依据文号。")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只试算，不登记。")] = False,
    problems: Annotated[Path | None, typer.Option(help="把审核问题清单写入此.xlsx文件。")] = None,
    as_json: AsJson = False,
) -> None:
    """登记文件中的数据：整份核对无误才登记。中断后再次运行同一命令，从中断处继续。"""
    options = _import_options(unit, period, stage, reason, origin, document, dry_run=dry_run)
    if problems is not None:
        _check_writable(problems)
    ledger = get_ledger(context)
    bring_up(ledger)
    outcomes: list[ImportOutcome] = []
    with stop_signals() as signals:
        for outcome in _outcomes(ledger, files, options, signals, actor=actor_of(context)):
            disclose(context, ledger, _count_quoting(outcome.imported))
            _report(outcome, options, on_out=not as_json)
            outcomes.append(outcome)
    _report_other_files(outcomes)
    if as_json:
        print_json([_data(outcome) for outcome in outcomes])
    if problems is not None:
        lines = [line for outcome in outcomes for line in outcome.imported.lines]
        _write_problems(problems, lines, more=sum(outcome.imported.more for outcome in outcomes))
    _end(outcomes, signals)


def _import_options(
    unit: str,
    period: str | None,
    stage: str,
    reason: str | None,
    origin: str | None,
    document: str | None,
    *,
    dry_run: bool,
) -> ImportOptions:
    try:
        code = unit_code(unit)
    except ValueError as error:
        raise typer.BadParameter("单位应为元、千元或万元。", param_hint="--unit") from error
    return ImportOptions(
        unit=code,
        period=period,
        stage=cast("Stage", parse_option("stage", stage, STAGES)),
        reason=reason,
        origin=parse_option("origin", origin, ORIGINS),
        document=document,
        dry_run=dry_run,
    )


def _outcomes(
    ledger: Ledger, files: Sequence[Path], options: ImportOptions, signals: Sequence[int], *, actor: str
) -> Iterator[ImportOutcome]:
    """Register files until one of them fails or a signal arrives, and yield the outcome of each.

    A file that cannot be read is skipped. After a file with invalid rows no other is begun: it may depend on
    them.
    """
    goes_on = True
    for path in files:
        if goes_on and not signals:
            outcome = _outcome(ledger, path, options, signals, actor=actor)
        else:
            outcome = ImportOutcome(_empty_result(path), "not-begun")
        goes_on = outcome.state == "done" or outcome.imported.unread
        yield outcome


def _outcome(
    ledger: Ledger, path: Path, options: ImportOptions, signals: Sequence[int], *, actor: str
) -> ImportOutcome:
    extent = _Extent()
    try:
        with progress_bar(shown_name(path)) as bar:
            imported = import_file(ledger, path, options, actor=actor, progress=extent.watch(bar, signals))
    except _StoppedError:
        with suppress(*UNFINISHED):
            project_all(ledger)  # The last chunk may be recorded but not projected.
        reason = f"收到停止信号（{_SIGNALS[signal.Signals(signals[0])]}）。"
        return ImportOutcome(_empty_result(path), "stopped", extent.recorded, extent.rows, reason)
    except (*UNFINISHED, OSError) as error:
        is_uncertain = isinstance(error, UncertainError)
        cause = describe_cause(error)
        return ImportOutcome(
            _empty_result(path), "unfinished", extent.recorded, extent.rows, cause, is_uncertain
        )
    if imported.answer is None and extent.recorded:
        return ImportOutcome(imported, "unfinished", extent.recorded, extent.rows, _OVERTAKEN)
    state: State = "refused" if imported.answer is None else "done"
    return ImportOutcome(imported, state, extent.recorded, extent.rows)


def _count_quoting(imported: ImportedFile) -> int:
    """The number of warnings that may quote figures of the ledger."""
    return sum(line.category == "核实提示" and line.code not in ABOUT_ROW_ALONE for line in imported.lines)


def _empty_result(path: Path) -> ImportedFile:
    return ImportedFile(name=shown_name(path), answer=None, lines=[])


def _report(outcome: ImportOutcome, options: ImportOptions, *, on_out: bool) -> None:
    """Print the outcome of a file: the result on standard output, everything else on standard error."""
    if outcome.reason is not None:
        for text in (outcome.reason, _extent_text(outcome)):
            err.print(text)
    elif on_out and outcome.state != "not-begun":
        _print_import(_out, outcome.imported, dry_run=options.dry_run)
    _print_first_lines(err, outcome.imported)


def _print_import(console: Terminal, imported: ImportedFile, *, dry_run: bool) -> None:
    """Print the result of a file."""
    answer = imported.answer
    if answer is None:
        total = len(imported.problems) + imported.more
        console.print(bold(imported.name), f"：未登记，发现{total}处审核错误。", sep="")
        return
    head = "试算（未登记）" if dry_run else "登记完成"
    console.print(
        bold(imported.name),
        f"：{head}。新登记{answer.filed}行，更正{answer.revised}行，"
        f"无变化{answer.unchanged}行；测算结果变动{answer.entitlements_changed}期；台账序号{answer.position}。",
        sep="",
    )
    if imported.lines:
        console.print(f"  核实提示{answer.warnings_total}条。")
    if imported.ignored_headings:
        headings = "、".join(imported.ignored_headings)
        console.print(f"  未使用的表头：{headings}")
    changes = answer.preview or []
    for change in changes[:PROBLEMS_MOST_LISTED]:
        before = "首次测算" if change.before_fen is None else wanyuan(change.before_fen)
        after = "不再测算" if change.after_fen is None else wanyuan(change.after_fen)
        console.print(f"  {change.uscc} {period_of(change.period).chinese}：{before} → {after}")
    if len(changes) > PROBLEMS_MOST_LISTED:
        console.print(f"  另有{len(changes) - PROBLEMS_MOST_LISTED}期未列出，可用--json查看。")


def _print_first_lines(console: Terminal, imported: ImportedFile) -> None:
    """Print the first problems and warnings of a file, one on a line, and the number of the others."""
    listed = imported.lines[:PROBLEMS_MOST_LISTED]
    _print_lines(console, listed)
    more = len(imported.lines) + imported.more - len(listed)
    if more:
        remark = f"{imported.name}：另有{more}条未列出，可用--problems写入审核问题清单。"
        console.print(remark)


def _print_lines(console: Terminal, lines: Iterable[ProblemLine]) -> None:
    for line in lines:
        where = "".join(
            (
                f"工作表{line.sheet} " if line.sheet else "",
                f"第{line.row}行 " if line.row is not None else "",
                f"{line.column}列 " if line.column else "",
                f"单元格“{line.text}” " if line.text else "",
            )
        )
        console.print(f"{line.file} {where}[{line.category}] {line.code}：{line.message}")


def _extent_text(outcome: ImportOutcome) -> str:
    """How many rows of a file are recorded, and how to continue."""
    name, recorded, rows = outcome.imported.name, outcome.recorded, outcome.rows
    if outcome.is_uncertain:
        return (
            f"{name}：共{rows}行，前{recorded}行已登记，其后一批是否已登记尚不确定"
            f"（每批要么全部登记，要么全不登记）。{_AGAIN}"
        )
    if not recorded:
        return f"{name}：本次未登记任何数据。请再次运行同一命令。"
    if recorded == rows:
        return f"{name}：共{rows}行，已全部登记。请再次运行同一命令予以确认；已登记的行计为无变化。"
    return f"{name}：共{rows}行，前{recorded}行已登记（按批登记，每批均完整），其余尚未处理。{_AGAIN}"


def _report_other_files(outcomes: Sequence[ImportOutcome]) -> None:
    """Unless all files are done, print which ones are done and which were not begun."""
    if all(outcome.state == "done" for outcome in outcomes):
        return
    for state, label in (("done", "此前已完成的文件"), ("not-begun", "其后的文件未处理")):
        names = [outcome.imported.name for outcome in outcomes if outcome.state == state]
        if names:
            err.print(f"{label}：{'、'.join(names)}")


def _data(outcome: ImportOutcome) -> dict[str, Any]:
    """The outcome of a file for `--json`."""
    return {
        "file": outcome.imported.name,
        "state": outcome.state,
        "recorded": outcome.recorded,
        "rows": outcome.rows,
        "reason": outcome.reason,
        "answer": outcome.imported.answer,
        "lines": outcome.imported.lines,
        "lines_total": len(outcome.imported.lines) + outcome.imported.more,
    }


def _check_writable(path: Path) -> None:
    """Refuse, before anything is recorded, a problem sheet that cannot be written afterwards."""
    if path.suffix.lower() != ".xlsx":
        raise typer.BadParameter("文件名应以.xlsx结尾。", param_hint="--problems")
    try:
        check_writable(path)
    except OSError as error:
        refuse(f"{_unwritable(path, error)}本次未登记任何数据。")


def _write_problems(path: Path, lines: list[ProblemLine], *, more: int) -> None:
    try:
        write_problem_sheet(path, lines, more=more)
    except OSError as error:
        refuse(_unwritable(path, error))
    left_out = f"，另有{more}条未列出" if more else ""
    err.print(f"审核问题清单已写入{path}，共{len(lines)}行{left_out}。")


def _unwritable(path: Path, error: OSError) -> str:
    return f"审核问题清单无法写入{path}：{reason_of(error)}。请关闭已打开的文件或换一个位置。"


def _end(outcomes: Sequence[ImportOutcome], signals: Sequence[int]) -> None:
    """Exit with the status that shells expect: 128 plus the number of the signal that stopped the import."""
    states = {outcome.state for outcome in outcomes}
    if states & {"refused", "unfinished"}:
        raise typer.Exit(REFUSED)
    if states != {"done"}:
        raise typer.Exit(128 + signals[0])
