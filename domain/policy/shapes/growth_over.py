"""`growth-over`: growth on the comparable base is strictly more than a rate (增速高于8%)."""

from collections.abc import Set as AbstractSet
from typing import Final

from domain.money import wanyuan_text
from domain.policy.parts import Basis, Rate, resting_on
from domain.policy.shapes.phrases import MeasureSubject, change_text, figure, number, percent_text, rate_text
from domain.policy.steps import ConditionAnswer, Step, Way

RULE: Final = "growth-over"
BP_PER_WHOLE: Final = 10_000


class GrowthOver(Basis, frozen=True, kw_only=True, tag_field="kind", tag="growth-over"):
    """Growth on the comparable base is strictly more than `rate`, compared without division."""

    rate: Rate

    @property
    def rule(self) -> str:
        """The rule of its step."""
        return RULE

    @property
    def gate_bp(self) -> int:
        """The rate that growth must exceed, in basis points."""
        return self.rate.basis_points

    def judge(self, *, current_fen: int, prior_fen: int, open_readings: AbstractSet[str]) -> ConditionAnswer:
        """Judge the condition: over 8% means current / prior > 1.08, compared without a division."""
        threshold = prior_fen * (BP_PER_WHOLE + self.gate_bp)
        met = current_fen * BP_PER_WHOLE > threshold
        rule, inputs, basis = self.way_alike(open_readings)
        way = Way(rule, {"current_fen": current_fen, "prior_year_fen": prior_fen, **inputs}, basis)
        return ConditionAnswer(way, None if met else threshold // BP_PER_WHOLE - current_fen)

    def way_alike(self, open_readings: AbstractSet[str]) -> Way:
        """How the condition is judged, without the figures."""
        return Way(RULE, {"over_bp": self.gate_bp}, resting_on(open_readings, self, self.rate))

    def sentence(self, step: Step, subject: MeasureSubject) -> str:
        """The sentence of its step."""
        item, gate = subject.item, rate_text(self.gate_bp)
        facts = (
            f"{subject.enterprise}{subject.period}{item}{figure(step, 'current_fen')}，"
            f"上年同期{figure(step, 'prior_year_fen')}，"
        )
        verdict = f"高于{gate}，符合增速条件" if step.met else f"不高于{gate}，不符合增速条件"
        if "current_fen" not in step.inputs:
            return f"{facts}同比增速{verdict}。{subject.source}"
        current, prior = number(step, "current_fen"), number(step, "prior_year_fen")
        percent = percent_text(current_fen=current, prior_year_fen=prior, over_bp=self.gate_bp)
        growth = f"同比{change_text(percent)}，"
        if step.met:
            return f"{facts}{growth}{verdict}。{subject.source}"
        shortfall = step.shortfall_fen or 0
        state = f"尚差{wanyuan_text(shortfall)}万元" if shortfall else "现恰等于该数"
        if f"{percent}%" == gate:
            growth = f"同比增速恰为{gate}，"
        threshold = wanyuan_text(current + shortfall)
        return f"{facts}{growth}{verdict}；{item}须高于{threshold}万元，{state}。{subject.source}"
