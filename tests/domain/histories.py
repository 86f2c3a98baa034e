"""Random half-years as in practice: filings, revisions, repetitions and withdrawals, late and out of order.

Figures are around every gate of article 14: the growth of 8%, the steps, the band, the ceilings.
"""

from random import Random
from typing import NamedTuple

from domain.events import Return, Stage
from tests.builders import catering, trade, with_figure
from tests.oracle import PERIODS_OF_WINDOW, OracleReturn

PERIODS = [period for periods in PERIODS_OF_WINDOW.values() for period in periods]
TRADE_STEP_FEN = 1_000_000_000
CATERING_STEP_FEN = 100_000_000
TRADE_INDUSTRIES = ("5111", "5212", "52", "6110", "7211", "0151")
CATERING_INDUSTRIES = ("6110", "6210", "62", "5211", "7211", "0062")


class Filing(NamedTuple):
    """Registers a return."""

    draft: Return


class Withdrawing(NamedTuple):
    """Withdraws the standing return of a form and period, if there is one."""

    form: str
    period: str


Operation = Filing | Withdrawing


def random_history(random: Random) -> list[Operation]:
    """Operations on a few periods, so that they meet; one history in three earns much."""
    much = random.randint(1, 3) == 1
    window = random.choice(list(PERIODS_OF_WINDOW.values()))
    periods = list(window) if much else random.sample(PERIODS, random.randint(1, 7))
    history: list[Operation] = []
    for _ in range(random.randint(1, 24 if much else 16)):
        filed = [operation.draft for operation in history if isinstance(operation, Filing)]
        what = random.randint(1, 20)
        if filed and what <= 3:
            again = random.choice(filed)
            history.append(Withdrawing(again.form, again.period))
        elif filed and what <= 5:
            history.append(Filing(random.choice(filed)))
        else:
            history.append(Filing(random_return(random, random.choice(periods), much=much)))
    return history


def random_return(random: Random, period: str, *, much: bool = False) -> Return:
    """A random return of a period; most have an industry and a membership that earn an award."""
    stage: Stage = "preliminary" if random.randint(1, 4) == 1 else "final"
    in_database = random.randint(1, 8) > 1
    reason = None if random.randint(1, 6) == 1 else "企业改报"
    usual_industry = random.randint(1, 4) > 1
    if much or random.randint(1, 2) == 1:
        base, prior_year, step = trade, _trade_base(random), TRADE_STEP_FEN
        industry = "5211" if usual_industry else random.choice(TRADE_INDUSTRIES)
    else:
        base, prior_year, step = catering, _catering_base(random), CATERING_STEP_FEN
        industry = "6210" if usual_industry else random.choice(CATERING_INDUSTRIES)
    draft = base(
        0, 0, period=period, stage=stage, in_database=in_database, industry_code=industry, reason=reason
    )
    if much and random.randint(1, 3) > 1:
        return with_figure(draft, random.choice((7, 9, 10, 11, 15)) * step + step, step)
    return with_figure(draft, _current(random, prior_year or 0, step), prior_year)


def _trade_base(random: Random) -> int | None:
    bases = (None, 0, -100_000, 1, 99, TRADE_STEP_FEN, 10 * TRADE_STEP_FEN, 125 * TRADE_STEP_FEN)
    return random.choice((*bases, *bases[-3:], random.randint(1, 10**11), random.randint(1, 10**16)))


def _catering_base(random: Random) -> int | None:
    bases = (None, 0, -1, 1, 2 * CATERING_STEP_FEN, 20 * CATERING_STEP_FEN)
    return random.choice((*bases, *bases[-2:], random.randint(1, 10**10)))


def _current(random: Random, prior_year: int, step: int) -> int:
    """Around a gate: the base itself, 8% over it, or some steps over it, give or take a fen."""
    nudge = random.choice((-100_000, -1, 0, 0, 1, 100_000))
    gate = prior_year * 108 // 100
    steps = random.choice((-1, 0, 1, 2, 3, 5, 9, 10, 11, 15, 24, 25, 26, 40))
    return random.choice((gate, prior_year + steps * step, prior_year + steps * step)) + nudge


class StandingReturns:
    """The standing returns after each operation, by the rules of filing alone: the last one accepted counts.

    A final return may not be replaced by a preliminary one, nor by a different one without a reason.
    """

    def __init__(self) -> None:
        self.by_place: dict[tuple[str, str], Return] = {}

    def follow(self, operation: Operation) -> None:
        if isinstance(operation, Withdrawing):
            self.by_place.pop((operation.form, operation.period), None)
            return
        draft = operation.draft
        before = self.by_place.get((draft.form, draft.period))
        if before is not None and before.stage == "final":
            changes = (
                draft.figures,
                draft.in_database,
                draft.industry_code,
            ) != (before.figures, before.in_database, before.industry_code)
            if draft.stage == "preliminary" or not changes or draft.reason is None:
                return
        self.by_place[draft.form, draft.period] = draft

    def for_the_oracle(self) -> list[OracleReturn]:
        return [oracle_return(registered) for registered in self.by_place.values()]


def oracle_return(registered: Return) -> OracleReturn:
    """A return with its one figure, as the oracle takes it."""
    (figure,) = registered.figures.values()
    if figure.current_fen is None:
        raise ValueError("every return has a current figure")
    return OracleReturn(
        form=registered.form,
        period=registered.period,
        in_database=registered.in_database,
        industry_code=registered.industry_code,
        stage=registered.stage,
        current_fen=figure.current_fen,
        prior_year_fen=figure.prior_year_fen,
    )
