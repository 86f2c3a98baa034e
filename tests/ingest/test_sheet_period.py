"""Which period the rows of a file are of."""

from pathlib import Path

import pytest

from tests.ingest.files import BASE, SHOP, TRADE, codes, read, read_rows, table, write_csv, write_xlsx


def periods(path: Path, *, period: str | None) -> list[str]:
    return [row.data["period"] for row in read_rows(path, period=period)]


@pytest.mark.parametrize(
    ("asked", "normal"),
    [
        ("2024-03", "2024-03"),
        ("2024年3月", "2024-03"),
        ("2024年1—2月", "2024-01~02"),
        ("2024-01~02", "2024-01~02"),
    ],
)
def test_the_period_that_was_asked_for_is_that_of_every_row(tmp_path: Path, asked: str, normal: str) -> None:
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4], [*SHOP, 5, 4]))
    assert periods(path, period=asked) == [normal, normal]


@pytest.mark.parametrize(
    ("name", "period"),
    [("2024-03 E204-1.csv", "2024-03"), ("营口2024年12月.csv", "2024-12"), ("2024年1—2月.csv", "2024-01~02")],
)
def test_the_name_of_the_file_says_the_period(tmp_path: Path, name: str, period: str) -> None:
    assert periods(write_csv(tmp_path / name, table([*SHOP, 5, 4])), period=None) == [period]


def test_a_title_says_the_period(tmp_path: Path) -> None:
    rows = [["营口市2024年3月限额以上批发和零售业"], *table([*SHOP, 5, 4])]
    assert periods(write_csv(tmp_path / "a.csv", rows), period=None) == ["2024-03"]


def test_the_name_of_a_sheet_says_its_period(tmp_path: Path) -> None:
    sheets = {"2024年3月": table([*SHOP, 5, 4]), "2024年4月": table([*SHOP, 6, 4])}
    assert periods(write_xlsx(tmp_path / "a.xlsx", sheets), period=None) == ["2024-03", "2024-04"]


def test_a_title_that_compares_with_the_year_before_does_not_hide_the_period_of_the_name(
    tmp_path: Path,
) -> None:
    rows = [["2024年3月与2023年3月对比"], *table([*SHOP, 5, 4])]
    assert periods(write_csv(tmp_path / "2024-03.csv", rows), period=None) == ["2024-03"]


def test_each_row_may_name_its_own_period(tmp_path: Path) -> None:
    rows = table(
        *(
            [*SHOP, 5, 4, text]
            for text in ("2024年3月", "2024-04", "2024年1—2月", "三月", "202405", "2024年1月")
        ),
        headings=[*TRADE, "所属期"],
    )
    path = write_csv(tmp_path / "2024-12.csv", rows)
    assert periods(path, period=None) == ["2024-03", "2024-04", "2024-01~02", "三月", "2024-05", "2024-01"]
    assert read_rows(path, period=None)[3].cells["period"].text == "三月"


def test_a_row_that_leaves_its_period_blank_has_that_of_the_sheet(tmp_path: Path) -> None:
    rows = table([*SHOP, 5, 4, ""], headings=[*TRADE, "所属期"])
    assert periods(write_csv(tmp_path / "2024-03.csv", rows), period=None) == ["2024-03"]
    assert periods(write_csv(tmp_path / "a.csv", rows), period="2024-04") == ["2024-04"]
    assert periods(write_csv(tmp_path / "b.csv", rows), period=None) == [""]


def test_a_period_that_nothing_says_is_a_problem_that_names_the_option(tmp_path: Path) -> None:
    rows, (problem,) = read(write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4])), period=None)
    assert rows == []
    assert problem.code == "period-missing"
    assert "--period" in problem.message


@pytest.mark.parametrize("where", ["name", "title", "sheet", "heading"])
def test_a_period_that_contradicts_the_one_asked_for_is_a_problem(tmp_path: Path, where: str) -> None:
    other_month = "2024年4月"
    headings = [*BASE, f"{other_month}零售额", "2023年4月零售额"] if where == "heading" else TRADE
    title = [[f"营口市{other_month}"]] if where == "title" else []
    name = f"{other_month}.xlsx" if where == "name" else "a.xlsx"
    sheet = other_month if where == "sheet" else "零售"
    path = write_xlsx(tmp_path / name, {sheet: [*title, *table([*SHOP, 5, 4], headings=headings)]})
    rows, (problem,) = read(path, period="2024-03")
    assert rows == []
    assert problem.code == "period-differs"
    assert "2024年3月" in problem.message
    assert other_month in problem.message


def test_a_name_and_a_title_that_contradict_each_other_are_a_problem(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "2024-03.csv", [["2024年4月"], *table([*SHOP, 5, 4])])
    rows, (problem,) = read(path, period=None)
    assert rows == []
    assert problem.code == "period-differs"
    assert "文件名为2024年3月" in problem.message
    assert "标题为2024年4月" in problem.message


def test_rows_of_another_period_than_the_one_asked_for_are_reported_once(tmp_path: Path) -> None:
    rows = table(*([*SHOP, 5, 4, "2024-04"] for _ in range(3)), headings=[*TRADE, "所属期"])
    found, (problem,) = read(write_csv(tmp_path / "a.csv", rows), period="2024-03")
    assert [row.data["period"] for row in found] == ["2024-04"] * 3
    assert (problem.code, problem.row, problem.column, problem.text) == ("period-differs", 2, "G", "2024-04")


def test_a_report_named_february_is_that_of_january_and_february(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "2024年2月.csv", table([*SHOP, 5, 4]))
    assert periods(path, period="2024-01~02") == ["2024-01~02"]


def test_figures_of_february_alone_are_not_those_of_january_and_february(tmp_path: Path) -> None:
    headings = [*BASE, "2024年2月零售额", "2023年2月零售额"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4], headings=headings))
    rows, problems = read(path, period="2024-01~02")
    assert rows == []
    assert codes(problems) == ["period-differs"]


def test_two_months_side_by_side_are_not_one_period(tmp_path: Path) -> None:
    headings = [*BASE, "2024年3月零售额", "2024年4月零售额", "2023年3月零售额"]
    rows, problems = read(
        write_csv(tmp_path / "a.csv", table([*SHOP, 5, 6, 4], headings=headings)), period=None
    )
    assert rows == []
    assert set(codes(problems)) == {"period-differs", "heading-twice"}


def test_a_heading_that_names_only_the_year_before_contradicts_nothing(tmp_path: Path) -> None:
    headings = [*BASE, "零售额;本年-本月", "2023年3月零售额"]
    path = write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4], headings=headings))
    (row,) = read_rows(path, period="2024-03")
    assert row.data["figures"]["retail_sales"] == {"current": "5", "prior_year": "4"}


@pytest.mark.parametrize("asked", ["三月", "2024-13", "2024年1月", "2024-02"])
def test_a_period_that_the_survey_does_not_have_cannot_be_asked_for(tmp_path: Path, asked: str) -> None:
    rows, (problem,) = read(write_csv(tmp_path / "a.csv", table([*SHOP, 5, 4])), period=asked)
    assert rows == []
    assert problem.code == "period-invalid"
    assert "2024年1—2月" in problem.message
