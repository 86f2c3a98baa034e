"""`bands-with-tail`: bands of the increment that follow each other, and a tail above the last.

100万元—200万元(不含) is a half-open band; from the end of the last band up, the tail counts whole steps.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from domain.money import wanyuan_text
from domain.policy.parts import Amount, Basis, DocumentProblem, Part, Path, resting_on, undisputed
from domain.policy.shapes.phrases import (
    MeasureSubject,
    decided_by,
    figure,
    gap,
    number,
    reading_and_state,
    wanyuan,
)
from domain.policy.steps import RewardAnswer, Step, StepValue, Way

BAND: Final = "band"
TAIL: Final = "tail"
BELOW_BANDS: Final = "below-bands"
RULES: Final = (BAND, TAIL, BELOW_BANDS)


class Band(Basis, frozen=True, kw_only=True):
    """`award` if the increment is in the half-open band [`at_least`, `below`)."""

    at_least: Amount
    below: Amount
    award: Amount

    def basis(self, open_readings: AbstractSet[str]) -> Basis:
        """What its award rests on."""
        return resting_on(open_readings, self, self.award, self.at_least, self.below)


class Tail(Basis, frozen=True, kw_only=True):
    """From `at_least` up: `first`, and `award` for each whole `step` of what exceeds `beyond`."""

    at_least: Amount
    first: Amount
    beyond: Amount
    step: Amount
    award: Amount

    def basis(self, open_readings: AbstractSet[str]) -> Basis:
        """What its award rests on."""
        return resting_on(open_readings, self, self.award, self.beyond, self.step, self.first, self.at_least)

    def gives(self, rule_fen: int) -> bool:
        """Whether the tail gives this amount for some increment."""
        if self.award.fen == 0:
            return rule_fen == self.first.fen
        count, rest = divmod(rule_fen - self.first.fen, self.award.fen)
        return rest == 0 and count >= (self.at_least.fen - self.beyond.fen) // self.step.fen

    def inputs(self) -> dict[str, StepValue]:
        """The numbers of the tail, as inputs of a step."""
        return {
            "at_least_fen": self.at_least.fen,
            "first_fen": self.first.fen,
            "beyond_fen": self.beyond.fen,
            "step_fen": self.step.fen,
            "award_fen": self.award.fen,
        }


class BandsWithTail(Part, frozen=True, kw_only=True, tag_field="kind", tag="bands-with-tail"):
    """Bands that follow each other without a gap, and a tail above the last."""

    bands: tuple[Band, ...]
    tail: Tail

    def problems(self, path: Path) -> Iterator[DocumentProblem]:
        """The problems that the types alone do not find: gaps, overlaps, empty bands."""
        if not self.bands:
            yield DocumentProblem((*path, "bands"), "at least one band stands before a tail")
        if self.tail.step.yuan <= 0:
            yield DocumentProblem((*path, "tail", "step"), "a step is more than 0")
        if self.tail.beyond.yuan > self.tail.at_least.yuan:
            yield DocumentProblem((*path, "tail", "beyond"), "the tail counts from no more than it begins at")
        starts = [(band.at_least, (*path, "bands", index)) for index, band in enumerate(self.bands)]
        starts.append((self.tail.at_least, (*path, "tail")))
        for index, band in enumerate(self.bands):
            if band.at_least.yuan <= 0 or band.below.yuan <= band.at_least.yuan:
                yield DocumentProblem(
                    (*path, "bands", index), "a band starts above 0 and ends above its start"
                )
            following, at = starts[index + 1]
            if band.below.yuan != following.yuan:
                what = "a gap" if band.below.yuan < following.yuan else "an overlap"
                yield DocumentProblem(
                    (*at, "at_least"), f"{what} between bands: {band.below.yuan} and {following.yuan} yuan"
                )

    def give(self, increment_fen: int, *, decrease: Basis, open_readings: AbstractSet[str]) -> RewardAnswer:
        """The award for an increment.

        Args:
            increment_fen: The current figure minus the prior-year figure.
            decrease: The basis for awarding nothing for a negative increment.
            open_readings: The readings that wait for a decision.
        """
        if increment_fen >= self.tail.at_least.fen:
            return self._give_by_tail(increment_fen, open_readings)
        inputs: dict[str, StepValue] = {"increment_fen": increment_fen}
        for band in self.bands:
            if band.at_least.fen <= increment_fen < band.below.fen:
                inputs.update(at_least_fen=band.at_least.fen, below_fen=band.below.fen)
                basis, rule_fen = band.basis(open_readings), band.award.fen
                return RewardAnswer(
                    Way(BAND, inputs, basis), rule_fen, undisputed(open_readings, rule_fen, basis)
                )
        inputs["at_least_fen"] = self.first_threshold_fen
        basis = decrease if increment_fen < 0 else self.nothing_basis(open_readings)
        return RewardAnswer(Way(BELOW_BANDS, inputs, basis), 0, 0, self.first_threshold_fen - increment_fen)

    def _give_by_tail(self, increment_fen: int, open_readings: AbstractSet[str]) -> RewardAnswer:
        tail = self.tail
        count = (increment_fen - tail.beyond.fen) // tail.step.fen
        rule_fen = tail.first.fen + count * tail.award.fen
        inputs: dict[str, StepValue] = {"increment_fen": increment_fen, **tail.inputs(), "steps": count}
        basis = tail.basis(open_readings)
        first_basis = resting_on(open_readings, tail.first, tail.at_least)
        undisputed_fen = max(
            undisputed(open_readings, tail.first.fen, first_basis),
            undisputed(open_readings, rule_fen, basis),
        )
        return RewardAnswer(Way(TAIL, inputs, basis), rule_fen, undisputed_fen)

    def ways_to(self, rule_fen: int, open_readings: AbstractSet[str]) -> Iterator[Way]:
        """The ways in which a sufficient increment can earn this amount, from the lowest increment up."""
        for band in self.bands:
            if band.award.fen == rule_fen:
                inputs: dict[str, StepValue] = {
                    "at_least_fen": band.at_least.fen,
                    "below_fen": band.below.fen,
                }
                yield Way(BAND, inputs, band.basis(open_readings))
        if self.tail.gives(rule_fen):
            yield Way(TAIL, self.tail.inputs(), self.tail.basis(open_readings))

    def way_to_nothing(self, basis: Basis) -> Way:
        """The way in which an increment earns nothing, without the figures."""
        return Way(BELOW_BANDS, {"at_least_fen": self.first_threshold_fen}, basis)

    def nothing_basis(self, open_readings: AbstractSet[str]) -> Basis:
        """The basis for awarding nothing for an increment that is too small."""
        return resting_on(open_readings, self.bands[0], self.bands[0].at_least)

    @property
    def first_threshold_fen(self) -> int:
        """The smallest increment that earns something."""
        return self.bands[0].at_least.fen

    @property
    def step_fen(self) -> int:
        """The distance from one threshold to the next, above the first ones."""
        return self.tail.step.fen

    def thresholds_around(self, increment_fen: int) -> tuple[int | None, int]:
        """The last threshold that the increment reaches (None below the first), and the next one."""
        tail = self.tail
        if increment_fen >= tail.at_least.fen:
            count = (increment_fen - tail.beyond.fen) // tail.step.fen
            passed_fen = max(tail.at_least.fen, tail.beyond.fen + count * tail.step.fen)
            return passed_fen, tail.beyond.fen + (count + 1) * tail.step.fen
        starts = [*(band.at_least.fen for band in self.bands), tail.at_least.fen]
        passed = [start for start in starts if start <= increment_fen]
        return (passed[-1] if passed else None), starts[len(passed)]

    def sentence(self, step: Step, subject: MeasureSubject) -> str:
        """The sentence of its step."""
        increment = f"{subject.item}同比增量{figure(step, 'increment_fen')}，"
        if step.rule == BELOW_BANDS:
            least = wanyuan(step, "at_least_fen")
            return f"{increment}不足{least}{gap(step)}，该期不予奖励。{subject.source}"
        if step.rule == BAND:
            amount = wanyuan_text(step.output or 0)
            return f"{increment}{_band_place(step)}，计{amount}万元。{subject.source}"
        return f"{increment}达到{wanyuan(step, 'at_least_fen')}。{_tail_sentence(step, subject)}"


def _band_place(step: Step) -> str:
    start = wanyuan(step, "at_least_fen")
    if "below_fen" not in step.inputs:
        return f"达到{start}"
    return f"在{start}（含）至{wanyuan(step, 'below_fen')}（不含）之间"


def _tail_sentence(step: Step, subject: MeasureSubject) -> str:
    size, output = wanyuan(step, "step_fen"), step.output or 0
    how = (
        f"首个{wanyuan(step, 'beyond_fen')}计{wanyuan(step, 'first_fen')}，"
        f"其后每满{size}{'暂' if subject.is_open else ''}按{wanyuan(step, 'award_fen')}测算，"
        f"计{wanyuan_text(output)}万元"
    )
    if subject.reading is None or not subject.is_open:
        return f"{how}（{decided_by(subject)}）。{subject.source}"
    open_amount = wanyuan_text(output - number(step, "first_fen"))
    quote = subject.reading.quote
    quoted = "" if quote is None else f"政策仅规定“{quote}”，未写明额度；"
    return (
        f"{quoted}{how}，"
        f"其中{open_amount}万元依据待明确口径。额度书面明确前，该部分不得作为公示和拨付依据。"
        f"{reading_and_state(subject.reading)}"
    )
