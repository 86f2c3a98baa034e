"""Red flags (疑点): unusual returns in a window. Each is a question, never a verdict.

The detectors are pure: they take the versions of an enterprise's returns as of a moment, and yield questions,
each with the versions that it is about. Amounts are integers in fen, shares in basis points. If a question is
about an award, the policy assesses the window once with the standing returns and once with the compared
figure in place; nothing else differs between the two.
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
"""The column of a figure on the form: 本年本月 or 上年同期."""

Key = tuple[str, str]
"""Form and period, as the API writes them."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """The thresholds of the questions. All are conventions of this software; no text orders them.

    Attributes:
        december_times: How many times the mean month before it December must be. The season alone makes it
            at most one and a half times.
        december_months_least: The least number of months before December for a mean; with fewer, a single
            month would decide it.
        step_parts: An increment is near a threshold if it is within this fraction of a step: close enough
            that little work moves a figure over the threshold, wide enough for some returns.
        growth_band_bp: Growth is near a gate if it is within this distance: one percentage point.
        cluster_deviations: How many standard deviations more returns must be over a threshold than under it.
            Without a cause both are equally likely; by chance, three deviations come in one of 740 groups,
            and a half-year of a city has some 100 groups.
        cluster_least: The least number of returns near a threshold; with fewer, chance reaches three
            deviations too often.
        corrections_least: The least number of corrections by one actor; fewer can be read one by one.
        corrections_rate_bp: The least rate of corrections to the rows that the actor registered: one in ten.
        listed_most: The most versions to list for a group, by code and period, as a start for the reader;
            the counts include all.
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
        measure: The measure with the threshold; None for corrections.
        threshold: `growth` or `increment`; None for corrections.
        actor: The name of the actor who made the corrections; None for a threshold.
        counted: The number of returns just over the threshold, or of corrections by the actor.
        total: The number of returns just over and just under the threshold, or of all corrections.
        share_bp: `counted` as a share of `total`.
        expected_bp: The expected share: half; for corrections, the actor's share of the first filings.
    """

    measure: str | None = None
    threshold: Literal["growth", "increment"] | None = None
    actor: str | None = None
    counted: int
    total: int
    share_bp: int
    expected_bp: int


class RedFlag(msgspec.Struct, frozen=True, kw_only=True):
    """A question, and the data that it rests on.

    Attributes:
        flag: The kind of the question.
        uscc: The code of the enterprise; None for a group. `name` and `region_code` are those of its latest
            period.
        region_code: For a group, the region of its returns; None for all regions.
        period: The period; for a group, None for the whole window.
        column: The column of the two figures; None if the question is about neither column.
        stated_fen: The figure of the standing return; None if it was not reported, or withdrawn.
        compared_fen: The figure that it is compared with.
        assessed_fen: The assessed amount of the window; None if the question is not about an award.
        compared_assessed_fen: The assessed amount with the compared figure in this one return.
        together_assessed_fen: The assessed amount with the compared figures in every return of the window
            that gets this question: together they may earn an amount that none of them earns alone while
            the others fill the ceiling.
        group: The counts behind a question about many returns.
        evidence: The versions that the question is about, in the order of the comparison.
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
        """The figure that decides the award."""
        return required_figure(self.event)

    @property
    def base_fen(self) -> int | None:
        """The prior-year figure."""
        return self.figure.prior_year_fen


def as_registered(version: ReturnVersion) -> Registered | None:
    """The version with its figures; None for a withdrawal."""
    return Registered(version, version.event) if isinstance(version.event, Return) else None


def is_correction(before: ReturnVersion, after: ReturnVersion) -> bool:
    """Whether a version corrects the one before: not if a preliminary return becomes final, as is usual.

    A second preliminary return does count: otherwise, an enterprise that never files a final one could
    correct its figures without a question.
    """
    stages = [version.event.stage for version in (before, after) if isinstance(version.event, Return)]
    return stages != ["preliminary", "final"]


class EnterpriseHistory(msgspec.Struct, frozen=True):
    """The returns of one enterprise with all their versions, as of a moment.

    Attributes:
        uscc: The code of the enterprise.
        name: The name in its latest period of the window.
        region_code: The region in the same period.
        versions: The versions by form and period, the oldest first: those of the window, of the periods
            before it in the year, and of the same window a year before.
    """

    uscc: str
    name: str
    region_code: str
    versions: Mapping[Key, Sequence[ReturnVersion]]

    def keys_in(self, window: Window) -> list[Key]:
        """The keys of all returns of a window that were ever registered, by period and form."""
        of_window = (key for key in self.versions if window.holds(period_of(key[1])))
        return sorted(of_window, key=lambda key: (period_of(key[1]), key[0]))

    def registered(self, key: Key) -> list[Registered]:
        """The registered versions of a return, the oldest first."""
        found = (as_registered(version) for version in self.versions[key])
        return [registered for registered in found if registered is not None]

    def standing(self, form: str, period: str) -> Registered | None:
        """The standing version of a return; None if it was never registered, or was withdrawn."""
        versions = self.versions.get((form, period))
        return None if versions is None else as_registered(versions[-1])

    def standing_in(self, window: Window) -> dict[Key, Registered]:
        """The standing returns of a window, by period and form."""
        found = ((key, self.standing(*key)) for key in self.keys_in(window))
        return {key: registered for key, registered in found if registered is not None}


class Scope(msgspec.Struct, frozen=True):
    """The returns to examine.

    Attributes:
        window: The window of the accounts to examine.
        ended_at_us: The end of the window in Beijing time, in microseconds since 1970-01-01T00:00:00Z.
        policy: The policy that assesses these accounts; None while no policy has such accounts.
        region_code: The region to examine; None for all.
    """

    window: Window
    ended_at_us: int
    policy: Policy | None
    region_code: str | None = None
