"""The sentences of problems and warnings, word for word."""

import pytest

from app.use_cases.filing.deciding import missing_in_correction
from app.use_cases.filing.row_warnings import find_warnings
from app.use_cases.filing.rows import Draft
from app.use_cases.filing.wording import revision_needs_reason
from domain.events import Figure, Origin, Return
from domain.periods import period_of
from domain.returns import AnnualReturns
from tests.builders import QIANYUAN, catering, trade

USCC = "91210802MA0010002C"


def with_cumulative(base: Return, current_ytd: int | None, prior_year_ytd: int | None = None) -> Return:
    """The return with cumulative figures of its item, in 千元."""
    ((item, figure),) = base.figures.items()
    figures = {
        item: Figure(
            current_fen=figure.current_fen,
            prior_year_fen=figure.prior_year_fen,
            current_ytd_fen=None if current_ytd is None else current_ytd * QIANYUAN,
            prior_year_ytd_fen=None if prior_year_ytd is None else prior_year_ytd * QIANYUAN,
        )
    }
    return Return(**{**{name: getattr(base, name) for name in Return.__struct_fields__}, "figures": figures})


def warnings_of(*filed: Return) -> list[str]:
    """The warnings of the last of these returns, registered in this order."""
    returns = AnnualReturns("returns/91210802MA0010002C/2024")
    for registered in filed:
        returns.file(registered)
    return [warning.message for warning in find_warnings(Draft(0, USCC, filed[-1]), returns, None)]


def test_cumulative_figures_that_do_not_add_up_name_item_year_and_unit() -> None:
    november = with_cumulative(trade(37_308, None, period="2024-11"), 37_308)
    december = with_cumulative(trade(39_640, None, period="2024-12"), 412_720)
    assert warnings_of(november, december) == [
        (
            "示例商贸公司2024年12月零售额：上月累计37308千元与本月39640千元之和不等于本月累计412720千元，"
            "相差335772千元，可能含前期调整。"
        )
    ]


def test_of_the_figures_of_a_year_ago_it_is_said_that_they_are() -> None:
    march = with_cumulative(catering(3_500, 2_000), None, 2_000)
    april = with_cumulative(catering(3_500, 2_000, period="2024-04"), None, 4_001)
    assert warnings_of(march, april) == [
        (
            "示例商贸公司2024年4月餐费收入上年同期：上月累计2000千元与本月2000千元之和不等于本月累计4001千元，"
            "相差1千元，可能含前期调整。"
        )
    ]


def test_the_first_period_of_a_year_has_no_month_before_it() -> None:
    first = with_cumulative(trade(110_000, 100_000, period="2024-01~02"), 110_500)
    assert warnings_of(first) == [
        "示例商贸公司2024年1—2月零售额：本期数110000千元与累计数110500千元不一致，相差500千元，请核实以何数为准。"
    ]


@pytest.mark.parametrize(
    ("reason", "origin", "document", "missing"),
    [
        (None, None, None, "更正原因、更正来源"),
        (None, "enterprise", None, "更正原因"),
        (None, "enforcement", None, "更正原因、依据文号"),
        ("核查更正", "enforcement", None, "依据文号"),
        (None, "enforcement", "营统执〔2024〕3号", "更正原因"),
    ],
)
def test_a_correction_names_what_it_lacks(
    reason: str | None, origin: Origin | None, document: str | None, missing: str
) -> None:
    registered = trade(110_000, 100_000, reason=reason, origin=origin, document=document)
    lacks = missing_in_correction(registered)
    assert revision_needs_reason("示例商贸公司", period_of("2024-03"), lacks) == (
        "示例商贸公司2024年3月审定数已登记。更正须填写更正原因和更正来源（企业改报、审核退回、执法认定）；"
        f"执法认定的须填写依据文号。缺少：{missing}。"
    )


def test_an_industry_that_the_form_does_not_cover() -> None:
    assert warnings_of(trade(110_000, 100_000, industry_code="6210")) == [
        "示例商贸公司行业代码6210与E204-1表的统计范围不一致，请核对当月名录。"
    ]
