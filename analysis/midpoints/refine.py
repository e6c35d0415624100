"""Plan of a second stage: the number of seeds and the levels that give an interval of a wanted width.

The design is Stein's (1945). The first stage gives the variance between seeds; the variance fixes the number of seeds
once. Adding seeds until an interval looks narrow would stop where the variance happens to be small, and the intervals
would contain the true value too rarely. The report computes the interval from all seeds, not from Stein's statistic.
So that this interval covers, the number of seeds must depend little on the variance of the series itself:

- All series of one kind of training get the same number of seeds, from their pooled variance: the smallest ``n`` with
  ``2 t sqrt(variance / n) <= width``. ``t`` is the larger quantile of the first stage and of the report's interval.
- A kind of training with few series gets at least :data:`LEAST_SEEDS` seeds over all its series.
- Very coarse levels add to the variance. The seeds that are present then get their levels on the slope first.

A series that varies more than the others keeps a wider interval. New levels lie on the slope of the mean curve. New
seeds run only at four levels on the slope, new or present ones, at one level before the fall, and at one after it (two
if a remainder is left).
``python -m tests.coverage.refining`` measures the coverage and the width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.errors import AnalysisError
from analysis.intervals import CONFIDENCE, DESIGN_CORRELATION, MOST_REPETITIONS, VariancePrior
from analysis.midpoints.curves.repetition_curve import ON_PLATEAU, RepetitionCurve
from analysis.midpoints.flags import Flag
from analysis.midpoints.maximum_noise import MAXIMUM
from analysis.midpoints.midpoint import LEAST_FALL, LEAST_ON_SLOPE
from analysis.midpoints.study import FittedSeries, Study, by_kind_of_training, shares_networks
from analysis.runs.noise_kinds import kind_of

LEAST_SEEDS = 16
"""Smallest number of seeds over all series of a kind of training, if they are few."""

MOST_SEEDS = 1000
"""Largest planned number of seeds of a series."""

SHARES = (0.8, 0.6, 0.4, 0.2)
"""Shares left at the levels on the slope. They are equally far apart on the logit scale, and well within 10 to 90 %."""

AFTER_FALL = 0.05
"""Largest share that is left after the fall."""

BEYOND = 4
"""Number of new levels beyond the sampled ones, which extend the sampled range by half of its decades."""


@dataclass(frozen=True)
class Refinement:
    """Second stage of a series.

    Attributes
    ----------
    seeds
        Planned number of seeds, the present ones included.
    new_levels, kept_levels
        New levels, which all seeds run; levels of the first stage that the new seeds run, too.
    expected_width
        Expected width of the interval in decades, if the variance stays the same; NaN if it cannot be planned yet.
    remark
        Reason why the series gets nothing or only levels beyond the sampled ones; empty otherwise.
    """

    series: FittedSeries
    seeds: int
    new_levels: tuple[float, ...] = ()
    kept_levels: tuple[float, ...] = ()
    expected_width: float = math.nan
    remark: str = ""

    @property
    def width(self) -> float:
        """Present width of the interval in decades; NaN without one."""
        return math.log10(self.series.fit.mu.high / self.series.fit.mu.low)


def refine(study: Study, width: float) -> list[Refinement]:
    """Plan the second stage of every series with a curve. ``width`` is in decades, above 0.

    Raises
    ------
    AnalysisError
        No series has a curve or a midpoint in two seeds, or the width needs more than :data:`MOST_SEEDS` seeds.
    """
    fitted = study.fitted_series
    if not 0 < width < math.inf:
        raise AnalysisError(f"width {width:g}: give a finite number of decades above 0")
    if not fitted:
        raise AnalysisError("no series has a robustness curve; add runs at several noise levels")
    if all(len(each.fit.repetitions.outcomes) < 2 for each in fitted):
        raise AnalysisError("every series has one seed, which gives no variance between seeds; add runs of a second")
    plans = [plan for members in by_kind_of_training(fitted).values() for plan in _refine_kind(members, width)]
    if not any(plan.new_levels or math.isfinite(plan.width) for plan in plans):
        reasons = "; ".join(dict.fromkeys(plan.remark for plan in plans))
        raise AnalysisError(f"no series has a midpoint in two seeds: {reasons}")
    return plans


def _refine_kind(members: Sequence[FittedSeries], width: float) -> list[Refinement]:
    if kind_of(members[0].settings).transform:
        remark = "not every level can be set; add levels and seeds by hand"
        return [Refinement(each, len(each.fit.repetitions.logs), remark=remark) for each in members]
    known = [each for each in members if each.fit.mu.is_known and len(each.fit.repetitions.logs) > 1]
    samples = [list(each.fit.repetitions.logs.values()) for each in known]
    prior = next((each.fit.prior for each in known if each.fit.prior), None)
    seeds, remark = 0, "levels on the slope; then refine again"
    if known and not too_coarse([each.fit.slope.levels for each in known if each.fit.slope]):
        seeds, remark = seeds_needed(samples, width, prior, shares=shares_networks(known)), ""
    return [_refine_series(each, seeds, remark) if each in known else _extend(each) for each in members]


def too_coarse(levels_on_slope: Sequence[int]) -> bool:
    """Whether most series have fewer than two levels on the slope, so that levels add much to the variance."""
    return bool(levels_on_slope) and float(np.median(levels_on_slope)) < 2


def _refine_series(each: FittedSeries, seeds: int, remark: str) -> Refinement:
    fit, logs = each.fit, list(each.fit.repetitions.logs.values())
    seeds = max(seeds, len(logs))
    expected = expected_width(float(np.var(logs, ddof=1)), seeds, fit.prior)
    if seeds == len(logs) and fit.slope is not None and fit.slope.levels >= LEAST_ON_SLOPE:
        if remark:
            return Refinement(each, seeds, remark="waits for the levels of the others; then refine again")
        return Refinement(each, seeds, expected_width=expected, remark="no further seeds or levels needed")
    means = each.series.used.groupby("level")["accuracy"].mean()
    mean = RepetitionCurve(means.index.to_numpy(float), means.to_numpy(float))
    return Refinement(each, seeds, *slope_levels(mean, fit.chance_accuracy), math.nan if remark else expected, remark)


def _extend(each: FittedSeries) -> Refinement:
    """Levels beyond the sampled ones, where midpoints lie there; nothing for a series that has no midpoint."""
    seeds, fit = len(each.fit.repetitions.outcomes), each.fit
    outcomes = fit.repetitions.outcomes
    dead = {name for name, outcome in outcomes.items() if outcome == Flag.ALWAYS_AT_FLOOR}
    sides = {side for name, side in fit.repetitions.beyond().items() if side and name not in dead}
    if dead and not sides and Flag.ALWAYS_AT_FLOOR not in fit.flags:
        return Refinement(each, seeds, remark="a seed is at chance accuracy at every level")
    if seeds < 2 or not sides or Flag.ALWAYS_AT_FLOOR in fit.flags:
        return Refinement(each, seeds, remark="; ".join(fit.flags) or "no midpoint in two seeds")
    if new := [level for side in sorted(sides) for level in _beyond(fit.lowest, fit.highest, side)]:
        return Refinement(each, seeds, tuple(new), remark="levels beyond the sampled ones; then refine again")
    return Refinement(each, seeds, remark=f"does not lose half up to level {fit.highest:g}")


def seeds_needed(samples: Sequence[Sequence[float]], width: float, prior: VariancePrior | None, *, shares: bool) -> int:
    """Number of seeds with which the interval of a series with the pooled variance has at most this width in decades.

    ``samples`` has the log10 midpoints of the seeds of each series, at least two. ``prior`` is that of the report's
    moderated intervals, if there is one. ``shares``: whether the series share trained networks.
    """
    freedom = np.array([len(values) - 1 for values in samples], dtype=float)
    variance = float(freedom @ [np.var(values, ddof=1) for values in samples] / freedom.sum())
    pooled = float(freedom.sum()) / (1 + shares * DESIGN_CORRELATION**2 * (len(samples) - 1))
    least = max(2, math.ceil(LEAST_SEEDS / len(samples)))
    for seeds in range(least, MOST_SEEDS + 1):
        if max(_width(variance, pooled, seeds), expected_width(variance, seeds, prior)) <= width:
            return seeds
    raise AnalysisError(f"width {width:g}: more than {MOST_SEEDS} seeds are needed; give a larger width")


def expected_width(variance: float, seeds: int, prior: VariancePrior | None) -> float:
    """Width in decades of the interval of ``seeds`` seeds with this variance between them."""
    if prior is not None and seeds <= MOST_REPETITIONS:
        return _width(*prior.moderate(variance, seeds - 1), seeds)
    return _width(variance, seeds - 1, seeds)


def _width(variance: float, freedom: float, seeds: int) -> float:
    return 2 * float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(variance / seeds)


def slope_levels(curve: RepetitionCurve, chance_accuracy: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """New levels on the slope of a mean curve, and the sampled levels that new seeds run, too.

    A sampled level close to one of the four places on the slope is kept instead of a new one. The places are on the
    curve's own fall if that ends far above chance accuracy.
    """
    end = chance_accuracy
    if curve.level_at(SHARES[-1], end) is Flag.ABOVE_RANGE and curve.ends_on_plateau:
        end = curve.a_min
    found = [curve.level_at(share, end) for share in SHARES]
    places = np.log10([level for level in found if not isinstance(level, Flag)])
    sampled, positive, shares = curve.level, curve.level[curve.level > 0], curve.shares(end)
    new = {_rounded(level) for flag, side in ((Flag.BELOW_RANGE, -1), (Flag.ABOVE_RANGE, 1)) if flag in found
           for level in _beyond(positive[0], positive[-1], side)}  # fmt: skip
    after = sampled[shares <= AFTER_FALL][: 2 if curve.a_min > chance_accuracy + LEAST_FALL else 1]
    # The last but one on the plateau: the last may have lost a little.
    kept = {float(sampled[shares >= 1 - ON_PLATEAU][-2:][0]), *map(float, after)}
    tolerance = np.diff(places).min() / 2 if len(places) > 1 else 0.0  # two places never keep the same level
    for place in places:
        distances = np.abs(np.log10(positive) - place)
        if distances.min() <= tolerance:
            kept.add(float(positive[distances.argmin()]))
        else:
            new.add(_rounded(10**place))
    return tuple(sorted(new)), tuple(sorted(kept - new))


def _beyond(lowest: float, highest: float, side: int) -> list[float]:
    """Levels above (``side`` 1) or below (-1) the sampled range, up to :data:`MAXIMUM`."""
    steps = (math.log10(highest / lowest) / 2 or 1.0) * np.arange(1, BEYOND + 1) / BEYOND
    levels = np.minimum(highest * 10**steps, MAXIMUM) if side > 0 else lowest * 10**-steps
    return sorted({level for level in map(_rounded, levels) if not lowest <= level <= highest})


def _rounded(level: float) -> float:
    return float(f"{level:.3g}")
