import re
import zipfile
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from app.runtime.limits import SHEET_CELL_MAX_CHARS
from app.workbooks.problem_sheet import SHEET_NAME, ProblemLine, write_problem_sheet

COLUMNS = ["文件", "工作表", "行号", "列", "表头", "单元格内容", "类别", "代码", "问题说明"]


def line(text: str = "12,34", *, row: int | None = 7, message: str = "第7行：不是有效金额。") -> ProblemLine:
    return ProblemLine(
        file="2024-03.xlsx",
        sheet="零售",
        row=row,
        column="E",
        heading="零售额;本年-本月",
        text=text,
        category="审核错误",
        code="amount-invalid",
        message=message,
    )


def read_back(path: Path) -> list[list[object]]:
    with CalamineWorkbook.from_path(path) as workbook:
        assert workbook.sheet_names == [SHEET_NAME]
        return [list(row) for row in workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)]


def sheet_xml(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read("xl/worksheets/sheet1.xml").decode()


def test_each_problem_is_a_line_that_names_its_cell_and_how_to_mend_it(tmp_path: Path) -> None:
    path = tmp_path / "清单.xlsx"
    write_problem_sheet(path, [line(), line("", row=None)])
    before = ["2024-03.xlsx", "零售"]
    after = ["审核错误", "amount-invalid", "第7行：不是有效金额。"]
    assert read_back(path) == [
        COLUMNS,
        [*before, 7.0, "E", "零售额;本年-本月", "12,34", *after],
        [*before, "", "E", "零售额;本年-本月", "", *after],
    ]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")', "https://x", "5", "{=1}"]
)
def test_no_text_of_a_cell_becomes_a_formula_a_link_or_a_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, [line(text, message=text)])
    assert read_back(path)[1][5] == text
    xml = sheet_xml(path)
    assert "<f>" not in xml
    assert "<hyperlink" not in xml


def test_a_cell_stays_text_when_someone_edits_it(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, [line("=1+1")])
    with zipfile.ZipFile(path) as archive:
        styles = archive.read("xl/styles.xml").decode()
    formats = re.findall(r"<xf [^>]*>", styles[styles.index("<cellXfs") :])
    style = re.search(r'<c r="F2" s="([0-9]+)"', sheet_xml(path))
    assert style is not None
    assert 'quotePrefix="1"' in formats[int(style[1])]


def test_the_header_stays_in_sight_and_can_be_filtered_by(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, [line(), line()])
    xml = sheet_xml(path)
    assert '<pane ySplit="1"' in xml
    assert '<autoFilter ref="A1:I3"/>' in xml


def test_a_sheet_without_problems_has_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, [])
    assert read_back(path) == [COLUMNS]


def test_what_does_not_fit_is_counted_in_a_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, (line(str(number)) for number in range(8)), max_lines=5)
    rows = read_back(path)
    assert [row[5] for row in rows[1:6]] == ["0", "1", "2", "3", "4"]
    assert len(rows) == 7
    assert "另有3条" in str(rows[6][8])


def test_as_many_problems_as_fit_have_no_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, [line()] * 5, max_lines=5)
    assert len(read_back(path)) == 6


def test_a_text_longer_than_a_cell_is_cut_where_it_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, [line("长" * SHEET_CELL_MAX_CHARS), line("长" * (SHEET_CELL_MAX_CHARS + 1))])
    whole, cut = (str(row[5]) for row in read_back(path)[1:])
    assert whole == "长" * SHEET_CELL_MAX_CHARS
    assert (len(cut), cut[-2:]) == (SHEET_CELL_MAX_CHARS, "……")


@pytest.mark.parametrize("text", ["\ud800", "\x00\x01", "\ufffe", "_x0041_", "a\nb", "<&>"])
def test_characters_that_xml_does_not_know_do_not_break_the_workbook(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xlsx"
    write_problem_sheet(path, [line(text)])
    assert len(read_back(path)) == 2


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        write_problem_sheet(tmp_path / "missing" / "a.xlsx", [line()])
