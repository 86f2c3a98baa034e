"""Files as the national platform exports them become rows of POST /v1/returns."""

from pathlib import Path

import pytest

from app.ingest.reader import read_file
from app.ingest.rows import Cell
from tests.ingest.files import (
    BASE,
    CATERING,
    CODE,
    INN,
    SHOP,
    TRADE,
    Sheet,
    codes,
    read,
    read_rows,
    table,
    write_csv,
    write_xlsx,
)

FULL_TRADE = [
    "处理地编码", "统一社会信用代码", "单位详细名称", "[201-1] 行业代码(GB/T4754-2017)", "单位规模",
    "商品销售额;本年-本月", "商品销售额;上年-本月", "商品销售额;本年-1—本月", "商品销售额;上年-1—本月",
    "零售额;本年-本月", "零售额;上年-本月", "零售额;本年-1—本月", "零售额;上年-1—本月",
]  # fmt: skip
BOTH = [
    *BASE,
    "商品销售额;本年-本月",
    "零售额;本年-本月",
    "零售额;上年-本月",
    "营业额;本年-本月",
    "餐费收入;本年-本月",
    "餐费收入;上年-本月",
]


def write(tmp_path: Path, kind: str, rows: Sheet) -> Path:
    if kind == "csv":
        return write_csv(tmp_path / "导出.csv", rows)
    return write_xlsx(tmp_path / "导出.xlsx", {"批发": rows})


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_row_of_the_export_becomes_a_row_of_the_request(tmp_path: Path, kind: str) -> None:
    rows: Sheet = [FULL_TRADE, [*SHOP, "3", 250000, 200000, 760000, 610000, 123456, 100000, 350000, 300000]]
    (row,) = read_rows(write(tmp_path, kind, rows))
    sheet = "" if kind == "csv" else "批发"
    assert (row.sheet, row.row) == (sheet, 2)
    assert row.data == {
        "form": "E204-1",
        "uscc": CODE,
        "name": "营口某某商贸有限公司",
        "region_code": "210802",
        "industry_code": "5211",
        "period": "2024-03",
        "in_database": True,
        "figures": {
            "sales": {
                "current": "250000",
                "prior_year": "200000",
                "current_ytd": "760000",
                "prior_year_ytd": "610000",
            },
            "retail_sales": {
                "current": "123456",
                "prior_year": "100000",
                "current_ytd": "350000",
                "prior_year_ytd": "300000",
            },
        },
        "source_row": {"sheet": sheet, "row": 2},
    }


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_every_field_names_the_cell_that_it_came_from(tmp_path: Path, kind: str) -> None:
    rows: Sheet = [FULL_TRADE, [*SHOP, "3", 250000, 200000, 760000, 610000, 123456, 100000, 350000, 300000]]
    (row,) = read_rows(write(tmp_path, kind, rows))
    assert row.cells["uscc"] == Cell(column="B", heading="统一社会信用代码", text=CODE)
    assert row.cells["industry_code"] == Cell("D", "[201-1] 行业代码(GB/T4754-2017)", "5211")
    assert row.cells["figures.retail_sales.current"] == Cell("J", "零售额;本年-本月", "123456")
    assert row.cells["figures.sales.prior_year_ytd"] == Cell("I", "商品销售额;上年-1—本月", "610000")
    assert "form" not in row.cells
    assert "period" not in row.cells


def test_a_catering_sheet_has_the_items_of_its_form(tmp_path: Path) -> None:
    headings = [
        *CATERING, "营业额;本年-本月", "营业额;上年-本月", "客房收入;本年-本月", "客房收入;上年-本月",
        "商品销售额;本年-本月", "商品销售额;上年-本月",
    ]  # fmt: skip
    path = write_csv(
        tmp_path / "a.csv", table([*INN, 3000, 2000, 9000, 8000, 5000, 4000, 10, 20], headings=headings)
    )
    (row,) = read_rows(path)
    assert row.data["form"] == "S204-1"
    assert row.data["figures"] == {
        "turnover": {"current": "9000", "prior_year": "8000"},
        "room_revenue": {"current": "5000", "prior_year": "4000"},
        "catering_revenue": {"current": "3000", "prior_year": "2000"},
        "goods_sales": {"current": "10", "prior_year": "20"},
    }


def test_an_item_without_a_column_for_last_year_has_none_reported(tmp_path: Path) -> None:
    headings = [*TRADE, "商品销售额;本年-本月"]
    (row,) = read_rows(write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4, 9], headings=headings)))
    assert row.data["figures"]["sales"] == {"current": "9", "prior_year": None}


def test_each_sheet_of_a_workbook_is_read_in_its_order(tmp_path: Path) -> None:
    path = write_xlsx(
        tmp_path / "a.xlsx", {"零售": table([*SHOP, 5, 4]), "餐饮": table([*INN, 3, 2], headings=CATERING)}
    )
    assert [(row.sheet, row.row, row.data["form"]) for row in read_rows(path)] == [
        ("零售", 2, "E204-1"),
        ("餐饮", 2, "S204-1"),
    ]


def test_a_row_of_a_sheet_of_both_forms_is_a_return_for_each_form_that_it_has_figures_of(
    tmp_path: Path,
) -> None:
    path = write_csv(
        tmp_path / "a.csv",
        table(
            [*SHOP, 9, 5, 4, "", "", ""],
            [*INN, "—", "-", "", 30, 3, 2],
            ["210804", "91210804MA0010004B", "营口某某宾馆", "6110", 7, 6, 5, 40, 4, 0],
            headings=BOTH,
        ),
    )
    assert [(row.row, row.data["form"]) for row in read_rows(path)] == [
        (2, "E204-1"),
        (3, "S204-1"),
        (4, "E204-1"),
        (4, "S204-1"),
    ]


def test_sales_of_goods_on_a_sheet_of_both_forms_belong_to_the_trade_form(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table([*INN, 7, 6, 5, 40, 4, 0], headings=BOTH))
    trade, catering = read_rows(path)
    assert trade.data["figures"]["sales"] == {"current": "7", "prior_year": None}
    assert catering.data["figures"] == {
        "turnover": {"current": "40", "prior_year": None},
        "catering_revenue": {"current": "4", "prior_year": "0"},
    }
    assert "figures.sales.current" not in catering.cells


def test_a_row_of_both_forms_without_any_figure_is_of_the_form_of_its_industry(tmp_path: Path) -> None:
    blank = [""] * 6
    path = write_csv(tmp_path / "a.csv", table([*SHOP, *blank], [*INN, *blank], headings=BOTH))
    assert [row.data["form"] for row in read_rows(path)] == ["E204-1", "S204-1"]


def test_a_row_of_both_forms_without_figures_or_a_telling_industry_is_a_problem(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", table([*SHOP[:3], "7211", *[""] * 6], headings=BOTH))
    rows, (problem,) = read(path)
    assert rows == []
    assert (problem.code, problem.row, problem.column, problem.text) == ("form-unclear", 2, "D", "7211")


def test_a_row_without_figures_on_a_sheet_of_one_form_is_still_a_row(tmp_path: Path) -> None:
    (row,) = read_rows(write_csv(tmp_path / "a.csv", table([*SHOP, "", ""])))
    assert row.data["figures"] == {"retail_sales": {"current": None, "prior_year": None}}


def test_optional_columns_are_read_where_they_are_filled(tmp_path: Path) -> None:
    headings = [*TRADE, "当月在库", "更正原因", "更正来源", "依据文号", "校验例外理由"]
    path = write_csv(
        tmp_path / "a.csv",
        table(
            [*SHOP, 5, 4, "是", "填报有误", "企业改报", "营统〔2024〕5号", "早期代码"],
            [*SHOP, 5, 4, "否", "", "审核退回", "", ""],
            [*SHOP, 5, 4, "?", " ", "领导要求", "", ""],
            [*SHOP, 5, 4, "是", "", "执法认定", "", ""],
            headings=headings,
        ),
    )
    first, second, third, fourth = (row.data for row in read_rows(path))
    assert {key: first[key] for key in ("in_database", "reason", "origin", "document", "uscc_override")} == {
        "in_database": True,
        "reason": "填报有误",
        "origin": "enterprise",
        "document": "营统〔2024〕5号",
        "uscc_override": "早期代码",
    }
    assert (second["in_database"], second["origin"]) == (False, "returned")
    assert second.keys().isdisjoint({"reason", "document", "uscc_override"})
    assert (third["in_database"], third["origin"]) == ("?", "领导要求")
    assert fourth["origin"] == "enforcement"


def test_unknown_headings_are_listed_and_known_ones_are_not(tmp_path: Path) -> None:
    headings = [*TRADE, "单位规模", "从业人员", "", "零售额增速(%)"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4, "3", "12", "", "8"], headings=headings))
    source = read_file(path, unit="qianyuan", period="2024-03")
    assert [row.data["uscc"] for row in source.rows() if hasattr(row, "data")] == [CODE]
    assert source.ignored_headings == ("从业人员", "零售额增速(%)")


@pytest.mark.parametrize("missing", [*BASE, "零售额;本年-本月", "零售额;上年-本月"])
def test_a_heading_that_is_required_is_named_when_it_is_missing(tmp_path: Path, missing: str) -> None:
    headings = [*TRADE, "商品销售额;本年-本月", "零售额;本年-1—本月"]
    rows = table(
        [*SHOP, 5, 4, 6, 7], headings=["" if heading == missing else heading for heading in headings]
    )
    found, (problem,) = read(write_csv(tmp_path / "a.csv", rows))
    assert found == []
    assert problem.code == "heading-missing"
    assert missing.removeprefix("[201-1] ").removesuffix("(GB/T4754-2017)") in problem.message


def test_the_problem_of_a_sheet_without_figures_says_what_is_missing(tmp_path: Path) -> None:
    _, (problem,) = read(write_csv(tmp_path / "a.csv", table(SHOP, headings=BASE)))
    assert problem.code == "heading-missing"
    assert "零售额;本年-本月" in problem.message
    assert "餐费收入;本年-本月" in problem.message


def test_a_sheet_with_turnover_alone_lacks_the_item_of_the_policy(tmp_path: Path) -> None:
    headings = [*BASE, "营业额;本年-本月", "营业额;上年-本月"]
    _, problems = read(write_csv(tmp_path / "a.csv", table([*INN, 5, 4], headings=headings)))
    assert codes(problems) == ["heading-missing", "heading-missing"]
    assert "餐费收入;本年-本月" in problems[0].message


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_same_heading_twice_is_a_problem_in_however_many_words(tmp_path: Path, kind: str) -> None:
    rows = table([*SHOP, 5, 4, 6], headings=[*TRADE, "零售额;本年–本月"])
    found, (problem,) = read(write(tmp_path, kind, rows))
    assert found == []
    assert (problem.code, problem.row, problem.column, problem.text) == (
        "heading-twice", 1, "G", "零售额;本年–本月",
    )  # fmt: skip
    assert "E列与G列" in problem.message
