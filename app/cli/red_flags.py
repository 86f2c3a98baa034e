"""`duixian audit red-flags`: the list of red flags, on the terminal, as JSON or as a workbook."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, cast

import msgspec
import typer

from app.answers import presenters
from app.cli import printing
from app.cli.command import Commands, disclose, shows_figures
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
    parse_window,
    progress_bar,
    read_policy_as_of,
    refuse,
    write_json,
)
from app.runtime.reasons import reason_of
from app.use_cases.audit.red_flags import (
    ENTERPRISE_FLAGS,
    GROUP_FLAGS,
    RedFlagQuery,
    count_enterprises,
    red_flags,
)
from app.use_cases.reading.as_of import PolicyAsOf
from app.use_cases.reading.filters import parse_region
from app.workbooks.red_flag_sheet import write_red_flag_sheet
from domain.periods import Window
from domain.red_flags.kinds import THRESHOLDS, FlagId, RedFlag
from domain.red_flags.questions import FLAG_MEANINGS, NO_VERDICT
from domain.regions import region_name
from domain.words import FLAGS as FLAG_NAMES

app = Commands()

FLAGS: Final = (*ENTERPRISE_FLAGS, *GROUP_FLAGS)
SHOWN_EVIDENCE: Final = 12
"""The number of versions printed under a question on the terminal; the others are counted."""


@app.command("red-flags")
@shows_figures
def audit_red_flags(
    context: typer.Context,
    window: WindowArgument,
    flag: Annotated[list[str] | None, typer.Option(help="只列此类疑点（名称或代码），可重复。")] = None,
    region_code: Annotated[str | None, typer.Option("--region", help="处理地的代码或名称。")] = None,
    xlsx: Annotated[Path | None, typer.Option(help="把疑点清单写入此.xlsx文件。")] = None,
    policy: PolicyOption = None,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """列出期间数据中供核实的疑点及其依据；每条都是线索，不是结论。"""
    name, flags = parse_window(window), _parse_flags(flag)
    if xlsx is not None and as_json:
        raise typer.BadParameter("--xlsx与--json只能给一个。")
    ledger = get_ledger(context)
    moment = asked_moment(position, known_at)
    with (
        read_policy_as_of(ledger, name, policy, moment) as (connection, policy_as_of),
        progress_bar("查找疑点") as progress,
    ):
        with known_values():
            asked = RedFlagQuery(Window.parse(name), flags, parse_region(connection, region_code, name))
        # The number of questions is unknown until the last one, so the number of enterprises is recorded.
        disclose(context, ledger, count_enterprises(connection, asked, policy_as_of))
        found = red_flags(connection, asked, policy_as_of, progress)
        if as_json:
            _print_json(found, policy_as_of)
        elif xlsx is not None:
            _write(xlsx, found, asked, policy_as_of)
        else:
            _print(found, policy_as_of)


def _parse_flags(given: list[str] | None) -> tuple[FlagId, ...]:
    codes = tuple(parse_option("flag", text, FLAG_NAMES) for text in given or ())
    return cast("tuple[FlagId, ...]", codes or FLAGS)


def _print_json(found: Iterable[RedFlag], policy_as_of: PolicyAsOf) -> None:
    """Write one JSON object piece by piece: the questions of a country are never all in memory."""
    head = {"thresholds": THRESHOLDS, "as_of": presenters.as_of(policy_as_of.moment).model_dump()}
    write_json(msgspec.json.encode(head).decode()[:-1] + ',"items":[')
    separator = "\n"
    for flag in found:
        write_json(separator + presenters.red_flag(flag).model_dump_json())
        separator = ",\n"
    write_json("\n]}\n")


def _print(found: Iterable[RedFlag], policy_as_of: PolicyAsOf) -> None:
    counts: Counter[FlagId] = Counter()
    for flag in found:
        counts[flag.flag] += 1
        for line in _lines(flag):
            out.print(line)
    moment = printing.as_of_text(policy_as_of.moment)
    out.print(f"{_counted(counts)}{moment}。{NO_VERDICT}")


def _lines(flag: RedFlag) -> Iterator[str]:
    """Yield the lines of a question: its sentence, then its versions, with enterprises if it has several."""
    whose = "" if flag.uscc is None else f"{flag.uscc} "
    yield f"[{FLAG_NAMES[flag.flag]}] {whose}{flag.sentence}"
    for version in flag.evidence[:SHOWN_EVIDENCE]:
        code = f"{version.uscc} " if flag.uscc is None else ""
        yield f"    {code}{printing.version_text(version)}"
    if len(flag.evidence) > SHOWN_EVIDENCE:
        yield f"    等{len(flag.evidence)}条，其余见--xlsx或--json。"


def _counted(counts: Counter[FlagId]) -> str:
    if not counts:
        return "没有疑点。"
    parts = "、".join(f"{FLAG_NAMES[flag]}{counts[flag]}条" for flag in FLAGS if counts[flag])
    return f"共{counts.total()}条疑点：{parts}。"


def _write(path: Path, found: Iterable[RedFlag], asked: RedFlagQuery, policy_as_of: PolicyAsOf) -> None:
    counts: Counter[FlagId] = Counter()

    def counted() -> Iterator[RedFlag]:
        for flag in found:
            counts[flag.flag] += 1
            yield flag

    try:
        write_red_flag_sheet(path, counted(), _notes(asked, policy_as_of))
    except OSError as error:
        refuse(f"疑点清单无法写入{path}：{reason_of(error)}。请关闭已打开的文件或换一个位置。")
    out.print(f"疑点清单已写入{path}。{_counted(counts)}")


def _notes(asked: RedFlagQuery, policy_as_of: PolicyAsOf) -> list[tuple[str, str]]:
    """The content of the second sheet: the moment, how to read the list, the meaning of each flag."""
    region = "全部处理地" if asked.region_code is None else region_name(asked.region_code)
    ref = None if policy_as_of.newest is None else policy_as_of.newest.ref
    policy = "尚无覆盖该期间的政策，不列测算金额。" if ref is None else f"{ref.id} 版本{ref.version}"
    return [
        ("范围", f"{asked.window.chinese}，{region}"),
        ("时点", printing.as_of_text(policy_as_of.moment)),
        ("政策文件", policy),
        ("性质", NO_VERDICT),
        ("金额", "测算金额按该政策版本重新计算，不等于应付金额。现数、比较数均为零售额或餐费收入。"),
        ("依据", f"每行是一条疑点的一条台账记录。涉及多户的疑点最多列出{THRESHOLDS.listed_most}条。"),
        *((FLAG_NAMES[flag], FLAG_MEANINGS[flag]) for flag in asked.flags),
    ]
