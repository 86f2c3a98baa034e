import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.periods import in_chinese, is_surveyed, month_period, normal_period, periods_within
from tests.ingest.files import full_width


@pytest.mark.parametrize(
    "written",
    [
        "2024-03",
        "2024年3月",
        "2024年03月",
        " 2024 年 3 月份 ",
        full_width("2024年3月"),
        "2024/3",
        "2024.03",
        "202403",
        "2024-03-01",
        "2024-03-01 00:00:00",
        "2024/3/1",
    ],
)
def test_a_month_has_one_form_however_it_is_written(written: str) -> None:
    assert normal_period(written) == "2024-03"


@pytest.mark.parametrize(
    "written",
    [
        "2024-01~02",
        "2024年1—2月",
        "2024年1-2月",
        "2024年1–2月",
        full_width("2024年1-2月"),
        full_width("2024年1~2月"),
        "2024年1月-2月",
        "2024年01-02月",
        "2024年1至2月",
        "2024年1、2月",
    ],
)
def test_january_and_february_together_have_one_form(written: str) -> None:
    assert normal_period(written) == "2024-01~02"


@pytest.mark.parametrize(
    "text", ["2024年1—3月", "2024年13月", "2024-00", "三月", "2024", "2024-03-15", "2024-01-02"]
)
def test_what_is_no_period_is_passed_on_for_the_validator(text: str) -> None:
    assert normal_period(text) == text


def test_january_alone_is_written_as_a_month_and_is_none_of_the_survey() -> None:
    assert normal_period("2024年1月") == "2024-01"
    assert not is_surveyed("2024-01")
    assert not is_surveyed("2024-02")


def test_the_survey_has_eleven_periods_a_year() -> None:
    months = [month_period(2024, month) for month in range(1, 13)]
    assert [month for month in ["2024-01~02", *months] if is_surveyed(month)] == ["2024-01~02", *months[2:]]


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("2024-03 E204-1.xlsx", {"2024-03"}),
        ("营口市2024年3月限上企业.csv", {"2024-03"}),
        ("2024年1—2月批发零售", {"2024-01~02"}),
        ("2024年1-2月", {"2024-01~02"}),
        ("2024-01~02.csv", {"2024-01~02"}),
        ("2024 年 12 月", {"2024-12"}),
        ("2024年3月(2024年4月10日导出)", {"2024-03"}),
        ("2024年3月_2024-04-10", {"2024-03"}),
        ("零售额-2024年4月", {"2024-04"}),
        ("2024年3月与2023年3月对比", {"2024-03", "2023-03"}),
        ("2024年1—3月", set()),
        ("2024年1月-3月", set()),
        ("2024年度", set()),
        ("E204-1 20240410", set()),
        ("12024-03", set()),
    ],
)
def test_the_periods_in_running_text_are_months_and_not_days_or_spans(text: str, periods: set[str]) -> None:
    assert periods_within(text) == periods


def test_a_period_is_shown_in_the_words_of_the_glossary() -> None:
    assert [in_chinese(text) for text in ("2024-03", "2024-01~02", "三月")] == [
        "2024年3月",
        "2024年1—2月",
        "三月",
    ]


@given(st.integers(2000, 2099), st.integers(1, 12))
def test_a_period_shown_is_read_back(year: int, month: int) -> None:
    period = month_period(year, month)
    assert normal_period(in_chinese(period)) == period
    assert periods_within(f"营口市{in_chinese(period)}汇总") == {period}


@given(st.text())
def test_any_text_can_be_asked_for_its_period(text: str) -> None:
    assert normal_period(normal_period(text)) == normal_period(text)
    assert all(len(period) in {7, 10} for period in periods_within(text))
