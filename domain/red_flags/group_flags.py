"""The red flags of many returns: clusters just over a gate or a step, and many corrections by one actor.

**Clusters.** Just over and just under a threshold are two adjacent bands of the same width. Without a cause,
a figure falls into one about as often as into the other, as long as the distribution is smooth. It need not
be even over the whole step, and that of increments is not: most are small. A group stands out if
over - under >= deviations * sqrt(over + under), compared in squares: the sign test.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise, product
from typing import Final, Literal, NamedTuple

from domain.events import Return
from domain.periods import period_of
from domain.policy.document import Measure, Reward
from domain.policy.policy import Policy
from domain.policy.shapes.growth_over import BP_PER_WHOLE
from domain.red_flags import questions
from domain.red_flags.kinds import (
    THRESHOLDS,
    EnterpriseHistory,
    Group,
    GroupFlagId,
    RedFlag,
    Registered,
    Scope,
    is_correction,
)
from domain.red_flags.questions import Near
from domain.regions import region_name
from domain.returns import ReturnVersion, required_figure

HALF_BP: Final = BP_PER_WHOLE // 2

Threshold = Literal["growth", "increment"]


class _GroupKey(NamedTuple):
    """A group of returns that are counted together; period None is the whole window, region None all."""

    measure: str
    threshold: Threshold
    period: str | None
    region_code: str | None

    @property
    def order(self) -> tuple[str, str, str, str]:
        return self.measure, self.threshold, self.period or "", self.region_code or ""


class _Side(NamedTuple):
    """A threshold that a return is near, and whether the return is over it."""

    measure: Measure
    threshold: Threshold
    is_over: bool


class Clusters:
    """Counts the standing returns near each threshold of the policy, by period and region.

    Its memory grows with the groups, not with the enterprises: it keeps a bounded list for each group.

    Args:
        scope: The returns to examine; without a policy there is no threshold.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._over: Counter[_GroupKey] = Counter()
        self._under: Counter[_GroupKey] = Counter()
        self._listed: dict[_GroupKey, list[ReturnVersion]] = {}

    def add(self, history: EnterpriseHistory) -> None:
        """Count the standing returns of an enterprise."""
        policy = self._scope.policy
        if policy is None:
            return
        for (_, period), standing in history.standing_in(self._scope.window).items():
            if not policy.covers_period(period_of(period)):
                continue
            # If the scope is one region, a group of all regions would only repeat it.
            places = list(product((period, None), {history.region_code, self._scope.region_code}))
            for side in _sides(policy, standing.event):
                for place in places:
                    key = _GroupKey(side.measure.id, side.threshold, *place)
                    self._count(key, standing, is_over=side.is_over)

    def _count(self, key: _GroupKey, standing: Registered, *, is_over: bool) -> None:
        if not is_over:
            self._under[key] += 1
            return
        self._over[key] += 1
        listed = self._listed.setdefault(key, [])
        if len(listed) < THRESHOLDS.listed_most:
            listed.append(standing.version)

    def flags(self) -> Iterator[RedFlag]:
        """A question about each group that stands out, by measure, threshold, period and region."""
        policy = self._scope.policy
        for key in sorted(self._over, key=lambda key: key.order):
            if policy is not None and stands_out(over=self._over[key], under=self._under[key]):
                yield self._flag(policy.measure(key.measure), key)

    def _flag(self, measure: Measure, key: _GroupKey) -> RedFlag:
        over, total = self._over[key], self._over[key] + self._under[key]
        share_bp = over * BP_PER_WHOLE // total
        when = self._scope.window if key.period is None else period_of(key.period)
        near = Near(f"{when.chinese}{_region(key.region_code)}{measure.name}：", over, total - over, share_bp)
        return RedFlag(
            flag="threshold-cluster",
            region_code=key.region_code,
            period=key.period,
            form=measure.form,
            group=Group(
                measure=measure.id,
                threshold=key.threshold,
                counted=over,
                total=total,
                share_bp=share_bp,
                expected_bp=HALF_BP,
            ),
            evidence=tuple(self._listed[key]),
            sentence=_question(measure, near, _gate_bp(measure) if key.threshold == "growth" else None),
        )


def stands_out(*, over: int, under: int) -> bool:
    """Whether more returns are over a threshold than chance explains: the sign test, in squares."""
    total = over + under
    return (
        total >= THRESHOLDS.cluster_least
        and over > under
        and (over - under) ** 2 >= THRESHOLDS.cluster_deviations**2 * total
    )


def _sides(policy: Policy, registered: Return) -> Iterator[_Side]:
    """The thresholds of the policy that a return is near; a return that cannot earn anything is near none."""
    figure = required_figure(registered)
    current_fen, base_fen = figure.current_fen, figure.prior_year_fen
    if current_fen is None or base_fen is None or base_fen <= 0 or not registered.in_database:
        return
    for measure in policy.document.measures:
        fits = registered.industry_code.startswith(measure.eligibility.industries.prefixes)
        if measure.form != registered.form or not fits:
            continue
        rate_bp = _gate_bp(measure)
        if rate_bp is not None:
            is_over = over_gate(rate_bp, measure.reward, current_fen=current_fen, base_fen=base_fen)
            if is_over is not None:
                yield _Side(measure, "growth", is_over)
        if rate_bp is None or (current_fen - base_fen) * BP_PER_WHOLE > base_fen * rate_bp:
            is_over = over_step(measure.reward, current_fen - base_fen)
            if is_over is not None:
                yield _Side(measure, "increment", is_over)


def _gate_bp(measure: Measure) -> int | None:
    """The highest growth gate of a measure, which decides; None without one."""
    return max((gate.rate.basis_points for gate in measure.conditions), default=None)


def over_gate(rate_bp: int, reward: Reward, *, current_fen: int, base_fen: int) -> bool | None:
    """Whether growth is just over the gate; None if it is not near the gate.

    Enterprises so small that an increment at the gate earns nothing have no reason to pass it. They are left
    out by their base alone, which treats both sides of the gate alike.
    """
    band_bp = THRESHOLDS.growth_band_bp
    if base_fen * rate_bp < reward.first_threshold_fen * BP_PER_WHOLE:
        return None
    scaled = (current_fen - base_fen) * BP_PER_WHOLE
    if base_fen * (rate_bp - band_bp) < scaled <= base_fen * (rate_bp + band_bp):
        return scaled > base_fen * rate_bp
    return None


def over_step(reward: Reward, increment_fen: int) -> bool | None:
    """Whether the increment is just over a threshold or just under one; None if it is not near one."""
    width_fen = near_width_fen(reward)
    passed_fen, next_fen = reward.thresholds_around(increment_fen)
    if passed_fen is not None and increment_fen - passed_fen < width_fen:
        return True
    return False if next_fen - increment_fen <= width_fen else None


def near_width_fen(reward: Reward) -> int:
    """The distance from a threshold within which an increment is near it, in fen."""
    return reward.step_fen // THRESHOLDS.step_parts


def _question(measure: Measure, near: Near, rate_bp: int | None) -> str:
    if rate_bp is None:
        return questions.increment_cluster(near, width_fen=near_width_fen(measure.reward))
    return questions.growth_cluster(near, rate_bp=rate_bp, band_bp=THRESHOLDS.growth_band_bp)


class Corrections:
    """Counts the corrections and the first filings of a window by actor.

    Args:
        scope: The returns to examine.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._filings: Counter[str] = Counter()
        self._corrections: Counter[str] = Counter()
        self._listed: dict[str, list[ReturnVersion]] = {}

    def add(self, history: EnterpriseHistory) -> None:
        """Count the versions of an enterprise."""
        for key in history.keys_in(self._scope.window):
            versions = history.versions[key]
            self._filings[versions[0].actor] += 1
            for before, after in pairwise(versions):
                if is_correction(before, after):
                    self._correction(after)

    def _correction(self, version: ReturnVersion) -> None:
        self._corrections[version.actor] += 1
        listed = self._listed.setdefault(version.actor, [])
        if len(listed) < THRESHOLDS.listed_most:
            listed.append(version)

    def flags(self) -> Iterator[RedFlag]:
        """A question about each actor with many corrections, by name."""
        for actor, corrections in sorted(self._corrections.items()):
            is_much = corrections * BP_PER_WHOLE >= THRESHOLDS.corrections_rate_bp * self._filings[actor]
            if is_much and corrections >= THRESHOLDS.corrections_least:
                yield self._flag(actor, corrections)

    def _flag(self, actor: str, corrections: int) -> RedFlag:
        filings, total = self._filings[actor], self._corrections.total()
        share_bp = corrections * BP_PER_WHOLE // total
        expected_bp = filings * BP_PER_WHOLE // self._filings.total()
        whose = f"{self._scope.window.chinese}{_region(self._scope.region_code)}"
        return RedFlag(
            flag="many-corrections",
            region_code=self._scope.region_code,
            group=Group(
                actor=actor, counted=corrections, total=total, share_bp=share_bp, expected_bp=expected_bp
            ),
            evidence=tuple(self._listed[actor]),
            sentence=questions.many_corrections(
                actor,
                whose,
                corrections=corrections,
                share_bp=share_bp,
                registered=filings,
                registered_bp=expected_bp,
            ),
        )


def _region(region_code: str | None) -> str:
    return "" if region_code is None else region_name(region_code)


COUNTERS: Final[dict[GroupFlagId, type[Clusters] | type[Corrections]]] = {
    "threshold-cluster": Clusters,
    "many-corrections": Corrections,
}
"""The counters behind the questions about many returns."""
