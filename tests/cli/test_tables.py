"""Nothing that the command line shows is cut, however narrow the terminal and however large the figure."""

import io
import os
import pty
import re
import subprocess
import sys
import termios
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

from app.cli import common
from app.cli.commands import app
from app.cli.printing import print_list, print_summary
from app.cli.tables import Column, Kind, print_table
from app.cli.terminal import PIPE_WIDTH, Terminal
from app.use_cases.policies.loader import YINGKOU_2024_14
from app.use_cases.reading.as_of import AsOf
from domain.money import wanyuan_text
from projections.queries.listing import ListedAccount
from projections.queries.totals import Group
from tests.cli.test_commands import E204_1, JI, JIA, Desk, desk, trade
from tests.command_line import COMMANDS
from tests.databases import only_on_sqlite

__all__ = ["desk"]

KINDS: tuple[Kind, ...] = ("text", "code", "figure")
WIDTHS = (40, 60, 80, 100, 120, 200, PIPE_WIDTH)
NAME = "营口市站前区" + "渤海大街东段" * 8 + "商贸有限公司"
ACTOR = "统计局贸易外经科" + "经办人员" * 20
REASON = "企业改报" + "原报数据漏计网上零售额" * 10
FIRST_FILE = "2024年3月_" + "社会消费品零售额" * 6 + ".csv"
CURRENT, CORRECTED, PRIOR = "987654321098765.43", "987654321098700.21", "123456789012.34"
AWARD_YUAN = 49_999
HIGHEST_YUAN = 99_999_999
FIFTEEN_DIGITS = 123_456_789_012_345


def console_of(width: int) -> tuple[Terminal, io.StringIO]:
    """A terminal of a width, or a pipe."""
    file = io.StringIO()
    if width == PIPE_WIDTH:
        return Terminal(file=file), file
    return Terminal(file=file, width=width, force_terminal=True, color_system=None, _environ={}), file


def stands_whole(value: str, printed: str) -> bool:
    """Whether the output contains a text without spaces, in one piece or in the lines of a cell."""
    lines = printed.splitlines()
    return value in printed or any(_goes_on(value, lines[n:]) for n in range(len(lines)))


def _goes_on(value: str, lines: list[str]) -> bool:
    """Whether a text begins in the first line and goes on below, cell under cell."""
    first = lines[0]
    begun = next((n for n in range(len(value), 3, -1) if value[:n] in first), 0)
    if not begun:
        return False
    offset, rest = cell_len(first[: first.index(value[:begun])]), value[begun:]
    for line in lines[1:]:
        part = _from_cell(line, offset).partition(" ")[0]
        if not rest or not part or not rest.startswith(part):
            break
        rest = rest[len(part) :]
    return not rest


def _from_cell(line: str, offset: int) -> str:
    n = next((n for n in range(len(line) + 1) if cell_len(line[:n]) >= offset), len(line))
    return line[n:]


values = st.text(st.sampled_from("营口市站前区渤海大街0123456789.,-ABCxyz（）é"), min_size=1, max_size=70)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[list[str]]]:
    """Columns of every kind, with their rows."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=9))
    columns = [
        Column(draw(st.text(st.sampled_from("企业金额期数"), min_size=1, max_size=9)), kind) for kind in kinds
    ]
    rows = draw(st.lists(st.lists(values, min_size=len(kinds), max_size=len(kinds)), max_size=4))
    return columns, rows


@given(tables(), st.sampled_from(WIDTHS))
def test_every_code_and_figure_of_a_table_stands_in_one_line_and_every_text_whole(
    table: tuple[list[Column], list[list[str]]], width: int
) -> None:
    columns, rows = table
    console, file = console_of(width)
    print_table(console, columns, rows)
    printed = file.getvalue()
    assert "…" not in printed
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            if column.kind == "text" and width != PIPE_WIDTH:
                assert stands_whole(value, printed), value
            else:
                assert value in printed
    if width == PIPE_WIDTH and rows:
        assert len(printed.splitlines()) == len(rows) + 2


@given(tables(), st.sampled_from(WIDTHS))
def test_no_line_of_a_table_is_wider_than_the_terminal_but_for_a_single_value(
    table: tuple[list[Column], list[list[str]]], width: int
) -> None:
    columns, rows = table
    console, file = console_of(width)
    print_table(console, columns, rows)
    headings = [column.heading for column in columns]
    for line in file.getvalue().splitlines():
        is_single = any(
            line.strip() == f"{heading}\uff1a{value}"
            for row in rows
            for heading, value in zip(headings, row, strict=True)
        )
        assert is_single or cell_len(line) <= width


def test_a_value_that_says_nothing_has_no_line_of_its_own() -> None:
    console, file = console_of(40)
    print_table(console, [Column("甲"), Column("乙"), Column("丙")], [["1" * 30, "", "2" * 30]])
    assert file.getvalue().split() == [f"甲\uff1a{'1' * 30}", f"丙\uff1a{'2' * 30}"]


@pytest.mark.parametrize("width", WIDTHS)
def test_sums_of_a_country_stand_whole_in_the_list_and_in_the_summary(width: int) -> None:
    amounts = [FIFTEEN_DIGITS + n for n in range(3)]
    console, file = console_of(width)
    account = ListedAccount(
        uscc=JIA,
        name=NAME,
        region_code="210802",
        periods=5,
        assessed_fen=amounts[0],
        open_fen=amounts[1],
        preliminary_fen=amounts[2],
    )
    print_list(console, [account], None, AsOf(position=0, recorded_at_us=None, root=None))
    group = Group(
        key="52",
        enterprises=1_234_567,
        assessed_fen=amounts[0],
        open_fen=amounts[1],
        preliminary_fen=amounts[2],
        capped={"month-ceiling": 7_654_321, "half-year-ceiling": 2_345_678},
    )
    print_summary(console, [group], "industry", None, AsOf(position=0, recorded_at_us=None, root=None))
    printed = file.getvalue()
    for value in (JIA, *(f"{wanyuan_text(fen)}万元" for fen in amounts), "1234567", "7654321期", "2345678期"):
        assert value in printed
    assert stands_whole(NAME, printed)


@pytest.fixture
def ledger(desk: Desk) -> Desk:
    """A desk whose ledger holds long names and reasons, and amounts of fifteen digits."""
    policy = desk.folder / "policy.yaml"
    text = YINGKOU_2024_14.read_text(encoding="utf-8")
    for before, after in ((500_000, HIGHEST_YUAN), (2_000_000, HIGHEST_YUAN), (50_000, AWARD_YUAN)):
        text = text.replace(f"{{yuan: {before},", f"{{yuan: {after},")
    policy.write_text(text, encoding="utf-8")
    desk.run("policy", "publish", policy, "--as", ACTOR)
    rows = [[*trade(uscc, CURRENT, PRIOR)] for uscc in (JIA, JI)]
    for row in rows:
        row[2] = NAME
    first = desk.csv(FIRST_FILE, E204_1, *rows)
    desk.run("import", first, "--unit", "元", "--as", ACTOR)
    corrected = [*rows[0]]
    corrected[6] = CORRECTED
    then = desk.csv("2024年3月更正.csv", E204_1, corrected)
    desk.run("import", then, "--unit", "元", "--reason", REASON, "--origin", "enterprise", "--as", ACTOR)
    desk.run("keys", "create", "--role", "auditor", "--name", ACTOR)
    desk.run("audit", "key")
    desk.run("audit", "checkpoint")
    return desk


def wanyuan_in(answer: dict[str, Any], *names: str) -> list[str]:
    """Amounts of an answer as the command line writes them."""
    return [f"{wanyuan_text(answer[name])}万元" for name in names]


@only_on_sqlite
def test_every_command_shows_names_codes_and_figures_whole(
    ledger: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = ledger.json("list", "2024H1")
    (period,) = ledger.json("entitlement", JIA, "2024H1")["periods"]
    assert len(str(period["rule_fen"])) == 15
    accounts = [
        value for item in listed["items"] for value in (item["uscc"], *wanyuan_in(item, "assessed_fen"))
    ]
    (filed,) = ledger.json("returns", JIA, "2024")["returns"]
    positions = [str(version["position"]) for version in filed["versions"]]
    qianyuan = ["987654321098.76543", "987654321098.70021", "123456789.01234"]
    head = listed["as_of"]["position"]
    whole: dict[tuple[str, ...], list[str]] = {
        ("list", "2024H1"): [NAME, *accounts, *wanyuan_in(listed, "assessed_fen")],
        ("entitlement", JIA, "2024H1", "--explain"): [
            *(NAME, JIA, "零售增长奖励"),
            *wanyuan_in(period, "rule_fen", "assessed_fen"),
        ],
        ("returns", JIA, "2024"): [
            *(*positions, *qianyuan, f"命令行：{ACTOR}", REASON, FIRST_FILE, "E204-1"),
        ],
        ("events",): [f"returns/{JIA}/2024", ACTOR, f"{head} "],
        ("policy", "list"): ["yingkou-2024-14"],
        ("keys", "list"): [ACTOR, "auditor"],
        ("audit", "disclosures", "--limit", "1000"): [ACTOR, JIA],
        ("audit", "differences", "0", str(head)): [NAME, FIRST_FILE, ACTOR, *accounts],
        ("audit", "red-flags", "2024H1"): [JIA, NAME, ACTOR, REASON, FIRST_FILE],
        ("audit", "inclusion", "1"): [ledger.json("audit", "inclusion", "1")["leaf_hash"]],
        ("audit", "verify"): [f"共{head}条"],
        ("audit", "consistency", "1", "2"): [ledger.json("audit", "consistency", "1", "2")["second_root"]],
        ("audit", "disagreements"): [f"台账序号{head}"],
        ("audit", "replay"): [f"至{head}："],
    }
    for group_by in ("region_code", "industry", "period", "measure"):
        summed = ledger.json("summary", "2024H1", "--group-by", group_by)
        amounts = [
            text for group in summed["groups"] for text in wanyuan_in(group, "assessed_fen", "open_fen")
        ]
        whole["summary", "2024H1", "--group-by", group_by] = amounts
    for width, (words, wanted) in product((60, 80, PIPE_WIDTH), whole.items()):
        monkeypatch.setattr(common.out, "width", width)
        printed = ledger.run(*words).stdout
        assert "…" not in printed
        assert [value for value in wanted if not stands_whole(value, printed)] == [], (width, words)


@only_on_sqlite
def test_a_list_in_a_terminal_and_in_a_pipe(ledger: Desk) -> None:
    """The same through a real terminal of 80 columns, and through a real pipe."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "list", "2024H1"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUTF8": "1", "TERM": "xterm"}
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    with subprocess.Popen(command, env=env, cwd=ledger.folder, stdout=follower) as process:
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 10_000):
                shown += part
        except OSError:  # The other end is closed.
            pass
        os.close(leader)
    assert process.returncode == 0
    screen = re.sub("\x1b\\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")
    piped = subprocess.run(
        command, env=env, cwd=ledger.folder, capture_output=True, check=True, encoding="utf-8"
    ).stdout
    (amount,) = {
        f"{wanyuan_text(item['assessed_fen'])}万元" for item in ledger.json("list", "2024H1")["items"]
    }
    for value in (JIA, JI, NAME, amount):
        assert stands_whole(value, screen)
        assert value in piped
    assert any(JIA in line and NAME in line and amount in line for line in piped.splitlines())


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_whole(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    command = COMMANDS[name]
    printed = CliRunner().invoke(app, [*name.split()[1:], "--help"]).stdout
    assert "…" not in printed.replace("FILE…", "")
    flat = re.sub(r"\s", "", printed)
    for text in (command.help, *(parameter.help for parameter in command.params)):
        assert re.sub(r"\s", "", text or "") in flat
