"""The eleven periods of the survey, and the two half-years."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.periods import Per, Period, PeriodError, Window, period_of
from tests.oracle import PERIODS_OF_WINDOW

OF_2024 = [*PERIODS_OF_WINDOW["2024H1"], *PERIODS_OF_WINDOW["2024H2"]]


def test_a_year_has_eleven_periods_in_order_of_time() -> None:
    periods = [Period.parse(text) for text in OF_2024]
    assert len(periods) == 11
    assert all(earlier < later for earlier, later in itertools.pairwise(periods))
    assert Period.parse("2023-12") < periods[0]
    assert periods[-1] < Period.parse("2025-01~02")


@pytest.mark.parametrize("text", OF_2024)
def test_a_period_is_written_as_it_is_read(text: str) -> None:
    assert str(Period.parse(text)) == text
    assert period_of(text) == Period.parse(text)


@pytest.mark.parametrize(("window", "periods"), PERIODS_OF_WINDOW.items())
def test_every_period_is_counted_in_its_half_year(window: str, periods: tuple[str, ...]) -> None:
    assert {str(Window.around("half-year", Period.parse(text))) for text in periods} == {window}


def test_the_periods_before_lead_back_to_the_first_of_the_year() -> None:
    for earlier, later in itertools.pairwise(OF_2024):
        assert Period.parse(later).previous == Period.parse(earlier)
    assert Period.parse("2024-01~02").previous is None


def test_the_year_before_has_the_same_months() -> None:
    assert str(Period.parse("2024-01~02").year_before) == "2023-01~02"
    assert str(Period.parse("2024-12").year_before) == "2023-12"


def test_two_different_periods_of_the_survey_share_no_month() -> None:
    periods = [Period.parse(text) for text in (*OF_2024, "2023-03", "2025-01~02")]
    for one, other in itertools.product(periods, repeat=2):
        assert one.overlaps(other) == (one == other)


def test_periods_that_share_a_month_overlap() -> None:
    quarter, march, april = Period(2024, 1, 3), Period(2024, 3, 3), Period(2024, 4, 4)
    assert quarter.overlaps(march)
    assert march.overlaps(quarter)
    assert not quarter.overlaps(april)
    assert not april.overlaps(quarter)
    assert not quarter.overlaps(Period(2023, 1, 3))


def test_an_official_writes_periods_in_chinese() -> None:
    assert Period.parse("2024-03").chinese == "2024年3月"
    assert Period.parse("2024-12").chinese == "2024年12月"
    assert Period.parse("2024-01~02").chinese == "2024年1—2月"
    assert Window.parse("2024H1").chinese == "2024年上半年"
    assert Window.parse("2024H2").chinese == "2024年下半年"


@pytest.mark.parametrize("text", ["2024-01", "2024-02", "2031-02"])
def test_january_or_february_alone_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(PeriodError, match="1月、2月合并调查") as refusal:
        Period.parse(text)
    assert f"{text[:4]}-01~02" in str(refusal.value)
    assert "不能单独登记" in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "2024-3",
        "2024-00",
        "2024-13",
        "2024-01~03",
        "2024-03~04",
        "2024-02~01",
        "2024-01-02",
        "2024-01—02",
        "2024-03 ",
        " 2024-03",
        "2024-03\n",
        "\uff12\uff10\uff12\uff14-03",
        "1999-03",
        "2100-03",
        "2024H1",
        "24-03",
        "2024-3月",
    ],
)
def test_a_text_that_is_not_a_period_is_refused(text: str) -> None:
    with pytest.raises(PeriodError, match="无法识别。应写作2024年3月"):
        Period.parse(text)


def test_a_refusal_does_not_repeat_a_text_without_end() -> None:
    with pytest.raises(PeriodError) as refusal:
        Period.parse("9" * 100_000)
    assert len(str(refusal.value)) < 200


@given(st.text(max_size=12))
def test_only_the_eleven_periods_of_a_year_are_read(text: str) -> None:
    of_any_year = {text.removeprefix("2024") for text in OF_2024}
    year, rest = text[:4], text[4:]
    is_period = rest in of_any_year and year.isascii() and year.isdigit() and year.startswith("20")
    try:
        assert str(Period.parse(text)) == text
        assert is_period
    except PeriodError:
        assert not is_period


def test_windows_are_ordered_by_time() -> None:
    texts = ["2023H2", "2024-01~02", "2024Q1", "2024H1", "2024", "2024~2025", "2024Q2", "2024H2", "2024-12"]
    windows = [Window.parse(text) for text in texts]
    assert sorted(windows) == windows
    assert [str(window) for window in windows] == texts


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "24",
            "2024H0",
            "2024H3",
            "2024h1",
            "1999H1",
            "2024H1\n",
            "2024Q0",
            "2024Q5",
            "2024-13",
            "2024~",
        ),
        *("2024-01", "2024-02", "2024-02~03"),  # January and February are one period.
        *("2024-01~03", "2024-04~06", "2024-01~06", "2024-01~12", "2024-03~03"),  # These have a shorter form.
        *("2025~2024", "2024~2024", "2024-05~04"),
    ],
)
def test_a_text_that_is_not_a_window_is_refused(text: str) -> None:
    with pytest.raises(PeriodError, match="应写作2024（全年）、2024H1"):
        Window.parse(text)


@pytest.mark.parametrize(
    ("text", "chinese", "periods", "end"),
    [
        ("2024", "2024年", OF_2024, (2025, 1)),
        ("2024Q1", "2024年第一季度", OF_2024[:2], (2024, 4)),
        ("2024Q4", "2024年第四季度", OF_2024[-3:], (2025, 1)),
        ("2024-01~02", "2024年1—2月", OF_2024[:1], (2024, 3)),
        ("2024-01~04", "2024年1—4月", OF_2024[:3], (2024, 5)),
        ("2024-12", "2024年12月", OF_2024[-1:], (2025, 1)),
    ],
)
def test_a_window_says_its_name_its_periods_and_where_it_ends(
    text: str, chinese: str, periods: tuple[str, ...], end: tuple[int, int]
) -> None:
    window = Window.parse(text)
    assert (str(window), window.chinese, window.end) == (text, chinese, end)
    assert [str(period) for period in window.periods] == list(periods)
    assert all(window.holds(period) for period in window.periods)


def test_several_years_are_one_window() -> None:
    window = Window.parse("2024~2026")
    assert (window.chinese, list(window.years), len(window.periods)) == (
        "2024—2026年",
        [2024, 2025, 2026],
        33,
    )
    assert window.includes(Window.parse("2025H2"))
    assert not Window.parse("2025H2").includes(window)
    assert Window.parse("2024~2025").overlaps(Window.parse("2025Q1"))
    assert not Window.parse("2024").overlaps(Window.parse("2025Q1"))


@given(st.sampled_from(OF_2024), st.sampled_from(["month", "quarter", "half-year", "year"]))
def test_the_window_of_a_length_around_a_period_holds_it_and_reads_back(text: str, per: Per) -> None:
    period = Period.parse(text)
    window = Window.around(per, period)
    assert window.holds(period)
    assert Window.parse(str(window)) == window
    months = {"quarter": 3, "half-year": 6, "year": 12}.get(per, period.last_month - period.first_month + 1)
    assert window.last - window.first + 1 == months
