"""What the statistics bureau registered, and the standing returns."""

import msgspec
import pytest

from domain.errors import LedgerIntegrityError
from domain.events import (
    EntitlementAssessed,
    Figure,
    PolicyPublished,
    PolicyRef,
    RecordRef,
    Return,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    Source,
    returns_stream,
)
from domain.periods import Window
from domain.returns import REVISION_NEEDS_REASON, STAGE_REGRESSES, AnnualReturns, Standing, standing_by_period
from tests.builders import USCC, catering, trade

STREAM = returns_stream(USCC, 2024)
FINAL = trade(110_000, 100_000)
PRELIMINARY = trade(110_000, 100_000, stage="preliminary")
OTHER = {
    "figures": {"retail_sales": Figure(current_fen=1, prior_year_fen=1)},
    "in_database": False,
    "name": "更名后的公司",
    "region_code": "210804",
    "industry_code": "5111",
}


def filed(registered: Return) -> ReturnFiled:
    return ReturnFiled(**{name: getattr(registered, name) for name in Return.__struct_fields__})


def revised(registered: Return) -> ReturnRevised:
    return ReturnRevised(**{name: getattr(registered, name) for name in Return.__struct_fields__})


def withdrawn(registered: Return) -> ReturnWithdrawn:
    return ReturnWithdrawn(form=registered.form, period=registered.period, reason="登记有误")


def changed(registered: Return, **changes: object) -> Return:
    return msgspec.structs.replace(registered, **changes)


def test_a_first_return_is_filed_with_all_that_it_says() -> None:
    draft = trade(
        110_000,
        100_000,
        source=Source("3月.xlsx", "ab" * 32, "批发", 12),
        reported_at="2024-04-10T08:00:00+08:00",
        reason="补报",
        origin="enterprise",
        document="营统〔2024〕3号",
        uscc_override="登记机关所发早期代码",
    )
    assert AnnualReturns(STREAM).file(draft) == filed(draft)


def test_a_standing_return_names_the_version_that_recorded_it() -> None:
    returns = AnnualReturns(STREAM)
    returns.file(FINAL)
    returns.file(catering(4_000, 2_000))
    returns.file(changed(FINAL, in_database=False, reason="退库"))
    assert returns.standing["E204-1", "2024-03"].record == RecordRef(STREAM, 3)
    assert returns.standing["S204-1", "2024-03"].record == RecordRef(STREAM, 2)
    assert returns.version == 3


@pytest.mark.parametrize("field", ["name", "region_code"])
def test_a_name_or_region_changes_without_a_reason(field: str) -> None:
    returns = AnnualReturns(STREAM, [filed(FINAL)])
    draft = changed(FINAL, **{field: OTHER[field]})
    assert returns.file(draft) == revised(draft)


@pytest.mark.parametrize("field", sorted(OTHER.keys() - {"name", "region_code"}))
def test_a_change_of_any_other_fact_over_a_final_return_needs_a_reason(field: str) -> None:
    returns = AnnualReturns(STREAM, [filed(FINAL)])
    draft = changed(FINAL, **{field: OTHER[field]})
    assert returns.file(draft) == REVISION_NEEDS_REASON
    assert returns.standing["E204-1", "2024-03"].registered == filed(FINAL)
    with_reason = changed(draft, reason="企业改报")
    assert returns.file(with_reason) == revised(with_reason)


@pytest.mark.parametrize("field", OTHER)
def test_a_change_of_any_fact_over_a_preliminary_return_needs_none(field: str) -> None:
    draft = changed(PRELIMINARY, **{field: OTHER[field]})
    assert AnnualReturns(STREAM, [filed(PRELIMINARY)]).file(draft) == revised(draft)


@pytest.mark.parametrize("registered", [FINAL, PRELIMINARY])
@pytest.mark.parametrize(
    "provenance",
    [
        {"source": Source("again.xlsx")},
        {"reported_at": "2024-05-01T00:00:00Z"},
        {"reason": "重复登记"},
        {"origin": "enterprise"},
        {"document": "营统〔2024〕3号"},
        {"uscc_override": "早期代码"},
    ],
    ids=str,
)
def test_another_provenance_alone_changes_nothing(registered: Return, provenance: dict[str, object]) -> None:
    returns = AnnualReturns(STREAM, [filed(registered)])
    assert returns.file(changed(registered, **provenance)) is None
    assert returns.version == 1


def test_a_preliminary_return_becomes_final_without_a_reason() -> None:
    assert AnnualReturns(STREAM, [filed(PRELIMINARY)]).file(FINAL) == revised(FINAL)


def test_a_final_return_never_becomes_preliminary_even_with_a_reason() -> None:
    returns = AnnualReturns(STREAM, [filed(FINAL)])
    assert returns.file(PRELIMINARY) == STAGE_REGRESSES
    assert returns.file(changed(PRELIMINARY, reason="企业改报")) == STAGE_REGRESSES
    assert returns.version == 1


def test_nothing_reported_is_not_zero() -> None:
    returns = AnnualReturns(STREAM, [filed(trade(110_000, None))])
    assert returns.file(trade(110_000, 0)) == REVISION_NEEDS_REASON


def test_a_return_can_be_filed_again_after_its_withdrawal() -> None:
    returns = AnnualReturns(STREAM, [filed(FINAL)])
    event = returns.withdraw(
        form="E204-1", period="2024-03", reason="登记有误", origin="returned", document="营统〔2024〕3号"
    )
    assert event == ReturnWithdrawn(
        form="E204-1", period="2024-03", reason="登记有误", origin="returned", document="营统〔2024〕3号"
    )
    assert returns.standing == {}
    assert returns.file(FINAL) == filed(FINAL)
    assert returns.standing == {("E204-1", "2024-03"): Standing(filed(FINAL), RecordRef(STREAM, 3))}


def test_without_a_standing_return_nothing_can_be_withdrawn() -> None:
    returns = AnnualReturns(STREAM, [filed(FINAL), withdrawn(FINAL)])
    for form, period in (("E204-1", "2024-03"), ("S204-1", "2024-03"), ("E204-1", "2024-04")):
        assert (
            returns.withdraw(form=form, period=period, reason="登记有误", origin=None, document=None) is None
        )
    assert returns.version == 2


def test_a_window_shows_its_periods_in_order_of_time() -> None:
    returns, later = AnnualReturns(STREAM), AnnualReturns(returns_stream(USCC, 2025))
    for period in ("2024-07", "2024-04", "2024-12", "2024-01~02", "2024-06"):
        returns.file(trade(110_000, 100_000, period=period))
    returns.file(catering(4_000, 2_000, period="2024-04"))
    later.file(trade(110_000, 100_000, period="2025-01~02"))

    def periods(window: str) -> list[str]:
        return list(standing_by_period([later, returns], Window.parse(window).holds))

    assert periods("2024H1") == ["2024-01~02", "2024-04", "2024-06"]
    assert periods("2024H2") == ["2024-07", "2024-12"]
    assert periods("2024Q2") == ["2024-04", "2024-06"]
    assert periods("2024~2025") == ["2024-01~02", "2024-04", "2024-06", "2024-07", "2024-12", "2025-01~02"]
    assert periods("2023H1") == []
    assert set(standing_by_period([returns], Window.parse("2024Q2").holds)["2024-04"]) == {"E204-1", "S204-1"}


def test_a_stream_in_which_a_return_is_filed_twice_is_refused() -> None:
    with pytest.raises(LedgerIntegrityError, match="第2版为数据登记，而此前2024-03 E204-1已有登记"):
        AnnualReturns(STREAM, [filed(FINAL), filed(FINAL)])


def test_a_stream_that_revises_no_standing_return_is_refused() -> None:
    with pytest.raises(LedgerIntegrityError, match="第1版为更正登记，而此前2024-03 E204-1没有登记"):
        AnnualReturns(STREAM, [revised(FINAL)])


def test_a_stream_that_withdraws_no_standing_return_is_refused() -> None:
    with pytest.raises(LedgerIntegrityError, match="第3版为撤销登记，而此前2024-03 E204-1没有登记"):
        AnnualReturns(STREAM, [filed(FINAL), withdrawn(FINAL), withdrawn(FINAL)])


@pytest.mark.parametrize(
    "event",
    [
        EntitlementAssessed(period="2024-03", policy=PolicyRef("p", 1, ""), records=(), outcome=None),
        PolicyPublished(policy="p", version=1, sha256="", text="", document={}),
    ],
    ids=lambda event: type(event).__name__,
)
def test_returns_refuse_the_event_of_another_stream(event: EntitlementAssessed | PolicyPublished) -> None:
    with pytest.raises(LedgerIntegrityError, match="不是数据登记的记录"):
        AnnualReturns(STREAM, [event])
