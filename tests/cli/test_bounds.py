"""What the command line prints of a file with very many problems, and which words it takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from app.cli import files
from app.runtime.limits import PROBLEMS_MOST_LISTED
from app.use_cases.filing import deciding as filing
from app.use_cases.filing import importing
from tests.cli.test_commands import E204_1, JIA, Desk, desk, trade
from tests.databases import only_on_sqlite

ROOT = Path(__file__).parents[2]
EACH_COMMAND = """
import sys
from app.cli import main

given = sys.argv[1:]
for words in given:
    sys.argv[1:] = words.split()
    try:
        main()
    except SystemExit as ended:
        print("exit", ended.code, file=sys.stderr)
"""
__all__ = ["desk"]


@only_on_sqlite
def test_a_terminal_shows_the_first_thousand_problems_and_the_sheet_has_all(desk: Desk) -> None:
    path = desk.csv("month.csv", E204_1, *[trade(JIA, "x", "1") for _ in range(1_050)])
    sheet = desk.folder / "sheet.xlsx"
    words = ("import", path, "--unit", "千元", "--period", "2024-03")
    result = desk.run(*words, "--problems", sheet, code=1)
    assert "发现1050处审核错误" in result.output
    assert result.output.count("amount-invalid") == PROBLEMS_MOST_LISTED
    assert "month.csv：另有50条未列出，可用--problems写入审核问题清单。" in result.output
    with CalamineWorkbook.from_path(sheet) as workbook:
        assert len(workbook.get_sheet_by_index(0).to_python()) == 1 + 1_050


@only_on_sqlite
def test_of_more_problems_than_are_kept_the_sheet_says_how_many_are_left_out(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (files, filing, importing):
        monkeypatch.setattr(module, "PROBLEMS_MOST_KEPT", 10)
    monkeypatch.setattr(importing, "ROWS_PER_CHUNK", 6)
    path = desk.csv("month.csv", E204_1, *[trade(JIA, "x", "1") for _ in range(25)])
    sheet = desk.folder / "sheet.xlsx"
    result = desk.run("import", path, "--unit", "千元", "--period", "2024-03", "--problems", sheet, code=1)
    assert "发现25处审核错误" in result.output
    assert "共10行，另有15条未列出。" in result.output
    with CalamineWorkbook.from_path(sheet) as workbook:
        lines = workbook.get_sheet_by_index(0).to_python()
    assert len(lines) == 1 + 10 + 1
    assert str(lines[-1][-1]).startswith("另有15条问题未列出。")


@only_on_sqlite
def test_warnings_beyond_those_that_are_kept_are_counted(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (files, filing, importing):
        monkeypatch.setattr(module, "PROBLEMS_MOST_KEPT", 4)
    monkeypatch.setattr(importing, "ROWS_PER_CHUNK", 2)
    codes = ["91210802MA0010002C", "91210802MA0020139J", "91210802MA00100107", "91210802MA00100887"]
    path = desk.csv("month.csv", E204_1, *[trade(uscc, "-1", "1", region="999999") for uscc in codes])
    (answer,) = desk.json("import", path, "--unit", "千元", "--period", "2024-03")
    assert (len(answer["lines"]), answer["lines_total"]) == (4, 8)
    assert answer["answer"]["warnings_total"] == 8


@pytest.mark.slow
def test_a_word_that_is_no_utf_8_is_wrong_usage_and_a_file_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("a: 1\n", encoding="utf-8")
    commands = {
        b"keys revoke \xff": "2",
        b"list 2024H1 --q a\xff": "2",
        b"policy check \xff.yaml": "1",
        b"policy check \xfe.yaml": "2",
    }
    ended = subprocess.run(
        [os.fsencode(sys.executable), b"-c", EACH_COMMAND.encode(), *commands],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DUIXIAN_DATABASE_URL": f"sqlite:///{tmp_path}/l.db"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in ended.stderr, ended.stderr
    codes = [line.split()[1] for line in ended.stderr.decode().splitlines() if line.startswith("exit ")]
    assert codes == list(commands.values())
