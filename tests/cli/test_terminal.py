"""What comes from files and data is shown as it is: no markup, and nothing that steers the terminal."""

import io
import json
import unicodedata
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from app.cli.terminal import Terminal, bold, progress_on
from app.runtime.escaping import escaped, escaped_json
from app.runtime.logs import configure_logs
from tests.cli.test_commands import E204_1, JIA, Desk, desk, trade

__all__ = ["desk"]

HOSTILE = "\x1b[2J\x1b]0;题\x07[red]企业[/red]\u202e:smile:\x9b31m\n第二行\r\u2066\u200b\x7f"
SHOWN = r"\x1b[2J\x1b]0;题\x07[red]企业[/red]\u202e:smile:\x9b31m\n第二行\r\u2066\u200b\x7f"


def steers(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


def printed(*what: object) -> str:
    file = io.StringIO()
    Terminal(file=file, width=400).print(*what, sep="", soft_wrap=True)
    return file.getvalue()


def test_a_hostile_text_is_shown_with_its_codes_in_a_line_in_bold_and_in_a_cell() -> None:
    table = Table("企业", HOSTILE)
    table.add_row(HOSTILE, "x")
    for what in (HOSTILE, bold(HOSTILE), table):
        output = printed(what)
        assert SHOWN in output
        assert steers(output) == {"\n"}


def test_markup_that_is_asked_for_is_not_done_either() -> None:
    file = io.StringIO()
    Terminal(file=file).print("[bold]企业[/bold]", markup=True, emoji=True)
    assert file.getvalue() == "[bold]企业[/bold]\n"


def test_the_description_of_a_progress_bar_is_no_markup() -> None:
    file = io.StringIO()
    console = Terminal(file=file, width=200, force_terminal=True, color_system=None, _environ={})
    with progress_on(console) as bar:
        bar.add_task("[/nothing]2024年3月.csv")
    assert "[/nothing]2024年3月.csv" in file.getvalue()


@given(st.text())
def test_of_no_text_anything_is_left_that_steers(text: str) -> None:
    assert steers(escaped(text)) == set()
    assert escaped(escaped(text)) == escaped(text)


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_json_is_of_the_same_value_and_steers_nothing(value: object) -> None:
    text = escaped_json(json.dumps(value, ensure_ascii=False))
    assert steers(text) == set()
    assert json.loads(text) == value


def test_a_file_with_a_hostile_name_and_content_is_told_safely(desk: Desk) -> None:
    name = "2024年3月\x1b[31m[bold]\u202e.csv"
    month = desk.csv(name, E204_1, trade(JIA, "1\x1b[2J[/]\u2066x", "100000"))
    refused = desk.run("import", month, "--unit", "千元", code=1)
    assert r"2024年3月\x1b[31m[bold]\u202e.csv" in refused.output
    assert r"1\x1b[2J[/]" in refused.output
    assert steers(refused.output) == {"\n"}


def test_an_argument_that_is_refused_steers_nothing(desk: Desk) -> None:
    for words in (("audit", "verify", "\x1b[31m"), ("list", "\x1b[31m"), ("list", "2024H1", "--\x1b[31mx")):
        assert steers(desk.run(*words, code=2).output) == {"\n"}


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_of_the_log_is_one_line_and_steers_nothing(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(log_format)
    try:
        structlog.get_logger().info("event" + HOSTILE, file=HOSTILE, path=Path(HOSTILE), many=[HOSTILE])
    finally:
        structlog.reset_defaults()
    line = capsys.readouterr().err
    assert steers(line) == {"\n"}
    assert line.count("\n") == 1
    if log_format == "json":
        assert json.loads(line)["file"] == HOSTILE
    else:
        assert SHOWN in line


def test_the_traceback_of_a_fault_keeps_its_lines_and_steers_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("text")
    try:
        structlog.get_logger().error("fault", exc_info=ValueError(HOSTILE))
    finally:
        structlog.reset_defaults()
    output = capsys.readouterr().err
    assert steers(output) == {"\n"}
    assert r"\x1b[2J" in output
