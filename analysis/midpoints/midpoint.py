"""Midpoint noise level of a robustness curve: its estimate, its interval, and its flags.

*The midpoint noise level* μ of a repetition is the level at which its accuracy has lost half of what there is to lose,
between the noise-free accuracy and the chance accuracy (the score of a constant answer). Where a curve keeps a
remainder above chance accuracy, *half of its own fall* is another level, which the papers' logistic marks. Both are
computed from the curve of each repetition (:mod:`analysis.midpoints.curves.repetition_curve`).

The estimate for a series is the geometric mean over its repetitions that have enough levels. Its interval is the t
interval of the logarithms, or the moderated t interval if a prior of the variance is given (:mod:`analysis.intervals`).
If the midpoint of a repetition lies beyond the sampled levels, the estimate is a bound without an interval.

A repetition is *dead* if one of its runs has chance accuracy at a level where the others have lost less than half. The
estimate includes dead repetitions; the estimate for the survivors shows how much they matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import pandas as pd
from scipy import stats

from analysis.intervals import CONFIDENCE, UNKNOWN, Estimate, VariancePrior, mean_accuracy
from analysis.midpoints.curves.repetition_curve import Array, RepetitionCurve
from analysis.midpoints.curves.weighted_midpoint import LARGEST_MISFIT, WeightedMidpoint, fit_mean_curve, mean_curve
from analysis.midpoints.flags import ABOVE, BELOW, MINOR, Flag
from analysis.midpoints.repetition_levels import RepetitionLevels

LEAST_LEVELS = 5
"""Smallest number of levels of a curve."""

LEAST_FALL = 0.05
"""Smallest loss of accuracy that counts as a fall. A plateau closer than this to chance accuracy counts as chance."""

LEAST_ON_SLOPE = 4
"""Smallest number of levels at which 10 to 90 % is left, for a bias of at most 0.005 decades (``make coverage``)."""

LOSSES = (0.01, 0.05)
"""Losses whose levels are listed with the midpoint, as shares of what there is to lose."""


@dataclass(frozen=True)
class Slope:
    """Sampled levels on the slope of a mean curve.

    Attributes
    ----------
    before, after
        Bounds of the midpoint: geometric means over the repetitions of the sampled levels next to their midpoints.
    levels
        Number of sampled levels at which 10 to 90 % is left.
    """

    before: float
    after: float
    levels: int


@dataclass(frozen=True, eq=False)
class MidpointFit:
    """Midpoint noise level of one robustness curve.

    Attributes
    ----------
    curves
        Repetition name -> its curve. Repetitions with too few levels have none.
    repetitions
        Levels at which half of what there is to lose is lost.
    chance_accuracy
        Accuracy of a constant answer on the validation set.
    weighted
        Estimate of the paper; None if there is no fall or the fit failed.
    slope
        Levels on the slope of the mean curve; None without a midpoint within the sampled levels.
    dead
        Names of the dead repetitions.
    flags
        Reasons why the midpoint is missing or in doubt.
    prior
        Prior of the variance between repetitions, estimated from the series of the study; None without one.
    """

    curves: Mapping[str, RepetitionCurve]
    repetitions: RepetitionLevels
    chance_accuracy: float
    weighted: WeightedMidpoint | None
    slope: Slope | None
    dead: tuple[str, ...]
    flags: tuple[Flag, ...]
    prior: VariancePrior | None = None

    @cached_property
    def mu(self) -> Estimate:
        """Midpoint noise level with the recommended interval: moderated with a prior, otherwise plain."""
        return self._resolved(self.repetitions.estimate(self.prior))

    @cached_property
    def mu_plain(self) -> Estimate:
        """Midpoint noise level with the plain t interval."""
        return self._resolved(self.repetitions.estimate())

    @cached_property
    def mu_of_fall(self) -> Estimate:
        """Level at which half of the curve's own fall is lost, with the plain t interval.

        It is unknown if a repetition does not fall, or if the sampled levels do not reach the end of its fall.
        """
        outcomes, curves = self.repetitions.outcomes, self.curves.values()
        if any(each in _NO_FALL for each in outcomes.values()) or not all(each.ends_on_plateau for each in curves):
            return UNKNOWN
        return self._estimate({name: curve.level_at(0.5, curve.a_min) for name, curve in self.curves.items()})

    @cached_property
    def mu_of_survivors(self) -> Estimate:
        """Midpoint noise level without the dead repetitions."""
        alive = {name: outcome for name, outcome in self.repetitions.outcomes.items() if name not in self.dead}
        return self._resolved(replace(self.repetitions, outcomes=alive).estimate(self.prior))

    @cached_property
    def share_dead(self) -> Estimate:
        """Share of dead repetitions with its exact binomial interval (Clopper and Pearson 1934)."""
        if not self.repetitions.outcomes:
            return UNKNOWN
        return _share(len(self.dead), len(self.repetitions.outcomes))

    def level_at_loss(self, loss: float) -> Estimate:
        """Level at which a share ``loss`` of what there is to lose is lost, with the plain t interval."""
        return self._estimate({
            name: outcome if outcome == Flag.ALWAYS_AT_FLOOR
            else self.curves[name].level_at(1 - loss, self.chance_accuracy)
            for name, outcome in self.repetitions.outcomes.items() if name in self.curves
        })  # fmt: skip

    @cached_property
    def width(self) -> Estimate:
        """Factor between the levels at which 10 % and 90 % are lost: geometric mean with its t interval."""
        curves = [curve for name, curve in self.curves.items() if self.repetitions.outcomes[name] not in _NO_FALL]
        ends = [[curve.level_at(share, self.chance_accuracy) for share in (0.9, 0.1)] for curve in curves]
        factors = [high / low for low, high in ends if not isinstance(low, Flag) and not isinstance(high, Flag)]
        return self._estimate({str(number): factor for number, factor in enumerate(factors)})

    def _estimate(self, outcomes: Mapping[str, float | Flag]) -> Estimate:
        return self._resolved(replace(self.repetitions, outcomes=outcomes).estimate())

    def _resolved(self, estimate: Estimate) -> Estimate:
        """The estimate without its interval if no level lies on the slope.

        The curves of all repetitions then have the same interpolation, and do not show how far they differ.
        """
        coarse = self.slope is not None and self.slope.levels == 0
        return Estimate(estimate.value, bound=estimate.bound) if coarse else estimate

    @cached_property
    def a_max(self) -> Estimate:
        """Noise-free accuracy: mean over the repetitions with its t interval."""
        return mean_accuracy([curve.a_max for curve in self.curves.values()])

    @cached_property
    def a_min(self) -> Estimate:
        """Accuracy after the fall: mean over the repetitions with its t interval."""
        return mean_accuracy([curve.a_min for curve in self.curves.values()])

    @property
    def lowest(self) -> float:
        """Lowest sampled level above 0; inf if there is none."""
        return self.repetitions.lowest

    @property
    def highest(self) -> float:
        """Highest sampled level; -inf if there is none above 0."""
        return self.repetitions.highest

    @property
    def is_sound(self) -> bool:
        """Whether the midpoint has no flags except minor ones (:data:`analysis.midpoints.flags.MINOR`)."""
        return MINOR.issuperset(self.flags)


_NO_FALL = (Flag.NEVER_FALLS, Flag.ALWAYS_AT_FLOOR)


def fit_midpoint(runs: pd.DataFrame, chance_accuracy: float) -> MidpointFit:
    """Estimate the midpoint noise level of a series.

    Parameters
    ----------
    runs
        A row per run, with the columns ``level`` (>= 0), ``repetition`` and ``accuracy`` (in [0, 1]).
    chance_accuracy
        Accuracy of a constant answer on the validation set, in [0, 1].
    """
    by_repetition = _curves(runs)
    level, means, _ = mean_curve(runs)
    mean = RepetitionCurve(level, means)
    sampled = mean.level[mean.level > 0]
    outcomes = {name: _midpoint(curve, chance_accuracy) for name, curve in by_repetition.items()}
    whole = _midpoint(mean, chance_accuracy)
    repetitions = RepetitionLevels(
        outcomes, float(sampled.min(initial=math.inf)), float(sampled.max(initial=-math.inf))
    )
    curves = {name: curve for name, curve in by_repetition.items() if outcomes[name] != Flag.TOO_FEW_LEVELS}
    weighted = fit_mean_curve(runs) if _falls(whole) else None
    slope = None if isinstance(whole, Flag) else _slope(mean, chance_accuracy, repetitions)
    dead = () if whole == Flag.ALWAYS_AT_FLOOR else _dead(by_repetition, mean.level, chance_accuracy)
    fit = MidpointFit(curves, repetitions, chance_accuracy, weighted, slope, dead, ())
    flags = _flags(fit, mean, whole)
    return replace(fit, flags=tuple(flag for flag in Flag if flag in flags))


@cache
def _share(number: int, total: int) -> Estimate:
    test = stats.binomtest(number, total)
    low, high = test.proportion_ci(CONFIDENCE)
    return Estimate(float(test.statistic), float(low), float(high))


def _curves(runs: pd.DataFrame) -> dict[str, RepetitionCurve]:
    """Repetition name -> its curve, in the order of the names."""
    ordered = runs.sort_values("level")
    level, accuracy = (ordered[name].to_numpy(float) for name in ("level", "accuracy"))
    codes, names = pd.factorize(ordered["repetition"], sort=True)
    return {
        str(name): RepetitionCurve(level[codes == number], accuracy[codes == number])
        for number, name in enumerate(names)
    }


def _midpoint(curve: RepetitionCurve, chance_accuracy: float) -> float | Flag:
    """Midpoint of a curve, or the reason why none lies within the sampled levels."""
    if len(curve.level) == 0:
        return Flag.NO_COMPLETED_RUNS
    if len(curve.level) < LEAST_LEVELS:
        return Flag.TOO_FEW_LEVELS
    if curve.a_max < chance_accuracy + LEAST_FALL:
        return Flag.ALWAYS_AT_FLOOR
    midpoint = curve.level_at(0.5, chance_accuracy)
    small = curve.a_max - curve.a_min < LEAST_FALL
    return Flag.NEVER_FALLS if small and midpoint == Flag.ABOVE_RANGE else midpoint


def _falls(midpoint: float | Flag) -> bool:
    return not isinstance(midpoint, Flag) or midpoint in (Flag.BELOW_RANGE, Flag.ABOVE_RANGE)


def _slope(mean: RepetitionCurve, chance_accuracy: float, repetitions: RepetitionLevels) -> Slope:
    sampled = mean.level > 0
    levels, shares = mean.level[sampled], mean.shares(chance_accuracy)[sampled]
    midpoints = [outcome for outcome in repetitions.outcomes.values() if not isinstance(outcome, Flag)]
    # Rounding can move a midpoint at the first or last level out of the range.
    after = np.searchsorted(levels, midpoints).clip(1, len(levels) - 1)
    low, high = (float(np.exp(np.log(levels[each]).mean())) if midpoints else math.nan for each in (after - 1, after))
    return Slope(low, high, int(((shares >= 0.1) & (shares <= 0.9)).sum()))


def _dead(by_repetition: Mapping[str, RepetitionCurve], levels: Array, chance_accuracy: float) -> tuple[str, ...]:
    """Names of the repetitions with a run at chance accuracy where the median of the others has lost less than half."""
    long_enough = [curve.a_max for curve in by_repetition.values() if len(curve.level) >= LEAST_LEVELS]
    if len(long_enough) < 2:
        return ()
    table = np.full((len(by_repetition), len(levels)), np.nan)
    for row, curve in zip(table, by_repetition.values(), strict=True):
        row[np.searchsorted(levels, curve.level)] = curve.accuracy
    to_lose = float(np.median(long_enough)) - chance_accuracy
    half = chance_accuracy + to_lose / 2
    at_chance = table < chance_accuracy + min(LEAST_FALL, 0.1 * to_lose)
    dead = []
    for number, name in enumerate(by_repetition):
        others = np.delete(table, number, axis=0)[:, at_chance[number]]
        others = others[:, (others > half).any(axis=0)]  # all others are below half elsewhere
        if (np.nanmedian(others, axis=0) > half).any():
            dead.append(name)
    return tuple(dead)


def _flags(fit: MidpointFit, mean: RepetitionCurve, whole: float | Flag) -> list[Flag]:
    """Flags of a series with the mean curve ``mean`` and its midpoint ``whole``."""
    outcomes, sides = list(fit.repetitions.outcomes.values()), fit.repetitions.beyond().values()
    few = {1: [Flag.ONE_REPETITION], 2: [Flag.TWO_REPETITIONS]}.get(len(outcomes), [])
    if isinstance(whole, Flag) and not _falls(whole):
        return [whole, *few]
    conditions = {
        Flag.ABOVE_RANGE: 1 in sides,
        Flag.BELOW_RANGE: -1 in sides,
        Flag.PLATEAU_UNSAMPLED: fit.slope and fit.weighted and not fit.weighted.samples_plateaus(mean.level),
        Flag.PARTIAL_FALL: mean.ends_on_plateau and mean.a_min > fit.chance_accuracy + LEAST_FALL,
        Flag.LEVELS_TOO_COARSE: fit.slope and fit.slope.levels < LEAST_ON_SLOPE,
        Flag.DEAD_RUNS: fit.dead,
        Flag.REPETITION_WITHOUT_MIDPOINT: any(
            isinstance(each, Flag) and each not in ABOVE | BELOW for each in outcomes
        ),
        Flag.FIT_FAILED: fit.weighted is None,
        Flag.MISFIT: fit.weighted and fit.weighted.misfit > LARGEST_MISFIT,
    }
    return [*few, *(flag for flag, applies in conditions.items() if applies)]
