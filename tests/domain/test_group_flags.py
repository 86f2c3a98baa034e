"""The red flags of many returns: just over and just under a threshold, and corrections by actor."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import count
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import Return
from domain.policy.document import Reward
from domain.policy.parts import Amount
from domain.policy.shapes.bands_with_tail import Band, BandsWithTail, Tail
from domain.policy.shapes.per_whole_step import PerWholeStep
from domain.red_flags.group_flags import Clusters, Corrections, over_gate, over_step, stands_out
from domain.red_flags.kinds import THRESHOLDS, RedFlag, Scope
from tests.builders import SHIPPED_TEXT, catering, edited, policy_of, trade
from tests.domain.dossier import WITHOUT_POLICY, Dossier, scope_of
from tests.examples import examples

thorough = settings(max_examples=examples(500), derandomize=True, deadline=None, database=None)
BASE = 100_000
"""千元, so large that growth at the gate of 8% is 8,000 千元: under the first step, so near no gate."""
LARGE = 125_000
"""The smallest base whose increment at the gate is a whole step."""


def city(returns: Iterable[Return], *, region_code: str = "210802", first: int = 1000) -> list[Dossier]:
    """An enterprise for each return."""
    made = []
    for number, registered in zip(count(first), returns):
        made.append(Dossier(number, region_code=region_code))
        made[-1].file(registered)
    return made


def clusters(dossiers: Iterable[Dossier], scope: Scope | None = None) -> list[RedFlag]:
    counter = Clusters(scope or scope_of())
    for dossier in dossiers:
        counter.add(dossier.history)
    return list(counter.flags())


def near_a_step(over: int, under: int) -> list[Return]:
    """Increments of exactly a step, and of one thousand yuan less."""
    return [trade(BASE + 10_000, BASE)] * over + [trade(BASE + 9_999, BASE)] * under


def test_seventeen_of_twenty_just_over_a_step_stand_out_and_are_listed() -> None:
    dossiers = city(near_a_step(17, 3))
    found = clusters(dossiers)
    places = [(flag.period, flag.region_code) for flag in found]
    assert places == [(None, None), (None, "210802"), ("2024-03", None), ("2024-03", "210802")]
    flag = found[-1]
    assert flag.group is not None
    assert (flag.group.measure, flag.group.threshold) == ("retail-growth", "increment")
    assert (flag.group.counted, flag.group.total) == (17, 20)
    assert (flag.group.share_bp, flag.group.expected_bp) == (8_500, 5_000)
    assert [version.uscc for version in flag.evidence] == [version.uscc for version in dossiers[:17]]
    assert flag.sentence == (
        "2024年3月站前区零售增长奖励：同比增量达到计奖临界值、超出不足100万元的17户次，"
        "未达到临界值、相差不超过100万元的3户次，前者占85%，无特殊原因时约占50%，"
        "请了解增量集中在临界值以上的原因。"
    )
    assert found[0].sentence.startswith("2024年上半年零售增长奖励：")


@pytest.mark.parametrize(
    ("over", "under"),
    [
        (16, 4),  # 12 more, and three deviations of 20 are 13.4
        (3, 17),
        (19, 0),  # all of them, and too few
    ],
)
def test_what_chance_explains_does_not_stand_out(over: int, under: int) -> None:
    assert clusters(city(near_a_step(over, under))) == []


def test_growth_just_over_the_gate_stands_out_where_passing_it_earns() -> None:
    over = trade(LARGE * 108 // 100 + 1, LARGE)
    exactly = trade(LARGE * 108 // 100, LARGE)
    found = clusters(city([over] * 17 + [exactly] * 3))
    growth = [flag for flag in found if flag.group is not None and flag.group.threshold == "growth"]
    assert [(flag.period, flag.region_code) for flag in growth] == [
        (None, None),
        (None, "210802"),
        ("2024-03", None),
        ("2024-03", "210802"),
    ]
    assert growth[-1].sentence == (
        "2024年3月站前区零售增长奖励：同比增速高于8%、不高于9%的17户次，不高于8%、高于7%的3户次，"
        "前者占85%，无特殊原因时约占50%，请了解增速集中在8%以上的原因。"
    )


def test_the_growth_of_enterprises_too_small_to_earn_at_the_gate_is_not_counted() -> None:
    small = LARGE - 1
    found = clusters(city([trade(small * 108 // 100 + 1, small)] * 30))
    assert {flag.group.threshold for flag in found if flag.group} == {"increment"}


def test_a_step_of_a_return_that_misses_the_gate_is_not_counted() -> None:
    assert clusters(city([trade(1_010_000, 1_000_000)] * 30)) == []


def test_catering_has_its_own_thresholds_and_no_gate() -> None:
    found = clusters(city([catering(3_099, 2_000)] * 20))
    assert {flag.group.measure for flag in found if flag.group} == {"catering-increment"}
    assert {flag.form for flag in found} == {"S204-1"}
    assert "超出不足10万元的20户次" in found[0].sentence
    assert clusters(city([catering(3_100, 2_000)] * 20)) == []


@pytest.mark.parametrize(
    "changes",
    [{"in_database": False}, {"industry_code": "6210"}],
)
def test_a_return_that_the_measure_does_not_look_at_is_not_counted(changes: dict[str, object]) -> None:
    assert clusters(city([trade(BASE + 10_000, BASE, **changes)] * 30)) == []


@pytest.mark.parametrize("prior_year", [None, 0, -1])
def test_without_a_base_there_is_no_increment_to_count(prior_year: int | None) -> None:
    assert clusters(city([trade(10_000, prior_year)] * 30)) == []


def test_without_a_policy_there_is_no_threshold() -> None:
    assert clusters(city(near_a_step(30, 0)), WITHOUT_POLICY) == []


def test_a_period_that_the_policy_does_not_cover_is_not_counted() -> None:
    from_april = policy_of(edited(SHIPPED_TEXT, ('first: "2024-01~02"', 'first: "2024-04"')))
    assert clusters(city(near_a_step(30, 0)), scope_of(policy=from_april)) == []


def test_a_withdrawn_return_is_not_counted() -> None:
    dossiers = city(near_a_step(20, 0))
    dossiers[0].withdraw("E204-1", "2024-03")
    assert clusters(dossiers) == []


def test_the_months_of_a_half_year_are_counted_together_and_regions_apart() -> None:
    here = city([trade(BASE + 10_000, BASE, period="2024-03")] * 10)
    there = city([trade(BASE + 10_000, BASE, period="2024-04")] * 10, region_code="210803", first=2000)
    (flag,) = clusters([*here, *there])
    assert (flag.period, flag.region_code) == (None, None)
    assert flag.group is not None
    assert flag.group.counted == 20


def test_one_region_has_no_group_of_all_regions() -> None:
    found = clusters(city(near_a_step(20, 0)), scope_of(region_code="210802"))
    assert [(flag.period, flag.region_code) for flag in found] == [(None, "210802"), ("2024-03", "210802")]


def test_of_a_large_group_a_bounded_list_is_kept_and_all_are_counted() -> None:
    found = clusters(city(near_a_step(THRESHOLDS.listed_most + 1, 0)))
    assert {flag.group.counted for flag in found if flag.group} == {THRESHOLDS.listed_most + 1}
    assert {len(flag.evidence) for flag in found} == {THRESHOLDS.listed_most}


def test_chance_alone_brings_out_one_group_of_four_hundred_at_most() -> None:
    for total in range(THRESHOLDS.cluster_least, 400):
        sizes = [over for over in range(total + 1) if stands_out(over=over, under=total - over)]
        chance = Fraction(sum(comb(total, over) for over in sizes), 2**total)
        assert Fraction(1, 5_000) < chance < Fraction(1, 400)


WAN_FEN = 1_000_000


def amount(wanyuan: int) -> Amount:
    return Amount(yuan=wanyuan * 10_000, cite="1")


def steps_of(wanyuan: int) -> PerWholeStep:
    return PerWholeStep(step=amount(wanyuan), award=amount(5), cite="1")


def bands(*, starts: list[int], beyond: int, step: int) -> BandsWithTail:
    """Bands that begin at `starts`, the last of which is that of the tail; 万元."""
    *of_bands, tail = starts
    ends = [*of_bands[1:], tail]
    made = [
        Band(at_least=amount(start), below=amount(end), award=amount(2), cite="1")
        for start, end in zip(of_bands, ends, strict=True)
    ]
    return BandsWithTail(
        bands=tuple(made),
        tail=Tail(
            at_least=amount(tail),
            first=amount(2),
            beyond=amount(beyond),
            step=amount(step),
            award=amount(2),
            cite="1",
        ),
    )


def worked_side(thresholds_fen: list[int], width_fen: int, increment_fen: int) -> bool | None:
    """The same, by comparing the increment with every threshold."""
    if any(0 <= increment_fen - threshold_fen < width_fen for threshold_fen in thresholds_fen):
        return True
    return (
        False
        if any(0 < threshold_fen - increment_fen <= width_fen for threshold_fen in thresholds_fen)
        else None
    )


@thorough
@given(st.integers(1, 40), st.integers(-50, 400), st.integers(-1, 1))
def test_the_side_of_a_step_is_that_of_looking_at_every_multiple(step: int, tenths: int, nudge: int) -> None:
    increment_fen = step * WAN_FEN * tenths // 10 + nudge
    multiples = [n * step * WAN_FEN for n in range(1, 60)]
    worked = worked_side(multiples, step * WAN_FEN // 10, increment_fen)
    assert over_step(steps_of(step), increment_fen) == worked


@thorough
@given(st.data())
def test_the_side_of_a_band_or_tail_is_that_of_looking_at_every_threshold(data: st.DataObject) -> None:
    starts = sorted(data.draw(st.sets(st.integers(1, 60), min_size=2, max_size=4)))
    beyond, step = data.draw(st.integers(0, starts[-1])), data.draw(st.integers(1, 30))
    of_tail = [beyond + n * step for n in range(200) if beyond + n * step > starts[-1]]
    thresholds_fen = [start * WAN_FEN for start in (*starts, *of_tail)]
    near = data.draw(st.sampled_from(thresholds_fen[:20]))
    width_fen = step * WAN_FEN // 10
    increment_fen = near + data.draw(
        st.sampled_from([-width_fen - 1, -width_fen, -1, 0, width_fen - 1, width_fen])
    )
    reward: Reward = bands(starts=starts, beyond=beyond, step=step)
    assert over_step(reward, increment_fen) == worked_side(thresholds_fen, width_fen, increment_fen)


@thorough
@given(st.integers(1, 10**6), st.integers(-(10**6), 10**6), st.integers(1, 3_000))
def test_the_side_of_a_gate_is_that_of_growth_as_a_fraction(base: int, more: int, rate_bp: int) -> None:
    base_fen = base * WAN_FEN
    current_fen = base_fen * (10_000 + rate_bp) // 10_000 + more * WAN_FEN // 1_000
    growth = Fraction(current_fen - base_fen, base_fen)
    gate, band = Fraction(rate_bp, 10_000), Fraction(THRESHOLDS.growth_band_bp, 10_000)
    matters = base_fen * gate >= 10 * WAN_FEN
    worked = growth > gate if matters and gate - band < growth <= gate + band else None
    assert over_gate(rate_bp, steps_of(10), current_fen=current_fen, base_fen=base_fen) == worked


def correct(dossier: Dossier, *, by: str) -> None:
    """A correction of the return of March."""
    dossier.file(trade(120_000, 100_000, reason="企业改报"), by=by)


def corrections(dossiers: Iterable[Dossier], scope: Scope | None = None) -> list[RedFlag]:
    counter = Corrections(scope or scope_of())
    for dossier in dossiers:
        counter.add(dossier.history)
    return list(counter.flags())


def test_one_correction_for_ten_filings_is_asked_about_with_its_share() -> None:
    dossiers = city([trade(110_000, 100_000)] * 200)
    for dossier in dossiers[:20]:
        correct(dossier, by="统计甲")
    dossiers[20].withdraw("E204-1", "2024-03", by="统计乙")
    (flag,) = corrections(dossiers)
    assert flag.group is not None
    assert (flag.group.actor, flag.group.counted, flag.group.total) == ("统计甲", 20, 21)
    assert (flag.group.share_bp, flag.group.expected_bp) == (9_523, 10_000)
    assert {dossier.type for dossier in flag.evidence} == {"ReturnRevised"}
    assert flag.sentence == (
        "经办人统计甲对2024年上半年数据更正或撤销20次，占全部更正和撤销的95.23%；首次登记200行，"
        "占全部首次登记的100%，请核对各次更正的依据文件。"
    )


def test_one_filing_more_or_one_correction_less_is_no_question() -> None:
    many = city([trade(110_000, 100_000)] * 201)
    for dossier in many[:20]:
        correct(dossier, by="统计甲")
    assert corrections(many) == []
    few = city([trade(110_000, 100_000)] * 19)
    for dossier in few:
        correct(dossier, by="统计甲")
    assert corrections(few) == []


def test_an_actor_who_only_corrects_is_a_question_by_region_too() -> None:
    dossiers = city([trade(110_000, 100_000)] * 20)
    for dossier in dossiers:
        correct(dossier, by="统计乙")
    (flag,) = corrections(dossiers, scope_of(region_code="210802"))
    assert (flag.region_code, flag.group and flag.group.expected_bp) == ("210802", 0)
    assert flag.sentence.startswith("经办人统计乙对2024年上半年站前区数据更正或撤销20次")


def test_final_figures_in_place_of_preliminary_ones_are_no_corrections() -> None:
    dossiers = city([trade(110_000, 100_000, stage="preliminary")] * 30)
    for dossier in dossiers:
        dossier.file(trade(120_000, 100_000))
    assert corrections(dossiers) == []


def test_preliminary_figures_in_place_of_preliminary_ones_are_corrections() -> None:
    dossiers = city([trade(110_000, 100_000, stage="preliminary")] * 20)
    for dossier in dossiers:
        dossier.file(trade(120_000, 100_000, stage="preliminary"))
    (flag,) = corrections(dossiers)
    assert flag.group is not None
    assert flag.group.counted == 20


def test_of_many_corrections_a_bounded_list_is_kept() -> None:
    dossiers = city([trade(110_000, 100_000)] * (THRESHOLDS.listed_most + 1))
    for dossier in dossiers:
        correct(dossier, by="统计甲")
    (flag,) = corrections(dossiers)
    assert flag.group is not None
    assert (flag.group.counted, len(flag.evidence)) == (THRESHOLDS.listed_most + 1, THRESHOLDS.listed_most)
