"""The scenarios of `tests/cases/scenarios.md`, as far as they are about the domain alone."""

from domain.events import Return
from tests.builders import WANYUAN, Enterprise, catering, outcome_of, trade

FIRST_HALF = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")


def test_month_close_of_six_enterprises() -> None:
    registered: dict[str, Return] = {
        "甲": trade(123_456, 100_000),
        "乙": catering(5_300, 2_000),
        "丙": trade(107_900, 100_000),
        "丁": trade(110_000, None),
        "戊": trade(108_001, 100_000),
        "己": trade(250_000, 100_000),
    }
    outcomes = {name: outcome_of(returned) for name, returned in registered.items()}
    amounts = {name: outcome.assessed_fen // WANYUAN for name, outcome in outcomes.items()}
    assert amounts == {"甲": 10, "乙": 6, "丙": 0, "丁": 0, "戊": 0, "己": 50}
    assert outcomes["乙"].open_fen == 4 * WANYUAN
    assert [name for name, outcome in outcomes.items() if outcome.status == "undetermined"] == ["丁"]
    assert outcomes["己"].rule_fen == 75 * WANYUAN
    assert sum(amounts.values()) == 66


def test_filing_before_and_after_publication_gives_the_same_amounts() -> None:
    drafts = [trade(150_000 + 10_000 * n, 100_000, period=period) for n, period in enumerate(FIRST_HALF)]
    published_before, published_after = Enterprise(), Enterprise()
    published_before.file(*drafts)
    for draft in drafts:
        published_after.returns.file(draft)
    published_after.reassess()
    assert published_after.outcomes() == published_before.outcomes()


def test_a_correction_after_the_public_list_moves_the_amounts_of_later_months() -> None:
    enterprise = Enterprise()
    enterprise.file(*(trade(200_000, 100_000, period=period) for period in FIRST_HALF))
    assert list(enterprise.amounts().values()) == [50, 50, 50, 50, 0]
    enterprise.file(trade(107_000, 100_000, period="2024-03", reason="企业改报", origin="enterprise"))
    assert list(enterprise.amounts().values()) == [50, 0, 50, 50, 50]
    enterprise.file(trade(109_000, 100_000, period="2024-04", reason="企业改报", origin="enterprise"))
    assert list(enterprise.amounts().values()) == [50, 0, 0, 50, 50]
    assert enterprise.accounts["2024H1"].assessed_fen == 150 * WANYUAN


def test_a_base_filled_in_later_earns_then() -> None:
    enterprise = Enterprise()
    enterprise.file(trade(75_000, None, period="2024-05"), trade(80_000, 0, period="2024-06"))
    assert {outcome.status for outcome in enterprise.outcomes().values()} == {"undetermined"}
    enterprise.file(trade(75_000, 60_000, period="2024-05", reason="补报上年同期数", origin="enterprise"))
    assert enterprise.amounts() == {"2024-05": 5, "2024-06": 0}


def test_months_earned_stay_when_an_enterprise_leaves_the_database() -> None:
    enterprise = Enterprise()
    enterprise.file(trade(150_000, 100_000, period="2024-07"))
    enterprise.file(trade(300_000, 100_000, period="2024-08", in_database=False))
    assert enterprise.amounts("2024H2") == {"2024-07": 25, "2024-08": 0}
    assert enterprise.outcomes("2024H2")["2024-08"].status == "not-eligible"


def test_a_hotel_with_both_forms_is_paid_the_higher_of_each_month() -> None:
    forms = {"industry_code": "5211"}
    july = outcome_of(trade(130_000, 100_000, **forms), catering(7_000, 2_000))
    august = outcome_of(trade(112_000, 100_000, **forms), catering(7_000, 2_000))
    assert (july.measure, july.assessed_fen) == ("retail-growth", 15 * WANYUAN)
    assert (august.measure, august.assessed_fen, august.open_fen) == (
        "catering-increment",
        10 * WANYUAN,
        8 * WANYUAN,
    )
