"""What the reader of rows says of values that a clerk has typed."""

from typing import Any

import pytest

from app.use_cases.filing.deciding import duplicate_rows
from app.use_cases.filing.rows import Draft, RowReader

ROW: dict[str, Any] = {
    "form": "E204-1",
    "uscc": "91210802MA0010002C",
    "name": "示例商贸有限公司",
    "region_code": "210802",
    "industry_code": "5211",
    "period": "2024-03",
    "in_database": True,
    "figures": {"retail_sales": {"current": "1", "prior_year": "1"}},
}
READER = RowReader(unit="qianyuan", stage="final", source=None)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("uscc", "91210802\u041cA0010002C", "第9位“\u041c”不是英文字母，只是形状相同。"),
        ("uscc", "912108021234567000", "代码作为数字填入Excel时只保留15位，末尾几位变成0："),
        ("in_database", "√", "“当月在库”应填“是”或“否”"),
        ("figures", {"retail_sales": {"current": "123456①", "prior_year": "1"}}, "123456①"),
        ("figures", {"retail_sales": {"current": "33.3333333333333", "prior_year": "1"}}, "不足一分"),
    ],
)
def test_a_value_is_refused_with_what_to_do(field: str, value: object, message: str) -> None:
    problems = READER.read(0, {**ROW, field: value})
    assert isinstance(problems, list)
    assert message in problems[0].message
    assert len(problems) == 1


def draft(row: int, sheet: str | None, number: int) -> Draft:
    source = {} if sheet is None else {"source_row": {"sheet": sheet, "row": number}}
    made = READER.read(row, {**ROW, **source})
    assert isinstance(made, Draft)
    return made


def test_a_row_that_stands_on_another_sheet_already_is_refused_with_the_name_of_that_sheet() -> None:
    (elsewhere,) = duplicate_rows([draft(0, "批发", 3), draft(1, "零售", 2)])
    assert elsewhere.message.startswith("与工作表“批发”第3行重复：")
    (here,) = duplicate_rows([draft(0, "批发", 3), draft(1, "批发", 7)])
    assert here.message.startswith("与第3行重复：")
