"""The special cases of the sample: what each firm shows, declared as data."""

from dataclasses import dataclass
from typing import Literal

TRADE = "E204-1"
CATERING = "S204-1"
FIRST_YEAR = 2023
PERIODS_A_YEAR = 11
PERIODS = 2 * PERIODS_A_YEAR

Prior = Literal["known", "blank", "zero"]


def at(year: int, month: int) -> int:
    """Return the ordinal of a surveyed period: 0 is January and February 2023, 21 is December 2024."""
    return (year - FIRST_YEAR) * PERIODS_A_YEAR + max(month - 2, 0)


@dataclass(frozen=True, slots=True)
class Line:
    """What one firm reports on one form.

    `base` is a typical month of 2023, in 千元, of the item that the policy rewards (零售额, 餐费收入);
    a month of 2024 is that of 2023 grown by `growth_bp` and raised by `extra` (千元, taken in turn).
    The other items are parts or multiples of it in basis points. The line is in the files from period
    `enters` to the one before `leaves`; `marked_out` adds one more row, with 当月在库 = 否.
    """

    form: str
    industry: str
    base: int
    growth_bp: int = 0
    extra: tuple[int, ...] = (0,)
    growth_2023_bp: int = 500
    whole_bp: int = 11_000
    rooms_bp: int = 0
    goods_bp: int = 0
    other_bp: int = 200
    enters: int = 0
    leaves: int = PERIODS
    marked_out: bool = False
    late: bool = False
    prior: Prior = "known"
    lead_is_zero: bool = False
    wobbles: bool = False


@dataclass(frozen=True, slots=True)
class Quirk:
    """Rows that cause a warning on purpose, in the periods `first` to `last`; `amount` in 千元."""

    kind: Literal["base", "balance", "negative", "region", "industry"]
    first: int
    last: int
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Revision:
    """The correction of April 2024: additions to its amounts (千元), or a base that is filled in late."""

    reason: str
    origin: Literal["企业改报", "审核退回", "执法认定"]
    document: str
    retail_change: int = 0
    sales_change: int = 0
    fills_base: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """All particulars of a firm except its name; an ordinary firm has no label."""

    label: str
    lines: tuple[Line, ...]
    quirks: tuple[Quirk, ...] = ()
    override: str = ""
    revision: Revision | None = None


def _gates() -> tuple[Profile, ...]:
    """Article 14 for trade: the gate of 8%, the steps of 1000万元 and the ceilings."""
    return (
        Profile("exactly-8-percent", (Line(TRADE, "5211", 200_000, 800),)),
        Profile("exactly-8-percent", (Line(TRADE, "5138", 80_000, 800),)),
        Profile("just-over-8-percent", (Line(TRADE, "5272", 100_000, 800, extra=(1,)),)),
        Profile("just-over-8-percent", (Line(TRADE, "5261", 250_000, 800, extra=(1, 20, 130)),)),
        Profile("over-gate-without-a-step", (Line(TRADE, "5251", 40_000, 2_000),)),
        Profile("steps-without-the-gate", (Line(TRADE, "5162", 320_000, 700),)),
        Profile("one-step-exactly", (Line(TRADE, "5283", 60_000, extra=(10_000, 9_999, 10_001)),)),
        Profile("several-steps", (Line(TRADE, "5261", 150_000, 3_200),)),
        Profile("month-ceiling", (Line(TRADE, "5212", 230_000, 300, extra=(0, 0, 0, 130_000)),)),
        Profile("half-year-ceiling", (Line(TRADE, "5292", 300_000, 4_200),)),
        Profile("half-year-ceiling", (Line(TRADE, "5162", 420_000, 3_000),)),
        Profile("half-year-ceiling-late-may", (Line(TRADE, "5211", 310_000, 4_000, late=True),)),
        Profile("half-year-ceiling-in-part", (Line(TRADE, "5261", 190_000, 4_500),)),
        Profile("decline", (Line(TRADE, "5232", 90_000, -3_000),)),
        Profile("december-spike", (Line(TRADE, "5165", 50_000, 200, extra=(*(0,) * 10, 60_000)),)),
    )


def _tables() -> tuple[Profile, ...]:
    """Article 14 for catering, and for firms that file both forms."""
    kitchen = Line(CATERING, "6241", 30_000, 9_500, goods_bp=400)
    diner = Line(CATERING, "6210", 6_000, goods_bp=300, extra=(1_000, 1_999, 999, 1_500))
    return (
        Profile("catering-band", (diner,)),
        Profile("catering-tail", (Line(CATERING, "6210", 8_000, goods_bp=200, extra=(2_000, 2_999, 7_400)),)),
        Profile("catering-month-ceiling", (kitchen,)),
        Profile("catering-decline", (Line(CATERING, "6220", 2_500, -2_500),)),
        Profile(
            "both-retail-higher",
            (Line(TRADE, "5212", 140_000, 1_500), Line(CATERING, "6220", 1_200, extra=(1_200,))),
        ),
        Profile(
            "both-catering-higher",
            (
                Line(CATERING, "6110", 9_000, 6_000, rooms_bp=12_000),
                Line(TRADE, "5211", 60_000, extra=(11_000,)),
            ),
        ),
        Profile(
            "both-equal",
            (Line(TRADE, "5211", 100_000, extra=(20_500,)), Line(CATERING, "6210", 6_000, extra=(5_300,))),
        ),
        Profile(
            "retail-eligible-catering-undetermined",
            (
                Line(TRADE, "5212", 110_000, 2_000),
                Line(CATERING, "6220", 900, 500, enters=at(2024, 3), prior="blank"),
            ),
        ),
        Profile(
            "catering-eligible-retail-undetermined",
            (
                Line(CATERING, "6110", 5_000, 4_000, rooms_bp=15_000),
                Line(TRADE, "5213", 2_000, 500, enters=at(2024, 2), prior="zero"),
            ),
        ),
    )


def _comings() -> tuple[Profile, ...]:
    """Firms that enter or leave the survey-unit database in 2024, and codes that fail their check."""
    early = "登记机关所发早期代码，已核对营业执照"
    return (
        Profile("entered-blank-base", (Line(TRADE, "5211", 75_000, enters=at(2024, 5), prior="blank"),)),
        Profile("entered-zero-base", (Line(TRADE, "5272", 30_000, enters=at(2024, 4), prior="zero"),)),
        Profile("entered-blank-base", (Line(CATERING, "6210", 1_500, enters=at(2024, 3), prior="blank"),)),
        Profile(
            "left-marked-out", (Line(TRADE, "5261", 100_000, 5_000, leaves=at(2024, 8), marked_out=True),)
        ),
        Profile(
            "left-marked-out", (Line(TRADE, "5123", 3_000, -2_000, leaves=at(2024, 10), marked_out=True),)
        ),
        Profile("left-marked-out", (Line(CATERING, "6220", 600, -900, leaves=at(2024, 6), marked_out=True),)),
        Profile("check-override", (Line(TRADE, "5151", 6_000, 900),), override=early),
        Profile("check-override", (Line(TRADE, "5265", 105_000, 1_900),), override=early),
        Profile("check-override", (Line(CATERING, "6110", 2_200, 700, rooms_bp=14_000),), override=early),
    )


def _warned() -> tuple[Profile, ...]:
    """Figures that cause warnings (核实提示): another base, a cumulative figure, a negative December."""
    last_december, december = at(2023, 12), at(2024, 12)
    june, november = at(2024, 6), at(2024, 11)
    return (
        Profile("base-lowered", (Line(TRADE, "5211", 120_000, 300),), (Quirk("base", june, june, -12_000),)),
        Profile(
            "base-restated", (Line(TRADE, "5232", 60_000, 900),), (Quirk("base", november, december, 1_300),)
        ),
        Profile(
            "base-lowered",
            (Line(CATERING, "6210", 5_000, 1_000, goods_bp=300),),
            (Quirk("base", at(2024, 10), at(2024, 10), -900),),
        ),
        Profile(
            "balance-off",
            (Line(TRADE, "5123", 8_000, 400),),
            (Quirk("balance", at(2023, 6), at(2023, 6), 1_500), Quirk("balance", december, december, -700)),
        ),
        Profile(
            "balance-off",
            (Line(TRADE, "5272", 20_000, 600),),
            (
                Quirk("balance", last_december, last_december, -2_300),
                Quirk("balance", at(2024, 9), at(2024, 9), 800),
            ),
        ),
        Profile(
            "negative-december",
            (Line(TRADE, "5165", 1_900, 500),),
            (Quirk("negative", last_december, last_december, 860),),
        ),
        Profile(
            "negative-december",
            (Line(TRADE, "5127", 2_600, -700),),
            (Quirk("negative", december, december, 1_240),),
        ),
        Profile(
            "negative-december",
            (Line(CATERING, "6210", 700, 300, goods_bp=500, other_bp=3_000),),
            (Quirk("negative", december, december, 150),),
        ),
    )


def _displaced() -> tuple[Profile, ...]:
    """Firms that a development zone handles for some months, or that change their industry for a while."""
    last_december, december = at(2023, 12), at(2024, 12)
    return (
        Profile(
            "unknown-region",
            (Line(TRADE, "5162", 15_000, 1_100),),
            (Quirk("region", at(2023, 11), last_december),),
        ),
        Profile(
            "unknown-region",
            (Line(TRADE, "5292", 90_000, 2_600),),
            (Quirk("region", at(2024, 10), december),),
        ),
        Profile(
            "odd-industry",
            (Line(TRADE, "5138", 110_000, 2_100),),
            (Quirk("industry", at(2024, 7), december),),
        ),
        Profile(
            "odd-industry",
            (Line(TRADE, "5223", 4_000, 800),),
            (Quirk("industry", at(2023, 11), last_december),),
        ),
    )


def _revised() -> tuple[Profile, ...]:
    """Firms that correct their April 2024 in August."""

    def document(n: int) -> str:
        return f"营统核〔2024〕{n}号"

    below = Revision("网点调出，重复计算", "企业改报", document(31), -18_000, -18_000)
    ceiling = Revision("团购订单误计入4月", "审核退回", document(32), -110_000, -110_000)
    above = Revision("漏报两家分店", "执法认定", document(35), 12_000, 12_000)
    filled = Revision("补填上年同期数", "企业改报", document(36), fills_base=True)
    sales = Revision("批发部分补计，零售额不变", "审核退回", document(37), 0, 3_500)
    return (
        Profile("revised-below-gate", (Line(TRADE, "5211", 150_000, 2_000),), revision=below),
        Profile("revised-half-year-ceiling", (Line(TRADE, "5261", 280_000, 4_500),), revision=ceiling),
        Profile("revised-above-gate", (Line(TRADE, "5165", 100_000, 500),), revision=above),
        Profile(
            "revised-base-filled",
            (Line(TRADE, "5283", 60_000, 3_000, enters=at(2024, 4), prior="blank"),),
            revision=filled,
        ),
        Profile("revised-without-effect", (Line(TRADE, "5124", 25_000, 1_500),), revision=sales),
    )


SPECIAL = (*_gates(), *_tables(), *_comings(), *_warned(), *_displaced(), *_revised())
"""The special cases, one firm each; they come first and do not depend on the size of the sample."""
