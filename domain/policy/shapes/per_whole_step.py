"""`per-whole-step`: an award for each whole step of the increment (每达1000万元), nothing for the rest."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from domain.money import wanyuan_text
from domain.policy.parts import Amount, Basis, DocumentProblem, Path, resting_on, undisputed
from domain.policy.shapes.phrases import (
    MeasureSubject,
    change_text,
    decided_by,
    figure,
    gap,
    number,
    percent_text,
    rate_text,
    wanyuan,
)
from domain.policy.steps import RewardAnswer, Step, StepValue, Way

WHOLE_STEPS: Final = "whole-steps"
NO_WHOLE_STEP: Final = "no-whole-step"
RULES: Final = (WHOLE_STEPS, NO_WHOLE_STEP)


class PerWholeStep(Basis, frozen=True, kw_only=True, tag_field="kind", tag="per-whole-step"):
    """`award` for each whole `step` of the increment. Its basis is the source for counting whole steps."""

    step: Amount
    award: Amount

    def problems(self, path: Path) -> Iterator[DocumentProblem]:
        """The problems that the types alone do not find."""
        if self.step.yuan <= 0:
            yield DocumentProblem((*path, "step"), "a step is more than 0")

    def give(self, increment_fen: int, *, decrease: Basis, open_readings: AbstractSet[str]) -> RewardAnswer:
        """The award for an increment.

        Args:
            increment_fen: The current figure minus the prior-year figure.
            decrease: The basis for awarding nothing for a negative increment.
            open_readings: The readings that wait for a decision.
        """
        step_fen = self.step.fen
        count = max(increment_fen, 0) // step_fen
        rule_fen = count * self.award.fen
        inputs: dict[str, StepValue] = {"increment_fen": increment_fen, "step_fen": step_fen, "steps": count}
        if count == 0:
            basis = decrease if increment_fen < 0 else self.nothing_basis(open_readings)
            return RewardAnswer(Way(NO_WHOLE_STEP, inputs, basis), 0, 0, step_fen - increment_fen)
        inputs["award_fen"] = self.award.fen
        basis = self._basis(open_readings)
        return RewardAnswer(
            Way(WHOLE_STEPS, inputs, basis), rule_fen, undisputed(open_readings, rule_fen, basis)
        )

    def ways_to(self, rule_fen: int, open_readings: AbstractSet[str]) -> Iterator[Way]:
        """The ways in which a sufficient increment can earn this amount."""
        inputs: dict[str, StepValue] = {"step_fen": self.step.fen, "award_fen": self.award.fen}
        if self.award.fen:
            inputs["steps"] = rule_fen // self.award.fen
        if (rule_fen > 0) == (self.award.fen > 0):
            yield Way(WHOLE_STEPS, inputs, self._basis(open_readings))

    def way_to_nothing(self, basis: Basis) -> Way:
        """The way in which an increment earns nothing, without the figures."""
        return Way(NO_WHOLE_STEP, {"step_fen": self.step.fen}, basis)

    def nothing_basis(self, open_readings: AbstractSet[str]) -> Basis:
        """The basis for awarding nothing for an increment that is too small."""
        return resting_on(open_readings, self, self.step)

    def _basis(self, open_readings: AbstractSet[str]) -> Basis:
        return resting_on(open_readings, self.award, self, self.step)

    @property
    def first_threshold_fen(self) -> int:
        """The smallest increment that earns something."""
        return self.step.fen

    @property
    def step_fen(self) -> int:
        """The distance from one threshold to the next, above the first ones."""
        return self.step.fen

    def thresholds_around(self, increment_fen: int) -> tuple[int | None, int]:
        """The last threshold that the increment reaches (None below the first), and the next one."""
        count = max(increment_fen, 0) // self.step.fen
        return (count * self.step.fen if count else None), (count + 1) * self.step.fen

    def sentence(self, step: Step, subject: MeasureSubject) -> str:
        """The sentence of its step."""
        size = wanyuan(step, "step_fen")
        increment = f"同比增量{figure(step, 'increment_fen')}"
        if step.rule == NO_WHOLE_STEP:
            facts = f"{subject.item}{_growth_passed(step, subject)}{increment}"
            return f"{facts}，不足{size}{gap(step)}，该期不予奖励。{subject.source}"
        return (
            f"{subject.item}{increment}，每满{size}按{wanyuan(step, 'award_fen')}测算，"
            f"计{wanyuan_text(step.output or 0)}万元{_remainder(step, size)}"
            f"（{self._award_state(step, subject)}）。{subject.source}"
        )

    def _award_state(self, step: Step, subject: MeasureSubject) -> str:
        """What the award of a whole step rests on: an open reading, a decision, or the text."""
        if subject.reading is None or not subject.is_open:
            return decided_by(subject)
        if step.reading == self.award.reading:
            return f"奖励标准尚待明确，暂按政策上限{wanyuan(step, 'award_fen')}测算"
        return f"适用口径：{subject.reading.label}，待明确"


def _remainder(step: Step, size: str) -> str:
    if "increment_fen" not in step.inputs:
        return ""
    rest = number(step, "increment_fen") - number(step, "steps") * number(step, "step_fen")
    return f"；余{wanyuan_text(rest)}万元不足{size}，不予计算" if rest else ""


def _growth_passed(step: Step, subject: MeasureSubject) -> str:
    """The phrase about the growth that passed the measure's gate, for a step whose increment is too small."""
    if not subject.gates_bp:
        return ""
    gate_bp = subject.gates_bp[0]
    if "increment_fen" not in step.inputs:
        return f"同比增速高于{rate_text(gate_bp)}；但"
    percent = percent_text(
        current_fen=subject.current_fen or 0, prior_year_fen=subject.prior_year_fen or 0, over_bp=gate_bp
    )
    return f"同比{change_text(percent)}，高于{rate_text(gate_bp)}；但"
