"""The invented enterprises of the sample: their codes and names, and the industries of the ordinary ones."""

import random
from dataclasses import dataclass

from app.demo.cases import CATERING, PERIODS, SPECIAL, TRADE, Line, Prior, Profile, at
from domain.identifiers import uscc_check_character

_PLACES = {
    "210802": "营口站前",
    "210803": "营口西市",
    "210804": "营口鲅鱼圈",
    "210811": "营口老边",
    "210881": "盖州市",
    "210882": "大石桥市",
}
_REGIONS = tuple(_PLACES)
_HEAD = "栖槿砚鹿霁沐樾辰筠岫澜芷曜珩溯舲瀚麓煦棠"
_TAIL = "禾川澄溪舟野岚汀苑陌泽岱原朔屿荟菘珂笙桥"
_LAST = "元和兴达源盛隆泰丰裕"
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORGANISATION_CHECKS = "0123456789X"
_GB11714_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)

# Words that a firm of the industry may have in its name.
_INDUSTRIES = {
    "51": {
        "5111": "粮食贸易",
        "5123": "果蔬批发",
        "5124": "水产贸易",
        "5127": "酒业",
        "5132": "服饰贸易",
        "5138": "家电商贸",
        "5151": "医药",
        "5162": "石油销售",
        "5165": "建材贸易",
        "5172": "汽车配件",
    },
    "52": {
        "5211": "百货",
        "5212": "超市",
        "5213": "便利连锁",
        "5223": "生鲜商贸",
        "5232": "服饰",
        "5251": "大药房",
        "5261": "汽车销售服务",
        "5265": "加油站",
        "5272": "电器商贸",
        "5283": "家居",
        "5292": "电子商务",
    },
    "61": {"6110": "大酒店", "6121": "快捷酒店", "6129": "酒店管理", "6130": "民宿"},
    "62": {"6210": "餐饮管理", "6220": "快餐", "6241": "团餐配送", "6291": "小吃"},
}
# By division: the share of ordinary firms in percent, and their size (median in 千元 a month, log-normal
# sigma).
_DIVISIONS = {
    "51": (33, 1_800, 1.5),
    "52": (45, 1_700, 1.5),
    "61": (8, 320, 1.1),
    "62": (14, 420, 1.2),
}
_SMALLEST = {TRADE: 300, CATERING: 120}
_LARGEST = 600_000
# Far below the number at which invented names run out.
_MOST_FIRMS = 10_000
_ENTERING_PERCENT, _LEAVING_PERCENT = 3, 3
# Mostly new shops without a previous year; for some the source reports 0, some firms grew over the threshold.
_ENTRANTS: tuple[tuple[int, Prior], ...] = ((75, "blank"), (10, "zero"), (15, "known"))
# Weight, lowest and highest growth of 2024 in basis points.
_GROWTH_BP = (
    (8, -4_000, -1_000),
    (26, -1_000, 300),
    (34, 300, 1_200),
    (18, 1_200, 2_500),
    (11, 2_500, 6_000),
    (3, 6_000, 12_000),
)


@dataclass(frozen=True, slots=True)
class Firm:
    """An invented enterprise under its 统一社会信用代码."""

    uscc: str
    name: str
    region: str
    profile: Profile


def _chance(rng: random.Random, percent: int) -> bool:
    return rng.randrange(100) < percent


def _log_normal(rng: random.Random, division: str, form: str) -> int:
    """Draw the size of a firm, 千元 a month: the only place where a float decides anything."""
    _, median, sigma = _DIVISIONS[division]
    drawn = int(median * rng.lognormvariate(0, sigma))
    return max(_SMALLEST[form], min(drawn, _LARGEST))


def _growth(rng: random.Random) -> int:
    _, low, high = rng.choices(_GROWTH_BP, [weight for weight, _, _ in _GROWTH_BP])[0]
    return rng.randint(low, high)


def _membership(rng: random.Random) -> tuple[int, int, Prior]:
    """Draw when a firm enters and leaves the database, and what is known about the year before it entered."""
    first, last = at(2024, 2), at(2024, 12)
    drawn = rng.randrange(100)
    if drawn < _ENTERING_PERCENT:
        _, prior = rng.choices(_ENTRANTS, [weight for weight, _ in _ENTRANTS])[0]
        return rng.randint(first, last), PERIODS, prior
    if drawn < _ENTERING_PERCENT + _LEAVING_PERCENT:
        return 0, rng.randint(first + 1, last), "known"
    return 0, PERIODS, "known"


def _line(rng: random.Random, division: str, industry: str) -> Line:
    form = TRADE if division in {"51", "52"} else CATERING
    enters, leaves, prior = _membership(rng)
    wholesale, hotel = division == "51", division == "61"
    return Line(
        form=form,
        industry=industry,
        base=_log_normal(rng, division, form),
        growth_bp=_growth(rng),
        growth_2023_bp=rng.randint(-800, 1_500),
        whole_bp=rng.randint(11_000, 60_000) if wholesale else rng.randint(10_200, 12_500),
        rooms_bp=rng.randint(8_000, 30_000) if hotel else 0,
        goods_bp=rng.randint(100, 900) if _chance(rng, 60) else 0,
        other_bp=rng.randint(0, 400),
        enters=enters,
        leaves=leaves,
        # Some firms are late with May 2024 and come in a file of their own.
        late=form == TRADE and _chance(rng, 6),
        prior=prior,
        # Hotels without a restaurant and wholesalers without retail write 0, and so does their base.
        lead_is_zero=_chance(rng, 6 if hotel else 1 if wholesale else 0),
        wobbles=True,
    )


def _ordinary(rng: random.Random) -> Profile:
    division = rng.choices(tuple(_DIVISIONS), [share for share, _, _ in _DIVISIONS.values()])[0]
    industry = rng.choice(tuple(_INDUSTRIES[division]))
    lines = [_line(rng, division, industry)]
    # Some supermarkets run a canteen, some hotels a shop: both forms under one code.
    if industry == "5212" and _chance(rng, 12):
        lines.append(_line(rng, "62", "6220"))
    elif industry == "6110" and _chance(rng, 20):
        lines.append(_line(rng, "52", "5213"))
    return Profile("", tuple(lines))


def organisation_check(first_eight: str) -> str:
    """Return the check character of an organisation code (GB 11714) from its first eight characters."""
    total = sum(int(c, 36) * weight for c, weight in zip(first_eight, _GB11714_WEIGHTS, strict=True))
    return _ORGANISATION_CHECKS[-total % 11]


def _next(alphabet: str, character: str) -> str:
    return alphabet[(alphabet.index(character) + 1) % len(alphabet)]


def _uscc(rng: random.Random, region: str, *, valid: bool) -> str:
    """Draw a code with valid check characters or, as early codes of some regions have, invalid ones."""
    head, free = ("MA", 6) if valid else ("M0001", 3)
    eight = head + "".join(rng.choice(_USCC_ALPHABET) for _ in range(free))
    ninth = organisation_check(eight)
    seventeen = f"91{region}{eight}{ninth if valid else _next(_ORGANISATION_CHECKS, ninth)}"
    last = uscc_check_character(seventeen)
    return seventeen + (last if valid else _next(_USCC_ALPHABET, last))


def _name(rng: random.Random, region: str, industry: str) -> str:
    words = _INDUSTRIES[industry[:2]][industry]
    brand = rng.choice(_HEAD) + rng.choice(_TAIL) + (rng.choice(_LAST) if _chance(rng, 35) else "")
    return f"{_PLACES[region]}{brand}{words}有限公司"


def make_firms(rng: random.Random, enterprises: int) -> list[Firm]:
    """Invent the enterprises, those of the special cases first.

    Args:
        rng: The only source of chance.
        enterprises: The number of enterprises: at least that of the special cases, at most 10,000.

    Raises:
        ValueError: The number is smaller or larger than that.
    """
    if not len(SPECIAL) <= enterprises <= _MOST_FIRMS:
        raise ValueError(f"a sample has {len(SPECIAL)} to {_MOST_FIRMS} enterprises, not {enterprises}")
    firms: list[Firm] = []
    taken: set[str] = set()
    while len(firms) < enterprises:
        profile = SPECIAL[len(firms)] if len(firms) < len(SPECIAL) else _ordinary(rng)
        region = rng.choice(_REGIONS)
        uscc = _uscc(rng, region, valid=not profile.override)
        name = _name(rng, region, profile.lines[0].industry)
        while uscc in taken or name in taken:
            uscc = _uscc(rng, region, valid=not profile.override)
            name = _name(rng, region, profile.lines[0].industry)
        taken |= {uscc, name}
        firms.append(Firm(uscc, name, region, profile))
    return firms


def special_firms(*, seed: int = 2024) -> list[Firm]:
    """Return the firms of the special cases in the sample of this seed, each with its `profile.label`."""
    return make_firms(random.Random(seed), len(SPECIAL))  # noqa: S311 - a sample is not a secret
