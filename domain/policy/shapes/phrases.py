"""The phrases that the sentences of several shapes share, in Chinese."""

from typing import NamedTuple, cast

from domain.money import wanyuan_text
from domain.policy.parts import Reading
from domain.policy.steps import Step

WITHHELD = "（数据已按统计资料保密要求隐去）"

SHOWN_DECIMALS = 2
"""Decimals of a growth in percent; a growth that would look like the gate is shown with more."""


class MeasureSubject(NamedTuple):
    """What a sentence about a step of a measure needs in addition to the step.

    Attributes:
        enterprise: The name of the enterprise.
        period: The period, as an official writes it.
        item: The name of the figure that the measure rewards.
        source: The clause that the step rests on, in brackets.
        reading: The reading that the step rests on.
        gates_bp: The rates that growth must exceed to meet the measure's conditions, in basis points.
        current_fen: The figure of the return; None if it is withheld or not filled in.
        prior_year_fen: The prior-year figure of the return; None likewise.
    """

    enterprise: str
    period: str
    item: str
    source: str
    reading: Reading | None
    gates_bp: tuple[int, ...]
    current_fen: int | None
    prior_year_fen: int | None

    @property
    def is_open(self) -> bool:
        """Whether the reading that the step rests on waits for a decision."""
        return self.reading is not None and self.reading.status == "open"


def number(step: Step, name: str) -> int:
    """An input that is a number."""
    return cast("int", step.inputs[name])


def wanyuan(step: Step, name: str) -> str:
    """An input that is an amount."""
    return f"{wanyuan_text(number(step, name))}万元"


def figure(step: Step, name: str) -> str:
    """An input that is a figure of a return: it may be withheld, or not filled in."""
    if name not in step.inputs:
        return WITHHELD
    return "未填" if step.inputs[name] is None else wanyuan(step, name)


def gap(step: Step) -> str:
    """The phrase about the missing amount; empty if it is withheld."""
    return "" if step.shortfall_fen is None else f"，尚差{wanyuan_text(step.shortfall_fen)}万元"


def decided_by(subject: MeasureSubject) -> str:
    """The source of an award that rests on no open reading: a decision, or the text."""
    decision = None if subject.reading is None else subject.reading.decision
    return "依据原文" if decision is None else f"依据{decision.document}"


def reading_and_state(reading: Reading) -> str:
    """The reading that a sentence rests on, with a note if it is open."""
    state = "，待明确" if reading.status == "open" else ""
    return f"（适用口径：{reading.label}{state}）"


def change_text(percent: str) -> str:
    """A change in percent, with its direction in words."""
    return f"下降{percent[1:]}%" if percent.startswith("-") else f"增长{percent}%"


def percent_text(*, current_fen: int, prior_year_fen: int, over_bp: int) -> str:
    """Growth in percent, rounded half up to two decimals, or to more if two would look like the gate.

    Exactly 8% is `8`; 8.0004% is `8.0004`, not `8`. A small change also gets more decimals instead of `0`.
    """
    numerator, denominator = (current_fen - prior_year_fen) * 100, prior_year_fen
    decimals = SHOWN_DECIMALS
    scaled = _rounded(numerator * 10**decimals, denominator)
    while scaled * denominator != numerator * 10**decimals and scaled * 100 in {0, over_bp * 10**decimals}:
        decimals += 1
        scaled = _rounded(numerator * 10**decimals, denominator)
    whole, fraction = divmod(abs(scaled), 10**decimals)
    digits = str(fraction).zfill(decimals).rstrip("0")
    text = f"{whole}.{digits}" if digits else str(whole)
    return f"-{text}" if scaled < 0 else text


def _rounded(numerator: int, denominator: int) -> int:
    """A quotient rounded half away from zero, as spreadsheets do it."""
    whole = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -whole if numerator < 0 else whole


def rate_text(rate_bp: int) -> str:
    """A rate in percent: 800 basis points are `8%`."""
    whole, fraction = divmod(rate_bp, 100)
    return f"{whole}.{fraction:02d}".rstrip("0").rstrip(".") + "%"
