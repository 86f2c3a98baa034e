"""Red flags (疑点): what stands out in the returns of a window. Each is a question, never a verdict.

Pure: the versions of an enterprise's returns go in, as they stood at a moment, and questions come out, each
with the versions that it is asked of. Amounts are integers in fen, shares in basis points. Where a question
is about an award, the window is computed anew by the policy, once as it stands and once with the figure
that it is compared with; nothing else differs between the two.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from domain.events import Figure, Return
from domain.periods import Window, period_of
from domain.policy.policy import Policy
from domain.returns import ReturnVersion, required_figure

EnterpriseFlagId = Literal[
    "base-changed",
    "base-differs",
    "base-earns",
    "balance-differs",
    "december-jump",
    "late-correction",
]
"""The questions about one enterprise."""

GroupFlagId = Literal["threshold-cluster", "many-corrections"]
"""The questions about many returns together."""

FlagId = EnterpriseFlagId | GroupFlagId

Column = Literal["current", "prior_year"]
"""The column of the form that a figure stands in: 本年本月 or 上年同期."""

Key = tuple[str, str]
"""Form and period, as the contract writes them."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """From where on something stands out. All are conventions of this software; no text orders them.

    Attributes:
        december_times: December is so many times the mean month before it. The season alone makes it one
            and a half times at most.
        december_months_least: So many months before December make a mean; of fewer, one month decides it.
        step_parts: Near a threshold of the increment is within one part of a step cut into so many: close
            enough that little work moves a figure over it, wide enough to hold some.
        growth_band_bp: Near a gate of growth is within so much of it; one percentage point.
        cluster_deviations: Without a cause, a return near a threshold is over it as often as under it. So
            many standard deviations more over it come by chance in one of 740 groups, and a half-year of
            a city has some 100 groups.
        cluster_least: So many returns near a threshold; of fewer, chance has three deviations too often.
        corrections_least: So many corrections of one actor; fewer are looked at one by one.
        corrections_rate_bp: So many corrections for what the actor registered; one of ten rows.
        listed_most: So many versions are listed of a group, by code and period. It is where looking
            begins; the counts are of all.
    """

    december_times: int = 2
    december_months_least: int = 6
    step_parts: int = 10
    growth_band_bp: int = 100
    cluster_deviations: int = 3
    cluster_least: int = 20
    corrections_least: int = 20
    corrections_rate_bp: int = 1_000
    listed_most: int = 500


THRESHOLDS: Final = Thresholds()


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The counts behind a question about many returns.

    Attributes:
        measure: The measure whose threshold it is; None of corrections.
        threshold: `growth` or `increment`; None of corrections.
        actor: Who made the corrections; None of a threshold.
        counted: The returns just over the threshold, or the corrections of the actor.
        total: Those just over and just under it, or the corrections of all.
        share_bp: The first as a share of the second.
        expected_bp: The share to expect: half; of corrections, the actor's share of what was registered.
    """

    measure: str | None = None
    threshold: Literal["growth", "increment"] | None = None
    actor: str | None = None
    counted: int
    total: int
    share_bp: int
    expected_bp: int


class RedFlag(msgspec.Struct, frozen=True, kw_only=True):
    """A question, with what it rests on.

    Attributes:
        flag: What is asked.
        uscc: The enterprise; None of a group. `name` and `region_code` are those of its latest period.
        region_code: Of a group, the region it is narrowed to; None for all regions.
        period: Of a group, None for the whole window.
        column: Where the two figures stand; None where the question is about neither column.
        stated_fen: The figure as it stands; None where it is not reported, or withdrawn.
        compared_fen: What it is compared with.
        assessed_fen: What the window is assessed to; None where the question is about no award.
        compared_assessed_fen: The same with this one return as compared.
        together_assessed_fen: The same with every return of the window that this is asked of as compared:
            what they earn together, each may earn not at all while the others fill the ceiling.
        group: The counts behind a question about many returns.
        evidence: The versions that it is asked of, in the order of the comparison.
        sentence: The question, in Chinese.
    """

    flag: FlagId
    uscc: str | None = None
    name: str | None = None
    region_code: str | None = None
    period: str | None = None
    form: str | None = None
    column: Column | None = None
    stated_fen: int | None = None
    compared_fen: int | None = None
    assessed_fen: int | None = None
    compared_assessed_fen: int | None = None
    together_assessed_fen: int | None = None
    group: Group | None = None
    evidence: tuple[ReturnVersion, ...]
    sentence: str


class Registered(NamedTuple):
    """A version that registered figures."""

    version: ReturnVersion
    event: Return

    @property
    def figure(self) -> Figure:
        """The figure that the award rests on."""
        return required_figure(self.event)

    @property
    def base_fen(self) -> int | None:
        """The prior-year figure."""
        return self.figure.prior_year_fen


def registered_of(version: ReturnVersion) -> Registered | None:
    """The version with its figures; None of a withdrawal."""
    return Registered(version, version.event) if isinstance(version.event, Return) else None


def is_correction(before: ReturnVersion, after: ReturnVersion) -> bool:
    """Whether what follows a version corrects it: a preliminary figure becomes final in the usual course.

    Another preliminary one in its place is none of that: who never files a final one would correct unseen.
    """
    stages = [each.event.stage for each in (before, after) if isinstance(each.event, Return)]
    return stages != ["preliminary", "final"]


class EnterpriseHistory(msgspec.Struct, frozen=True):
    """The returns of one enterprise with every version, as they stood at a moment.

    Attributes:
        name: Of its latest period in the window, as `region_code`.
        versions: By form and period, the oldest first: of the window, of what came before it in the
            year, and of the same window a year before.
    """

    uscc: str
    name: str
    region_code: str
    versions: Mapping[Key, Sequence[ReturnVersion]]

    def keys_of(self, window: Window) -> list[Key]:
        """The returns of a window that were ever registered, by period and form."""
        of_window = (key for key in self.versions if window.holds(period_of(key[1])))
        return sorted(of_window, key=lambda key: (period_of(key[1]), key[0]))

    def registered(self, key: Key) -> list[Registered]:
        """What was ever registered of a return, the oldest first."""
        found = (registered_of(version) for version in self.versions[key])
        return [each for each in found if each is not None]

    def standing(self, form: str, period: str) -> Registered | None:
        """What stands of a return; None where nothing was registered or the last was withdrawn."""
        versions = self.versions.get((form, period))
        return None if versions is None else registered_of(versions[-1])

    def standing_in(self, window: Window) -> dict[Key, Registered]:
        """What stands of a window, by period and form."""
        found = ((key, self.standing(*key)) for key in self.keys_of(window))
        return {key: each for key, each in found if each is not None}


class Scope(msgspec.Struct, frozen=True):
    """What is looked at.

    Attributes:
        window: The window of accounts that is looked at.
        ended_at_us: Its end in Beijing, in microseconds since 1970.
        policy: What its accounts are assessed by; None while no policy has such accounts.
        region_code: The one region that is looked at; None for all.
    """

    window: Window
    ended_at_us: int
    policy: Policy | None
    region_code: str | None = None
