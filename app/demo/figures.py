"""The figures of the invented enterprises: 千元, whole numbers, computed with integers."""

import random
from dataclasses import dataclass

from app.demo.cases import CATERING, PERIODS, PERIODS_A_YEAR, TRADE, Line, Quirk, Revision, at
from app.demo.firms import Firm

ITEMS = {
    TRADE: ("商品销售额", "零售额"),
    CATERING: ("营业额", "客房收入", "餐费收入", "商品销售额"),
}
"""The items of each form, in the order of its columns."""
LEAD = {TRADE: "零售额", CATERING: "餐费收入"}
"""The item of each form that the policy rewards."""
REVISED_PERIOD = at(2024, 4)
CARRIED_FROM = at(2024, 7)
"""The first period whose cumulative figures contain the correction: earlier periods were filed without it."""

_DEVELOPMENT_ZONE = "210899"
_ODD_INDUSTRY = "7211"
_WHOLE_BP = 10_000
# January and February together count as two months with the spring festival; then March to December.
_SEASON_BP = {
    TRADE: (21_500, 9_300, 9_400, 10_700, 9_800, 9_500, 9_600, 10_000, 11_200, 10_000, 11_800),
    CATERING: (22_500, 8_900, 9_300, 11_000, 9_500, 10_500, 10_800, 9_700, 11_300, 9_100, 10_200),
}
_NOISE_BP = 700
_GROWTH_NOISE_BP = 400
_MIX_NOISE_BP = 150
# The figures of a firm without noise are round, so that its growth is exact.
_ROUND = 100


@dataclass(frozen=True, slots=True)
class SampleFigure:
    """The four cells of an item in one row, 千元; `None` is nil."""

    current: int | None
    prior: int | None
    current_ytd: int | None
    prior_ytd: int | None


@dataclass(slots=True)
class Track:
    """One item of one firm over the periods of both years; `breaks` offset its cumulative figures."""

    current: list[int]
    prior: list[int | None]
    breaks: dict[int, int]

    def figure(self, period: int, enters: int) -> SampleFigure:
        """Return the cells of a period; cumulative figures begin in January or when the firm enters."""
        first = max(period - period % PERIODS_A_YEAR, enters)
        ytd = sum(self.current[first : period + 1])
        ytd += sum(amount for broken, amount in self.breaks.items() if first <= broken <= period)
        prior = [amount for amount in self.prior[first : period + 1] if amount is not None]
        return SampleFigure(
            current=self.current[period],
            prior=self.prior[period],
            current_ytd=ytd,
            prior_ytd=sum(prior) if prior else None,
        )


@dataclass(frozen=True, slots=True)
class FirmReport:
    """All that one firm reports on one form."""

    firm: Firm
    line: Line
    tracks: dict[str, Track]

    def figures(self, period: int) -> tuple[SampleFigure, ...]:
        """Return the figures of a period in the order of the form's items; nil for missing items."""
        nil = SampleFigure(None, None, None, None)
        return tuple(
            self.tracks[item].figure(period, self.line.enters) if item in self.tracks else nil
            for item in ITEMS[self.line.form]
        )

    def region(self, period: int) -> str:
        """Return the 处理地编码 of the period."""
        return _DEVELOPMENT_ZONE if self._has("region", period) else self.firm.region

    def industry(self, period: int) -> str:
        """Return the industry code of the period."""
        return _ODD_INDUSTRY if self._has("industry", period) else self.line.industry

    def _has(self, kind: str, period: int) -> bool:
        quirks = self.firm.profile.quirks
        return any(quirk.kind == kind and quirk.first <= period <= quirk.last for quirk in quirks)


def _scale(line: Line, rng: random.Random) -> list[int]:
    """Draw the size of the business over the periods of 2022, 2023 and 2024, in the unit of its lead item."""

    def noise(bp: int) -> int:
        return rng.randint(-bp, bp) if line.wobbles else 0

    before, middle, after = [], [], []
    for n, season_bp in enumerate(_SEASON_BP[line.form]):
        typical = line.base * season_bp // _WHOLE_BP
        typical = typical * (_WHOLE_BP + noise(_NOISE_BP)) // _WHOLE_BP
        of_2023 = typical if line.wobbles else typical // _ROUND * _ROUND
        grown_bp = _WHOLE_BP + line.growth_bp + noise(_GROWTH_NOISE_BP)
        before.append(of_2023 * _WHOLE_BP // (_WHOLE_BP + line.growth_2023_bp + noise(_GROWTH_NOISE_BP)))
        middle.append(of_2023)
        after.append(of_2023 * grown_bp // _WHOLE_BP + line.extra[n % len(line.extra)])
    return before + middle + after


def _lead(line: Line, quirks: tuple[Quirk, ...], scale: list[int]) -> list[int]:
    """Return the lead item: the scale, except where it is zero or a negative December."""
    lead = [0] * len(scale) if line.lead_is_zero else list(scale)
    for quirk in quirks:
        if quirk.kind == "negative":
            lead[PERIODS_A_YEAR + quirk.first] = -quirk.amount
    return lead


def _share(scale: list[int], part_bp: int, rng: random.Random | None) -> list[int]:
    """Return a part of the scale, with some noise from month to month if there is a source of chance."""
    moves = [rng.randint(-_MIX_NOISE_BP, _MIX_NOISE_BP) if rng else 0 for _ in scale]
    return [amount * max(part_bp + move, 0) // _WHOLE_BP for amount, move in zip(scale, moves, strict=True)]


def _items(line: Line, lead: list[int], scale: list[int], rng: random.Random) -> dict[str, list[int]]:
    """Return all items of the form over three years; their identities hold by construction."""
    chance = rng if line.wobbles else None
    if line.form == TRADE:
        beside_retail = _share(scale, line.whole_bp - _WHOLE_BP, chance)
        return {
            "商品销售额": [amount + more for amount, more in zip(scale, beside_retail, strict=True)],
            "零售额": lead,
        }
    items = {"餐费收入": lead}
    if line.rooms_bp:
        items["客房收入"] = _share(scale, line.rooms_bp, chance)
    if line.goods_bp:
        items["商品销售额"] = _share(scale, line.goods_bp, chance)
    other = _share(scale, line.other_bp, chance)
    items["营业额"] = [sum(parts) for parts in zip(*items.values(), other, strict=True)]
    return items


def _priors(line: Line, amounts: list[int]) -> list[int | None]:
    """Return the prior-year figures as the forms of 2023 and 2024 report them."""
    if line.prior == "blank":
        return [None] * PERIODS
    if line.prior == "zero":
        return [0] * PERIODS
    return list(amounts[:PERIODS])


def _disturb(report: FirmReport) -> None:
    """Change rows so that they cause warnings: another base, cumulative figures that do not balance."""
    lead = report.tracks[LEAD[report.line.form]]
    for quirk in report.firm.profile.quirks:
        if quirk.kind == "base":
            for period in range(quirk.first, quirk.last + 1):
                prior = lead.prior[period]
                if prior is None:
                    raise ValueError(f"{report.firm.name} has no base to change")
                lead.prior[period] = prior + quirk.amount
        elif quirk.kind == "balance":
            for track in report.tracks.values():
                track.breaks[quirk.first] = quirk.amount
    revision = report.firm.profile.revision
    if revision and not revision.fills_base:
        for item, change in _changes(revision).items():
            report.tracks[item].breaks[CARRIED_FROM] = change


def _changes(revision: Revision) -> dict[str, int]:
    return {"零售额": revision.retail_change, "商品销售额": revision.sales_change}


def revised_figures(report: FirmReport, revision: Revision) -> tuple[SampleFigure, ...]:
    """Return the whole corrected row of `REVISED_PERIOD`, including unchanged figures."""
    rows = []
    for item, was in zip(ITEMS[TRADE], report.figures(REVISED_PERIOD), strict=True):
        if was.current is None or was.current_ytd is None:
            raise ValueError(f"{report.firm.name} did not report {item}")
        change = _changes(revision)[item]
        # The current figure without its growth serves as the figure that the firm finds for the year before.
        base = was.current * _WHOLE_BP // (_WHOLE_BP + report.line.growth_bp)
        rows.append(
            SampleFigure(
                current=was.current + change,
                prior=base if revision.fills_base else was.prior,
                current_ytd=was.current_ytd + change,
                prior_ytd=base if revision.fills_base else was.prior_ytd,
            )
        )
    return tuple(rows)


def make_reports(rng: random.Random, firms: list[Firm]) -> list[FirmReport]:
    """Draw the figures of the firms, one report for each form of each firm."""
    reports = []
    for firm in firms:
        for line in firm.profile.lines:
            scale = _scale(line, rng)
            items = _items(line, _lead(line, firm.profile.quirks, scale), scale, rng)
            tracks = {
                item: Track(amounts[PERIODS_A_YEAR:], _priors(line, amounts), {})
                for item, amounts in items.items()
            }
            report = FirmReport(firm, line, tracks)
            _disturb(report)
            reports.append(report)
    return reports
