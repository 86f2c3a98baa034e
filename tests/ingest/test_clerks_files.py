"""Files as clerks have them, each with one trap that public bug reports tell of: read right, or refused."""

from pathlib import Path
from typing import Final

import pytest

from tests.ingest.files import codes, read

CLERKS: Final = Path(__file__).parent / "clerks"
FIRST, SECOND = "91210802MA00100107", "91210802MA00100294"

Amounts = tuple[str, str | None, str | None]
"""The code of a row, and its current and prior-year figure of the form's required item."""

READ: Final[dict[str, tuple[Amounts, ...]]] = {
    "05-sparkline-document-number-last-cell.xlsx": ((FIRST, "123456", "100000"),),
    "07-list-from-other-sheet-last-amount.xlsx": (
        (FIRST, "123456", "100000"),
        (SECOND, "110000", "100000"),
    ),
    "09-sparkline-last-amount.xlsx": ((FIRST, "123456", "100000"),),
    "10-list-from-other-sheet-empty-row-with-height.xlsx": ((FIRST, "123456", "100000"),),
    "34-direction-marks-around-code.xlsx": ((FIRST, "123456", "100000"),),
    "36-direction-marks-in-heading.xlsx": ((FIRST, "123456", "100000"),),
    "39-line-break-in-name.xlsx": ((FIRST, "123456", "100000"),),
    "48-row-of-column-letters.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "50-page-number-row.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "51-export-time-row.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "55-total-heji-shu.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "56-total-in-code-column.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "58-section-row.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "59-header-again-with-a-space.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "60-two-csv-joined-with-mark.csv": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "62-part-names-with-backslash.xlsx": ((FIRST, "123456", "100000"), (SECOND, "110000", "100000")),
    "67-dos-end-of-file.csv": ((FIRST, "123456", "100000"),),
    "76-code-in-small-letters.csv": ((FIRST, "1", "1"),),
    "78-codes-as-decimals.csv": ((FIRST, "123456.0", "100000.0"),),
    "79-industry-with-its-letter.csv": ((FIRST, "123456", "100000"),),
}
"""The rows of the files in 千元 for 2024年3月 that are to be read."""

REFUSED: Final = {
    "03-uncalculated-formula-last-cell-page-footer.xlsx": (
        "qianyuan",
        "2024-03",
        "cell-unclear",
        "第2行F列“零售额;上年-本月”：公式没有计算结果。",
    ),
    "12-generated-formula-cached-zero.xlsx": ("qianyuan", "2024-03", "cell-unclear", "公式没有计算结果"),
    "14-shown-in-wan-by-format.xlsx": ("wanyuan", "2024-03", "cell-unclear", "格式把存储的数缩小"),
    "16-title-unit-households-and-wan.xlsx": ("qianyuan", "2024-03", "unit-differs", "标题“单位"),
    "17-title-unit-renminbi-wan.xlsx": ("qianyuan", "2024-03", "unit-differs", "金额单位为万元"),
    "20-sheet-name-wan.xlsx": ("qianyuan", "2024-03", "unit-differs", "工作表名"),
    "21-零售额(万元).xlsx": ("qianyuan", "2024-03", "unit-differs", "文件名"),
    "22-unit-as-a-column.xlsx": ("qianyuan", "2024-03", "unit-differs", "第2行"),
    "23-base-merged-over-two-rows.xlsx": (
        "qianyuan",
        "2024-03",
        "cell-unclear",
        "第3行F列“零售额",
    ),
    "24-code-merged-over-two-months.xlsx": ("qianyuan", None, "cell-unclear", "已并入B2"),
    "26-row-with-a-cell-missing.csv": ("qianyuan", "2024-03", "columns-differ", "第3行：只有6列，表头有7列"),
    "27-base-heading-of-another-month.xlsx": ("qianyuan", "2024-03", "period-differs", "2023年2月零售额"),
    "28-headings-of-february-asked-march.xlsx": ("qianyuan", "2024-03", "period-differs", "2月零售额"),
    "31-sales-of-another-month.xlsx": ("qianyuan", "2024-03", "period-differs", "2024年2月商品销售额"),
    "33-2042年3月 E204-1.csv": ("qianyuan", None, "period-not-begun", "2042年3月尚未开始"),
    "44-october-typed-as-a-number.xlsx": ("qianyuan", None, "period-invalid", "可能是10月"),
    "64-gbk-name-cut-inside-a-character.csv": ("qianyuan", "2024-03", "file-unreadable", "第3行"),
    "65-utf8-name-cut-inside-a-character.csv": ("qianyuan", "2024-03", "file-unreadable", "第3行"),
    "69-mhtml-called-xls.xls": ("qianyuan", "2024-03", "file-unreadable", "另存的网页"),
    "70-xml-2003-called-xls.xls": ("qianyuan", "2024-03", "file-unreadable", "XML电子表格"),
    "71-~$2024年3月.xlsx": ("qianyuan", "2024-03", "file-unreadable", "锁定文件"),
}
"""The unit and the period asked for, the code of the problem, and what its message says."""


def amounts_of(name: str, *, unit: str = "qianyuan", period: str | None = "2024-03") -> list[Amounts]:
    """The amounts of the rows of a file that has no problems."""
    rows, problems = read(CLERKS / name, unit=unit, period=period)
    assert problems == []
    figures = [(row.data["uscc"], row.data["figures"]["retail_sales"]) for row in rows]
    return [(uscc, figure["current"], figure["prior_year"]) for uscc, figure in figures]


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_right(name: str) -> None:
    assert tuple(amounts_of(name)) == READ[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_with_what_is_wrong(name: str) -> None:
    unit, period, code, says = REFUSED[name]
    _, problems = read(CLERKS / name, unit=unit, period=period)
    assert set(codes(problems)) == {code}
    assert says in problems[0].message


@pytest.mark.parametrize(
    ("name", "amounts"),
    [
        ("01-footnote-mark-behind-amount.xlsx", [("123456①", "100000"), ("110000", "100000²")]),
    ],
)
def test_what_is_no_amount_is_passed_on_for_the_validator_to_refuse(
    name: str, amounts: list[tuple[str, str]]
) -> None:
    assert [amount[1:] for amount in amounts_of(name)] == amounts


def test_a_residue_of_binary_numbers_is_no_part_of_an_amount_and_what_is_finer_than_a_fen_is() -> None:
    assert amounts_of("41-binary-residue-of-a-difference.xlsx", unit="wanyuan") == [(FIRST, "1.1", "0.1")]
    assert amounts_of("43-quotient-shown-with-two-decimals.xlsx", unit="wanyuan") == [
        (FIRST, "33.3333333333333", "1235.43199746")
    ]


def test_the_total_of_two_months_is_no_total_of_three() -> None:
    rows, problems = read(CLERKS / "30-cumulative-of-february-in-march.xlsx")
    assert problems == []
    assert [row.data["figures"]["retail_sales"] for row in rows] == [
        {"current": "50000", "prior_year": "45000"}
    ]


@pytest.mark.parametrize("name", ["45-period-as-last-day-of-month.xlsx", "46-E204-1_202403.csv"])
def test_a_month_is_read_however_it_is_written(name: str) -> None:
    rows, problems = read(CLERKS / name, period=None)
    assert problems == []
    assert {row.data["period"] for row in rows} == {"2024-03"}


def test_notes_below_the_rows_are_passed_over() -> None:
    rows, problems = read(CLERKS / "52-second-and-third-note.xlsx", period=None)
    assert (problems, [row.row for row in rows]) == ([], [3])


def test_what_a_cell_says_besides_is_kept_and_what_it_only_wraps_is_not() -> None:
    (row,), _ = read(CLERKS / "05-sparkline-document-number-last-cell.xlsx")
    assert row.data["document"] == "营统函〔2024〕12号"
    (row,), _ = read(CLERKS / "39-line-break-in-name.xlsx")
    assert row.data["name"] == "示例商贸一号有限公司"
    (row,), _ = read(CLERKS / "79-industry-with-its-letter.csv")
    assert (row.data["region_code"], row.data["industry_code"]) == ("210802", "5211")
