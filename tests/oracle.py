"""Article 14 of 营政发〔2024〕9号, worked out sentence by sentence for one enterprise and one half-year.

The article: 对在库限额以上批发和零售企业，2024年各月度零售额增速高于8%的，月度零售额增量每达1000万元，
给予不超过5万元奖励。对在库限额以上住宿和餐饮企业，2024年各月度餐饮收入增量100万元—200万元（不含）的，
给予2万元奖励，餐饮收入增量每达100万元再给予一定额度奖励。每家企业以上奖励的月度上限为50万元；
符合多种奖励条件的，取金额最高值，每半年获得奖励累计不超过200万元。

Inside, every amount is an exact number of yuan (`Fraction`); fen appear only where amounts come in
and go out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import floor

GROWTH_GATE = Fraction(8, 100)
TRADE_STEP_YUAN = Fraction(10_000_000)
TRADE_STEP_AWARD_YUAN = Fraction(50_000)
CATERING_BAND_FROM_YUAN = Fraction(1_000_000)
CATERING_BAND_BELOW_YUAN = Fraction(2_000_000)
CATERING_BAND_AWARD_YUAN = Fraction(20_000)
CATERING_TAIL_STEP_YUAN = Fraction(1_000_000)
CATERING_TAIL_STEP_AWARD_YUAN = Fraction(20_000)
MONTH_CEILING_YUAN = Fraction(500_000)
HALF_YEAR_CEILING_YUAN = Fraction(2_000_000)
NOTHING = Fraction(0)

JANUARY_FEBRUARY = "2024-01~02"
PERIODS_OF_WINDOW = {
    "2024H1": (JANUARY_FEBRUARY, "2024-03", "2024-04", "2024-05", "2024-06"),
    "2024H2": ("2024-07", "2024-08", "2024-09", "2024-10", "2024-11", "2024-12"),
}

MEASURE_OF_FORM = {"E204-1": "retail-growth", "S204-1": "catering-increment"}
INDUSTRIES_OF_MEASURE = {"retail-growth": ("51", "52"), "catering-increment": ("61", "62")}
ORDER_OF_THE_TEXT = ("retail-growth", "catering-increment")


@dataclass(frozen=True)
class OracleReturn:
    """The standing return of one form and period.

    `current_fen` and `prior_year_fen` are 零售额 of E204-1, or 餐费收入 of S204-1.
    """

    form: str
    period: str
    in_database: bool
    industry_code: str
    stage: str
    current_fen: int
    prior_year_fen: int | None


@dataclass(frozen=True)
class OraclePeriod:
    """What the article gives for one period, with both ceilings applied."""

    period: str
    stage: str
    status: str
    measure: str | None
    rule_fen: int
    selected_fen: int
    assessed_fen: int
    open_fen: int
    bound_by: tuple[str, ...]
    open_readings: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What one measure comes to in one period, before any ceiling.

    `firm_yuan` is the part of `rule_yuan` that the text itself fixes.
    """

    measure: str
    status: str
    rule_yuan: Fraction
    firm_yuan: Fraction
    open_readings: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """One period after the monthly ceiling and the choice of the highest, before the half-year ceiling."""

    status: str
    winner: Finding | None
    selected_yuan: Fraction
    open_readings: tuple[str, ...]


def entitlements(returns: Iterable[OracleReturn], window: str) -> dict[str, OraclePeriod]:
    """Assess the half-year of one enterprise.

    Args:
        returns: The returns standing at the end, at most one per form and period; those of periods outside
            the window are ignored.
        window: `2024H1` or `2024H2`.

    Returns:
        The periods of the window that have a return, by period, in the order of the months.

    Raises:
        KeyError: If the article has no such half-year.
        ValueError: If a form has two returns for one period, or is not a form of the article.
    """
    returns_of_period: dict[str, list[OracleReturn]] = {period: [] for period in PERIODS_OF_WINDOW[window]}
    for standing in returns:
        if standing.period in returns_of_period:
            returns_of_period[standing.period].append(standing)
    filed = {period: rows for period, rows in returns_of_period.items() if rows}
    selections = {period: select(period, rows) for period, rows in filed.items()}

    assessed: dict[str, OraclePeriod] = {}
    for period, selection in selections.items():
        earned_before = sum((selections[earlier].selected_yuan for earlier in assessed), NOTHING)
        assessed_yuan = within_half_year_ceiling(earned_before, selection.selected_yuan)
        winner = selection.winner
        assessed[period] = OraclePeriod(
            period=period,
            stage=stage_of(filed[period]),
            status=selection.status,
            measure=None if winner is None else winner.measure,
            rule_fen=fen(NOTHING if winner is None else winner.rule_yuan),
            selected_fen=fen(selection.selected_yuan),
            assessed_fen=fen(assessed_yuan),
            open_fen=fen(open_part(period, winner, assessed_yuan)),
            bound_by=ceilings_that_cut(winner, selection.selected_yuan, assessed_yuan),
            open_readings=selection.open_readings,
        )
    return assessed


def find(standing: OracleReturn) -> Finding:
    """Work out the measure of one return.

    对在库限额以上批发和零售企业 / 对在库限额以上住宿和餐饮企业: membership and industry are those of the
    month; an enterprise outside them gets nothing, whatever its figures. Against a prior-year figure that is
    missing, zero or negative, neither growth nor an increment is defined: nothing is assessed.
    """
    measure = MEASURE_OF_FORM[standing.form]
    if not standing.in_database or not industry_fits(measure, standing.industry_code):
        return Finding(measure, "not-eligible", NOTHING, NOTHING, ())
    if standing.prior_year_fen is None or standing.prior_year_fen <= 0:
        return Finding(measure, "undetermined", NOTHING, NOTHING, ("undetermined-base",))
    current, prior_year = yuan(standing.current_fen), yuan(standing.prior_year_fen)
    if measure == "retail-growth":
        return find_retail_growth(current, prior_year)
    return find_catering_increment(current, prior_year)


def industry_fits(measure: str, industry_code: str) -> bool:
    """批发和零售企业 are industries 51 and 52; 住宿和餐饮企业 are 61 and 62."""
    return industry_code[:2] in INDUSTRIES_OF_MEASURE[measure]


def find_retail_growth(current: Fraction, prior_year: Fraction) -> Finding:
    """各月度零售额增速高于8%的,月度零售额增量每达1000万元,给予不超过5万元奖励.

    The text fixes only the bound of the step amount, so no part of the award is firm.
    """
    rule = trade_award(current, prior_year)
    if rule == NOTHING:
        return Finding("retail-growth", "not-eligible", NOTHING, NOTHING, ())
    return Finding("retail-growth", "eligible", rule, NOTHING, ("step-amount",))


def trade_award(current: Fraction, prior_year: Fraction) -> Fraction:
    """零售额增速高于8%的: exactly 8% does not pass. 每达1000万元: whole steps, at the bound of 5万元 each."""
    if growth(current, prior_year) > GROWTH_GATE:
        return TRADE_STEP_AWARD_YUAN * whole_steps(current - prior_year, TRADE_STEP_YUAN)
    return NOTHING


def growth(current: Fraction, prior_year: Fraction) -> Fraction:
    """增速: the increment over the same month of the year before, exact."""
    return (current - prior_year) / prior_year


def find_catering_increment(current: Fraction, prior_year: Fraction) -> Finding:
    """餐饮收入增量100万元—200万元（不含）的，给予2万元奖励，每达100万元再给予一定额度奖励.

    What goes beyond the first 2万元 has no amount in the text and is open.
    """
    increment = current - prior_year
    if increment < CATERING_BAND_FROM_YUAN:
        return Finding("catering-increment", "not-eligible", NOTHING, NOTHING, ())
    band = CATERING_BAND_AWARD_YUAN
    if increment < CATERING_BAND_BELOW_YUAN:
        return Finding("catering-increment", "eligible", band, band, ())
    return Finding(
        "catering-increment", "eligible", band + catering_tail(increment), band, ("catering-tail",)
    )


def catering_tail(increment: Fraction) -> Fraction:
    """餐饮收入增量每达100万元再给予一定额度奖励: 2万元 for each full 100万元 above the first 100万元."""
    above_the_first = increment - CATERING_BAND_FROM_YUAN
    return CATERING_TAIL_STEP_AWARD_YUAN * whole_steps(above_the_first, CATERING_TAIL_STEP_YUAN)


def whole_steps(increment: Fraction, step: Fraction) -> int:
    """每达: full steps only; a negative increment has none."""
    return max(0, floor(increment / step))


def select(period: str, returns: list[OracleReturn]) -> Selection:
    """符合多种奖励条件的,取金额最高值.

    Status is eligible if some measure gives an amount, else undetermined if some measure cannot be decided.
    The readings are those of the winner; without one, those that decided each measure.
    """
    findings = in_order_of_the_text(returns)
    eligible = [finding for finding in findings if finding.status == "eligible"]
    if eligible:
        winner = highest(eligible)
        return Selection(
            status="eligible",
            winner=winner,
            selected_yuan=within_month_ceiling(winner.rule_yuan),
            open_readings=sorted_ids(readings_of_period(period), winner.open_readings),
        )
    undetermined = any(finding.status == "undetermined" for finding in findings)
    return Selection(
        status="undetermined" if undetermined else "not-eligible",
        winner=None,
        selected_yuan=NOTHING,
        open_readings=sorted_ids(
            readings_of_period(period), *(finding.open_readings for finding in findings)
        ),
    )


def in_order_of_the_text(returns: list[OracleReturn]) -> list[Finding]:
    """对…批发和零售企业… first, 对…住宿和餐饮企业… second."""
    finding_of_measure: dict[str, Finding] = {}
    for standing in returns:
        if standing.form not in MEASURE_OF_FORM:
            raise ValueError(f"{standing.form} is not a form of article 14")
        finding = find(standing)
        if finding.measure in finding_of_measure:
            raise ValueError(f"two returns of {standing.form} for {standing.period}")
        finding_of_measure[finding.measure] = finding
    return [finding_of_measure[measure] for measure in ORDER_OF_THE_TEXT if measure in finding_of_measure]


def highest(eligible: list[Finding]) -> Finding:
    """取金额最高值: the highest after the monthly ceiling, then the highest before it, then the first."""
    top = max(within_month_ceiling(finding.rule_yuan) for finding in eligible)
    at_the_top = [finding for finding in eligible if within_month_ceiling(finding.rule_yuan) == top]
    top_before_ceiling = max(finding.rule_yuan for finding in at_the_top)
    return next(finding for finding in at_the_top if finding.rule_yuan == top_before_ceiling)


def within_month_ceiling(rule_yuan: Fraction) -> Fraction:
    """每家企业以上奖励的月度上限为50万元."""
    return min(rule_yuan, MONTH_CEILING_YUAN)


def within_half_year_ceiling(earned_before: Fraction, selected_yuan: Fraction) -> Fraction:
    """每半年获得奖励累计不超过200万元: what this period adds to the total that the ceiling lets pass."""
    passed_before = min(earned_before, HALF_YEAR_CEILING_YUAN)
    passed_with_it = min(earned_before + selected_yuan, HALF_YEAR_CEILING_YUAN)
    return passed_with_it - passed_before


def ceilings_that_cut(
    winner: Finding | None, selected_yuan: Fraction, assessed_yuan: Fraction
) -> tuple[str, ...]:
    """月度上限 comes first, 每半年累计 second; a ceiling that is only just reached has cut nothing."""
    cut: list[str] = []
    if winner is not None and selected_yuan < winner.rule_yuan:
        cut.append("month-ceiling")
    if assessed_yuan < selected_yuan:
        cut.append("half-year-ceiling")
    return tuple(cut)


def open_part(period: str, winner: Finding | None, assessed_yuan: Fraction) -> Fraction:
    """Tell how much of the assessed amount rests on readings that the bureau has not decided.

    All of it where the period itself rests on one, else what exceeds the firm part of the winning measure.
    """
    if winner is None:
        return NOTHING
    if readings_of_period(period):
        return assessed_yuan
    return max(NOTHING, assessed_yuan - winner.firm_yuan)


def readings_of_period(period: str) -> tuple[str, ...]:
    """各月度: January and February are surveyed together, and are one period by an open reading."""
    return ("january-february",) if period == JANUARY_FEBRUARY else ()


def sorted_ids(*readings: tuple[str, ...]) -> tuple[str, ...]:
    """Put the ids of several groups of readings in order, each once."""
    return tuple(sorted({reading for group in readings for reading in group}))


def stage_of(returns: list[OracleReturn]) -> str:
    """A period is preliminary as long as any of its returns is."""
    return "preliminary" if any(standing.stage == "preliminary" for standing in returns) else "final"


def yuan(amount_fen: int) -> Fraction:
    """Express an amount in yuan, exactly."""
    return Fraction(amount_fen, 100)


def fen(amount_yuan: Fraction) -> int:
    """Express an amount in whole fen, dropping what is less than one."""
    return floor(amount_yuan * 100)
