"""Errors that occur in real files, one test for each."""

from pathlib import Path

import pytest

from tests.ingest.files import (
    BASE,
    CODE,
    INN,
    SHOP,
    TRADE,
    Sheet,
    codes,
    full_width,
    read,
    read_rows,
    table,
    write_csv,
    write_xlsx,
)


def figures(path: Path, **asked: str | None) -> dict[str, str | None]:
    (row,) = read_rows(path, **asked)  # type: ignore[arg-type]
    found: dict[str, str | None] = row.data["figures"]["retail_sales"]
    return found


@pytest.mark.parametrize("dash", ["\u2014", "\u2013", "-", "\uff0d", "\u2015", "\u2212"])
def test_the_cumulative_columns_may_have_any_dash(tmp_path: Path, dash: str) -> None:
    headings = [*TRADE, f"零售额;本年-1{dash}本月", f"零售额;上年{dash}1{dash}本月"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4, 15, 14], headings=headings))
    assert figures(path) == {"current": "5", "prior_year": "4", "current_ytd": "15", "prior_year_ytd": "14"}


def test_full_width_digits_brackets_and_separators_are_read(tmp_path: Path) -> None:
    name = f"营口{full_width('(A)')}商贸"
    row = [full_width("210802"), full_width(CODE), name, full_width("5211"), full_width("1,234.5"), "100"]
    headings = [full_width(heading) for heading in TRADE]
    (found,) = read_rows(write_csv(tmp_path / "a.csv", table(row, headings=headings)))
    assert found.data["uscc"] == CODE
    assert found.data["region_code"] == "210802"
    assert found.data["industry_code"] == "5211"
    assert found.data["name"] == name
    assert found.data["figures"]["retail_sales"] == {"current": "1234.5", "prior_year": "100"}
    assert found.cells["figures.retail_sales.current"].text == full_width("1,234.5")


def test_thousands_separators_are_removed_from_text_cells(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", {"零售": table([*SHOP, "1,234,567", "1,000"])})
    assert figures(path) == {"current": "1234567", "prior_year": "1000"}


@pytest.mark.parametrize("nil", ["", "—", "-", "–", "--", " "])
def test_nil_is_not_zero(tmp_path: Path, nil: str) -> None:
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 0, nil]))
    assert figures(path) == {"current": "0", "prior_year": None}


def test_a_code_read_as_a_number_is_passed_on_as_a_person_sees_it(tmp_path: Path) -> None:
    rows = table(["210802", 912108020010002000, "营口某某", 5211, 5, 4])
    (row,) = read_rows(write_xlsx(tmp_path / "a.xlsx", {"零售": rows}))
    assert row.data["uscc"] == "9.12108020010002E+17"
    assert row.cells["uscc"].text == "9.12108020010002E+17"
    assert row.data["industry_code"] == "5211"


def test_no_float_leaves_the_reader(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", {"零售": table([*SHOP, 0.1 + 0.2, 1234567.89])})
    assert figures(path) == {"current": "0.3", "prior_year": "1234567.89"}


def test_rows_keep_their_numbers_below_titles_and_blank_rows_and_columns(tmp_path: Path) -> None:
    rows: Sheet = [
        [], ["", "2024年3月限额以上单位情况"], ["", "单位:千元"], [],
        ["", *TRADE], [], ["", *SHOP, 5, 4],
    ]  # fmt: skip
    (row,) = read_rows(write_xlsx(tmp_path / "a.xlsx", {"零售": rows}))
    assert (row.row, row.cells["figures.retail_sales.current"].column) == (7, "F")
    (row,) = read_rows(write_csv(tmp_path / "a.csv", rows))
    assert (row.row, row.cells["figures.retail_sales.current"].column) == (7, "F")


def test_empty_unnamed_columns_are_passed_over(tmp_path: Path) -> None:
    headings = [*BASE, "", "零售额;本年-本月", " ", "零售额;上年-本月"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, "", 5, "x", 4], headings=headings))
    assert figures(path) == {"current": "5", "prior_year": "4"}


@pytest.mark.parametrize(
    "total",
    [
        ["", "", "合计", "", 9, 8],
        ["", "", "总 计", "", 9, 8],
        ["合计", "", "", "", 9, 8],
        ["", "—", "站前区小计:", "", 9, 8],
        ["", " -", "小计", "", 9, 8],
        ["", "合计", "", "", 9, 8],
        ["", "", "合计(2家)", "", 9, 8],
        ["", "", full_width("合计(2家):"), "", 9, 8],
        [full_width("注:以上为初步数"), "", "", "", "", ""],
        ["", "", "", "", "", ""],
        ["\u3000", " ", "", "", "", ""],
        ["注:本表数据为初步数", "", "", "", "", ""],
        ["单位负责人:", "", "填表人:", "", "报出日期:2024年4月", ""],
        TRADE,
    ],
)
def test_rows_that_hold_no_return_are_skipped(tmp_path: Path, total: list[str | int]) -> None:
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4], total, [*INN[:3], "5212", 4, 4]))
    assert [row.row for row in read_rows(path)] == [2, 4]


def test_a_row_without_a_code_that_is_no_total_is_kept_for_the_validator(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table(["210802", "", "合计通商贸有限公司", "5211", 5, 4]))
    (row,) = read_rows(path)
    assert (row.data["uscc"], row.data["name"]) == ("", "合计通商贸有限公司")


@pytest.mark.parametrize("code", [CODE, full_width(CODE), "9.1E+17", "无"])
def test_an_enterprise_with_a_code_is_kept_whatever_its_name(tmp_path: Path, code: str) -> None:
    (row,) = read_rows(write_csv(tmp_path / "a.csv", table(["210802", code, "合计", "5211", 5, 4])))
    assert row.data["name"] == "合计"


@pytest.mark.parametrize(
    "row",
    [
        ["-", "", "营口某某商贸有限公司", "5211", 5, 4],
        ["1、站前区", "", "营口某某商贸有限公司", "5211", 5, 4],
        ["210802", "", "1.营口某某商贸有限公司", "5211", 5, 4],
        ["", "", "", "", 5, 4],
    ],
)
def test_a_row_with_figures_is_never_passed_over_for_how_it_begins(
    tmp_path: Path, row: list[str | int]
) -> None:
    (found,) = read_rows(write_csv(tmp_path / "a.csv", table(row)))
    assert found.data["figures"]["retail_sales"] == {"current": "5", "prior_year": "4"}


@pytest.mark.parametrize("title", ["填报单位：营口金元大酒店", "单位：户", "编制单位：营口市统计局 元旦"])
def test_a_name_in_a_title_is_no_unit(tmp_path: Path, title: str) -> None:
    path = write_csv(tmp_path / "a.csv", [[title, "", "", "", "", ""], *table([*SHOP, 5, 4])])
    assert len(read_rows(path)) == 1


def test_apostrophes_and_spaces_around_values_are_removed(tmp_path: Path) -> None:
    row = [" '210802", f"'{CODE} ", "\u3000营口 某某 ", "5211\u00a0", " 5 ", "'4"]
    (found,) = read_rows(write_csv(tmp_path / "a.csv", table(row)))
    assert (found.data["region_code"], found.data["uscc"]) == ("210802", CODE)
    assert found.data["name"] == "营口 某某"
    assert found.data["figures"]["retail_sales"] == {"current": "5", "prior_year": "4"}
    assert found.cells["uscc"].text == f"'{CODE} "


def test_a_code_kept_as_text_by_a_formula_is_read_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'{",".join(TRADE)}\n210802,="{CODE}",营口某某,5211,5,4\n', encoding="utf-8")
    (row,) = read_rows(path)
    assert row.data["uscc"] == row.cells["uscc"].text == CODE


@pytest.mark.parametrize("text", ["12,34", "1.2E+15", "约500", "#REF!", "=1+1"])
def test_what_is_no_amount_reaches_the_validator_with_its_cell(tmp_path: Path, text: str) -> None:
    (row,) = read_rows(write_csv(tmp_path / "a.csv", table([*SHOP, text, 4])))
    assert row.data["figures"]["retail_sales"]["current"] == text
    assert row.cells["figures.retail_sales.current"].text == text


def test_headings_made_by_hand_name_the_period_and_the_year_before(tmp_path: Path) -> None:
    headings = [*BASE, "2024年3月零售额", "2023年3月零售额", "2024年1-3月零售额", "2022年3月零售额"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4, 15, 1], headings=headings))
    (row,) = read_rows(path, period=None)
    assert row.data["period"] == "2024-03"
    assert row.data["figures"]["retail_sales"] == {"current": "5", "prior_year": "4", "current_ytd": "15"}


def test_january_and_february_in_a_heading_are_the_month_of_their_period(tmp_path: Path) -> None:
    headings = [*BASE, "2024年1-2月零售额", "2023年1-2月零售额"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4], headings=headings))
    (row,) = read_rows(path, period=None)
    assert row.data["period"] == "2024-01~02"
    assert row.data["figures"]["retail_sales"] == {"current": "5", "prior_year": "4"}


def test_a_unit_inside_a_heading_that_agrees_is_no_problem(tmp_path: Path) -> None:
    headings = [*BASE, "2024年;3月;商品零售额;千元", "2023年;3月;商品零售额;千元"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4], headings=headings))
    assert figures(path) == {"current": "5", "prior_year": "4"}


@pytest.mark.parametrize("unit", ["万元", "元", "亿元"])
def test_a_unit_in_a_heading_that_contradicts_the_one_asked_for_is_a_problem(
    tmp_path: Path, unit: str
) -> None:
    headings = [*BASE, f"零售额({unit})", "上年同期零售额"]
    rows, (problem,) = read(write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4], headings=headings)))
    assert rows == []
    assert (problem.code, problem.row, problem.column) == ("unit-differs", 1, "E")
    assert f"单位为{unit}" in problem.message
    assert "千元" in problem.message


def test_a_unit_in_a_title_that_contradicts_the_one_asked_for_is_a_problem(tmp_path: Path) -> None:
    rows = [["单位:千元"], *table([*SHOP, 5, 4])]
    found, problems = read(write_csv(tmp_path / "a.csv", rows), unit="wanyuan")
    assert found == []
    assert codes(problems) == ["unit-differs"]
    assert read_rows(write_csv(tmp_path / "b.csv", rows), unit="qianyuan")


def test_amounts_stay_in_the_unit_of_the_file(tmp_path: Path) -> None:
    assert figures(write_csv(tmp_path / "a.csv", table([*SHOP, "12.3456", 4])), unit="wanyuan") == {
        "current": "12.3456",
        "prior_year": "4",
    }


def test_a_comma_without_quotation_marks_does_not_move_figures_into_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{','.join(TRADE)}\n210802,{CODE},营口某某,5211,1,234,567\n", encoding="utf-8")
    rows, (problem,) = read(path)
    assert rows == []
    assert (problem.code, problem.row) == ("columns-differ", 2)


def test_empty_cells_beyond_the_header_are_no_problem_and_missing_ones_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        f"{','.join(TRADE)}\n210802,{CODE},营口,5211,5,4,,\n210802,{CODE},营口,5211,5\n", encoding="utf-8"
    )
    (row,), (problem,) = read(path)
    assert row.data["figures"]["retail_sales"]["prior_year"] == "4"
    assert (problem.code, problem.row) == ("columns-differ", 3)
    assert "只有5列，表头有6列" in problem.message
