"""The midpoint noise level of a robustness curve, with its interval, and what speaks against it.

Two estimates stand side by side.

*The paper's* (Walking Noise v1, eq. 1 and 2): one logistic through the means over the repetitions, weighted by their
standard deviations. Its standard error is that of the fit. With few repetitions this error is too small: an interval
of 1.96 errors to both sides holds the true midpoint in less than 95 % of studies.

*Per repetition*: a logistic through each repetition's own curve, without weights, and a t interval over the logarithms
of their midpoints. This interval holds the true midpoint in 95 % of studies.

Our choices, where the papers are silent:

- The noise is the logarithm of the level, ``x = log10(level)``. A level of 0 is ``x = -inf``, where the curve is a_max.
- The uncertainty of a level is the standard deviation of its repetitions, but at least the pooled standard deviation of
  the series: the root mean square over the levels, weighted by their degrees of freedom. Levels with one run have the
  pooled one. Without this lower limit, levels where all repetitions agree would decide the fit or break it; dead
  networks, for example, all score exactly chance. In a series without any spread all levels weigh the same.
- The standard error of mu follows from the size of these uncertainties (scipy's ``absolute_sigma=True``), not from the
  distances between means and curve. Those are too small: the curves of the repetitions are shifted as a whole, so
  that their mean is a smooth curve too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from analysis.flags import FEW_REPETITIONS, Flag
from analysis.logistic import PARAMETERS, Array, FitFailed, Logistic, fit_logistic

Axis = Literal["log", "linear"]

LEAST_FALL = 0.05
"""The least loss of accuracy that counts as a fall. A plateau closer than this to the floor counts as at the floor."""

PLATEAU = 0.1
"""A curve is on a plateau where less than this share of its fall separates them."""

LARGEST_MISFIT = 0.1
"""The largest distance of a mean accuracy from the fitted curve at which the curve still has the right shape."""

CONFIDENCE = 0.95
"""The t intervals hold the true midpoint with this probability."""


@dataclass(frozen=True)
class Repetitions:
    """The midpoints of the repetitions of a series, in units of the level.

    Attributes
    ----------
    mu
        Geometric mean of the midpoints (arithmetic mean on the linear axis); NaN without any.
    low, high
        Ends of the 95 % t interval of ``mu``; NaN with fewer than two midpoints.
    midpoints
        The midpoints that lie within the sampled levels, at most one per repetition.
    total
        Number of repetitions.
    """

    mu: float
    low: float
    high: float
    midpoints: tuple[float, ...]
    total: int


@dataclass(frozen=True)
class MidpointFit:
    """The midpoint noise level of one robustness curve.

    Attributes
    ----------
    axis
        ``log`` if the curves are fitted over log10 of the level, ``linear`` if over the level itself.
    curve
        The weighted fit, in units of the axis; None without a midpoint.
    misfit
        Largest distance of a mean accuracy from the curve; NaN without a curve.
    floor
        Accuracy of a constant answer on the validation set.
    lowest, highest
        The lowest and highest level above 0 that was sampled; inf and -inf if there is none.
    repetitions
        The midpoints of the fits per repetition.
    flags
        What speaks against the midpoint, or why there is none.
    """

    axis: Axis
    curve: Logistic | None
    misfit: float
    floor: float
    lowest: float
    highest: float
    repetitions: Repetitions
    flags: tuple[Flag, ...]

    @property
    def mu(self) -> float:
        """Midpoint noise level of the weighted fit, in units of the level; NaN without a curve."""
        return math.nan if self.curve is None else _level(self.curve.mu, self.axis)

    @property
    def mu_error(self) -> float:
        """Standard error of ``mu``; NaN without a curve.

        On the log axis it is ``ln(10) mu error(log10 mu)``, to first order.
        """
        if self.curve is None:
            return math.nan
        return self.curve.errors[0] * (math.log(10) * self.mu if self.axis == "log" else 1.0)

    @property
    def is_sound(self) -> bool:
        """Whether the midpoint has no flags, apart from those for few repetitions."""
        return FEW_REPETITIONS.issuperset(self.flags)


def fit_midpoint(
    runs: pd.DataFrame, floor: float, *, axis: Axis = "log", weighted: bool = True, absolute: bool = True
) -> MidpointFit:
    """The midpoint noise level of a series.

    Parameters
    ----------
    runs
        A row per run, with the columns ``level`` (>= 0), ``repetition`` and ``accuracy`` (in [0, 1]).
    floor
        Accuracy of a constant answer on the validation set, in [0, 1].
    axis, weighted, absolute
        Our choices, explained above in this module. Other values show how much depends on them.
    """
    levels = runs.groupby("level")["accuracy"].agg(n="size", mean="mean", std="std").reset_index()
    level, mean = levels["level"].to_numpy(float), levels["mean"].to_numpy(float)
    fitted = _fit(level, mean, _uncertainties(levels) if weighted else None, floor, axis, absolute)
    repetitions = _fit_repetitions(runs, floor, axis)
    if isinstance(fitted, Flag):
        curve, misfit, flags = None, math.nan, [fitted]
    else:
        curve, misfit = fitted, float(np.abs(mean - fitted(_noise(level, axis))).max())
        flags = _doubts(fitted, level, misfit, floor, axis)
        if len(repetitions.midpoints) < repetitions.total:
            flags.append(Flag.REPETITION_WITHOUT_MIDPOINT)
    few = {1: [Flag.ONE_REPETITION], 2: [Flag.TWO_REPETITIONS]}.get(repetitions.total, [])
    sampled = level[level > 0]
    lowest, highest = float(sampled.min(initial=math.inf)), float(sampled.max(initial=-math.inf))
    return MidpointFit(axis, curve, misfit, floor, lowest, highest, repetitions, (*flags, *few))


def _fit(
    level: Array, accuracy: Array, error: Array | None, floor: float, axis: Axis, absolute: bool = True
) -> Logistic | Flag:
    """The logistic through one curve, or why there is none. ``level`` rises."""
    if len(level) == 0:
        return Flag.NO_COMPLETED_RUNS
    if len(level) <= PARAMETERS:
        return Flag.TOO_FEW_LEVELS
    if accuracy.max() < floor + LEAST_FALL:
        return Flag.ALWAYS_AT_FLOOR
    if (np.maximum.accumulate(accuracy) - accuracy).max() < LEAST_FALL:
        return Flag.NEVER_FALLS
    try:
        curve = fit_logistic(_noise(level, axis), accuracy, error, absolute=absolute)
    except FitFailed:
        return Flag.FIT_FAILED
    return curve if curve.a_max > curve.a_min else Flag.FIT_FAILED


def _fit_repetitions(runs: pd.DataFrame, floor: float, axis: Axis) -> Repetitions:
    midpoints = []
    total = 0
    for _, runs_of_one in runs.sort_values("level").groupby("repetition", sort=True):
        total += 1
        level = runs_of_one["level"].to_numpy(float)
        curve = _fit(level, runs_of_one["accuracy"].to_numpy(float), None, floor, axis)
        if isinstance(curve, Logistic) and _outside(curve, level, axis) is None:
            midpoints.append(curve.mu)
    mean = float(np.mean(midpoints)) if midpoints else math.nan
    half = _half_width(midpoints)
    mu, low, high, *each = (_level(value, axis) for value in (mean, mean - half, mean + half, *midpoints))
    return Repetitions(mu, low, high, tuple(each), total)


def _half_width(values: list[float]) -> float:
    """Half the width of the t interval around the mean of ``values``; NaN for fewer than two."""
    n = len(values)
    if n < 2:
        return math.nan
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))


def _uncertainties(levels: pd.DataFrame) -> Array | None:
    """The standard deviation at each level, at least the pooled one of the series; None if all are 0."""
    std, freedom = levels["std"].fillna(0.0).to_numpy(float), levels["n"].to_numpy(float) - 1
    pooled = math.sqrt(float(freedom @ std**2) / max(freedom.sum(), 1.0))
    return np.maximum(std, pooled) if pooled > 0 else None


def _doubts(curve: Logistic, level: Array, misfit: float, floor: float, axis: Axis) -> list[Flag]:
    left = (curve(_noise(level, axis)) - curve.a_min) / (curve.a_max - curve.a_min)
    outside = _outside(curve, level, axis)
    doubts = [] if outside is None else [outside]
    if outside is None and not (left[0] > 1 - PLATEAU and left[-1] < PLATEAU):
        doubts.append(Flag.PLATEAU_UNSAMPLED)
    if curve.a_min > floor + LEAST_FALL:
        doubts.append(Flag.PARTIAL_FALL)
    if outside is None and not ((left > PLATEAU / 2) & (left < 1 - PLATEAU / 2)).any():
        doubts.append(Flag.NO_LEVEL_ON_SLOPE)
    if misfit > LARGEST_MISFIT:
        doubts.append(Flag.MISFIT)
    return doubts


def _outside(curve: Logistic, level: Array, axis: Axis) -> Flag | None:
    sampled, mu = level[level > 0], _level(curve.mu, axis)
    if mu < sampled.min():
        return Flag.BELOW_RANGE
    return Flag.ABOVE_RANGE if mu > sampled.max() else None


def _noise(level: Array, axis: Axis) -> Array:
    """Convert levels to units of the axis."""
    with np.errstate(divide="ignore"):
        return np.log10(level) if axis == "log" else level


def _level(noise: float, axis: Axis) -> float:
    """Convert a value in units of the axis to a level."""
    return 10.0**noise if axis == "log" else noise
