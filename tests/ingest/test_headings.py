import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.headings import FigureHeading, find_field, is_not_needed, is_recognised, parse_figure
from app.ingest.units import unit_code, units_within
from tests.ingest.files import full_width


def figure(item: str, **parts: object) -> FigureHeading:
    known = {"prior": False, "year": None, "month": None, "cumulative": False, "unit": None}
    return FigureHeading(item=item, **{**known, **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("处理地编码", "region_code"),
        ("处理地代码", "region_code"),
        (" 统一社会信用代码 ", "uscc"),
        ("*统一社会信用代码", "uscc"),
        ("统一社会\n信用代码", "uscc"),
        ("单位详细名称", "name"),
        ("[201-1] 行业代码(GB/T4754-2017)", "industry_code"),
        (full_width("[201-1] 行业代码(GB/T4754—2017)"), "industry_code"),
        ("所属期", "period"),
        ("当月在库", "in_database"),
        ("更正原因", "reason"),
        ("更正来源", "origin"),
        ("依据文号", "document"),
        ("校验例外理由", "uscc_override"),
        ("单位规模", None),
        ("零售额;本年-本月", None),
    ],
)
def test_a_field_is_known_by_its_heading(heading: str, field: str | None) -> None:
    assert find_field(heading) == field


@pytest.mark.parametrize("dash", "-\u2013\u2014\u2015\uff0d")
@pytest.mark.parametrize("semicolon", ";\uff1b")
def test_headings_of_the_platform_are_read_with_any_dash_and_semicolon(dash: str, semicolon: str) -> None:
    assert parse_figure(f"零售额{semicolon}本年{dash}本月") == figure("零售额")
    assert parse_figure(f"零售额{semicolon}上年{dash}本月") == figure("零售额", prior=True)
    assert parse_figure(f"餐费收入{semicolon}本年{dash}1{dash}本月") == figure("餐费收入", cumulative=True)
    assert parse_figure(f"营业额{semicolon}上年{dash}1{dash}本月") == figure(
        "营业额", prior=True, cumulative=True
    )
    assert parse_figure(f"客房收入{semicolon}上年同期{dash}本月") == figure("客房收入", prior=True)


@pytest.mark.parametrize(
    ("heading", "meaning"),
    [
        ("2024年3月零售额", figure("零售额", prior=None, year=2024, month=3)),
        ("2024年;3月;商品零售额;千元", figure("零售额", prior=None, year=2024, month=3, unit="千元")),
        ("2024年1-3月零售额", figure("零售额", prior=None, year=2024, month=3, cumulative=True)),
        ("2024年3月累计零售额", figure("零售额", prior=None, year=2024, month=3, cumulative=True)),
        ("零售额(万元)", figure("零售额", unit="万元")),
        (full_width("零售额(万元)"), figure("零售额", unit="万元")),
        (full_width("2024年;3月;零售额"), figure("零售额", prior=None, year=2024, month=3)),
        ("零售额;本年-本月(千元)", figure("零售额", unit="千元")),
        ("上年同期零售额", figure("零售额", prior=True)),
        ("其中:零售额;本年-本月", figure("零售额")),
        ("1—本月商品销售额", figure("商品销售额", cumulative=True)),
        ("通过公共网络实现的零售额;本年-本月", figure("网上零售额")),
    ],
)
def test_headings_made_by_hand_are_read_word_by_word(heading: str, meaning: FigureHeading) -> None:
    assert parse_figure(heading) == meaning


@pytest.mark.parametrize(
    "heading",
    [
        "零售额增速(%)",
        "零售额;同比增长",
        "2024年零售额",
        "上年零售额",
        "本年零售额",
        "零售额零售额",
        "本年;上年;零售额;本月",
        "2024年3月",
        "千元",
        "零售面积;本年-本月",
        "",
    ],
)
def test_a_heading_with_another_word_or_of_a_whole_year_is_not_known(heading: str) -> None:
    assert parse_figure(heading) is None


def test_known_headings_that_the_ledger_does_not_keep_are_distinguished() -> None:
    assert is_not_needed("单位规模")
    assert not is_not_needed("从业人员")


@given(st.text(), st.sampled_from(["零售额", "餐费收入", "营业额"]))
def test_no_word_can_be_added_to_a_heading_without_it_becoming_another(text: str, item: str) -> None:
    read = parse_figure(f"{item}{text}增速")
    assert read is None
    assert not is_recognised(f"{item}增速{text}")


@pytest.mark.parametrize(("name", "code"), [("元", "yuan"), ("千元", "qianyuan"), (" 万元 ", "wanyuan")])
def test_a_unit_is_named_in_chinese(name: str, code: str) -> None:
    assert unit_code(name) == code


@pytest.mark.parametrize("name", ["亿元", "qianyuan", "", "美元"])
def test_another_unit_is_refused_with_those_that_may_be_used(name: str) -> None:
    with pytest.raises(ValueError, match="元、千元或万元"):
        unit_code(name)


@pytest.mark.parametrize(
    ("title", "units"),
    [
        ("单位:千元", {"千元"}),
        ("计量单位: 万元、%", {"万元"}),
        ("零售额情况(亿元)", {"亿元"}),
        ("单位负责人", set()),
    ],
)
def test_the_unit_of_a_title_is_found(title: str, units: set[str]) -> None:
    assert units_within(title) == units
