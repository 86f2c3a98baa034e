"""Workbooks: sheets, values that are not numbers, limits, damage."""

import datetime as dt
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.runtime.limits import SHEET_MAX_TEXT_CHARS, XLSX_MAX_BYTES, XLSX_MAX_UNPACKED_BYTES
from tests.ingest.files import BASE, CODE, SHOP, TRADE, codes, read, read_rows, table, write_xlsx

SHEET_PART = "xl/worksheets/sheet1.xml"


def rewrite(path: Path, part: str, change: Callable[[str], str]) -> Path:
    """Change one part of a workbook, as other programs would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def amount_cell(path: Path) -> tuple[str | None, str]:
    (row,) = read_rows(path)
    amount: str | None = row.data["figures"]["retail_sales"]["current"]
    return amount, row.cells["figures.retail_sales.current"].text


@pytest.fixture
def one_row(tmp_path: Path) -> Path:
    return write_xlsx(tmp_path / "a.xlsx", {"零售": table([*SHOP, 5, 4])})


def test_a_date_in_the_column_of_periods_is_the_month_that_was_typed(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, [*TRADE, "所属期"])
        sheet.write_row(1, 0, [*SHOP, 5, 4])
        sheet.write_datetime(1, 6, dt.date(2024, 3, 1), workbook.add_format({"num_format": "yyyy“年”m“月”"}))
    (row,) = read_rows(path, period=None)
    assert row.data["period"] == "2024-03"


@pytest.mark.parametrize("error", ["#DIV/0!", "#N/A", "#REF!", "#VALUE!"])
def test_a_cell_that_shows_an_error_is_not_nil(tmp_path: Path, error: str) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, TRADE)
        sheet.write_row(1, 0, [*SHOP, None, 4])
        sheet.write_formula(1, 4, "=1/0", None, error)
    rows, (problem,) = read(path)
    assert rows == []
    assert (problem.code, problem.row, problem.column, problem.text) == ("cell-unclear", 2, "E", error)
    assert "单元格显示错误" in problem.message


def test_an_error_at_the_end_of_a_row_stays_in_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, TRADE)
        sheet.write_row(1, 0, [*SHOP, 5])
        sheet.write_formula(1, 5, "=1/0", None, "#DIV/0!")
        sheet.write_row(2, 0, [*SHOP, 5, 4])
    (row,), (problem,) = read(path)
    assert row.data["figures"]["retail_sales"]["prior_year"] == "4"
    assert (problem.row, problem.column, problem.text) == (2, "F", "#DIV/0!")


@pytest.mark.parametrize("value", ["<v></v>", "<v/>", ""])
@pytest.mark.parametrize("column", ["E", "F"])
def test_a_formula_that_was_never_calculated_is_not_nil(one_row: Path, value: str, column: str) -> None:
    formula = f'<c r="{column}2"><f>D2+1</f>{value}</c>'
    rewrite(one_row, SHEET_PART, lambda xml: re.sub(f'<c r="{column}2"><v>[0-9]</v></c>', formula, xml))
    rows, (problem,) = read(one_row)
    assert rows == []
    assert (problem.code, problem.row, problem.column, problem.text) == ("cell-unclear", 2, column, "=D2+1")
    assert "公式没有计算结果" in problem.message


def test_a_formula_that_gives_an_empty_text_is_nil_as_it_looks(one_row: Path) -> None:
    formula = '<c r="E2" t="str"><f>IF(D2,"","")</f><v></v></c>'
    rewrite(one_row, SHEET_PART, lambda xml: xml.replace('<c r="E2"><v>5</v></c>', formula))
    assert amount_cell(one_row) == (None, "")


def test_a_formula_with_a_value_is_its_value(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, TRADE)
        sheet.write_row(1, 0, [*SHOP, None, 4])
        sheet.write_formula(1, 4, "=2+3", None, 5)
    assert amount_cell(path) == ("5", "5")


def test_true_and_false_in_the_column_of_the_database_are_read(tmp_path: Path) -> None:
    rows = table([*SHOP, 5, 4, True], [*SHOP, 5, 4, False], headings=[*TRADE, "当月在库"])
    path = write_xlsx(tmp_path / "a.xlsx", {"零售": rows})
    assert [row.data["in_database"] for row in read_rows(path)] == [True, False]


def test_cells_that_do_not_name_their_place_are_counted(one_row: Path) -> None:
    rewrite(one_row, SHEET_PART, lambda xml: re.sub(r' r="[A-Z]*[0-9]+"', "", xml))
    (row,) = read_rows(one_row)
    assert (row.row, row.data["uscc"]) == (2, CODE)


def test_elements_may_have_a_prefix(one_row: Path) -> None:
    def prefixed(xml: str) -> str:
        xml = re.sub(r"<(/?)([a-z])", r"<\1x:\2", xml)
        return xml.replace("xmlns=", "xmlns:x=")

    error = '<c r="E2" t="e"><f>1/0</f><v>#DIV/0!</v></c>'
    rewrite(one_row, SHEET_PART, lambda xml: prefixed(xml.replace('<c r="E2"><v>5</v></c>', error)))
    _, (problem,) = read(one_row)
    assert (problem.row, problem.column, problem.text) == (2, "E", "#DIV/0!")


def test_empty_sheets_and_notes_next_to_a_table_are_skipped(tmp_path: Path) -> None:
    notes = [["填报说明"], ["统一社会信用代码", "18位"], ["零售额", "按售价计算"]]
    path = write_xlsx(tmp_path / "a.xlsx", {"空": [], "说明": notes, "零售": table([*SHOP, 5, 4])})
    assert [row.sheet for row in read_rows(path)] == ["零售"]


def test_a_workbook_of_notes_alone_is_a_problem_that_names_each_sheet(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", {"说明": [["填报说明"]], "空": [], "目录": [["目录"]]})
    _, problems = read(path)
    assert [(problem.code, problem.sheet) for problem in problems] == [
        ("header-missing", "说明"),
        ("header-missing", "目录"),
    ]
    assert "工作表“说明”" in problems[0].message


def test_a_table_without_the_code_is_a_problem_even_if_another_is_sound(tmp_path: Path) -> None:
    lacking = table(["210802", "营口", "5211", 5, 4], headings=[TRADE[0], *TRADE[2:]])
    rows, (problem,) = read(write_xlsx(tmp_path / "a.xlsx", {"批发": lacking, "零售": table([*SHOP, 5, 4])}))
    assert [row.sheet for row in rows] == ["零售"]
    assert (problem.code, problem.sheet, problem.row) == ("heading-missing", "批发", 1)
    assert "“统一社会信用代码”" in problem.message


@pytest.mark.parametrize(("above", "codes_found"), [(19, []), (20, ["header-missing"])])
def test_the_header_is_looked_for_in_twenty_rows(tmp_path: Path, above: int, codes_found: list[str]) -> None:
    rows = [["说明"]] * above + table([*SHOP, 5, 4])
    _, problems = read(write_xlsx(tmp_path / "a.xlsx", {"零售": rows}))
    assert codes(problems) == codes_found


def test_a_workbook_without_anything_is_a_problem(tmp_path: Path) -> None:
    _, problems = read(write_xlsx(tmp_path / "a.xlsx", {"空": []}))
    assert codes(problems) == ["file-empty"]


def test_charts_are_ignored_and_hidden_sheets_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        chart = workbook.add_chart({"type": "column"})
        shown = workbook.add_worksheet("零售")
        shown.write_row(0, 0, TRADE)
        shown.write_row(1, 0, [*SHOP, 5, 4])
        chart.add_series({"values": "=零售!$E$2:$F$2"})
        workbook.add_chartsheet("图").set_chart(chart)
        hidden = workbook.add_worksheet("旧表")
        hidden.write_row(0, 0, TRADE)
        hidden.write_row(1, 0, [*SHOP, 6, 4])
        hidden.hide()
    assert [row.sheet for row in read_rows(path)] == ["零售", "旧表"]


def test_a_stray_cell_at_the_end_of_the_sheet_is_refused_before_it_takes_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet("零售")
        sheet.write_row(0, 0, TRADE)
        sheet.write_string(1_048_575, 16_383, "x")
    _, (problem,) = read(path)
    assert problem.code == "file-too-large"
    assert "第1048576行、XFD列" in problem.message
    assert "CSV" in problem.message


def test_one_long_text_in_very_many_cells_is_refused_before_it_takes_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    text = "长" * 30_000
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet("零售")
        for row in range(SHEET_MAX_TEXT_CHARS // len(text) + 1):
            sheet.write_string(row, 0, text)
    _, (problem,) = read(path)
    assert (problem.code, "文字过多" in problem.message) == ("file-too-large", True)


def test_one_long_text_among_many_short_ones_is_not_refused(tmp_path: Path) -> None:
    rows = [*table([*SHOP, 5, 4], headings=[*TRADE, "备注"]), *([*SHOP, 5, 4] for _ in range(1000))]
    rows[1] = [*SHOP, 5, 4, "长" * 32_000]
    assert len(read_rows(write_xlsx(tmp_path / "a.xlsx", {"零售": rows}))) == 1001


def test_a_workbook_over_the_limit_is_to_be_saved_as_csv(one_row: Path) -> None:
    with one_row.open("ab") as file:
        file.truncate(XLSX_MAX_BYTES + 1)
    _, (problem,) = read(one_row)
    assert problem.code == "file-too-large"
    assert "20MB" in problem.message
    assert "CSV" in problem.message


@pytest.mark.slow
def test_a_workbook_that_unpacks_without_end_is_refused(one_row: Path) -> None:
    block = b" " * 10_000_000
    with (
        zipfile.ZipFile(one_row, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/bomb.xml", "w") as part,
    ):
        for _ in range(XLSX_MAX_UNPACKED_BYTES // len(block) + 1):
            part.write(block)
    assert one_row.stat().st_size < XLSX_MAX_BYTES
    _, (problem,) = read(one_row)
    assert problem.code == "file-too-large"
    assert "解压" in problem.message


def test_a_part_that_declares_entities_is_refused(one_row: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    rewrite(one_row, SHEET_PART, lambda xml: xml.replace("<worksheet", f"{bomb}<worksheet", 1))
    _, problems = read(one_row)
    assert codes(problems) == ["file-unreadable"]


@pytest.mark.parametrize("start", ["D0CF11E0A1B11AE1"])
def test_an_old_workbook_is_to_be_saved_again(tmp_path: Path, start: str) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(bytes.fromhex(start) + bytes(5000))
    _, (problem,) = read(path)
    assert problem.code == "file-unreadable"
    assert ".xlsx" in problem.message


def test_another_archive_is_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    _, problems = read(path)
    assert codes(problems) == ["file-unreadable"]


def test_an_archive_cut_short_is_a_problem(one_row: Path) -> None:
    one_row.write_bytes(one_row.read_bytes()[:-200])
    _, problems = read(one_row)
    assert codes(problems) == ["file-unreadable"]


def test_a_workbook_under_another_name_is_read_for_what_it_is(one_row: Path) -> None:
    renamed = one_row.rename(one_row.with_name("a.csv"))
    assert read_rows(renamed)[0].data["uscc"] == CODE


def test_a_remark_right_of_the_table_is_passed_over(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", {"零售": table([*SHOP, 5, 4, "", "已核对"])})
    assert read_rows(path)[0].data["figures"]["retail_sales"] == {"current": "5", "prior_year": "4"}


def test_headings_of_both_years_are_needed_on_every_sheet(tmp_path: Path) -> None:
    lacking = table([*SHOP, 5], headings=[*BASE, "零售额;本年-本月"])
    _, problems = read(write_xlsx(tmp_path / "a.xlsx", {"批发": lacking, "零售": lacking}))
    assert [(problem.code, problem.sheet) for problem in problems] == [
        ("heading-missing", "批发"),
        ("heading-missing", "零售"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_no_damage_to_a_sheet_raises_an_exception(tmp_path: Path, data: st.DataObject) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", {"零售": table([*SHOP, 5, 4])})
    damage = st.sampled_from(
        ["<", ">", '"', "/", 'r="XFD9999999"', 't="e"', "<f>", "</v>", "-1", "1e999", "&#0;", ""]
    )

    def damaged(xml: str) -> str:
        at = data.draw(st.integers(xml.index("<row"), len(xml)))
        return xml[:at] + data.draw(damage) + xml[at + data.draw(st.integers(0, 3)) :]

    rows, problems = read(rewrite(path, SHEET_PART, damaged))
    assert rows or problems
